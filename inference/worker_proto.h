/* What kithd or kith and a worker say to each other over the worker's socket: the messages, and the
 * frames that carry them. Pure: bytes in, messages out; who reads and writes sockets is elsewhere.
 *
 *     frame = u32 length of what follows, u8 type, body (one record); little-endian
 *
 * A worker is started with its socket as descriptor WORKER_FD_SOCKET and one model file, open for reading, as
 * WORKER_FD_MODEL. The first message is `open`, answered by `opened` or by `failed` with ask 0. After it every
 * question carries a number (`ask`, never 0) that its answers repeat; a `failed` with ask 0 and ERR_CORRUPT says at any
 * time that the file of packed weights that it works with is damaged: it ends, and the file is to be removed.
 *
 *     tokenize -> tokens      detokenize -> text      template -> templated
 *     run      -> token ... done        a token as soon as it is chosen
 *     verify   -> verified              one prefill pass over prompt and answer
 *     logits   -> row ... done          one row a position
 *     embed    -> embedding             one vector for a whole text
 *     score    -> scored ... scores     how likely each token was behind those before it
 *     hop_call -> hop_answer            a batch through the worker's layers, in the mode for that alone
 *     train_feed ... train -> train_began, train_step ... train_part ..., trained     in the mode for that alone
 *
 * and any of them may be answered by `failed` instead, or after some of its answers. `cancel` ends a run, a
 * verify, a logits or an embed question early: it is answered by `failed` with ERR_CANCELLED unless it had ended
 * already.
 *
 * A worker some of whose model's layers are evaluated elsewhere (`hops` of `open`) asks, too: each `far_call` is waited
 * for until its `far_answer` comes, at most while other rows of the same batch are evaluated; so there is one on the
 * way at a time. An answer that says that it failed loses the hops for good: the worker evaluates all layers itself,
 * says so
 * (`device`), and the jobs go on. What the calls are is in inference/engine/far.h.
 *
 * Both sides check everything: the worker because a bug in kithd must not become one in the engine, kithd
 * because the worker has read a stranger's model file.
 */
#ifndef KITH_INFERENCE_WORKER_PROTO_H
#define KITH_INFERENCE_WORKER_PROTO_H

#include "base/answer_form.h"
#include "inference/request.h"

#define WORKER_FD_SOCKET 3
#define WORKER_FD_MODEL  4
#define WORKER_FD_PACK   5 /* where `open` says so: packed weights (inference/engine/pack_file.h) */

#define WORKER_DOCTOR                                                                                                  \
    "doctor" /* its argument to print what it finds on this machine (inference/sched/doctor.h), and end */

#define WIRE_PACK_VERSION                                                                                              \
    1 /* of files of packed weights: part of their names; inference/kernels/pack.h's PACK_VERSION */

#define WIRE_HEAD 5 /* bytes in front of a body */

/* Instead of a token id: there is none. */
#define WIRE_NO_TOKEN UINT32_MAX

enum wire_mode {
    WIRE_FULL = 0,
    WIRE_VOCAB = 1,    /* tokenizer and template only; the file may end behind the tensor infos */
    WIRE_LAYERS = 2,   /* layers [first, end) only, for whoever has the others: only `hop_call` is answered */
    WIRE_TRAINING = 3, /* an update is trained beside the model: only `train` and what belongs to it is answered */
};

/* What descriptor WORKER_FD_PACK is. */
enum wire_pack {
    WIRE_PACK_NONE = 0, /* it is not given */
    WIRE_PACK_KEPT = 1, /* a file that is kept, open for reading */
    WIRE_PACK_NEW = 2,  /* an empty one, to be filled */
};

/* What became of it. */
enum wire_packed {
    WIRE_PACKED_UNUSED = 0, /* the kernels want none, or there was no room for it */
    WIRE_PACKED_USED = 1,   /* the kept one is what the worker works with */
    WIRE_PACKED_MADE = 2,   /* the new one is whole, and worth keeping */
    WIRE_PACKED_BAD = 3,    /* the kept one is damaged or of another model: to be removed */
};

/* What a training is given, and gives, in parts. */
enum wire_piece {
    WIRE_PIECE_DATA = 0,    /* to the worker */
    WIRE_PIECE_STATE = 1,   /* what goes on from where another worker was, with the same bits */
    WIRE_PIECE_ADAPTER = 2, /* the result; to the worker: one to be checked */
    WIRE_PIECES
};

/* What is put around a text that is tokenised. */
enum wire_ends {
    WIRE_ENDS_FILE = 0, /* as the model's file says */
    WIRE_ENDS_NONE = 1,
    WIRE_ENDS_BOS = 2, /* beginning of text in any case */
};

/* What kind of answer a prompt is made for. */
enum wire_begins {
    WIRE_BEGINS_ANY = 0,
    WIRE_BEGINS_SAID = 1, /* only what is said, as where it must keep to a schema: no thought, no head of a channel */
    WIRE_BEGINS_CALL = 2, /* a call of one function, where prompts of this model can say so; otherwise as SAID */
    WIRE_BEGINS_N
};

/* -- to the worker; ids are u32 little-endian, one behind the other -- */

/* `root` zero: the worker hashes the file itself. Zero elsewhere: as many threads as processors, as many
 * jobs and rows at once as the worker thinks fit, the model's own context, no limit of memory. `backend`: "auto" takes
 * a GPU where there is one, and the fastest kernels; "cuda" must have one; another name: that kernel set, and no GPU.
 * `first`, `end`: layers of the mode LAYERS, none of them the model's last; else 0. `hops`: of the mode FULL, layers
 * that are evaluated elsewhere: u32 first, u32 end of each of at most HOPS_MAX, in rising order, none of them the last;
 * `pages`: of the cache that all of these have room for.
 */
#define WIRE_OPEN_FIELDS(F)                                                                                            \
    F(u8, mode)                                                                                                        \
    F(u8, pack)                                                                                                        \
    F(hash, root)                                                                                                      \
    F(text64, backend)                                                                                                 \
    F(u32, threads)                                                                                                    \
    F(u32, batch)                                                                                                      \
    F(u32, jobs) F(u32, context) F(u64, memory_bytes) F(u32, first) F(u32, end) F(u32, pages) F(blob, hops)
#define WIRE_TOKENIZE_FIELDS(F) F(u64, ask) F(u8, ends) F(flag, special) F(blob, text)
/* `begins`: the ids begin a text, so that a beginning-of-text token and the space that encoding put in front go; else
 * they go on with one, as an answer does, and their pieces are joined. */
#define WIRE_DETOKENIZE_FIELDS(F) F(u64, ask) F(flag, special) F(flag, begins) F(blob, ids)
/* `messages`, `tools`: JSON as in OpenAI's API, tools may be empty; `variables`: a JSON object (base/variables.h), may
 * be empty. `clock_ms`: what the template takes for now. With `answer` the prompt ends where an answer begins; `begins`
 * (enum wire_begins): which kind, a call that of `function`. */
#define WIRE_TEMPLATE_FIELDS(F)                                                                                        \
    F(u64, ask)                                                                                                        \
    F(flag, answer)                                                                                                    \
    F(u8, begins) F(text64, function) F(u64, clock_ms) F(blob, messages) F(blob, tools) F(blob, variables)
/* `request`: inference/request.h; `tokens`: ids of the answer that are known already. They are checked on the way:
 * the first that the model would not have chosen fails the run with ERR_MISMATCH. `scope`: whoever asks, or what else
 * may know of it: questions of one scope share what their beginnings came to; zero: shared with nobody. `logprobs`: 0,
 * or 1 and how many of the likeliest tokens are wanted beside each token, up to LOGPROBS_MAX. `draft`: 0 as long a
 * draft as pays (inference/sched/draft.h), else tokens of one at most, plus 1. For measuring: `endless`: nothing but
 * their number ends the tokens, and there is no text; `forced`: `tokens` are what it chooses, one after the other. */
#define WIRE_RUN_FIELDS(F)                                                                                             \
    F(u64, ask)                                                                                                        \
    F(hash, scope)                                                                                                     \
    F(u8, logprobs) F(blob, request) F(blob, tokens) F(u8, draft) F(flag, endless) F(flag, forced)
/* `key`: empty, or the 32 bytes that a witness is drawn by (inference/sched/witness.h): then the replay goes on to the
 * last token, also behind one that differs, and `scope` shares nothing with it. */
#define WIRE_VERIFY_FIELDS(F)                                                                                          \
    F(u64, ask)                                                                                                        \
    F(hash, scope) F(blob, request) F(blob, tokens) F(hash, digest) F(flag, endless) F(blob, key)
#define WIRE_LOGITS_FIELDS(F) F(u64, ask) F(blob, ids)
/* `dimensions`: only the first so many numbers are told, 0 all; `unit`: divided by the length of what is told. */
#define WIRE_EMBED_FIELDS(F) F(u64, ask) F(u32, dimensions) F(flag, unit) F(blob, ids)
/* Of the ids behind position `from`, each. `logprobs`: 0, or as in a run: then each is told in a `scored`, and `scores`
 * has no values. */
#define WIRE_SCORE_FIELDS(F)  F(u64, ask) F(u32, from) F(u8, logprobs) F(blob, ids)
#define WIRE_CANCEL_FIELDS(F) F(u64, ask)
/* `part` goes behind what was fed of that piece (enum wire_piece) before. */
#define WIRE_TRAIN_FEED_FIELDS(F) F(u64, ask) F(u8, piece) F(blob, part)
/* Trains on what was fed; with `check` as the adapter says that it was, and compares; then the rest is 0. */
#define WIRE_TRAIN_FIELDS(F)                                                                                           \
    F(u64, ask)                                                                                                        \
    F(flag, check) F(u32, rank) F(u32, steps) F(u32, batch) F(u32, length) F(f32, alpha) F(f32, rate) F(u64, seed)
/* Between two steps: the state, in `train_part`s. */
#define WIRE_TRAIN_SAVE_FIELDS(F) F(u64, ask)
#define WIRE_HOP_CALL_FIELDS(F)   F(u64, ask) F(blob, call)
/* `code`: enum err; with ERR_OK the answer, else why there is none. */
#define WIRE_FAR_ANSWER_FIELDS(F) F(u32, hop) F(u8, code) F(text255, text) F(blob, answer)

/* -- from the worker -- */

/* `bos`, `eos`: WIRE_NO_TOKEN if there is none; `slots`: jobs at once; `memory_bytes`: what model and caches take at
 * most; `packed`: enum wire_packed; `remark`: a line for a person, mostly empty; `device`: which layers a GPU has, or
 * why none does; empty where none was to. `pages`: in the mode LAYERS, of the cache that there is room for. */
#define WIRE_OPENED_FIELDS(F)                                                                                          \
    F(hash, root)                                                                                                      \
    F(text64, architecture)                                                                                            \
    F(text64, format)                                                                                                  \
    F(text64, backend)                                                                                                 \
    F(text64, name)                                                                                                    \
    F(u32, arith)                                                                                                      \
    F(u32, vocab)                                                                                                      \
    F(u32, context)                                                                                                    \
    F(u32, embed)                                                                                                      \
    F(u32, layers)                                                                                                     \
    F(u32, bos)                                                                                                        \
    F(u32, eos)                                                                                                        \
    F(flag, has_template)                                                                                              \
    F(u64, parameters)                                                                                                 \
    F(u64, memory_bytes)                                                                                               \
    F(u32, slots) F(u32, threads) F(u32, batch) F(u8, packed) F(text255, remark) F(text255, device) F(u32, pages)
/* `code`: enum err, never ERR_OK. */
#define WIRE_FAILED_FIELDS(F) F(u64, ask) F(u8, code) F(text255, text)
/* At any time: `device` of `opened` is this from now on. Said when a GPU failed; jobs go on. */
#define WIRE_DEVICE_FIELDS(F) F(text255, device)
#define WIRE_TOKENS_FIELDS(F) F(u64, ask) F(blob, ids)
/* Of ids that go on with a text: where each ends in it, u32 little-endian, and the marks among them
 * (answer_marks_add). */
#define WIRE_TEXT_FIELDS(F) F(u64, ask) F(blob, text) F(blob, reaches) F(blob, marks)
/* `called`: the prompt ends with the head of the function's call, so that the answer is its arguments.
 * `thought`, `within`, `said`, `calls`: struct answer_form, of the answer to it. */
#define WIRE_TEMPLATED_FIELDS(F)                                                                                       \
    F(u64, ask) F(flag, called) F(u8, thought) F(flag, within) F(u8, said) F(u32, calls) F(blob, text) F(blob, ids)
/* `index` counts from 0 through the whole answer; `text`: what this token completed: whole UTF-8 characters, none
 * that may still turn out to belong to a stop text; may be empty. `reach`: bytes of the answer's text with this token,
 * those held back included; `mark`: its own text where it is a control token that tells thoughts and calls apart, and
 * no part of that text (base/answer_form.h). `logprobs`: of the token, then of the likeliest, each
 * as u32 token, f32 logprob, u16 bytes of its text, text (wire_next_logprob). */
#define WIRE_TOKEN_FIELDS(F)                                                                                           \
    F(u64, ask)                                                                                                        \
    F(u32, index) F(u32, token) F(hash, digest) F(blob, text) F(u32, reach) F(blob, mark) F(blob, logprobs)
/* `stop`: enum of inference/request.h; `tokens`: of the whole answer; `shared`: tokens of the prompt that were not
 * evaluated, since a question of the same scope had begun alike; `drafted`: guessed, of which `accepted` came; `text`:
 * what was still held back. */
#define WIRE_DONE_FIELDS(F)                                                                                            \
    F(u64, ask)                                                                                                        \
    F(u8, stop)                                                                                                        \
    F(u32, prompt_tokens)                                                                                              \
    F(u32, shared)                                                                                                     \
    F(u32, tokens) F(u32, drafted) F(u32, accepted) F(hash, digest) F(u64, prompt_us) F(u64, decode_us) F(blob, text)
/* `position`: of the first difference in the answer when not the same, as many as there are tokens if only the digest
 * differs; `token`: what the model chose there. `digest`: of the replay. `witness`: 32 bytes where a key was given. */
#define WIRE_VERIFIED_FIELDS(F)                                                                                        \
    F(u64, ask) F(flag, same) F(u32, position) F(u32, token) F(hash, digest) F(u64, us) F(blob, witness)
/* `values`: one binary32 a token of the vocabulary, little-endian. */
#define WIRE_ROW_FIELDS(F) F(u64, ask) F(u32, position) F(blob, values)
/* `values`: one binary32 a dimension, little-endian; `digest`: digest_embedding's (inference/sched/digest.h), of the
 * whole pooled vector whatever is told of it. */
#define WIRE_EMBEDDING_FIELDS(F) F(u64, ask) F(u32, tokens) F(hash, digest) F(u64, us) F(blob, values)
/* `values`: natural logarithms of the probabilities of ids[from + 1], ids[from + 2] ..., the bits of binary64,
 * little-endian. */
#define WIRE_SCORES_FIELDS(F) F(u64, ask) F(blob, values)
/* One of the ids, in their order: `logprobs` as in `token`. The one at `from` comes first, alone and with 0: nothing
 * was before it that was asked about, and it is told for its text. */
#define WIRE_SCORED_FIELDS(F) F(u64, ask) F(u32, position) F(blob, logprobs)

/* `tokens`, `windows`, `held`: of the data; `values`: numbers that are trained; `step`: taken already, of `steps`;
 * `memory_bytes`: beside the model. */
#define WIRE_TRAIN_BEGAN_FIELDS(F)                                                                                     \
    F(u64, ask)                                                                                                        \
    F(u64, tokens)                                                                                                     \
    F(u32, windows) F(u32, held) F(u64, values) F(u32, step) F(u32, steps) F(u64, memory_bytes)
/* `loss`: mean of the step's windows before it was taken, the bits of binary64; `tokens` were gone through in `us`. */
#define WIRE_TRAIN_STEP_FIELDS(F) F(u64, ask) F(u32, step) F(u64, loss) F(u64, tokens) F(u64, us)
/* `last`: behind it the piece is whole. */
#define WIRE_TRAIN_PART_FIELDS(F) F(u64, ask) F(u8, piece) F(flag, last) F(blob, part)
/* The end. `before`, `after`: mean losses of what is held out, the bits of binary64. Of a check: `same`, or `step` is
 * the first that does not agree (0: it is none of them), `text` says what does not, and the rest is what was found up
 * to there.
 */
#define WIRE_TRAINED_FIELDS(F)                                                                                         \
    F(u64, ask)                                                                                                        \
    F(flag, same)                                                                                                      \
    F(u32, step) F(u32, steps) F(u64, before) F(u64, after) F(hash, base) F(hash, data) F(hash, digest) F(text255, text)

#define WIRE_HOP_ANSWER_FIELDS(F) F(u64, ask) F(blob, answer)
/* To hop `hop` of those that `open` named, from 0. */
#define WIRE_FAR_CALL_FIELDS(F) F(u32, hop) F(blob, call)

/* Every message in one table: name, NAME, type, sent to the worker, most bytes of its body. */
#define WIRE_BODY_SMALL    2048u
#define WIRE_BODY_IDS      (4u * PROMPT_BYTES_MAX + 256u) /* a token a byte at worst */
#define WIRE_BODY_LOGPROBS ((1u + LOGPROBS_MAX) * (10u + TOKEN_PIECE_MAX))
#define WIRE_BODY_TEXT     (TEMPLATE_OUTPUT_MAX + 256u)
#define WIRE_MESSAGES(M)                                                                                               \
    M(open, OPEN, 1, true, WIRE_BODY_SMALL)                                                                            \
    M(tokenize, TOKENIZE, 2, true, PROMPT_BYTES_MAX + 256u)                                                            \
    M(detokenize, DETOKENIZE, 3, true, WIRE_BODY_IDS)                                                                  \
    M(template, TEMPLATE, 4, true, 2u * PROMPT_BYTES_MAX + TEMPLATE_VARIABLES_BYTES_MAX + 512u)                        \
    M(run, RUN, 5, true, 2u * WIRE_BODY_IDS)                                                                           \
    M(verify, VERIFY, 6, true, 2u * WIRE_BODY_IDS)                                                                     \
    M(logits, LOGITS, 7, true, WIRE_BODY_IDS)                                                                          \
    M(cancel, CANCEL, 8, true, WIRE_BODY_SMALL)                                                                        \
    M(embed, EMBED, 9, true, WIRE_BODY_IDS)                                                                            \
    M(score, SCORE, 20, true, WIRE_BODY_IDS)                                                                           \
    M(hop_call, HOP_CALL, 21, true, FAR_CALL_MAX + WIRE_BODY_SMALL)                                                    \
    M(far_answer, FAR_ANSWER, 22, true, FAR_CALL_MAX + WIRE_BODY_SMALL)                                                \
    M(train_feed, TRAIN_FEED, 30, true, TRAIN_PART_MAX + WIRE_BODY_SMALL)                                              \
    M(train, TRAIN, 31, true, WIRE_BODY_SMALL)                                                                         \
    M(train_save, TRAIN_SAVE, 32, true, WIRE_BODY_SMALL)                                                               \
    M(train_began, TRAIN_BEGAN, 95, false, WIRE_BODY_SMALL)                                                            \
    M(train_step, TRAIN_STEP, 96, false, WIRE_BODY_SMALL)                                                              \
    M(train_part, TRAIN_PART, 97, false, TRAIN_PART_MAX + WIRE_BODY_SMALL)                                             \
    M(trained, TRAINED, 98, false, WIRE_BODY_SMALL)                                                                    \
    M(opened, OPENED, 65, false, WIRE_BODY_SMALL)                                                                      \
    M(failed, FAILED, 66, false, WIRE_BODY_SMALL)                                                                      \
    M(tokens, TOKENS, 67, false, WIRE_BODY_IDS)                                                                        \
    M(text, TEXT, 68, false, WORKER_FRAME_MAX - 1u)                                                                    \
    M(templated, TEMPLATED, 69, false, WORKER_FRAME_MAX - 1u)                                                          \
    M(token, TOKEN, 70, false, 2u * TOKEN_PIECE_MAX + WIRE_BODY_LOGPROBS + WIRE_BODY_SMALL)                            \
    M(done, DONE, 71, false, WIRE_BODY_SMALL)                                                                          \
    M(verified, VERIFIED, 72, false, WIRE_BODY_SMALL)                                                                  \
    M(row, ROW, 73, false, 4u * VOCAB_MAX + 256u)                                                                      \
    M(device, DEVICE, 75, false, WIRE_BODY_SMALL)                                                                      \
    M(embedding, EMBEDDING, 74, false, 4u * EMBED_MAX + 256u)                                                          \
    M(scores, SCORES, 84, false, 8u * CONTEXT_MAX + 256u)                                                              \
    M(scored, SCORED, 85, false, WIRE_BODY_LOGPROBS + WIRE_BODY_SMALL)                                                 \
    M(hop_answer, HOP_ANSWER, 86, false, FAR_CALL_MAX + WIRE_BODY_SMALL)                                               \
    M(far_call, FAR_CALL, 87, false, FAR_CALL_MAX + WIRE_BODY_SMALL)

enum wire_type {
#define M(name, NAME, number, to_worker, body_max) WIRE_##NAME = (number),
    WIRE_MESSAGES(M)
#undef M
};

RECORD_DECLARE(wire_open, WIRE_OPEN_FIELDS)
RECORD_DECLARE(wire_tokenize, WIRE_TOKENIZE_FIELDS)
RECORD_DECLARE(wire_detokenize, WIRE_DETOKENIZE_FIELDS)
RECORD_DECLARE(wire_template, WIRE_TEMPLATE_FIELDS)
RECORD_DECLARE(wire_run, WIRE_RUN_FIELDS)
RECORD_DECLARE(wire_verify, WIRE_VERIFY_FIELDS)
RECORD_DECLARE(wire_logits, WIRE_LOGITS_FIELDS)
RECORD_DECLARE(wire_cancel, WIRE_CANCEL_FIELDS)
RECORD_DECLARE(wire_embed, WIRE_EMBED_FIELDS)
RECORD_DECLARE(wire_opened, WIRE_OPENED_FIELDS)
RECORD_DECLARE(wire_failed, WIRE_FAILED_FIELDS)
RECORD_DECLARE(wire_tokens, WIRE_TOKENS_FIELDS)
RECORD_DECLARE(wire_text, WIRE_TEXT_FIELDS)
RECORD_DECLARE(wire_templated, WIRE_TEMPLATED_FIELDS)
RECORD_DECLARE(wire_token, WIRE_TOKEN_FIELDS)
RECORD_DECLARE(wire_done, WIRE_DONE_FIELDS)
RECORD_DECLARE(wire_verified, WIRE_VERIFIED_FIELDS)
RECORD_DECLARE(wire_row, WIRE_ROW_FIELDS)
RECORD_DECLARE(wire_device, WIRE_DEVICE_FIELDS)
RECORD_DECLARE(wire_embedding, WIRE_EMBEDDING_FIELDS)
RECORD_DECLARE(wire_score, WIRE_SCORE_FIELDS)
RECORD_DECLARE(wire_hop_call, WIRE_HOP_CALL_FIELDS)
RECORD_DECLARE(wire_far_answer, WIRE_FAR_ANSWER_FIELDS)
RECORD_DECLARE(wire_hop_answer, WIRE_HOP_ANSWER_FIELDS)
RECORD_DECLARE(wire_far_call, WIRE_FAR_CALL_FIELDS)
RECORD_DECLARE(wire_scores, WIRE_SCORES_FIELDS)
RECORD_DECLARE(wire_scored, WIRE_SCORED_FIELDS)
RECORD_DECLARE(wire_train_feed, WIRE_TRAIN_FEED_FIELDS)
RECORD_DECLARE(wire_train, WIRE_TRAIN_FIELDS)
RECORD_DECLARE(wire_train_save, WIRE_TRAIN_SAVE_FIELDS)
RECORD_DECLARE(wire_train_began, WIRE_TRAIN_BEGAN_FIELDS)
RECORD_DECLARE(wire_train_step, WIRE_TRAIN_STEP_FIELDS)
RECORD_DECLARE(wire_train_part, WIRE_TRAIN_PART_FIELDS)
RECORD_DECLARE(wire_trained, WIRE_TRAINED_FIELDS)

/* For each message: `wire_add_NAME` appends it as a frame; `wire_read_NAME` takes it from a frame's body, true if
 * that was whole and every enumeration in range. Blobs borrow from the body. */
#define M(name, NAME, number, to_worker, body_max)                                                                     \
    void wire_add_##name(struct buf *out, const struct wire_##name *message);                                          \
    bool wire_read_##name(struct bytes body, struct wire_##name *message) MUST_USE;
WIRE_MESSAGES(M)
#undef M

struct wire_frame {
    enum wire_type type;
    struct bytes body; /* borrowed */
};

/* The first frame of what has come in. ERR_OK: *used bytes of it are the frame, or *used is 0 and more must come
 * in first. ERR_PROTOCOL: a type that does not go that way or a body too long for it; reading on is pointless. */
enum err wire_next(struct bytes in, bool to_worker, struct wire_frame *frame, size_t *used) MUST_USE;
/* "run"; total. */
const char *wire_name(unsigned type);

/* A line for a person, cut and made clean: what a file or a peer put into it may be any bytes. */
void wire_set_text(struct text255 *out, const char *from);
/* A failure as a message: the note, or the error's own text where there is none, cut and made clean. */
void wire_add_failure(struct buf *out, uint64_t ask, enum err e, const struct note *note);
/* And back. */
enum err wire_failure(const struct wire_failed *message, struct note *note);

/* Ids in a blob. */
void wire_put_id(struct buf *out, uint32_t id);
uint32_t wire_id_at(struct bytes ids, size_t i);
/* Values of `scores`. */
void wire_put_score(struct buf *out, double score);
double wire_score_at(struct bytes scores, size_t i);
size_t wire_id_count(struct bytes ids);

struct wire_logprob {
    uint32_t token;
    float value;
    struct bytes text; /* borrowed; may be a part of a character, or nothing */
};
/* Takes the first off a blob that wire_read_token or wire_read_scored has let through; false when it is empty. */
bool wire_next_logprob(struct bytes *blob, struct wire_logprob *out);

#endif
