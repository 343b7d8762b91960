/* The attacks. What is random comes from the connection's own stream, so a seed repeats what is sent (when it arrives
 * is the machine's business). */
#include "tests/hostile/attacks.h"
#include "tests/hostile/bodies.h"

#include <string.h>

/* -- strangers: nothing here proves a key -- */

static void turn_strangers(struct foe *f, uint64_t now_ms)
{
    uint8_t act[NOISE_ACT1_SIZE] = {0};
    if (f->turns++ > 0)
        return; /* holds its place until it is thrown out */
    (void)now_ms;
    random_bytes(&f->random, act, sizeof act);
    act[0] = random_chance(&f->random, 80) ? 0 : act[0];
    foe_raw(f, act, random_below(&f->random, sizeof act)); /* never all of it: that would be refused at once */
}

static void turn_drip(struct foe *f, uint64_t now_ms)
{
    uint8_t byte = 0;
    if (now_ms < f->next_ms)
        return;
    f->next_ms = now_ms + 200;
    foe_raw(f, &byte, 1);
}

static void turn_crowd(struct foe *f, uint64_t now_ms)
{
    (void)f, (void)now_ms;
}

static void turn_garbage(struct foe *f, uint64_t now_ms)
{
    uint8_t some[4096];
    (void)now_ms;
    random_bytes(&f->random, some, sizeof some);
    foe_raw(f, some, 1 + random_below(&f->random, sizeof some));
}

/* -- frames -- */

static void turn_frames(struct foe *f, uint64_t now_ms)
{
    struct buf kept = f->out;
    (void)now_ms;
    f->out = (struct buf){0};
    body_random_message(f, body_random_type(f));
    switch (random_below(&f->random, 8)) {
    case 0: /* a flipped bit anywhere */
        f->out.p[random_below(&f->random, f->out.n)] ^= (uint8_t)(1u << random_below(&f->random, 8));
        break;
    case 1: /* cut, and the connection kept */
        f->out.n = random_below(&f->random, f->out.n);
        break;
    case 2:
        foe_frame(f, bytes_of("", 0));
        break;
    case 3: /* the longest that there is, of a type that there is not */
        body_frame_filled(f, 0x7F, FRAME_BODY_MAX);
        break;
    case 4: /* never ends, and has nothing in its parts */
        for (int i = 0; i < 50; i++)
            body_frame_filled(f, FRAME_MORE | MSG_TXS, 1);
        break;
    case 5: /* never ends, and grows beyond any type's size */
        for (int i = 0; i < 50; i++)
            body_frame_filled(f, FRAME_MORE | MSG_SNAPSHOT_TABLE, FRAME_BODY_MAX);
        break;
    case 6: /* one message within another */
        body_frame_filled(f, FRAME_MORE | MSG_BLOCK, 1000);
        body_frame_filled(f, MSG_PING, 9);
        break;
    default: /* bytes that nobody sealed */
        body_raw_garbage(f, 200);
        break;
    }
    buf_add(&kept, f->out.p, f->out.n);
    buf_clear(&f->out);
    f->out = kept;
}

/* -- order -- */

static void first_order(struct foe *f)
{
    switch (random_below(&f->random, 4)) {
    case 0: /* before hello */
        body_random_message(f, body_random_type(f));
        break;
    case 1:
        body_random_message(f, MSG_HELLO);
        break;
    case 2: /* a half, and waits */
        body_frame_filled(f, FRAME_MORE | MSG_HELLO, 100);
        break;
    default:
        body_hello(f);
        body_hello(f); /* twice */
    }
}

static void turn_nothing(struct foe *f, uint64_t now_ms)
{
    (void)f, (void)now_ms;
}

/* -- floods -- */

static void begin_flood(struct foe *f)
{
    f->kind = body_random_type(f);
}

static void turn_flood(struct foe *f, uint64_t now_ms)
{
    (void)now_ms;
    for (int i = 0; i < 64 && f->out.n < 1u << 20; i++)
        body_random_message(f, (uint8_t)f->kind);
}

/* Ids that a table without a secret puts in one place. */
static void turn_ids(struct foe *f, uint64_t now_ms)
{
    uint8_t ids[MSG_IDS_MAX * 32];
    (void)now_ms;
    random_bytes(&f->random, ids, sizeof ids);
    for (size_t i = 0; i < sizeof ids; i += 32)
        memset(ids + i, 0, 4);
    foe_message(f, MSG_TX_IDS, bytes_of(ids, sizeof ids));
}

/* Votes and proposals of the height in the making, well formed, with signatures that fit nobody. */
static void turn_votes(struct foe *f, uint64_t now_ms)
{
    (void)now_ms;
    for (int i = 0; i < 256; i++)
        body_vote(f);
}

/* What costs the sender nothing: answers, and bytes of streams that are over. */
static void turn_free(struct foe *f, uint64_t now_ms)
{
    static const uint8_t types[] = {MSG_LIGHT, MSG_SNAPSHOT_TABLE, MSG_SNAPSHOT_LEAF, MSG_BLOCK, MSG_STREAM_DATA};
    (void)now_ms;
    if (f->turns++ == 0)
        f->kind = types[random_below(&f->random, sizeof types)];
    if (f->kind == MSG_STREAM_DATA && f->streams == 0)
        body_stream_open(f, 9, 10); /* of a kind that there is not: closed at once */
    for (int i = 0; i < 4; i++)
        body_answer(f, (uint8_t)f->kind);
}

static void turn_asks(struct foe *f, uint64_t now_ms)
{
    static const uint8_t types[] = {
        MSG_BLOCK_GET,     MSG_LEAF_GET,          MSG_LIGHT_GET,         MSG_TX_GET,
        MSG_ADDRS_GET,     MSG_SNAPSHOT_LIST_GET, MSG_SNAPSHOT_LEAF_GET, MSG_SNAPSHOT_TABLE_GET,
        MSG_BLOB_HAVE_GET, MSG_PROPOSAL_GET,      MSG_BALLOT_GET,        MSG_PING};
    (void)now_ms;
    for (int i = 0; i < 64; i++)
        body_random_message(f, types[random_below(&f->random, sizeof types)]);
}

/* As turn_asks, but slow enough to stay below the queue's bound for a while. */
static void turn_deaf(struct foe *f, uint64_t now_ms)
{
    if (f->turns < 2000 && now_ms >= f->next_ms) {
        f->next_ms = now_ms + 5;
        f->turns += 4;
        for (int i = 0; i < 4; i++)
            body_random_message(f, random_chance(&f->random, 50) ? MSG_BLOCK_GET : MSG_LIGHT_GET);
    }
}

/* -- streams and the market -- */

static void turn_streams(struct foe *f, uint64_t now_ms)
{
    (void)now_ms;
    unsigned n = (unsigned)random_below(&f->random, 4);
    if (n == 0 || f->streams == 0) {
        body_stream_open(f, (uint8_t)random_below(&f->random, 4), random_below(&f->random, 300));
        return;
    }
    body_stream_message(f, n);
}

static void turn_jobs(struct foe *f, uint64_t now_ms)
{
    (void)now_ms;
    for (int i = 0; i < 8; i++)
        body_job(f);
}

/* -- favours -- */

static void turn_probes(struct foe *f, uint64_t now_ms)
{
    (void)now_ms;
    for (int i = 0; i < 16; i++)
        body_probe(f);
}

/* One in three is a client. The others pour into circuits, leave them, come again; now and then one is gone in the
 * middle of it. */
static void turn_circuits(struct foe *f, uint64_t now_ms)
{
    if (f->turns++ == 0 && random_chance(&f->random, 33))
        body_promise(f);
    if (now_ms < f->next_ms)
        return;
    f->next_ms = now_ms + 2;
    body_circuit(f);
    for (int i = 0; i < 8; i++)
        body_stream_message(f, 1 + (unsigned)random_below(&f->random, random_chance(&f->random, 80) ? 1 : 3));
    if (random_chance(&f->random, 1))
        foe_close(f);
}

static void turn_layers(struct foe *f, uint64_t now_ms)
{
    (void)now_ms;
    for (int i = 0; i < 16; i++)
        body_layers(f);
}

/* -- lies -- */

static void begin_book(struct foe *f)
{
    body_set_listen(f);
}

static void turn_book(struct foe *f, uint64_t now_ms)
{
    if (f->turns++ == 0)
        f->next_ms = now_ms + 300;
    else if (now_ms >= f->next_ms)
        foe_close(f); /* the next one has another key, and another address to tell */
}

static void turn_lies(struct foe *f, uint64_t now_ms)
{
    if (now_ms < f->next_ms)
        return;
    f->next_ms = now_ms + 100;
    body_status(f, f->turns++ % 2 ? UINT64_MAX - random_below(&f->random, 3) : f->field->height + 5);
    body_random_message(f, MSG_SNAPSHOT_LIST);
}

static void begin_texts(struct foe *f)
{
    body_set_texts(f);
}

static void turn_texts(struct foe *f, uint64_t now_ms)
{
    (void)now_ms;
    body_bye(f);
}

const struct attack attacks[] = {
    {"strangers", "halves of handshakes that hold their place", 200, true, false, NULL, turn_strangers, NULL, NULL},
    {"drip", "handshakes at a byte a fifth of a second", 100, true, false, NULL, turn_drip, NULL, NULL},
    {"crowd", "connections that say nothing", 2000, true, false, NULL, turn_crowd, NULL, NULL},
    {"garbage", "random bytes instead of a handshake", 30, true, false, NULL, turn_garbage, NULL, NULL},
    {"seats", "more peers than there are places, who stay", 100, false, false, NULL, turn_nothing, NULL, NULL},
    {"frames", "cut, flipped, empty, endless and oversized frames", 30, false, false, NULL, turn_frames, NULL, NULL},
    {"order", "messages out of turn", 30, false, false, NULL, turn_nothing, first_order, NULL},
    {"flood", "every kind of message, random, as fast as it goes", 60, false, false, begin_flood, turn_flood, NULL,
     NULL},
    {"ids", "ids made to collide", 60, false, false, NULL, turn_ids, NULL, NULL},
    {"votes", "votes that nobody signed", 60, false, false, NULL, turn_votes, NULL, NULL},
    {"free", "answers that nobody asked for, and bytes of closed streams", 60, false, false, NULL, turn_free, NULL,
     NULL},
    {"asks", "all questions, and reads the answers", 60, false, false, NULL, turn_asks, NULL, NULL},
    {"deaf", "questions whose answers are not read", 60, false, true, NULL, turn_deaf, NULL, NULL},
    {"streams", "streams opened, overdrawn, garbled and left", 30, false, false, NULL, turn_streams, NULL,
     body_heard_stream},
    {"jobs", "jobs and audits with bad seals, amounts and models", 30, false, false, NULL, turn_jobs, NULL, NULL},
    {"probes", "asks to be dialled back, at any port", 60, false, false, NULL, turn_probes, NULL, NULL},
    {"circuits", "circuits to each other, overdrawn, cut off, again and again", 60, false, false, NULL, turn_circuits,
     NULL, body_heard_favours},
    {"layers", "asks for layers that nobody lends to it", 30, false, false, NULL, turn_layers, NULL, NULL},
    {"book", "addresses that lead nowhere, from ever new keys", 30, false, false, begin_book, turn_book, NULL, NULL},
    {"lies", "heights, snapshots and blobs that are not there", 30, false, false, NULL, turn_lies, NULL,
     body_heard_lies},
    {"texts", "names and farewells for the log and the terminal", 30, false, false, begin_texts, turn_texts, NULL,
     NULL},
};
const unsigned attacks_n = sizeof attacks / sizeof *attacks;
