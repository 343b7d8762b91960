/* The node that asks, and those that answer. */
#include "tests/asker.h"

#include "base/seal.h"

#include <stdlib.h>
#include <string.h>

#define WAIT_MS 10000

/* -- the ledger -- */

/* What waits for a block, by nonce: the same again is known, another of that nonce is not taken. */
static enum err submit(void *arg, struct bytes raw, struct note *note)
{
    struct asker *s = arg;
    struct tx t, other;
    (void)note;
    assert_int_equal(tx_decode(raw, &t, NULL), ERR_OK);
    for (uint32_t i = 0; i < s->w->n; i++) {
        assert_int_equal(tx_decode(bytes_of_buf(&s->w->txs[i]), &other, NULL), ERR_OK);
        if (pubkey_equal(&t.signer, &other.signer) && t.nonce == other.nonce)
            return bytes_equal(raw, bytes_of_buf(&s->w->txs[i])) ? ERR_DUPLICATE : ERR_NONCE;
    }
    s->opens += t.kind == TX_CHANNEL_OPEN;
    s->topups += t.kind == TX_CHANNEL_TOPUP;
    s->closes += t.kind == TX_CHANNEL_CLOSE;
    s->challenges += t.kind == TX_CHALLENGE;
    world_add_raw(s->w, raw);
    return ERR_OK;
}

void asker_block_alone(struct asker *s)
{
    (void)!world_block(s->w);
}

/* As the market does. */
static void hear(struct asker *s, const struct ledger_event *e)
{
    job_remote_channel_event(s->jobs, e);
    job_challenge_event(s->jobs, e);
    job_plant_event(s->jobs, e);
}

void asker_block(struct asker *s)
{
    asker_block_alone(s);
    for (uint32_t i = 0; i < s->w->result->events_n; i++)
        hear(s, &s->w->result->events[i]);
    job_challenge_block(s->jobs);
    account_step(s->s.account);
}

void asker_offer(struct asker *s, unsigned node)
{
    const uint64_t now_ms = host_wall_ms(s->net.host), price = UINT64_C(1000000) * TOKEN_MOTE * node;
    const struct offer o = {.chain = s->w->chain,
                            .provider = s->w->key[KEY(node)],
                            .model = world_root(MODEL),
                            .arith = REQUEST_ARITH,
                            .price_in = amount_of(price),
                            .price_out = amount_of(price),
                            .context = 4096,
                            .slots = SERVED_MAX,
                            .slots_free = SERVED_MAX,
                            .issued_ms = now_ms,
                            .expiry_ms = now_ms + 100000};
    assert_true(offers_add(s->s.offers, &o, now_ms));
}

/* -- providers -- */

static void on_data(void *arg, uint64_t stream, struct bytes message)
{
    struct served *v = arg;
    (void)stream;
    v->paid += message.n && message.p[0] == JOB_PAY;
}

static void on_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct served *v = arg;
    (void)stream;
    (void)reason;
    (void)text;
    v->stream = 0;
}

/* Tokens of the answer that others had given before the receipt that this one has. */
static uint32_t base_of(const struct job_secret *secret, uint32_t prompt_n)
{
    struct signed_receipt r;
    struct cursor c = cursor_of(secret->receipt);
    signed_receipt_get(&c, &r);
    return cursor_end(&c) && r.receipt.tokens_in >= prompt_n ? r.receipt.tokens_in - prompt_n
                                                             : (uint32_t)(secret->tokens.n / 4);
}

static enum err on_job(void *arg, uint64_t stream, const struct pubkey *from, struct bytes body,
                       const struct stream_calls **calls, void **calls_arg)
{
    static const struct stream_calls ours = {.data = on_data, .closed = on_closed};
    const struct served *v = arg;
    struct asker *s = v->asker;
    struct job_open o;
    struct job_secret secret;
    struct buf plain = {0};
    struct cursor c = cursor_of(body);
    (void)from;
    job_open_get(&c, &o);
    assert_true(cursor_end(&c));
    assert_true(seal_open(&plain, &s->w->secret[KEY(v->node)], o.sealed.p, o.sealed.n));
    c = cursor_of(bytes_of_buf(&plain));
    job_secret_get(&c, &secret);
    assert_true(cursor_end(&c) && s->served_n < SERVED_MAX);
    struct served *got = &s->served[s->served_n++];
    *got = (struct served){.asker = s, .node = v->node, .stream = stream, .job = o.job, .channel = o.channel};
    buf_add(&got->request, secret.request.p, secret.request.n);
    buf_add(&got->tokens, secret.tokens.p, secret.tokens.n);
    got->prompt_n = s->prompt_n;
    got->base = base_of(&secret, got->prompt_n);
    buf_clear(&plain);
    *calls = &ours;
    *calls_arg = got;
    return ERR_OK;
}

static void send(struct served *v, struct buf *message)
{
    assert_int_equal(streams_send(v->asker->streams[v->node], v->stream, bytes_of_buf(message)), ERR_OK);
    buf_clear(message);
}

static void accept_job(struct served *v, const struct job_accept *salts)
{
    struct buf message = {0};
    if (v->accepted)
        return;
    job_message_start(&message, JOB_ACCEPT);
    job_accept_put(&message, salts);
    send(v, &message);
    v->accepted = true;
}

static void send_receipt(struct served *v, struct signed_receipt *r)
{
    struct buf message = {0};
    receipt_sign(&r->receipt, &v->asker->w->secret[KEY(v->node)], &r->sig);
    job_message_start(&message, JOB_RECEIPT);
    signed_receipt_put(&message, r);
    send(v, &message);
}

void asker_deliver_step(struct served *v, uint32_t at, const struct asker_step *wrong)
{
    static const struct asker_step right;
    static const uint8_t one_token[4];
    const struct asker_step *x = wrong ? wrong : &right;
    const struct job_accept salts = {{{0}}, {{0}}, {{0}}};
    struct job_step step = {.at = x->told ? x->told : at, .digest = {{(uint8_t)(at >> 8)}}};
    struct buf message = {0};
    accept_job(v, &salts);
    job_message_start(&message, JOB_STEP);
    job_step_put(&message, &step);
    if (!x->is_untold)
        send(v, &message);
    buf_clear(&message);
    step.digest.b[1] = x->has_other_digest;
    struct signed_receipt r = {
        .receipt = {.job = v->job,
                    .channel = v->channel,
                    .request_commit = receipt_commit(salts.request_salt.b, bytes_of_buf(&v->request)),
                    .answer_commit = receipt_commit(salts.answer_salt.b, bytes_of(one_token, x->has_answer ? 4 : 0)),
                    .digest_commit = receipt_commit(salts.digest_salt.b, bytes_of(step.digest.b, 32)),
                    .tokens_in = at,
                    .tokens_out = x->tokens_out,
                    .price = amount_of((uint64_t)(at + x->tokens_out) * TOKEN_MOTE * v->node + x->dearer),
                    .stop = x->stop ? (uint8_t)x->stop : RECEIPT_OPEN}};
    send_receipt(v, &r);
}

void asker_deliver(struct served *v, uint32_t n, uint8_t stop)
{
    struct buf message = {0}, body = {0};
    const struct planting *sown = v->asker->sown;
    struct job_accept salts = {{{0}}, {{0}}, {{0}}};
    uint32_t have = (uint32_t)(v->tokens.n / 4);
    struct hash digest = {{0}};
    if (sown) {
        struct hash secret = planting_secret(sown, &v->job);
        salts.digest_salt = planting_salt(sown, &v->job);
        digest = plant_digest(&secret);
    }
    accept_job(v, &salts);
    for (uint32_t i = have; i < have + n; i++) {
        codec_put_u32(&v->tokens, &i);
        codec_put_u32(&body, &i);
        if (!sown)
            digest.b[0] = (uint8_t)i;
        buf_add(&body, digest.b, sizeof digest.b);
    }
    job_message_start(&message, JOB_TOKENS);
    job_tokens_put(&message, &(struct job_tokens){.first = have, .tokens = bytes_of_buf(&body)});
    send(v, &message);
    struct signed_receipt r = {
        .receipt = {.job = v->job,
                    .channel = v->channel,
                    .request_commit = receipt_commit(salts.request_salt.b, bytes_of_buf(&v->request)),
                    .answer_commit = receipt_commit(salts.answer_salt.b, bytes_of_buf(&v->tokens)),
                    .digest_commit = receipt_commit(salts.digest_salt.b, bytes_of(digest.b, 32)),
                    .tokens_in = v->prompt_n + v->base,
                    .tokens_out = have + n - v->base,
                    .price = amount_of((uint64_t)(v->prompt_n + have + n) * TOKEN_MOTE * v->node),
                    .stop = stop}};
    send_receipt(v, &r);
    buf_clear(&body);
}

/* -- the stage -- */

void asker_start(struct asker *s)
{
    struct note note;
    s->s.account = account_new(s->net.host, s->w->ledger, &s->w->secret[KEY(PAYER)], submit, s);
    const struct job_limits most = {JOBS_KEPT_MAX, JOBS_KEPT_BYTES, 0};
    assert_int_equal(jobs_open(NULL, &s->s, &most, &s->jobs, &note), ERR_OK);
}

void asker_stop(struct asker *s)
{
    jobs_close(s->jobs);
    account_free(s->s.account);
}

static void begin_ledger(struct world *w)
{
    assert_int_equal(world_publish(w, 8, MODEL, 0, 0, NULL, 0), ERR_OK);
    for (unsigned i = CHEAP; i < NODES; i++) {
        assert_int_equal(WORLD_DO(w, KEY(i), TX_BOND, tx_bond, BOND_PROVIDER, amount_of(10 * MOTE_PER_KITH)), ERR_OK);
        assert_int_equal(world_provide(w, KEY(i), KEY(i), MODEL, false), ERR_OK);
    }
}

void asker_start_provider(struct asker *s, unsigned i)
{
    net_start(&s->net, i, s->w->chain);
    s->streams[i] = streams_new(s->net.host, s->net.node[i].peers);
    s->provider[i] = (struct served){.asker = s, .node = i};
    streams_on(s->streams[i], STREAM_JOB, on_job, &s->provider[i]);
    net_join(&s->net, PAYER, i);
}

void asker_stop_provider(struct asker *s, unsigned i)
{
    streams_free(s->streams[i]);
    net_stop(&s->net, i);
}

int asker_begin(void **state)
{
    struct asker *s = calloc(1, sizeof *s);
    s->w = world_new(NULL);
    s->dir = test_dir_new();
    s->prompt_n = PROMPT;
    begin_ledger(s->w);
    net_open(&s->net);
    for (unsigned i = 0; i < NODES; i++)
        s->net.node[i].key = s->w->secret[KEY(i)];
    net_start(&s->net, PAYER, s->w->chain);
    s->streams[PAYER] = streams_new(s->net.host, s->net.node[PAYER].peers);
    asker_start_provider(s, CHEAP);
    asker_start_provider(s, DEAR);
    const struct workers_options workers = {.host = s->net.host};
    s->s = (struct market_services){.host = s->net.host,
                                    .ledger = s->w->ledger,
                                    .peers = s->net.node[PAYER].peers,
                                    .streams = s->streams[PAYER],
                                    .workers = workers_new(&workers),
                                    .kv = kv_mem_open(),
                                    .offers = offers_new(),
                                    .key = &s->w->secret[KEY(PAYER)],
                                    .self = s->w->key[KEY(PAYER)],
                                    .chain = s->w->chain};
    assert_int_equal(blobs_open(s->net.host, s->s.peers, s->dir, &s->s.blobs, NULL), ERR_OK);
    asker_offer(s, CHEAP);
    asker_start(s);
    *state = s;
    return 0;
}

int asker_end(void **state)
{
    struct asker *s = *state;
    asker_stop(s);
    host_uv_settle(s->net.host);
    blobs_close(s->s.blobs);
    workers_free(s->s.workers);
    offers_free(s->s.offers);
    for (unsigned i = 0; i < NODES; i++) {
        streams_free(s->streams[i]);
        net_stop(&s->net, i);
    }
    net_close(&s->net);
    kv_close(s->s.kv);
    for (unsigned i = 0; i < s->served_n; i++) {
        buf_clear(&s->served[i].request);
        buf_clear(&s->served[i].tokens);
    }
    test_dir_remove(s->dir);
    world_free(s->w);
    free(s);
    return 0;
}

/* -- jobs -- */

/* Costs prompt_n + tokens_max at most, in tokens. Its text is nobody's business here. */
static struct job *job_made(struct asker *s, uint32_t tokens_max)
{
    struct request r;
    static const uint8_t prompt[PROMPT_MAX * 4];
    struct job *j = job_new(s->jobs);
    request_init(&r);
    r.prompt = bytes_of(prompt, (size_t)s->prompt_n * 4);
    r.tokens_max = tokens_max;
    j->r.nonce = ++s->made;
    const struct hash h = request_hash(&r);
    j->r.model = world_root(MODEL);
    j->r.paid_id = job_id(&s->w->chain, &s->s.self, j->r.nonce, &j->r.model, &h);
    j->r.id = j->r.paid_id;
    j->r.state = JOB_ROUTING;
    j->r.route = ROUTE_NETWORK;
    j->r.stop = JOB_STOP_NONE;
    j->r.cost_max = amount_of(MOTE_PER_KITH * 1000);
    j->r.text_tokens = tokens_max;
    j->r.made_ms = s->made;
    request_put(&j->request, &r);
    assert_int_equal(job_save(j), ERR_OK);
    return j;
}

struct job *asker_ask(struct asker *s, uint32_t tokens_max)
{
    struct job *j = job_made(s, tokens_max);
    job_route(j);
    return j;
}

bool asker_runs(const struct job *j)
{
    return j->r.state == JOB_RUNNING && j->remote && j->remote->stream;
}

struct served *asker_find_served(struct asker *s, const struct job *j)
{
    for (unsigned i = s->served_n; i-- > 0;)
        if (s->served[i].stream && hash_equal(&s->served[i].job, &j->r.paid_id))
            return &s->served[i];
    return NULL;
}

/* -- waiting -- */

struct wait {
    struct asker *s;
    const struct job *j;
    uint32_t n;
};

static bool is_sent(void *arg)
{
    const struct wait *x = arg;
    return x->s->w->n >= x->n;
}
static bool is_served(void *arg)
{
    const struct wait *x = arg;
    return asker_find_served(x->s, x->j) != NULL;
}
static bool is_paid(void *arg)
{
    const struct wait *x = arg;
    return job_tokens_n(x->j) >= x->n && (!x->j->remote || x->j->remote->paid >= x->n);
}
static bool is_over(void *arg)
{
    const struct wait *x = arg;
    return x->j->r.state >= JOB_DONE;
}
static bool has_no_leg(void *arg)
{
    const struct wait *x = arg;
    return !x->j->remote;
}

static void wait_for(struct asker *s, bool (*until)(void *arg), const struct job *j, uint32_t n)
{
    struct wait x = {s, j, n};
    net_run(&s->net, until, &x, WAIT_MS);
}

void asker_wait_sent(struct asker *s, uint32_t n)
{
    wait_for(s, is_sent, NULL, n);
}

void asker_wait_over(struct asker *s, const struct job *j)
{
    wait_for(s, is_over, j, 0);
}

void asker_wait_alone(struct asker *s, const struct job *j)
{
    wait_for(s, has_no_leg, j, 0);
}

void asker_try_again(struct job *j)
{
    host_timer_cancel(j->jobs->s.host, &j->timer);
    job_route(j);
}

struct served *asker_serve(struct asker *s, const struct job *j)
{
    wait_for(s, is_served, j, 0);
    return asker_find_served(s, j);
}

void asker_pay(struct asker *s, const struct job *j, uint32_t n, uint8_t stop)
{
    struct served *v = asker_serve(s, j);
    asker_deliver(v, n, stop);
    wait_for(s, is_paid, j, (uint32_t)(v->tokens.n / 4));
}
