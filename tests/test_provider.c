/* The serving side with a real worker, over real streams, paid by somebody who does as the test says: who pays is
 * served, who passes over what was delivered is not, and what was paid is settled before the payer's money goes. */
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/seal.h"
#include "inference/request.h"
#include "node/market/provider_in.h"
#include "node/market/settle.h"
#include "tests/gguf_make.h"
#include "tests/net.h"
#include "tests/worker_stage.h"
#include "tests/world.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Nodes, and their keys in the world. */
enum { PROVIDER, PAYER, NODES };
#define KEY(node) ((node) + 1u)
#define MODEL     9
#define PROMPT    6u
#define PRICE     UINT64_C(1000000000000) /* a million tokens: a millionth of a KITH each */
#define WAIT_MS   10000
static const char model_path[] = "models/kith-guide.gguf";

/* A prompt of three steps, and what is left. */
enum { LONG_PROMPT = 3 * PROMPT_STEP_TOKENS + 100, LONG_CONTEXT = 2 * LONG_PROMPT };

struct shop {
    struct net net;
    struct world *w;
    struct streams *streams[NODES];
    struct market_services s;
    struct provider *provider;
    struct settle *settle;
    char *dir;
    /* the payer */
    struct channel channel;
    uint64_t stream, nonce;
    uint32_t prompt_n;
    struct hash job;
    struct job_step read;  /* of the prompt, told last; it is checked that receipts are over it */
    unsigned reads;        /* such receipts */
    bool again;            /* the job that was asked for before, as the last receipt left it */
    uint32_t tokens, pays; /* of this job; how many receipts of it are paid before the payer falls silent */
    struct buf instead;    /* what is sent for each receipt in place of its payment; empty: that */
    bool is_over;
    enum err reason;
};

/* -- the ledger -- */

static enum err submit(void *arg, struct bytes raw, struct note *note)
{
    struct shop *s = arg;
    (void)note;
    for (uint32_t i = 0; i < s->w->n; i++)
        if (bytes_equal(raw, bytes_of_buf(&s->w->txs[i])))
            return ERR_DUPLICATE;
    world_add_raw(s->w, raw);
    return ERR_OK;
}

/* As the market does it. */
static void block(struct shop *s)
{
    assert_int_equal(world_block(s->w), ERR_OK);
    for (uint32_t i = 0; i < s->w->result->events_n; i++) {
        provider_on_event(s->provider, &s->w->result->events[i]);
        settle_on_event(s->settle, &s->w->result->events[i]);
    }
    account_step(s->s.account);
}

static void add_close(struct shop *s)
{
    WORLD_ADD(s->w, KEY(PAYER), TX_CHANNEL_CLOSE, tx_channel_close, s->channel.head.id);
}

static uint64_t settled(const struct shop *s)
{
    struct rec_channel rec;
    assert_true(ledger_channel(s->w->ledger, &s->channel.head.id, &rec));
    return rec.settled.mote;
}

/* -- the payer -- */

static void send_pay(struct shop *s)
{
    struct buf message = {0};
    job_message_start(&message, JOB_PAY);
    job_pay_put(&message, &(struct job_pay){.voucher = s->channel.head.voucher,
                                            .sig = s->channel.head.payer_sig,
                                            .missing = bytes_of_buf(&s->instead)});
    assert_int_equal(streams_send(s->streams[PAYER], s->stream, bytes_of_buf(&message)), ERR_OK);
    buf_clear(&message);
}

static void on_receipt(struct shop *s, struct cursor c)
{
    struct signed_receipt r;
    uint32_t at;
    signed_receipt_get(&c, &r);
    assert_true(cursor_end(&c));
    if (r.receipt.tokens_in < s->prompt_n) {
        s->reads++;
        assert_int_equal(s->tokens, 0);
        assert_int_equal(r.receipt.tokens_in, s->read.at);
        assert_int_equal(r.receipt.tokens_out, 0);
        assert_int_equal(r.receipt.price.mote, s->read.at * (PRICE / 1000000));
    }
    if (s->instead.n) {
        send_pay(s);
        return;
    }
    if (s->pays == 0)
        return;
    s->pays--;
    assert_int_equal(channel_put_receipt(&s->channel, &r, &at), ERR_OK);
    assert_int_equal(channel_pay(&s->channel, &s->w->secret[KEY(PAYER)]), ERR_OK);
    channel_keep(&s->channel);
    send_pay(s);
}

static void on_data(void *arg, uint64_t stream, struct bytes message)
{
    struct shop *s = arg;
    struct job_tokens t;
    uint8_t type;
    struct cursor c = job_message_open(message, &type);
    (void)stream;
    if (type == JOB_RECEIPT)
        on_receipt(s, c);
    if (type == JOB_BEHIND)
        send_pay(s);
    if (type == JOB_STEP) {
        job_step_get(&c, &s->read);
        assert_true(cursor_end(&c) && request_is_step_end(s->read.at, s->prompt_n));
    }
    if (type == JOB_TOKENS) {
        job_tokens_get(&c, &t);
        s->tokens += (uint32_t)(t.tokens.n / JOB_TOKEN_SIZE);
    }
}

static void on_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct shop *s = arg;
    (void)stream;
    (void)text;
    s->is_over = true;
    s->reason = reason;
}

static bool is_over(void *arg)
{
    return ((const struct shop *)arg)->is_over;
}
static bool is_silent(void *arg)
{
    const struct shop *s = arg;
    return s->pays == 0 && s->channel.n && s->tokens > 8;
}
static bool is_sent(void *arg)
{
    return ((const struct shop *)arg)->w->n > 0;
}

/* Asks for so many tokens, and pays so many receipts. */
static void ask(struct shop *s, uint32_t tokens_max, uint32_t pays)
{
    static const struct stream_calls calls = {.data = on_data, .closed = on_closed};
    struct request r;
    static uint8_t prompt[LONG_PROMPT * 4];
    struct buf request = {0}, plain = {0}, sealed = {0}, body = {0}, receipt = {0};
    for (uint32_t i = 0; i < s->prompt_n; i++)
        store_le32(prompt + (size_t)i * 4, 40 + i % 1000);
    request_init(&r);
    r.prompt = bytes_of(prompt, (size_t)s->prompt_n * 4);
    r.tokens_max = tokens_max;
    request_put(&request, &r);
    const struct hash model = world_root(MODEL), h = request_hash(&r);
    s->nonce += !s->again;
    s->job = job_id(&s->w->chain, &s->w->key[KEY(PAYER)], s->nonce, &model, &h);
    if (s->again)
        signed_receipt_put(&receipt, &s->channel.receipts[channel_find_job(&s->channel, &s->job)]);
    job_secret_put(&plain, &(struct job_secret){.request = bytes_of_buf(&request), .receipt = bytes_of_buf(&receipt)});
    assert_true(market_seal(&s->s, &s->s.self, bytes_of_buf(&plain), &sealed));
    const struct job_open o = {.job = s->job,
                               .channel = s->channel.head.id,
                               .model = model,
                               .nonce = s->nonce,
                               .price_in = amount_of(PRICE),
                               .price_out = amount_of(PRICE),
                               .open = true,
                               .sealed = bytes_of_buf(&sealed)};
    job_open_put(&body, &o);
    s->tokens = s->reads = 0;
    s->read.at = 0;
    s->pays = pays;
    s->is_over = false;
    assert_int_equal(
        streams_open(s->streams[PAYER], &s->s.self, NULL, STREAM_JOB, bytes_of_buf(&body), &calls, s, &s->stream),
        ERR_OK);
    buf_clear(&request);
    buf_clear(&plain);
    buf_clear(&sealed);
    buf_clear(&body);
    buf_clear(&receipt);
}

/* -- the shop -- */

static void open_ledger(struct shop *s)
{
    struct world_channel c;
    struct rec_channel rec;
    assert_int_equal(world_publish(s->w, 8, MODEL, 0, 0, NULL, 0), ERR_OK);
    assert_int_equal(WORLD_DO(s->w, KEY(PROVIDER), TX_BOND, tx_bond, BOND_PROVIDER, amount_of(10 * MOTE_PER_KITH)),
                     ERR_OK);
    assert_int_equal(world_provide(s->w, KEY(PROVIDER), KEY(PROVIDER), MODEL, false), ERR_OK);
    assert_int_equal(world_open(s->w, &c, KEY(PAYER), KEY(PROVIDER), MODEL, 10 * MOTE_PER_KITH), ERR_OK);
    assert_true(ledger_channel(s->w->ledger, &c.id, &rec));
    channel_init(&s->channel, &(struct channel_head){.id = rec.id,
                                                     .chain = s->w->chain,
                                                     .payer = rec.payer,
                                                     .provider = rec.provider,
                                                     .model = rec.model,
                                                     .funded = rec.deposit});
}

/* The model, in a context as long as these tests need. */
static int open_model(void)
{
    struct buf file = {0};
    char *dir = test_dir_new(), path[256];
    assert_int_equal(file_read(model_path, 1u << 26, &file, NULL), ERR_OK);
    gguf_make_lengthen(&file, LONG_CONTEXT);
    snprintf(path, sizeof path, "%s/model.gguf", dir);
    assert_int_equal(file_write(path, 0600, bytes_of_buf(&file), NULL), ERR_OK);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    buf_clear(&file);
    test_dir_remove(dir);
    return fd;
}

static void open_services(struct shop *s)
{
    const struct workers_options workers = {
        .host = s->net.host, .program = stage_program(), .backend = "auto", .threads = 1, .jobs_max = 4};
    const struct hash model = world_root(MODEL);
    struct worker *worker;
    struct note note = {{0}};
    s->s = (struct market_services){.host = s->net.host,
                                    .ledger = s->w->ledger,
                                    .peers = s->net.node[PROVIDER].peers,
                                    .streams = s->streams[PROVIDER],
                                    .workers = workers_new(&workers),
                                    .kv = kv_mem_open(),
                                    .key = &s->w->secret[KEY(PROVIDER)],
                                    .self = s->w->key[KEY(PROVIDER)],
                                    .chain = s->w->chain};
    s->s.account = account_new(s->net.host, s->w->ledger, s->s.key, submit, s);
    int fd = open_model();
    assert_true(fd >= 0);
    assert_int_equal(workers_get(s->s.workers, &model, WORKER_FULL, fd, &worker, &note), ERR_OK);
    assert_int_equal(provider_new(&s->s, &s->provider, &note), ERR_OK);
    const struct market_share share = {.on = true,
                                       .price_in = amount_of(PRICE),
                                       .price_out = amount_of(PRICE),
                                       .slots = 4,
                                       .models = &model,
                                       .models_n = 1};
    provider_set_share(s->provider, &share);
    s->settle = settle_new(&s->s, s->provider, 0);
}

static int begin(void **state)
{
    struct shop *s = calloc(1, sizeof *s);
    s->w = world_new(NULL);
    s->prompt_n = PROMPT;
    open_ledger(s);
    net_open(&s->net);
    for (unsigned i = 0; i < NODES; i++) {
        s->net.node[i].key = s->w->secret[KEY(i)];
        net_start(&s->net, i, s->w->chain);
        s->streams[i] = streams_new(s->net.host, s->net.node[i].peers);
    }
    net_join(&s->net, PAYER, PROVIDER);
    open_services(s);
    *state = s;
    return 0;
}

static int end(void **state)
{
    struct shop *s = *state;
    settle_free(s->settle);
    provider_free(s->provider);
    account_free(s->s.account);
    workers_free(s->s.workers);
    for (unsigned i = 0; i < NODES; i++) {
        streams_free(s->streams[i]);
        net_stop(&s->net, i);
    }
    net_close(&s->net);
    kv_close(s->s.kv);
    channel_clear(&s->channel);
    buf_clear(&s->instead);
    world_free(s->w);
    free(s);
    return 0;
}

/* -- tests -- */

#define NEEDS_MODEL()                                                                                                  \
    if (access(model_path, R_OK) != 0) {                                                                               \
        print_message("skip: %s is not there\n", model_path);                                                          \
        skip();                                                                                                        \
    }

static void who_pays_is_served_to_the_end(struct shop *s, uint32_t tokens_max)
{
    ask(s, tokens_max, UINT32_MAX);
    net_run(&s->net, is_over, s, WAIT_MS);
    assert_int_equal(s->reason, ERR_OK);
    assert_true(s->tokens > 0 && s->tokens <= tokens_max);
}

static void what_is_served_is_paid_and_settled(void **state)
{
    struct shop *s = *state;
    NEEDS_MODEL();
    who_pays_is_served_to_the_end(s, 40);
    const struct channel *c = provider_channel(s->provider, &s->channel.head.id);
    assert_true(voucher_equal(&c->head.voucher, &s->channel.head.voucher));
    settle_now(s->settle, NULL, NULL);
    net_run(&s->net, is_sent, s, WAIT_MS);
    block(s);
    assert_int_equal(settled(s), s->channel.head.voucher.cumulative.mote);
}

/* The last voucher again, with a receipt that the provider has already. */
static void who_passes_over_what_was_delivered_is_left(void **state)
{
    struct shop *s = *state;
    const uint32_t at = 0;
    NEEDS_MODEL();
    who_pays_is_served_to_the_end(s, 8);
    codec_put_u32(&s->instead, &at);
    signed_receipt_put(&s->instead, &s->channel.receipts[0]);
    ask(s, 200, 0);
    net_run(&s->net, is_over, s, WAIT_MS);
    assert_int_equal(s->reason, ERR_MISMATCH);
    assert_true(s->tokens <= STEP_TOKENS);
    buf_reset(&s->instead);
    who_pays_is_served_to_the_end(s, 8); /* nothing of it stayed */
}

/* In the middle of an answer. */
static void who_closes_is_not_served_further(void **state)
{
    struct shop *s = *state;
    NEEDS_MODEL();
    ask(s, 200, 1);
    net_run(&s->net, is_silent, s, WAIT_MS);
    add_close(s);
    block(s);
    net_run(&s->net, is_over, s, WAIT_MS);
    assert_int_equal(s->reason, ERR_STATE);
    net_run(&s->net, is_sent, s, WAIT_MS);
    block(s);
    assert_int_equal(settled(s), s->channel.head.voucher.cumulative.mote);
}

/* A settlement is on its way, and a voucher came since: that one is settled, too. */
static void what_came_last_is_settled_before_the_end(void **state)
{
    struct shop *s = *state;
    NEEDS_MODEL();
    who_pays_is_served_to_the_end(s, 8);
    settle_now(s->settle, NULL, NULL);
    net_run(&s->net, is_sent, s, WAIT_MS);
    who_pays_is_served_to_the_end(s, 8);
    add_close(s);
    block(s);
    assert_true(settled(s) < s->channel.head.voucher.cumulative.mote);
    net_run(&s->net, is_sent, s, WAIT_MS);
    block(s);
    assert_int_equal(settled(s), s->channel.head.voucher.cumulative.mote);
    net_wait(&s->net, 20);
    assert_int_equal(s->w->n, 0);
}

/* The list is full of channels that others opened, and of those that came to their end; the one that is used stays. */
static void there_is_always_room_for_who_pays(void **state)
{
    struct shop *s = *state;
    struct kv_batch batch = {0};
    NEEDS_MODEL();
    who_pays_is_served_to_the_end(s, 8);
    for (uint32_t i = 1; i < CHANNELS_MAX; i++) {
        struct channel *c = mem_new(sizeof *c);
        struct channel_head head = s->channel.head;
        store_le32(head.id.b, i);
        channel_init(c, &head);
        if (i % 2) {
            struct signed_receipt r = {.receipt = {.channel = head.id, .tokens_in = 1, .stop = REQUEST_EOS}};
            uint32_t at;
            receipt_sign(&r.receipt, s->s.key, &r.sig);
            assert_int_equal(channel_put_receipt(c, &r, &at), ERR_OK);
            channel_keep(c);
        }
        channel_store(c, MARKET_SIDE_PROVIDER, CHANNEL_ALL, &batch);
        channel_list_add(&s->provider->channels, c);
    }
    assert_int_equal(kv_write(s->s.kv, &batch, true, NULL), ERR_OK);
    kv_batch_clear(&batch);
    for (unsigned i = 0; i < 3; i++) { /* others open more */
        struct world_channel c;
        assert_int_equal(world_open(s->w, &c, 5, KEY(PROVIDER), MODEL, 1000), ERR_OK);
        assert_non_null(provider_channel(s->provider, &c.id));
    }
    assert_int_equal(s->provider->channels.n, CHANNELS_MAX);
    assert_non_null(channel_list_find(&s->provider->channels, &s->channel.head.id));
    who_pays_is_served_to_the_end(s, 8);
    struct channel_list stored = {0};
    assert_int_equal(channel_list_load(&stored, s->s.kv, MARKET_SIDE_PROVIDER, NULL), ERR_OK);
    assert_true(stored.n <= CHANNELS_MAX - 2);
    channel_list_clear(&stored);
}

/* -- long prompts -- */

static bool is_reading_paid(void *arg)
{
    const struct shop *s = arg;
    return s->pays == 0 && s->reads > 0;
}

static bool has_read(void *arg)
{
    const struct shop *s = arg;
    return s->reads >= 2;
}

static void a_prompt_is_paid_in_steps(void **state)
{
    struct shop *s = *state;
    NEEDS_MODEL();
    s->prompt_n = LONG_PROMPT;
    who_pays_is_served_to_the_end(s, 20);
    assert_int_equal(s->reads, 3);
    assert_int_equal(s->read.at, 3 * PROMPT_STEP_TOKENS);
    const struct channel *c = provider_channel(s->provider, &s->channel.head.id);
    assert_true(voucher_equal(&c->head.voucher, &s->channel.head.voucher));
    assert_int_equal(c->receipts[0].receipt.tokens_in, LONG_PROMPT);
    who_pays_is_served_to_the_end(s, 20); /* of the same scope: what is known already is no step */
    assert_int_equal(s->reads, 0);
}

/* No token comes, and of the prompt no more than two steps are read. */
static void who_pays_for_no_prompt_has_no_answer(void **state)
{
    struct shop *s = *state;
    NEEDS_MODEL();
    s->prompt_n = LONG_PROMPT;
    ask(s, 20, 0);
    net_run(&s->net, is_reading_paid, s, WAIT_MS);
    net_wait(&s->net, 1000);
    assert_int_equal(s->reads, 1);
    assert_int_equal(s->read.at, PROMPT_STEP_TOKENS);
    assert_int_equal(s->provider->serving->read, 2 * PROMPT_STEP_TOKENS);
    assert_int_equal(s->provider->serving->tokens.n, 0);
    assert_int_equal(s->tokens, 0);
}

/* After two steps: it goes on behind them, and nothing is paid twice; what was paid can be shown to auditors. */
static void a_prompt_goes_on_where_it_was(void **state)
{
    struct shop *s = *state;
    struct transcript t;
    struct buf raw = {0};
    struct bytes tokens;
    struct hash digest, commit;
    NEEDS_MODEL();
    s->prompt_n = LONG_PROMPT;
    ask(s, 20, 1);
    net_run(&s->net, has_read, s, WAIT_MS);
    streams_close(s->streams[PAYER], s->stream, ERR_OK, "");
    net_wait(&s->net, 100);
    const struct receipt *paid = &s->channel.receipts[0].receipt;
    assert_int_equal(paid->tokens_in, PROMPT_STEP_TOKENS);
    assert_int_equal(provider_transcript(s->provider, &s->channel.head.id, &s->job, &raw, &t), ERR_OK);
    assert_true(transcript_of_receipt(paid, &t, &tokens, &digest));
    commit = receipt_commit(t.digest_salt.b, bytes_of(digest.b, sizeof digest.b));
    assert_true(tokens.n == 0 && hash_equal(&commit, &paid->digest_commit));
    s->again = true;
    who_pays_is_served_to_the_end(s, 20);
    assert_true(s->read.at > PROMPT_STEP_TOKENS);
    assert_int_equal(s->channel.n, 1);
    assert_int_equal(s->channel.head.voucher.tokens_in, LONG_PROMPT);
    const struct channel *c = provider_channel(s->provider, &s->channel.head.id);
    assert_true(voucher_equal(&c->head.voucher, &s->channel.head.voucher));
    buf_clear(&raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_served_is_paid_and_settled, begin, end),
        cmocka_unit_test_setup_teardown(who_passes_over_what_was_delivered_is_left, begin, end),
        cmocka_unit_test_setup_teardown(who_closes_is_not_served_further, begin, end),
        cmocka_unit_test_setup_teardown(there_is_always_room_for_who_pays, begin, end),
        cmocka_unit_test_setup_teardown(what_came_last_is_settled_before_the_end, begin, end),
        cmocka_unit_test_setup_teardown(a_prompt_is_paid_in_steps, begin, end),
        cmocka_unit_test_setup_teardown(who_pays_for_no_prompt_has_no_answer, begin, end),
        cmocka_unit_test_setup_teardown(a_prompt_goes_on_where_it_was, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
