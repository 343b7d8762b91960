/* A channel's tree of receipts, kept. */
#include "chain/receipt_tree.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(RECEIPTS_MAX >> (RECEIPT_TREE_ROWS - 1) == 1, "the last row is the top of as many leaves as may be");

static uint32_t half_up(uint32_t n)
{
    return n / 2 + n % 2;
}

void receipt_tree_clear(struct receipt_tree *t)
{
    for (unsigned k = 0; k < RECEIPT_TREE_ROWS; k++)
        free(t->row[k]);
    *t = (struct receipt_tree){0};
}

/* A row's room is the lowest one's, halved. */
static void make_room(struct receipt_tree *t, uint32_t room)
{
    t->room = room;
    for (unsigned k = 0; room; k++) {
        CHECK(k < RECEIPT_TREE_ROWS);
        t->row[k] = mem_resize(t->row[k], room, sizeof *t->row[k]);
        room = room > 1 ? half_up(room) : 0;
    }
}

void receipt_tree_copy(const struct receipt_tree *t, struct receipt_tree *out)
{
    *out = (struct receipt_tree){.n = t->n};
    make_room(out, t->n);
    uint32_t n = t->n;
    for (unsigned k = 0; n; k++) {
        memcpy(out->row[k], t->row[k], n * sizeof *t->row[k]);
        n = n > 1 ? half_up(n) : 0;
    }
}

/* What stands above leaf i, anew. */
static void climb(struct receipt_tree *t, uint32_t i)
{
    uint32_t n = t->n;
    for (unsigned k = 0; n > 1; k++, n = half_up(n), i /= 2) {
        const struct receipt_tree_node *left = &t->row[k][i & ~1u], *right = left + 1;
        struct receipt_tree_node *above = &t->row[k + 1][i / 2];
        if ((i | 1) >= n)
            *above = *left; /* without a partner */
        else
            above->overflows = left->overflows || right->overflows || !sum_join(&above->sum, &left->sum, &right->sum);
    }
}

void receipt_tree_put(struct receipt_tree *t, uint32_t i, const struct sum_node *leaf)
{
    CHECK(i <= t->n && i < RECEIPTS_MAX);
    if (i == t->room)
        make_room(t, t->room > RECEIPTS_MAX / 2 ? RECEIPTS_MAX : t->room ? 2 * t->room : 8);
    if (i == t->n)
        t->n++;
    t->row[0][i] = (struct receipt_tree_node){.sum = *leaf};
    climb(t, i);
}

void receipt_tree_cut(struct receipt_tree *t, uint32_t n)
{
    CHECK(n <= t->n);
    if (n == t->n)
        return;
    t->n = n;
    if (n)
        climb(t, n - 1); /* all others above are of leaves that stay */
}

bool receipt_tree_top(const struct receipt_tree *t, struct sum_node *top)
{
    unsigned k = 0;
    for (uint32_t n = t->n; n > 1; n = half_up(n))
        k++;
    *top = t->n ? t->row[k][0].sum : (struct sum_node){0};
    return !t->n || !t->row[k][0].overflows;
}

bool receipt_tree_prove(const struct receipt_tree *t, uint32_t i, struct buf *proof)
{
    struct sum_node top;
    if (i >= t->n || !receipt_tree_top(t, &top))
        return false;
    uint32_t n = t->n;
    for (unsigned k = 0; n > 1; k++, n = half_up(n), i /= 2)
        if ((i ^ 1) < n)
            sum_node_put(proof, &t->row[k][i ^ 1].sum);
    return true;
}
