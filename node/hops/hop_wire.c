/* Messages between a head and a hop. */
#include "node/hops/hop_wire.h"

RECORD_DEFINE(hop_open, HOP_OPEN_FIELDS)
RECORD_DEFINE(hop_ready, HOP_READY_FIELDS)
RECORD_DEFINE(hop_part, HOP_PART_FIELDS)
RECORD_DEFINE(hop_statement, HOP_STATEMENT_FIELDS)
RECORD_DEFINE(hop_signed, HOP_SIGNED_FIELDS)

struct cursor hop_message_open(struct bytes message, uint8_t *type)
{
    struct cursor c = cursor_of(message);
    codec_get_u8(&c, type);
    return c;
}

void hop_message_start(struct buf *b, enum hop_message type)
{
    uint8_t raw = (uint8_t)type;
    codec_put_u8(b, &raw);
}

static struct hash statement_hash(const struct hop_statement *s)
{
    struct buf b = {0};
    hop_statement_put(&b, s);
    struct hash h = hash_once(HASH_HOP, b.p, b.n - sizeof s->sig.b);
    buf_clear(&b);
    return h;
}

void hop_statement_sign(struct hop_statement *s, const struct seckey *node)
{
    struct hash h = statement_hash(s);
    key_sign_hash(node, &h, NULL, &s->sig);
}

bool hop_statement_verify(const struct hop_statement *s)
{
    struct hash h = statement_hash(s);
    return key_verify_hash(&s->node, &h, &s->sig);
}

struct hash hop_bytes_hash(struct bytes b)
{
    return hash_once(HASH_HOP_BYTES, b.p, b.n);
}

struct hash hop_calls_hash(const struct hash *before, const struct hash *call)
{
    struct hasher h;
    hash_start(&h, HASH_HOP);
    hash_add(&h, before->b, sizeof before->b);
    hash_add(&h, call->b, sizeof call->b);
    return hash_end(&h);
}

/* -- parts -- */

static size_t part_bytes(const struct hop_sending *s)
{
    return s->bytes.n - s->at < HOP_PART_MAX ? s->bytes.n - s->at : HOP_PART_MAX;
}

bool hop_sending_next(const struct hop_sending *s, enum hop_message type, struct buf *message)
{
    if (!s->active)
        return false;
    const size_t n = part_bytes(s);
    const struct hop_part part = {
        .number = s->number, .last = s->at + n == s->bytes.n, .bytes = {s->bytes.p + s->at, n}};
    hop_message_start(message, type);
    hop_part_put(message, &part);
    return true;
}

void hop_sending_step(struct hop_sending *s)
{
    s->at += part_bytes(s);
    if (s->at == s->bytes.n)
        hop_sending_clear(s);
}

void hop_sending_start(struct hop_sending *s, uint64_t number, struct bytes bytes)
{
    hop_sending_clear(s);
    buf_add(&s->bytes, bytes.p, bytes.n);
    s->number = number;
    s->active = true;
}

void hop_sending_clear(struct hop_sending *s)
{
    buf_clear(&s->bytes);
    *s = (struct hop_sending){0};
}

enum err hop_taking_add(struct hop_taking *t, const struct hop_part *part, bool *whole)
{
    *whole = false;
    if (part->number != t->number || part->bytes.n > HOP_PART_MAX || (part->bytes.n == 0 && !part->last))
        return ERR_PROTOCOL;
    if (part->bytes.n > FAR_CALL_MAX - t->bytes.n)
        return ERR_LIMIT;
    buf_add(&t->bytes, part->bytes.p, part->bytes.n);
    *whole = part->last;
    return ERR_OK;
}

void hop_taking_clear(struct hop_taking *t)
{
    buf_clear(&t->bytes);
}
