#include "tests/hostile/bodies.h"

#include "base/seal.h"
#include "chain/vote.h"
#include "node/consensus/consensus_in.h"
#include "node/market/job_wire.h"
#include "node/consensus/snapshot_in.h"
#include "node/net/streams.h"
#include "node/consensus/sync.h"

#include <stdio.h>
#include <string.h>

#define BODY_ROOM (MESSAGE_MAX + 65536u)

static _Thread_local uint8_t room[BODY_ROOM];

uint8_t body_random_type(struct foe *f)
{
    for (;;) {
        uint8_t type = (uint8_t)random_below(&f->random, MSG_TYPE_END);
        if (msg_rule(type) && type != MSG_BYE)
            return type;
    }
}

void body_frame_filled(struct foe *f, uint8_t head, size_t n)
{
    memset(room, 0x41, n);
    room[0] = head;
    foe_frame(f, bytes_of(room, n));
}

void body_raw_garbage(struct foe *f, size_t n)
{
    random_bytes(&f->random, room, n);
    foe_raw(f, room, n);
}

static uint64_t near_height(struct foe *f)
{
    static const uint64_t far[] = {0, 1, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63, 1u << 31};
    if (random_chance(&f->random, 20))
        return far[random_below(&f->random, 6)];
    return f->field->height + random_below(&f->random, 4);
}

static struct hash random_hash(struct foe *f)
{
    struct hash h;
    random_bytes(&f->random, h.b, sizeof h.b);
    return h;
}

/* -- consensus -- */

static void put_vote(struct foe *f, struct buf *b)
{
    struct vote v = {.height = f->field->height + 1 + random_below(&f->random, 2),
                     .round = (uint32_t)random_below(&f->random, 3),
                     .kind = (uint8_t)(1 + random_below(&f->random, 2)),
                     .value = random_hash(f)};
    random_bytes(&f->random, v.sig.b, sizeof v.sig.b);
    vote_put(b, &v);
}

void body_vote(struct foe *f)
{
    struct buf b = {0};
    put_vote(f, &b);
    foe_message(f, MSG_VOTE, bytes_of_buf(&b));
    buf_clear(&b);
}

static struct proposal random_proposal(struct foe *f)
{
    struct proposal p = {
        .height = f->field->height + 1, .valid_round = UINT32_MAX, .value = random_hash(f), .round = 0};
    random_bytes(&f->random, p.sig.b, sizeof p.sig.b);
    return p;
}

static void put_proposal(struct foe *f, struct buf *b)
{
    struct proposed m = {random_proposal(f), bytes_of(room, random_below(&f->random, 4000))};
    proposed_put(b, &m);
}

static void put_short(struct foe *f, struct buf *b)
{
    random_bytes(&f->random, room, 32 * 1000);
    struct short_proposal m = {
        random_proposal(f), bytes_of(room, 300), {room, (uint32_t)random_below(&f->random, 1000)}};
    short_proposal_put(b, &m);
}

static void put_ballot(struct foe *f, struct buf *b)
{
    memset(room, 0xFF, 32);
    struct ballot m = {f->field->height + 1,
                       (uint32_t)random_below(&f->random, 3),
                       (uint8_t)(1 + random_below(&f->random, 2)),
                       random_hash(f),
                       UINT32_MAX,
                       bytes_of(room, 1 + random_below(&f->random, 4))};
    ballot_put(b, &m);
}

static void put_told(struct foe *f, struct buf *b)
{
    proposal_told_put(b, &(struct proposal_told){f->field->height + 1, 0, random_hash(f)});
}

static void put_ask(struct foe *f, struct buf *b)
{
    random_bytes(&f->random, room, 64);
    proposal_ask_put(b, &(struct proposal_ask){f->field->height + 1, 0, random_hash(f),
                                               bytes_of(room, 2 * random_below(&f->random, 8))});
}

static void put_txs(struct foe *f, struct buf *b)
{
    for (unsigned i = 0; i < 20; i++) {
        struct bytes tx = bytes_of(room, 1 + random_below(&f->random, 400));
        random_bytes(&f->random, room, tx.n);
        codec_put_blob(b, &tx);
    }
}

/* -- what is asked, and answered -- */

static void put_height(struct foe *f, struct buf *b)
{
    uint64_t height =
        random_chance(&f->random, 80) ? 1 + random_below(&f->random, f->field->height + 1) : near_height(f);
    codec_put_u64(b, &height);
}

static void put_leaf_get(struct foe *f, struct buf *b)
{
    leaf_get_put(b, &(struct leaf_get){random_hash(f), random_chance(&f->random, 50) ? 0 : random_next(&f->random)});
}

static void put_leaf(struct foe *f, struct buf *b)
{
    random_bytes(&f->random, room, 32 * LEAF_PROOF_MAX);
    leaf_put(b, &(struct leaf){random_hash(f),
                               random_below(&f->random, 4),
                               random_next(&f->random),
                               {room, (uint32_t)random_below(&f->random, LEAF_PROOF_MAX + 2)},
                               bytes_of(room, 500)});
}

static void put_have(struct foe *f, struct buf *b)
{
    blob_have_put(b, &(struct blob_have){random_hash(f), true, random_next(&f->random)});
}

static void put_leaf_ask(struct foe *f, struct buf *b)
{
    uint64_t height = near_height(f);
    uint32_t leaf = (uint32_t)random_next(&f->random);
    codec_put_u64(b, &height);
    codec_put_u32(b, &leaf);
}

static void put_ids(struct foe *f, struct buf *b)
{
    size_t n = 32 * (1 + random_below(&f->random, MSG_IDS_MAX));
    random_bytes(&f->random, room, n);
    buf_add(b, room, n);
}

static void put_offers(struct foe *f, struct buf *b)
{
    for (unsigned i = 0; i < 2; i++)
        snapshot_offer_put(b, &(struct snapshot_offer){near_height(f), random_hash(f),
                                                       (uint32_t)random_next(&f->random), random_hash(f)});
}

static void put_block(struct foe *f, struct buf *b)
{
    block_answer_put(b, &(struct block_answer){near_height(f), 1, bytes_of(room, 2000), bytes_of(room, 300)});
}

static void put_ping(struct foe *f, struct buf *b)
{
    ping_put(b, &(struct ping){random_next(&f->random)});
}

/* -- all of them -- */

static const struct {
    uint8_t type;
    void (*put)(struct foe *f, struct buf *b);
} bodies[] = {
    {MSG_PING, put_ping},
    {MSG_TXS, put_txs},
    {MSG_STATUS, put_height},
    {MSG_PROPOSAL, put_proposal},
    {MSG_VOTE, put_vote},
    {MSG_BLOCK_GET, put_height},
    {MSG_BLOCK, put_block},
    {MSG_PROPOSAL_SHORT, put_short},
    {MSG_PROPOSAL_GET, put_ask},
    {MSG_PROPOSAL_HAVE, put_told},
    {MSG_TX_IDS, put_ids},
    {MSG_TX_GET, put_ids},
    {MSG_TX_NONE, put_ids},
    {MSG_BALLOT_HAVE, put_ballot},
    {MSG_BALLOT_GET, put_ballot},
    {MSG_BLOB_HAVE, put_have},
    {MSG_LEAF_GET, put_leaf_get},
    {MSG_LEAF, put_leaf},
    {MSG_LIGHT_GET, put_height},
    {MSG_SNAPSHOT_LIST, put_offers},
    {MSG_SNAPSHOT_TABLE_GET, put_height},
    {MSG_SNAPSHOT_LEAF_GET, put_leaf_ask},
};

static void put_random(struct foe *f, uint8_t type, struct buf *b)
{
    const struct msg_rule *rule = msg_rule(type);
    size_t n = rule->size_max < 64 || random_chance(&f->random, 3) ? rule->size_max : random_below(&f->random, 600);
    if (random_chance(&f->random, 2))
        n = rule->size_max + 1u;
    random_bytes(&f->random, room, n < 4096 ? n : 4096);
    buf_add(b, room, n);
}

void body_random_message(struct foe *f, uint8_t type)
{
    struct buf b = {0};
    bool is_put = false;
    if (type == MSG_HELLO) {
        body_hello(f);
        return;
    }
    if (type == MSG_ADDRS_GET || type == MSG_SNAPSHOT_LIST_GET)
        is_put = true; /* empty */
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies && !is_put; i++)
        if (bodies[i].type == type && random_chance(&f->random, 95)) {
            bodies[i].put(f, &b);
            is_put = true;
        }
    if (!is_put)
        put_random(f, type, &b);
    foe_message(f, type, bytes_of_buf(&b));
    buf_clear(&b);
}

void body_answer(struct foe *f, uint8_t type)
{
    struct buf b = {0};
    size_t n = msg_rule(type)->size_max - 100;
    if (type == MSG_LIGHT)
        light_answer_put(&b, &(struct light_answer){1, bytes_of(room, n)});
    else if (type == MSG_SNAPSHOT_TABLE)
        snapshot_table_answer_put(&b, &(struct snapshot_table_answer){1, bytes_of(room, n / 2), bytes_of(room, n / 2)});
    else if (type == MSG_SNAPSHOT_LEAF)
        snapshot_leaf_answer_put(
            &b, &(struct snapshot_leaf_answer){.height = 1, .has = true, .entries = bytes_of(room, n)});
    else if (type == MSG_BLOCK)
        block_answer_put(&b, &(struct block_answer){3, 1, bytes_of(room, n), {0}});
    else
        stream_data_put(&b, &(struct stream_data){f->dialled ? 2 : 1, bytes_of(room, STREAM_DATA_MAX)});
    foe_message(f, type, bytes_of_buf(&b));
    buf_clear(&b);
}

/* -- single ones -- */

void body_hello(struct foe *f)
{
    struct buf b = {0};
    hello_put(&b, &(struct hello){.version = PROTOCOL_VERSION, .chain = f->field->chain, .height = near_height(f)});
    foe_message(f, MSG_HELLO, bytes_of_buf(&b));
    buf_clear(&b);
}

void body_status(struct foe *f, uint64_t height)
{
    struct buf b = {0};
    status_put(&b, &(struct status){height});
    foe_message(f, MSG_STATUS, bytes_of_buf(&b));
    buf_clear(&b);
}

void body_bye(struct foe *f)
{
    static const char *const texts[] = {"broken news\nfake broken line",
                                        "\x1b]0;owned\x07",
                                        "\xc2\x9b"
                                        "31mred",
                                        "100%s%n%n",
                                        "\xe2\x80\xae txet",
                                        "\xff\xfe"};
    struct buf b = {0};
    const char *s = texts[random_below(&f->random, 6)];
    uint8_t head[2] = {(uint8_t)random_next(&f->random), (uint8_t)strlen(s)};
    buf_add(&b, head, 2); /* by hand: the codec would not take them */
    buf_add_text(&b, s);
    foe_message(f, MSG_BYE, bytes_of_buf(&b));
    buf_clear(&b);
}

void body_set_listen(struct foe *f)
{
    char text[64];
    uint64_t r = random_next(&f->random);
    if (f->field->listen_at && r % 2)
        snprintf(text, sizeof text, ":%u", f->field->listen_at);
    else
        snprintf(text, sizeof text, "10.%u.%u.%u:%u", (unsigned)(r >> 8) % 256, (unsigned)(r >> 16) % 256,
                 (unsigned)(r >> 24) % 256, 1 + (unsigned)(r >> 32) % 65535);
    f->has_hello = true;
    f->hello = (struct hello){.version = PROTOCOL_VERSION, .chain = f->field->chain, .features = 15};
    CHECK(text255_set(&f->hello.listen, text));
}

void body_set_texts(struct foe *f)
{
    static const char *const agents[] = {"x err=ok broken node", "\x1b[2J\x1b]0;owned\x07", "%s%n%p",
                                         "\xe2\x80\xae gnp.exe",
                                         "\xc2\x9b"
                                         "31m"};
    const char *s = agents[random_below(&f->random, 5)];
    body_set_listen(f);
    f->hello.agent.n = (uint8_t)strlen(s);
    memcpy(f->hello.agent.s, s, f->hello.agent.n);
}

/* -- streams -- */

void body_stream_open(struct foe *f, uint8_t kind, size_t n)
{
    struct buf b = {0};
    random_bytes(&f->random, room, n);
    uint32_t id = (f->dialled ? 2u : 1u) + 2 * f->streams++;
    stream_open_put(&b, &(struct stream_open){id, kind, bytes_of(room, n)});
    foe_message(f, MSG_STREAM_OPEN, bytes_of_buf(&b));
    buf_clear(&b);
}

void body_stream_message(struct foe *f, unsigned what)
{
    struct buf b = {0};
    uint32_t id = (f->dialled ? 2u : 1u) +
                  2 * (uint32_t)random_below(&f->random, f->streams + (random_chance(&f->random, 1) ? 1 : 0));
    uint8_t type = what == 1 ? MSG_STREAM_DATA : what == 2 ? MSG_STREAM_CREDIT : MSG_STREAM_CLOSE;
    if (what == 1)
        stream_data_put(&b, &(struct stream_data){id, bytes_of(room, random_below(&f->random, 2000))});
    else if (what == 2)
        stream_credit_put(&b, &(struct stream_credit){id, (uint32_t)random_below(&f->random, 3)});
    else
        stream_close_put(&b, &(struct stream_close){.id = id, .reason = (uint8_t)random_next(&f->random)});
    foe_message(f, type, bytes_of_buf(&b));
    buf_clear(&b);
}

static void job_open_body(struct foe *f, struct buf *body)
{
    struct buf sealed = {0};
    struct seckey ephemeral;
    do
        random_bytes(&f->random, ephemeral.b, sizeof ephemeral.b);
    while (!key_is_valid(&ephemeral));
    size_t n = random_below(&f->random, 3000);
    random_bytes(&f->random, room, n);
    if (!seal_to_key(&sealed, &f->field->node, &ephemeral, room, n) || random_chance(&f->random, 30))
        buf_reset(&sealed);
    struct job_open o = {.job = random_hash(f),
                         .channel = random_hash(f),
                         .model = random_hash(f),
                         .nonce = random_next(&f->random),
                         .price_in = {random_next(&f->random)},
                         .price_out = {random_below(&f->random, 2)},
                         .open = random_chance(&f->random, 50),
                         .sealed = bytes_of_buf(&sealed)};
    job_open_put(body, &o);
    buf_clear(&sealed);
}

void body_job(struct foe *f)
{
    struct buf content = {0}, b = {0};
    uint32_t id = (f->dialled ? 2u : 1u) + 2 * f->streams++;
    uint8_t kind = random_chance(&f->random, 70) ? STREAM_JOB : STREAM_AUDIT;
    if (kind == STREAM_JOB)
        job_open_body(f, &content);
    else
        audit_open_put(&content, &(struct audit_open){random_hash(f), (uint32_t)random_next(&f->random)});
    if (random_chance(&f->random, 20))
        content.n = random_below(&f->random, content.n);
    stream_open_put(&b, &(struct stream_open){id, kind, bytes_of_buf(&content)});
    foe_message(f, MSG_STREAM_OPEN, bytes_of_buf(&b));
    buf_reset(&content);
    buf_reset(&b);
    job_message_start(&content, (enum job_message)(1 + random_below(&f->random, 6)));
    random_bytes(&f->random, room, 500);
    buf_add(&content, room, random_below(&f->random, 500));
    stream_data_put(&b, &(struct stream_data){id, bytes_of_buf(&content)});
    foe_message(f, MSG_STREAM_DATA, bytes_of_buf(&b));
    buf_clear(&content);
    buf_clear(&b);
}

/* -- answering -- */

void body_heard_stream(struct foe *f, uint8_t type, struct bytes body)
{
    if (type == MSG_STREAM_CLOSE && random_chance(&f->random, 1))
        foe_message(f, type, body); /* of one that is closed already */
}

static void heard_addrs(struct foe *f)
{
    struct buf b = {0};
    for (unsigned i = 0; i < ADDRS_MAX; i++) {
        struct addr a;
        char text[64];
        uint64_t r = random_next(&f->random);
        random_bytes(&f->random, a.key.b, sizeof a.key.b);
        snprintf(text, sizeof text, "%u.%u.%u.%u:%u", (unsigned)r % 224, (unsigned)(r >> 8) % 256,
                 (unsigned)(r >> 16) % 256, (unsigned)(r >> 24) % 256, (unsigned)(r >> 32) % 65536);
        CHECK(text255_set(&a.endpoint, text));
        addr_put(&b, &a);
    }
    foe_message(f, MSG_ADDRS, bytes_of_buf(&b));
    buf_clear(&b);
}

static void heard_blob(struct foe *f, struct bytes body)
{
    struct buf b = {0};
    struct blob_have_get get;
    if (!MSG_GET(blob_have_get, body, &get))
        return;
    blob_have_put(&b, &(struct blob_have){get.root, true, 1 + random_below(&f->random, UINT64_C(1) << 41)});
    foe_message(f, MSG_BLOB_HAVE, bytes_of_buf(&b));
    buf_clear(&b);
}

static void heard_leaf(struct foe *f, struct bytes body)
{
    struct buf b = {0};
    struct leaf_get get;
    if (!MSG_GET(leaf_get, body, &get) || random_chance(&f->random, 30))
        return;
    random_bytes(&f->random, room, LEAF_SIZE);
    leaf_put(&b, &(struct leaf){get.root, get.index, LEAF_SIZE * 10, {room, 4}, bytes_of(room, LEAF_SIZE)});
    foe_message(f, MSG_LEAF, bytes_of_buf(&b));
    buf_clear(&b);
}

void body_heard_lies(struct foe *f, uint8_t type, struct bytes body)
{
    struct buf b = {0};
    if (type == MSG_ADDRS_GET)
        heard_addrs(f);
    else if (type == MSG_BLOB_HAVE_GET)
        heard_blob(f, body);
    else if (type == MSG_LEAF_GET)
        heard_leaf(f, body);
    else if (type == MSG_BLOCK_GET && body.n == 8 && random_chance(&f->random, 70)) {
        random_bytes(&f->random, room, 3000);
        block_answer_put(&b, &(struct block_answer){load_le64(body.p), 1 + random_below(&f->random, 3),
                                                    bytes_of(room, 3000), bytes_of(room, 100)});
        foe_message(f, MSG_BLOCK, bytes_of_buf(&b));
    } else if (type == MSG_SNAPSHOT_LIST_GET)
        body_random_message(f, MSG_SNAPSHOT_LIST);
    else if (type == MSG_SNAPSHOT_TABLE_GET)
        body_answer(f, MSG_SNAPSHOT_TABLE);
    else if (type == MSG_LIGHT_GET)
        body_answer(f, MSG_LIGHT);
    buf_clear(&b);
}
