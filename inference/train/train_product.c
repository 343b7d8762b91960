/* Cutting products into tiles; see the header. */
#include "inference/train/train_product.h"

#include <string.h>

/* A stretch of k whose panels of A and B stay in the first two caches while the tiles of a block go over them; a block
 * of columns, whose panels lie on the stack; and one of rows, as a part for a thread. */
#define DEPTH   256
#define COLUMNS 128
#define ROWS    96

/* -- sets -- */

static const struct train_set *set_for(const struct ops *ops)
{
#if defined(__x86_64__)
    if (bytes_begin(bytes_of_text(ops->name), "avx512"))
        return &train_set_avx512;
    if (bytes_begin(bytes_of_text(ops->name), "avx"))
        return &train_set_avx2;
#endif
    return ops == &ops_ref ? &train_set_ref : &train_set_plain;
}

const struct train_set *train_set_pick(const char *name, struct note *note)
{
    if (strcmp(name, train_set_plain.name) == 0)
        return &train_set_plain;
    const struct ops *ops = ops_pick(name, note);
    return ops ? set_for(ops) : NULL;
}

const struct train_set *train_set_at(size_t i)
{
    const struct train_set *all[8] = {&train_set_ref, &train_set_plain};
    size_t n = 2;
    for (size_t at = 1; ops_at(at); at++) {
        const struct train_set *s = set_for(ops_at(at));
        if (s != all[n - 1])
            all[n++] = s;
    }
    return i < n ? all[i] : NULL;
}

/* -- a block -- */

static void multiply_plainly(const struct train_product *p)
{
    for (size_t m = 0; m < p->m; m++)
        for (size_t n = 0; n < p->n; n++) {
            float sum = p->add ? p->c[m * p->cm + n] : 0.0f;
            for (size_t k = 0; k < p->k; k++)
                sum = sum + p->a[m * p->am + k * p->ak] * p->b[k * p->bk + n];
            p->c[m * p->cm + n] = sum;
        }
}

/* k rows of B into panels of the set's columns; what is behind n is zeros. */
static void pack_b(const struct train_set *s, const float *b, size_t bk, size_t k, size_t n, float *out)
{
    for (size_t n0 = 0; n0 < n; n0 += s->columns) {
        size_t here = n - n0 < s->columns ? n - n0 : s->columns;
        for (size_t i = 0; i < k; i++, out += s->columns) {
            memcpy(out, b + i * bk + n0, here * sizeof *out);
            if (here < s->columns)
                memset(out + here, 0, (s->columns - here) * sizeof *out);
        }
    }
}

/* `rows` rows of A as [k, the set's rows]; those behind are zeros. */
static void pack_a(const struct train_set *s, const float *a, size_t am, size_t ak, size_t k, size_t rows, float *out)
{
    for (size_t i = 0; i < k; i++, out += s->rows)
        for (size_t m = 0; m < s->rows; m++)
            out[m] = m < rows ? a[m * am + i * ak] : 0.0f;
}

/* A tile that may hang over the edge of C. */
static void run_tile(const struct train_set *s, size_t k, const float *a, size_t am, size_t ak, const float *b,
                     float *c, size_t cm, size_t rows, size_t columns, bool add)
{
    if (rows == s->rows && columns == s->columns) {
        s->tile(k, a, am, ak, b, c, cm, add);
        return;
    }
    float edge[TRAIN_TILE_ROWS * TRAIN_TILE_COLUMNS] = {0};
    for (size_t m = 0; add && m < rows; m++)
        memcpy(edge + m * s->columns, c + m * cm, columns * sizeof *c);
    s->tile(k, a, am, ak, b, edge, s->columns, add);
    for (size_t m = 0; m < rows; m++)
        memcpy(c + m * cm, edge + m * s->columns, columns * sizeof *c);
}

/* At most COLUMNS columns and DEPTH of k. A's rows are read where they are when they run along k, else copied. */
static void multiply_block(const struct train_set *s, const struct train_product *p, float *panels)
{
    float copy[DEPTH * TRAIN_TILE_ROWS];
    pack_b(s, p->b, p->bk, p->k, p->n, panels);
    for (size_t m = 0; m < p->m; m += s->rows) {
        const size_t rows = p->m - m < s->rows ? p->m - m : s->rows;
        const bool is_direct = p->ak == 1 && rows == s->rows;
        const float *a = p->a + m * p->am, *b = panels;
        if (!is_direct)
            pack_a(s, a, p->am, p->ak, p->k, rows, copy);
        for (size_t n = 0; n < p->n; n += s->columns, b += p->k * s->columns)
            run_tile(s, p->k, is_direct ? a : copy, is_direct ? p->am : 1, is_direct ? 1 : s->rows, b,
                     p->c + m * p->cm + n, p->cm, rows, p->n - n < s->columns ? p->n - n : s->columns, p->add);
    }
}

void train_multiply(const struct train_set *set, const struct train_product *p)
{
    float panels[DEPTH * COLUMNS];
    if (!set->tile) {
        multiply_plainly(p);
        return;
    }
    for (size_t n = 0; n < p->n; n += COLUMNS)
        for (size_t k = 0; k == 0 || k < p->k; k += DEPTH) {
            struct train_product part = *p;
            part.n = p->n - n < COLUMNS ? p->n - n : COLUMNS;
            part.k = p->k - k < DEPTH ? p->k - k : DEPTH;
            part.a = p->a + k * p->ak;
            part.b = p->b + k * p->bk + n;
            part.c = p->c + n;
            part.add = p->add || k > 0;
            multiply_block(set, &part, panels);
        }
}

/* -- parts -- */

struct parts {
    const struct train_set *set;
    const struct train_product *p;
    size_t rows, columns, across; /* of a part; parts along n */
};

static void multiply_part(void *arg, size_t first, size_t end)
{
    const struct parts *t = arg;
    for (size_t i = first; i < end; i++) {
        struct train_product part = *t->p;
        const size_t m = i / t->across * t->rows, n = i % t->across * t->columns;
        part.m = part.m - m < t->rows ? part.m - m : t->rows;
        part.n = part.n - n < t->columns ? part.n - n : t->columns;
        part.a += m * part.am;
        part.b += n;
        part.c += m * part.cm + n;
        train_multiply(t->set, &part);
    }
}

/* Few rows are cut along n, so that there is work for all. */
void train_multiply_all(const struct train_set *set, struct pool *pool, const struct train_product *p)
{
    struct parts t = {.set = set, .p = p, .rows = ROWS, .columns = p->n};
    if (p->m < (size_t)ROWS * pool_threads(pool))
        t.columns = COLUMNS;
    if (p->n == 0 || p->m == 0)
        return;
    t.across = (p->n + t.columns - 1) / t.columns;
    pool_run(pool, t.across * ((p->m + t.rows - 1) / t.rows), 1, multiply_part, &t);
}
