/* Streams that ask for a favour: to be dialled back, to be promised circuits, to have bytes passed on, to borrow
 * layers. Those who were promised know of each other, so that circuits between them stand. */
#include "tests/hostile/bodies.h"

#include "inference/request.h"
#include "node/hops/hop_wire.h"
#include "node/net/streams.h"

#include <string.h>

#define PROMISED_KNOWN 16
#define ROOM           (2 * CIRCUIT_WINDOW)

static _Thread_local uint8_t room[ROOM];
static _Thread_local struct pubkey promised[PROMISED_KNOWN];
static _Thread_local unsigned promised_n;

static void open_stream(struct foe *f, uint8_t kind, struct buf *content_take)
{
    struct buf b = {0};
    const uint32_t id = (f->dialled ? 2u : 1u) + 2 * f->streams++;
    if (random_chance(&f->random, 5))
        content_take->n = random_below(&f->random, content_take->n + 1);
    stream_open_put(&b, &(struct stream_open){id, kind, bytes_of_buf(content_take)});
    foe_message(f, MSG_STREAM_OPEN, bytes_of_buf(&b));
    buf_clear(&b);
    buf_clear(content_take);
}

void body_probe(struct foe *f)
{
    static const uint16_t ports[] = {0, 1, 22, 80, 443, 8332, 65535};
    struct buf content = {0};
    const uint16_t port = random_chance(&f->random, 30) ? f->field->listen_at
                          : random_chance(&f->random, 30)
                              ? ntohs(f->field->at.sin_port)
                              : ports[random_below(&f->random, sizeof ports / sizeof *ports)];
    dialback_ask_put(&content, &(struct dialback_ask){port});
    open_stream(f, STREAM_DIALBACK, &content);
}

void body_promise(struct foe *f)
{
    struct buf none = {0};
    open_stream(f, STREAM_RELAY, &none);
    promised[promised_n++ % PROMISED_KNOWN] = f->key;
}

void body_circuit(struct foe *f)
{
    struct buf content = {0};
    struct circuit_ask ask = {.what =
                                  random_chance(&f->random, 90) ? CIRCUIT_RELAY : (uint8_t)random_below(&f->random, 4)};
    const unsigned known = promised_n < PROMISED_KNOWN ? promised_n : PROMISED_KNOWN;
    if (known > 0 && random_chance(&f->random, 90))
        ask.peer = promised[random_below(&f->random, known)];
    else if (random_chance(&f->random, 50))
        ask.peer = f->field->node;
    else
        random_bytes(&f->random, ask.peer.b, sizeof ask.peer.b);
    circuit_ask_put(&content, &ask);
    open_stream(f, STREAM_CIRCUIT, &content);
}

void body_layers(struct foe *f)
{
    struct buf content = {0};
    struct hop_open m = {.version = HOP_VERSION,
                         .arith = REQUEST_ARITH,
                         .first = (uint32_t)random_below(&f->random, 4),
                         .end = (uint32_t)random_below(&f->random, 9)};
    random_bytes(&f->random, m.model.b, sizeof m.model.b);
    hop_open_put(&content, &m);
    open_stream(f, STREAM_LAYERS, &content);
}

static void say(struct foe *f, uint32_t id, size_t n)
{
    struct buf b = {0};
    random_bytes(&f->random, room, n < 4096 ? n : 4096);
    stream_data_put(&b, &(struct stream_data){id, bytes_of(room, n)});
    foe_message(f, MSG_STREAM_DATA, bytes_of_buf(&b));
    buf_clear(&b);
}

/* The node leads a circuit here: it is held, closed at once, spoken on, or overdrawn. */
void body_heard_favours(struct foe *f, uint8_t type, struct bytes body)
{
    struct stream_open m;
    struct buf b = {0};
    if (type != MSG_STREAM_OPEN || !MSG_GET(stream_open, body, &m))
        return;
    switch (random_below(&f->random, 5)) {
    case 0:
        break;
    case 1:
        stream_close_put(&b, &(struct stream_close){.id = m.id, .reason = (uint8_t)random_next(&f->random)});
        foe_message(f, MSG_STREAM_CLOSE, bytes_of_buf(&b));
        break;
    case 2:
        say(f, m.id, random_chance(&f->random, 2) ? ROOM : CIRCUIT_WINDOW);
        break;
    default:
        for (unsigned i = 0; i < 20; i++)
            say(f, m.id, random_below(&f->random, 3000));
        break;
    }
    buf_clear(&b);
}
