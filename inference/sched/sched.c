/* The jobs of a worker; see the header. Who gets how much of a batch is in sched_batch.c, what they say to its results
 * in sched_hear.c; the questions that need no batch are in sched_ask.c. */
#include "inference/sched/sched_in.h"

#include "base/mem.h"
#include "base/merkle.h"
#include "inference/engine/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOGITS_DEVICE 256u /* rows that keep their logits: 128 MiB of a large vocabulary's */

#define SLOTS_DEVICE 64u   /* a GPU reads its weights once for as many */
#define BATCH_DEVICE 1024u /* its matrix units are busy then */
#define BATCH_LARGE  2048u /* the last ones of a matrix' blocks weigh less; work memory of an 8B model is half a GiB */
#define LARGE_BYTES  ((uint64_t)24 << 30) /* a GPU on which that does not cost a layer */

#define CHORE_PAUSE_US 64000 /* between two chores, of about a millisecond each, while jobs wait */

static void job_free(struct sched_job *j)
{
    session_free(j->session);
    engine_seq_free(j->seq);
    buf_clear(&j->ids);
    buf_clear(&j->scores);
    buf_clear(&j->out);
    free(j->vector);
    free(j);
}

static void remove_job(struct sched *s, uint32_t i)
{
    job_free(s->jobs[i]);
    memmove(s->jobs + i, s->jobs + i + 1, (s->jobs_n - i - 1) * sizeof *s->jobs);
    s->jobs_n--;
}

enum err sched_add_job(struct sched *s, struct sched_job *job_take, uint32_t positions, struct note *note)
{
    job_take->bytes =
        job_take->vector ? engine_embed_bytes(s->engine, positions) : engine_seq_bytes(s->engine, positions);
    enum err e = ERR_OK;
    if (s->jobs_n == JOBS_MAX)
        e = note_set(note, ERR_BUSY, "the worker has %u jobs waiting: ask again later", (unsigned)JOBS_MAX);
    else if (s->memory_bytes && s->fixed_bytes + job_take->bytes > s->memory_bytes)
        e = note_set(note, ERR_FULL,
                     "%u positions need %llu MiB beside the model, more than the memory that the worker was given: ask "
                     "for fewer tokens or raise the limit",
                     positions, (unsigned long long)(job_take->bytes >> 20));
    for (uint32_t i = 0; i < s->jobs_n && e == ERR_OK; i++)
        if (s->jobs[i]->ask == job_take->ask)
            e = note_set(note, ERR_DUPLICATE, "question %llu is being answered already",
                         (unsigned long long)job_take->ask);
    if (e != ERR_OK) {
        job_free(job_take);
        return e;
    }
    s->jobs[s->jobs_n++] = job_take;
    return ERR_OK;
}

bool sched_cancel_job(struct sched *s, uint64_t ask)
{
    for (uint32_t i = 0; i < s->jobs_n; i++)
        if (s->jobs[i]->ask == ask) {
            remove_job(s, i);
            return true;
        }
    return false;
}

void sched_let_go(struct sched *s, uint64_t ask, uint32_t reads_to)
{
    for (uint32_t i = 0; i < s->jobs_n; i++)
        if (s->jobs[i]->ask == ask && s->jobs[i]->session)
            session_go(s->jobs[i]->session, reads_to);
}

static void take_time(struct sched *s, uint32_t rows, uint64_t us)
{
    if (s->is_alone)
        draft_measure(&s->draft_cost, rows - 1, us);
    else
        sched_pace(s, rows, us);
}

void sched_step(struct sched *s, struct buf *out)
{
    uint32_t active, n = sched_fill(s, &active);
    if (n > 0) {
        const uint64_t before = s->clock();
        const bool had_device = s->has_device;
        engine_eval(s->engine, s->rows, n);
        sched_tell_device(s, out);
        if (had_device == s->has_device) /* else it took its time to do without */
            take_time(s, n, s->clock() - before);
    }
    sched_hear(s, active, out);
    sched_embed_whole(s, active, out);
    for (uint32_t i = active; i-- > 0;)
        if (s->jobs[i]->is_over)
            remove_job(s, i);
}

/* -- chores -- */

bool sched_has_chores(const struct sched *s)
{
    return s->has_chores;
}

enum err sched_tend(struct sched *s, struct note *note)
{
    uint64_t now = s->clock();
    if (!s->has_chores || (sched_is_busy(s) && now - s->chore_us < CHORE_PAUSE_US))
        return ERR_OK;
    s->chore_us = now;
    return pack_file_check(s->pack_file, &s->has_chores, note);
}

/* -- opening and closing -- */

static void say_opened(const struct sched *s, struct buf *out)
{
    const struct model *m = s->model;
    struct wire_opened o = {.root = s->root, .arith = REQUEST_ARITH, .vocab = tok_count(s->tok)};
    struct bytes name;
    char text[64] = "";
    if (gguf_find_text(s->file, "general.name", &name) && name.n < sizeof text)
        memcpy(text, name.p, name.n);
    (void)!text64_set(&o.name, text); /* one that is not clean stays empty */
    memset(text, 0, sizeof text);
    if (gguf_find_text(s->file, "general.architecture", &name) && name.n < sizeof text)
        memcpy(text, name.p, name.n);
    (void)!text64_set(&o.architecture, text);
    o.bos = tok_bos(s->tok) < 0 ? WIRE_NO_TOKEN : (uint32_t)tok_bos(s->tok);
    o.eos = tok_eos(s->tok) < 0 ? WIRE_NO_TOKEN : (uint32_t)tok_eos(s->tok);
    o.has_template = s->template.n > 0;
    char key[96];
    snprintf(key, sizeof key, "%s.context_length", o.architecture.s);
    if (!gguf_find_u32(s->file, key, &o.context)) /* an engine's own follows below */
        o.context = 0;
    if (m) {
        CHECK(text64_set(&o.format, m->format) &&
              text64_set(&o.backend, s->has_device && !s->has_hops ? "cuda" : s->ops->name));
        o.device = s->device;
        o.vocab = m->vocab;
        o.context = engine_context(s->engine);
        o.embed = m->embed;
        o.layers = m->layers;
        o.parameters = m->parameters;
        o.memory_bytes = s->fixed_bytes + engine_seq_bytes(s->engine, o.context);
        o.slots = s->slots;
        o.threads = s->threads;
        o.batch = engine_batch_max(s->engine);
    }
    if (s->pack_file) {
        o.packed = (uint8_t)pack_file_state(s->pack_file);
        CHECK(text255_set(&o.remark, pack_file_remark(s->pack_file)));
    }
    wire_add_opened(out, &o);
}

static bool has_devices(const struct wire_open *o, const struct devices *devices)
{
    return devices && devices->n && sched_wants_devices(o);
}

static uint32_t device_batch(const struct devices *devices)
{
    struct device_facts facts;
    struct note ignored;
    bool is_large = devices->table->describe(0, &facts, &ignored) == ERR_OK && facts.total_bytes >= LARGE_BYTES;
    return is_large ? BATCH_LARGE : BATCH_DEVICE;
}

/* How many rows and jobs at once, where that is not said: devices like longer batches, and more jobs. */
static void set_sizes(struct sched *s, const struct wire_open *o, const struct devices *devices,
                      struct engine_options *eo)
{
    const uint32_t drafts = DRAFT_MAX + 1;
    eo->batch_max = o->batch ? o->batch : devices ? device_batch(devices) : SCHED_BATCH;
    s->slots = o->jobs ? o->jobs : devices ? SLOTS_DEVICE : SCHED_JOBS;
    if (s->slots > eo->batch_max)
        s->slots = eo->batch_max; /* every job that writes gets its row */
    s->logits_max = devices ? LOGITS_DEVICE : LOGITS_ROWS;
    eo->logits_max = s->logits_max + (s->slots > drafts ? s->slots : drafts);
}

static struct pack_file_options pack_options(const struct sched *s, const struct wire_open *o, int pack_fd)
{
    return (struct pack_file_options){.pack = s->pack,
                                      .file = s->file,
                                      .root = &s->root,
                                      .fd = pack_fd,
                                      .given = o->pack,
                                      .memory_bytes = o->memory_bytes};
}

/* The weights once more, as the kernels want them. */
static enum err open_pack(struct sched *s, const struct wire_open *o, int pack_fd, struct note *note)
{
    struct pool *pool = pool_new(o->threads);
    s->pack = pack_new(s->file);
    sched_leave_hops(s, o);
    struct pack_file_options po = pack_options(s, o, pack_fd);
    po.pool = pool;
    enum err e = pack_file_open(&po, &s->pack_file, note);
    pool_free(pool);
    return e;
}

static void drop_model(struct sched *s)
{
    model_free(s->model);
    pack_file_close(s->pack_file);
    pack_free(s->pack);
    s->model = NULL;
    s->pack_file = NULL;
    s->pack = NULL;
}

/* Devices have all layers of a model that writes, so that nothing is multiplied here; long texts of an encoder are. */
static bool has_all(const struct sched *s, const struct devices_plan *plan)
{
    return plan->n > 0 && plan->at[0].first == 0 && model_writes(s->model);
}

/* The model with room for its packed weights, which nobody needs as long as devices have all layers: *covers. If they
 * do not, it is as if it had never been opened. */
static enum err open_covered(struct sched *s, const struct wire_open *o, const struct devices *devices,
                             const struct engine_options *eo, struct devices_plan *plan, bool *covers,
                             struct note *note)
{
    s->pack = pack_new(s->file);
    const struct pack_file_options po = pack_options(s, o, -1);
    struct note ignored;
    enum err e = ERR_OK;
    pack_set_checked(s->pack, true); /* it will be */
    *covers = (!o->memory_bytes || pack_bytes(s->pack) <= o->memory_bytes) &&
              pack_file_reserve(&po, &s->pack_file, &ignored) == ERR_OK &&
              model_open(s->file, s->pack, &s->model, &ignored) == ERR_OK;
    if (*covers) {
        sched_plan(s, o, devices, eo, plan);
        *covers = has_all(s, plan);
    }
    if (*covers) {
        struct pool *pool = pool_new(o->threads);
        e = pack_file_look(s->pack_file, pool, note);
        pool_free(pool);
    } else {
        drop_model(s);
    }
    return e;
}

static enum err open_model(struct sched *s, const struct wire_open *o, int pack_fd, const struct devices *devices,
                           const struct engine_options *eo, struct devices_plan *plan, struct note *note)
{
    enum err e = ERR_OK;
    bool covers = false;
    if (s->ops->wants_packed && o->pack != WIRE_PACK_KEPT && has_devices(o, devices))
        e = open_covered(s, o, devices, eo, plan, &covers, note);
    if (covers && pack_fd >= 0)
        close(pack_fd); /* nothing is kept */
    if (e == ERR_OK && !covers && s->ops->wants_packed)
        e = open_pack(s, o, pack_fd, note);
    if (e == ERR_OK && !covers)
        e = model_open(s->file, s->pack, &s->model, note);
    if (e == ERR_OK && !covers)
        sched_plan(s, o, devices, eo, plan);
    return e;
}

/* What is in memory whatever the jobs: of the file, what is not packed. */
static uint64_t fixed_bytes(const struct sched *s, struct bytes file)
{
    uint64_t weights = file.n;
    if (s->pack)
        weights += pack_bytes_here(s->pack) - pack_source_bytes(s->pack) - pack_left_source_bytes(s->pack);
    return weights + engine_bytes(s->engine);
}

static enum err make_engine(struct sched *s, const struct wire_open *o, const struct sched_options *so,
                            struct devices_plan *plan, struct engine_options *eo, struct note *note)
{
    struct engine_device at[DEVICES_MAX];
    eo->model = s->model;
    enum err e =
        o->hops.n ? sched_place_hops(s, o, so, eo, at, note) : sched_place(s, o, so->devices, plan, eo, at, note);
    if (e != ERR_OK)
        return e;
    if (!s->has_device)
        set_sizes(s, o, NULL, eo);
    s->engine = engine_new(eo);
    if (!s->has_device && s->pack_file) /* if it was left for later */
        e = pack_file_fill(s->pack_file, engine_pool(s->engine), note);
    s->rows = mem_array(eo->batch_max, sizeof *s->rows);
    s->hearing = sched_hearing_new(s);
    return e;
}

static enum err open_engine(struct sched *s, const struct wire_open *o, const struct sched_options *so,
                            struct note *note)
{
    const struct devices *devices = o->hops.n ? NULL : so->devices;
    if (o->batch > BATCH_MAX)
        return note_set(note, ERR_RANGE, "a batch of %u rows is over the most of %u", o->batch, (unsigned)BATCH_MAX);
    if (o->threads == 0 || o->threads > THREADS_MAX)
        return note_set(note, ERR_RANGE, "%u threads are out of range: 1 to %u", o->threads, (unsigned)THREADS_MAX);
    if (o->hops.n && strcmp(o->backend.s, SCHED_DEVICE) == 0)
        return note_set(note, ERR_UNSUPPORTED,
                        "the backend %s was asked for, and no GPU is used beside layers elsewhere", SCHED_DEVICE);
    s->ops = ops_pick(sched_wants_devices(o) || !*o->backend.s ? "auto" : o->backend.s, note);
    if (!s->ops)
        return ERR_UNSUPPORTED;
    struct engine_options eo = {.ops = s->ops, .threads = o->threads, .context = o->context};
    s->threads = o->threads;
    set_sizes(s, o, has_devices(o, devices) ? devices : NULL, &eo);
    struct devices_plan plan;
    enum err e = open_model(s, o, so->pack_fd, devices, &eo, &plan, note);
    if (e == ERR_OK)
        e = make_engine(s, o, so, &plan, &eo, note);
    if (e != ERR_OK)
        return e;
    s->memory_bytes = o->memory_bytes;
    s->fixed_bytes = fixed_bytes(s, so->file);
    if (s->memory_bytes && s->fixed_bytes > s->memory_bytes)
        return note_set(note, ERR_FULL, "the model needs %llu MiB, and the limit is %llu MiB",
                        (unsigned long long)(s->fixed_bytes >> 20), (unsigned long long)(s->memory_bytes >> 20));
    return ERR_OK;
}

static void find_root(struct sched *s, struct bytes file)
{
    struct merkle_tree *tree = merkle_tree_of(file.p, file.n);
    s->root = merkle_tree_root(tree);
    merkle_tree_free(tree);
}

enum err sched_open(const struct wire_open *o, const struct sched_options *so, struct buf *out, struct sched **sched,
                    struct note *note)
{
    struct sched *s = mem_new(sizeof *s);
    s->pages_max = UINT32_MAX;
    s->clock = so->clock;
    s->root = o->root;
    enum err e = o->mode == WIRE_VOCAB ? gguf_open_head(so->file, &s->file, note) : gguf_open(so->file, &s->file, note);
    if (e == ERR_OK)
        e = tok_open(s->file, &s->tok, note);
    if (e == ERR_OK && o->mode == WIRE_FULL && hash_is_zero(&s->root))
        find_root(s, so->file);
    if (e == ERR_OK && o->mode == WIRE_FULL)
        e = open_engine(s, o, so, note);
    if (e != ERR_OK) {
        sched_close(s);
        return e;
    }
    if (!gguf_find_text(s->file, "tokenizer.chat_template", &s->template))
        s->template = bytes_of(NULL, 0);
    s->has_chores = s->pack_file && pack_file_state(s->pack_file) == WIRE_PACKED_USED;
    say_opened(s, out);
    s->is_told = true;
    *sched = s;
    return ERR_OK;
}

void sched_close(struct sched *s)
{
    if (!s)
        return;
    while (s->jobs_n > 0)
        remove_job(s, s->jobs_n - 1);
    if (s->engine)
        engine_free(s->engine);
    if (s->pool)
        pool_free(s->pool);
    if (s->model)
        model_free(s->model);
    pack_file_close(s->pack_file);
    pack_free(s->pack);
    free(s->rows);
    sched_hearing_free(s->hearing);
    tok_free(s->tok);
    gguf_free(s->file);
    free(s);
}
