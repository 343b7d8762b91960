/* Frames and messages of a worker's socket; see the header. */
#include "inference/worker_proto.h"

#include <string.h>

RECORD_DEFINE(wire_open, WIRE_OPEN_FIELDS)
RECORD_DEFINE(wire_tokenize, WIRE_TOKENIZE_FIELDS)
RECORD_DEFINE(wire_detokenize, WIRE_DETOKENIZE_FIELDS)
RECORD_DEFINE(wire_template, WIRE_TEMPLATE_FIELDS)
RECORD_DEFINE(wire_run, WIRE_RUN_FIELDS)
RECORD_DEFINE(wire_verify, WIRE_VERIFY_FIELDS)
RECORD_DEFINE(wire_logits, WIRE_LOGITS_FIELDS)
RECORD_DEFINE(wire_cancel, WIRE_CANCEL_FIELDS)
RECORD_DEFINE(wire_embed, WIRE_EMBED_FIELDS)
RECORD_DEFINE(wire_opened, WIRE_OPENED_FIELDS)
RECORD_DEFINE(wire_failed, WIRE_FAILED_FIELDS)
RECORD_DEFINE(wire_tokens, WIRE_TOKENS_FIELDS)
RECORD_DEFINE(wire_text, WIRE_TEXT_FIELDS)
RECORD_DEFINE(wire_templated, WIRE_TEMPLATED_FIELDS)
RECORD_DEFINE(wire_token, WIRE_TOKEN_FIELDS)
RECORD_DEFINE(wire_done, WIRE_DONE_FIELDS)
RECORD_DEFINE(wire_verified, WIRE_VERIFIED_FIELDS)
RECORD_DEFINE(wire_row, WIRE_ROW_FIELDS)
RECORD_DEFINE(wire_embedding, WIRE_EMBEDDING_FIELDS)
RECORD_DEFINE(wire_device, WIRE_DEVICE_FIELDS)
RECORD_DEFINE(wire_score, WIRE_SCORE_FIELDS)
RECORD_DEFINE(wire_scores, WIRE_SCORES_FIELDS)
RECORD_DEFINE(wire_hop_call, WIRE_HOP_CALL_FIELDS)
RECORD_DEFINE(wire_far_answer, WIRE_FAR_ANSWER_FIELDS)
RECORD_DEFINE(wire_hop_answer, WIRE_HOP_ANSWER_FIELDS)
RECORD_DEFINE(wire_far_call, WIRE_FAR_CALL_FIELDS)
RECORD_DEFINE(wire_scored, WIRE_SCORED_FIELDS)
RECORD_DEFINE(wire_train_feed, WIRE_TRAIN_FEED_FIELDS)
RECORD_DEFINE(wire_train, WIRE_TRAIN_FIELDS)
RECORD_DEFINE(wire_train_save, WIRE_TRAIN_SAVE_FIELDS)
RECORD_DEFINE(wire_train_began, WIRE_TRAIN_BEGAN_FIELDS)
RECORD_DEFINE(wire_train_step, WIRE_TRAIN_STEP_FIELDS)
RECORD_DEFINE(wire_train_part, WIRE_TRAIN_PART_FIELDS)
RECORD_DEFINE(wire_trained, WIRE_TRAINED_FIELDS)

/* What the kinds of field cannot say, message by message. */
static bool open_is_right(const struct wire_open *m)
{
    uint32_t before = 0;
    if (m->mode > WIRE_TRAINING || m->pack > WIRE_PACK_NEW || m->hops.n % 8 || m->hops.n / 8 > HOPS_MAX)
        return false;
    for (size_t i = 0; i < m->hops.n / 4; i += 2) {
        const uint32_t first = wire_id_at(m->hops, i), end = wire_id_at(m->hops, i + 1);
        if (first < before || first >= end)
            return false;
        before = end;
    }
    if (m->mode == WIRE_LAYERS)
        return m->first < m->end && m->hops.n == 0;
    return m->first == 0 && m->end == 0 && (m->hops.n == 0 || m->mode == WIRE_FULL) &&
           (m->pages > 0) == (m->hops.n > 0);
}

static bool tokenize_is_right(const struct wire_tokenize *m)
{
    return m->ask != 0 && m->ends <= WIRE_ENDS_BOS;
}

static bool detokenize_is_right(const struct wire_detokenize *m)
{
    return m->ask != 0 && m->ids.n % 4 == 0;
}

static bool template_is_right(const struct wire_template *m)
{
    return m->ask != 0 && m->begins < WIRE_BEGINS_N && (m->begins == WIRE_BEGINS_CALL) == (m->function.n > 0);
}

static bool run_is_right(const struct wire_run *m)
{
    return m->ask != 0 && m->tokens.n % 4 == 0 && m->logprobs <= 1 + LOGPROBS_MAX;
}

static bool verify_is_right(const struct wire_verify *m)
{
    return m->ask != 0 && m->tokens.n % 4 == 0 && (m->key.n == 0 || m->key.n == HASH_SIZE);
}

static bool logits_is_right(const struct wire_logits *m)
{
    return m->ask != 0 && m->ids.n % 4 == 0;
}

static bool embed_is_right(const struct wire_embed *m)
{
    return m->ask != 0 && m->ids.n % 4 == 0;
}

static bool cancel_is_right(const struct wire_cancel *m)
{
    return m->ask != 0;
}

static bool opened_is_right(const struct wire_opened *m)
{
    return m->vocab <= VOCAB_MAX && m->packed <= WIRE_PACKED_BAD;
}

static bool failed_is_right(const struct wire_failed *m)
{
    return m->code != ERR_OK && m->code < ERR_COUNT;
}

static bool tokens_is_right(const struct wire_tokens *m)
{
    return m->ask != 0 && m->ids.n % 4 == 0;
}

static bool text_is_right(const struct wire_text *m)
{
    return m->ask != 0 && m->reaches.n % 4 == 0;
}

static bool templated_is_right(const struct wire_templated *m)
{
    return m->ask != 0 && m->ids.n % 4 == 0 && m->thought < THOUGHT_KINDS && m->said < SAID_KINDS &&
           (m->thought != THOUGHT_NONE || !m->within);
}

static bool are_logprobs(struct bytes blob)
{
    struct wire_logprob one;
    while (wire_next_logprob(&blob, &one))
        if (one.text.n > TOKEN_PIECE_MAX || !arith_is_finite(one.value))
            return false;
    return blob.n == 0;
}

static bool token_is_right(const struct wire_token *m)
{
    return m->ask != 0 && m->mark.n <= ANSWER_MARK_MAX && are_logprobs(m->logprobs);
}

static bool done_is_right(const struct wire_done *m)
{
    return m->ask != 0;
}

static bool verified_is_right(const struct wire_verified *m)
{
    return m->ask != 0 && (m->witness.n == 0 || m->witness.n == HASH_SIZE);
}

static bool row_is_right(const struct wire_row *m)
{
    return m->ask != 0 && m->values.n % 4 == 0;
}

static bool score_is_right(const struct wire_score *m)
{
    return m->ask != 0 && m->ids.n % 4 == 0 && m->logprobs <= 1 + LOGPROBS_MAX;
}

static bool scored_is_right(const struct wire_scored *m)
{
    return m->ask != 0 && m->logprobs.n > 0 && are_logprobs(m->logprobs);
}

static bool scores_is_right(const struct wire_scores *m)
{
    return m->ask != 0 && m->values.n % 8 == 0;
}

static bool embedding_is_right(const struct wire_embedding *m)
{
    return m->ask != 0 && m->values.n % 4 == 0;
}

static bool hop_call_is_right(const struct wire_hop_call *m)
{
    return m->ask != 0;
}

static bool hop_answer_is_right(const struct wire_hop_answer *m)
{
    return m->ask != 0;
}

static bool far_call_is_right(const struct wire_far_call *m)
{
    return m->hop < HOPS_MAX;
}

static bool far_answer_is_right(const struct wire_far_answer *m)
{
    return m->hop < HOPS_MAX && m->code < ERR_COUNT && (m->code == ERR_OK || m->answer.n == 0);
}

static bool train_feed_is_right(const struct wire_train_feed *m)
{
    return m->ask != 0 && m->piece < WIRE_PIECES && m->part.n <= TRAIN_PART_MAX;
}

static bool train_is_right(const struct wire_train *m)
{
    return m->ask != 0;
}

static bool train_save_is_right(const struct wire_train_save *m)
{
    return m->ask != 0;
}

static bool train_began_is_right(const struct wire_train_began *m)
{
    return m->ask != 0 && m->step <= m->steps;
}

static bool train_step_is_right(const struct wire_train_step *m)
{
    return m->ask != 0 && m->step != 0;
}

static bool train_part_is_right(const struct wire_train_part *m)
{
    return m->ask != 0 && m->piece < WIRE_PIECES && m->part.n <= TRAIN_PART_MAX;
}

static bool trained_is_right(const struct wire_trained *m)
{
    return m->ask != 0;
}

static bool device_is_right(const struct wire_device *m)
{
    return m->device.n > 0;
}

/* A length is written when the body is there. */
static void end_frame(struct buf *out, size_t at, uint32_t body_max)
{
    size_t n = out->n - at - 4;
    CHECK(n - 1 <= body_max);
    store_le32(out->p + at, (uint32_t)n);
}

static size_t start_frame(struct buf *out, enum wire_type type)
{
    static const uint8_t length[4];
    const uint8_t t = (uint8_t)type;
    size_t at = out->n;
    buf_add(out, length, sizeof length);
    buf_add(out, &t, 1);
    return at;
}

#define M(name, NAME, number, to_worker, body_max)                                                                     \
    void wire_add_##name(struct buf *out, const struct wire_##name *message)                                           \
    {                                                                                                                  \
        size_t at = start_frame(out, WIRE_##NAME);                                                                     \
        wire_##name##_put(out, message);                                                                               \
        end_frame(out, at, body_max);                                                                                  \
    }                                                                                                                  \
    bool wire_read_##name(struct bytes body, struct wire_##name *message)                                              \
    {                                                                                                                  \
        struct cursor c = cursor_of(body);                                                                             \
        wire_##name##_get(&c, message);                                                                                \
        return cursor_end(&c) && name##_is_right(message);                                                             \
    }
WIRE_MESSAGES(M)
#undef M

struct message_info {
    const char *name;
    bool is_known, to_worker;
    uint32_t body_max;
};

static struct message_info info_of(unsigned type)
{
    switch (type) {
#define M(name, NAME, number, to_worker, body_max)                                                                     \
    case WIRE_##NAME:                                                                                                  \
        return (struct message_info){#name, true, to_worker, body_max};
        WIRE_MESSAGES(M)
#undef M
    default:
        return (struct message_info){"unknown", false, false, 0};
    }
}

const char *wire_name(unsigned type)
{
    return info_of(type).name;
}

enum err wire_next(struct bytes in, bool to_worker, struct wire_frame *frame, size_t *used)
{
    *used = 0;
    if (in.n < WIRE_HEAD)
        return ERR_OK;
    uint32_t n = load_le32(in.p);
    struct message_info info = info_of(in.p[4]);
    if (n == 0 || !info.is_known || info.to_worker != to_worker || n - 1 > info.body_max)
        return ERR_PROTOCOL;
    if (in.n - 4 < n)
        return ERR_OK;
    *frame = (struct wire_frame){(enum wire_type)in.p[4], {in.p + WIRE_HEAD, n - 1}};
    *used = (size_t)n + 4;
    return ERR_OK;
}

void wire_set_text(struct text255 *out, const char *from)
{
    char text[sizeof out->s];
    size_t n = 0;
    /* What is not printable ASCII becomes a question mark where the whole is not clean. */
    bool is_clean = text_is_clean(from, strlen(from));
    for (; from[n] && n < sizeof text - 1; n++) {
        bool is_plain = from[n] >= 0x20 && from[n] < 0x7F;
        text[n] = is_plain || is_clean ? from[n] : '?';
    }
    while (from[n] && n > 0 && ((uint8_t)from[n] & 0xC0) == 0x80 && is_clean)
        n--; /* not in the middle of a character */
    text[n] = 0;
    CHECK(text255_set(out, text));
}

void wire_add_failure(struct buf *out, uint64_t ask, enum err e, const struct note *note)
{
    struct wire_failed m = {.ask = ask, .code = (uint8_t)e};
    wire_set_text(&m.text, note && note->text[0] ? note->text : err_text(e));
    wire_add_failed(out, &m);
}

enum err wire_failure(const struct wire_failed *message, struct note *note)
{
    return note_set(note, (enum err)message->code, "%s", message->text.s);
}

void wire_put_id(struct buf *out, uint32_t id)
{
    uint8_t raw[4];
    store_le32(raw, id);
    buf_add(out, raw, sizeof raw);
}

uint32_t wire_id_at(struct bytes ids, size_t i)
{
    CHECK(i < ids.n / 4);
    return load_le32(ids.p + 4 * i);
}

size_t wire_id_count(struct bytes ids)
{
    return ids.n / 4;
}

void wire_put_score(struct buf *out, double score)
{
    uint64_t bits;
    uint8_t raw[8];
    memcpy(&bits, &score, sizeof bits);
    store_le64(raw, bits);
    buf_add(out, raw, sizeof raw);
}

double wire_score_at(struct bytes scores, size_t i)
{
    double score;
    CHECK(i < scores.n / 8);
    uint64_t bits = load_le64(scores.p + 8 * i);
    memcpy(&score, &bits, sizeof score);
    return score;
}

#define LOGPROB_HEAD 10

bool wire_next_logprob(struct bytes *blob, struct wire_logprob *out)
{
    if (blob->n < LOGPROB_HEAD)
        return false;
    size_t n = load_le16(blob->p + 8);
    if (blob->n - LOGPROB_HEAD < n)
        return false;
    *out = (struct wire_logprob){load_le32(blob->p), arith_of_bits(load_le32(blob->p + 4)),
                                 bytes_of(blob->p + LOGPROB_HEAD, n)};
    *blob = bytes_of(blob->p + LOGPROB_HEAD + n, blob->n - LOGPROB_HEAD - n);
    return true;
}
