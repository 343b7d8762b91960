/* The tokenizer's common part: reading the file, special tokens around and within a text, pieces.
 *
 * A text is cut at its special tokens; what lies between goes to the kind's own encoder. */
#include "inference/tok/tok.h"

#include "base/answer_form.h"
#include "base/limits.h"
#include "base/mem.h"
#include "inference/gguf.h"
#include "inference/tok/tok_kinds.h"

#include <stdlib.h>
#include <string.h>

void tok_ids_clear(struct tok_ids *ids)
{
    free(ids->p);
    *ids = (struct tok_ids){0};
}

void tok_ids_add(struct tok_ids *ids, int32_t id)
{
    if (ids->n == ids->room) {
        ids->room = ids->room ? 2 * ids->room : 64;
        ids->p = mem_resize(ids->p, ids->room, sizeof *ids->p);
    }
    ids->p[ids->n++] = id;
}

/* -- reading the file -- */

#define KEY(name) "tokenizer.ggml." name

static enum err find_kind(const struct gguf *file, struct tok *t, struct note *note)
{
    struct bytes model;
    if (!gguf_find_text(file, KEY("model"), &model))
        return note_set(note, ERR_FORMAT, "the file names no tokenizer (" KEY("model") "): it cannot read text");
    if (bytes_equal(model, bytes_of_text("llama")))
        t->kind = TOK_SPM;
    else if (bytes_equal(model, bytes_of_text("gpt2")) || bytes_equal(model, bytes_of_text("gemma4")))
        t->kind = TOK_BPE;
    else if (bytes_equal(model, bytes_of_text("bert")))
        t->kind = TOK_WPM;
    else
        return note_set(note, ERR_UNSUPPORTED, "tokenizer '%.*s' is not supported: llama, gpt2, gemma4 and bert are",
                        (int)(model.n < 64 ? model.n : 64), (const char *)model.p);
    return ERR_OK;
}

/* A file that names no pre-tokenizer was made before there was a choice: `default`. */
static enum err find_pretok(const struct gguf *file, struct tok *t, struct note *note)
{
    struct bytes name = bytes_of_text("default"), model;
    if (gguf_find_text(file, KEY("model"), &model) && bytes_equal(model, bytes_of_text("gemma4")))
        name = model; /* a pre-tokenizer of its own, whatever the file calls it */
    else if (!gguf_find_text(file, KEY("pre"), &name) && gguf_has(file, KEY("pre")))
        return note_set(note, ERR_FORMAT, KEY("pre") " is no text");
    t->pretok = pretok_find(name);
    if (!t->pretok) {
        struct buf names = {0};
        pretok_names(&names);
        note_set(note, ERR_UNSUPPORTED, "pre-tokenizer '%.*s' is not supported: %s are",
                 (int)(name.n < 64 ? name.n : 64), (const char *)name.p, buf_text(&names));
        buf_clear(&names);
        return ERR_UNSUPPORTED;
    }
    t->add_bos = pretok_adds_bos(t->pretok);
    return ERR_OK;
}

/* An array beside the tokens, which may be absent but must have as many elements. */
static enum err find_beside(const struct gguf *file, const char *key, uint64_t count, struct gguf_array *out,
                            bool *there, struct note *note)
{
    *there = gguf_find_array(file, key, out);
    if (!*there && gguf_has(file, key))
        return note_set(note, ERR_FORMAT, "%s is no array", key);
    if (*there && out->count != count)
        return note_set(note, ERR_FORMAT, "%s has %llu elements for %llu tokens", key, (unsigned long long)out->count,
                        (unsigned long long)count);
    return ERR_OK;
}

static enum err read_tokens(const struct gguf *file, struct tok *t, struct note *note)
{
    struct gguf_array tokens, scores, types;
    bool scored, typed;
    if (!gguf_find_array(file, KEY("tokens"), &tokens) || tokens.type != GGUF_TEXT || tokens.count == 0)
        return note_set(note, ERR_FORMAT, "the file has no vocabulary (" KEY("tokens") ")");
    if (tokens.count > VOCAB_MAX)
        return note_set(note, ERR_LIMIT, "the vocabulary has %llu tokens: at most %u are read",
                        (unsigned long long)tokens.count, VOCAB_MAX);
    enum err err = find_beside(file, KEY("scores"), tokens.count, &scores, &scored, note);
    if (err == ERR_OK)
        err = find_beside(file, KEY("token_type"), tokens.count, &types, &typed, note);
    if (err != ERR_OK)
        return err;
    if (scored && scores.type != GGUF_F32)
        return note_set(note, ERR_FORMAT, KEY("scores") " is of type %d: it must be float32", (int)scores.type);
    if (!scored && t->kind == TOK_SPM)
        return note_set(note, ERR_FORMAT, "the vocabulary has no scores (" KEY("scores") "), which its kind needs");
    vocab_reserve(&t->vocab, (uint32_t)tokens.count);
    for (uint32_t i = 0; i < tokens.count && err == ERR_OK; i++) {
        int64_t type = VOCAB_NORMAL;
        if (typed && !gguf_array_i64(&types, i, &type))
            return note_set(note, ERR_FORMAT, KEY("token_type") " holds no integers");
        if (type < 0 || type > UINT32_MAX)
            type = 0; /* which vocab_add refuses */
        err = vocab_add(&t->vocab, gguf_array_text(&tokens, i), scored ? gguf_array_f32(&scores, i) : 0, (uint32_t)type,
                        note);
    }
    return err == ERR_OK ? vocab_index(&t->vocab, note) : err;
}

static enum err read_merges(const struct gguf *file, struct tok *t, struct note *note)
{
    struct gguf_array merges;
    if (!gguf_find_array(file, KEY("merges"), &merges) || merges.type != GGUF_TEXT)
        return note_set(note, ERR_FORMAT, "the vocabulary has no merges (" KEY("merges") "), which its kind needs");
    enum err err = tok_bpe_reserve(t, merges.count, note);
    for (uint64_t i = 0; i < merges.count && err == ERR_OK; i++)
        err = tok_bpe_add(t, gguf_array_text(&merges, i), note);
    return err;
}

/* Leaves *out alone where the key is absent. */
static enum err read_id(const struct gguf *file, const char *key, const struct tok *t, int32_t *out, struct note *note)
{
    uint32_t id;
    if (!gguf_has(file, key))
        return ERR_OK;
    if (!gguf_find_u32(file, key, &id))
        return note_set(note, ERR_FORMAT, "%s is negative or no integer: it must be a token", key);
    if (id >= t->vocab.count)
        return note_set(note, ERR_RANGE, "%s is %u, but the vocabulary has %u tokens", key, id, t->vocab.count);
    *out = (int32_t)id;
    return ERR_OK;
}

static enum err read_flag(const struct gguf *file, const char *key, bool *out, struct note *note)
{
    if (gguf_has(file, key) && !gguf_find_flag(file, key, out))
        return note_set(note, ERR_FORMAT, "%s is neither true nor false", key);
    return ERR_OK;
}

/* The kind itself puts [CLS] in front and [SEP] behind, whatever the file's flags say; a file without the
 * ids has them under these names. Space before a word is how a piece shows that it begins one. */
static enum err read_wpm(const struct gguf *file, struct tok *t, struct note *note)
{
    const struct {
        const char *key, *name;
        int32_t *id;
    } ids[] = {
        {KEY("cls_token_id"), "[CLS]", &t->bos},
        {KEY("seperator_token_id"), "[SEP]", &t->eos}, /* spelled so in the format */
        {KEY("unknown_token_id"), "[UNK]", &t->unknown},
    };
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        *ids[i].id = tok_find(t, ids[i].name);
        enum err err = read_id(file, ids[i].key, t, ids[i].id, note);
        if (err != ERR_OK)
            return err;
        if (*ids[i].id < 0)
            return note_set(note, ERR_FORMAT, "the vocabulary has no %s (%s), which its kind needs", ids[i].name,
                            ids[i].key);
    }
    t->lowers = true;
    enum err err = read_flag(file, KEY("normalizer.lowercase"), &t->lowers, note);
    t->strips_accents = t->lowers;
    if (err == ERR_OK)
        err = read_flag(file, KEY("normalizer.strip_accents"), &t->strips_accents, note);
    t->add_bos = t->add_eos = t->add_space = true;
    return err;
}

/* Ids and flags. Where a file of the `llama` kind names no ids, 1, 2 and 0 are meant. */
static enum err read_ends(const struct gguf *file, struct tok *t, int32_t *eot, int32_t *eom, struct note *note)
{
    bool spm = t->kind == TOK_SPM && t->vocab.count > 2;
    t->bos = spm ? 1 : -1;
    t->eos = spm ? 2 : -1;
    t->unknown = spm ? 0 : -1;
    *eot = *eom = -1;
    if (t->kind == TOK_WPM)
        return read_wpm(file, t, note);
    const struct {
        const char *key;
        int32_t *id;
    } ids[] = {
        {KEY("bos_token_id"), &t->bos}, {KEY("eos_token_id"), &t->eos}, {KEY("unknown_token_id"), &t->unknown},
        {KEY("eot_token_id"), eot},     {KEY("eom_token_id"), eom},
    };
    enum err err = ERR_OK;
    for (size_t i = 0; i < sizeof ids / sizeof *ids && err == ERR_OK; i++)
        err = read_id(file, ids[i].key, t, ids[i].id, note);
    if (err == ERR_OK)
        err = read_flag(file, KEY("add_bos_token"), &t->add_bos, note);
    if (err == ERR_OK)
        err = read_flag(file, KEY("add_eos_token"), &t->add_eos, note);
    if (err == ERR_OK)
        err = read_flag(file, KEY("add_space_prefix"), &t->add_space, note);
    if (t->kind == TOK_BPE && pretok_is_plain(t->pretok)) /* some files deny it */
        t->add_bos = true;
    if (t->kind != TOK_SPM) /* only that kind puts one, so only there decoding takes one away */
        t->add_space = false;
    if (t->bos < 0)
        t->add_bos = false;
    if (t->eos < 0)
        t->add_eos = false;
    return err;
}

/* Tokens that a file forbids: no sampler here leaves them out. */
static enum err refuse_forbidden(const struct gguf *file, struct note *note)
{
    struct gguf_array ids;
    if (gguf_has(file, KEY("suppress_tokens")) &&
        (!gguf_find_array(file, KEY("suppress_tokens"), &ids) || ids.count > 0))
        return note_set(note, ERR_UNSUPPORTED,
                        "the file forbids tokens (" KEY("suppress_tokens") "), which this version does not do");
    return ERR_OK;
}

/* Phi-3's files do not say that its control tokens swallow the white space behind them. */
static bool is_phi3(const struct gguf *file)
{
    struct bytes architecture;
    return gguf_find_text(file, "general.architecture", &architecture) &&
           bytes_equal(architecture, bytes_of_text("phi3"));
}

static enum err read_all(const struct gguf *file, struct tok *t, struct note *note)
{
    int32_t eot, eom;
    enum err err = find_kind(file, t, note);
    if (err == ERR_OK)
        err = refuse_forbidden(file, note);
    t->add_bos = t->add_space = t->kind == TOK_SPM;
    if (err == ERR_OK && t->kind == TOK_BPE)
        err = find_pretok(file, t, note);
    if (err == ERR_OK)
        err = read_tokens(file, t, note);
    if (err == ERR_OK && t->kind == TOK_BPE)
        err = read_merges(file, t, note);
    if (err == ERR_OK)
        err = read_ends(file, t, &eot, &eom, note);
    if (err != ERR_OK)
        return err;
    t->strips_right = t->kind == TOK_SPM && is_phi3(file);
    tok_special_open(t);
    if (eot >= 0)
        t->eog[eot] = true;
    if (eom >= 0)
        t->eog[eom] = true;
    if (t->kind == TOK_SPM)
        tok_spm_open(t);
    else if (t->kind == TOK_BPE)
        tok_bpe_open(t);
    return ERR_OK;
}

enum err tok_open(const struct gguf *file, struct tok **out, struct note *note)
{
    struct tok *t = mem_new(sizeof *t);
    t->lazy = mem_new(sizeof *t->lazy);
    pthread_mutex_init(&t->lazy->lock, NULL);
    enum err err = read_all(file, t, note);
    if (err != ERR_OK) {
        tok_free(t);
        t = NULL;
    }
    *out = t;
    return err;
}

void tok_free(struct tok *t)
{
    if (!t)
        return;
    vocab_clear(&t->vocab);
    trie_free(t->lazy->trie);
    pthread_mutex_destroy(&t->lazy->lock);
    free(t->lazy);
    free(t->eog);
    free(t->specials);
    free(t->rules);
    free(t->rule_slots);
    free(t);
}

/* -- encoding -- */

static enum err encode_plain(const struct tok *t, struct bytes text, bool first, struct tok_ids *out, struct note *note)
{
    if (text.n == 0)
        return ERR_OK;
    if (t->kind == TOK_WPM) {
        tok_wpm_encode(t, text, out);
        return ERR_OK;
    }
    return t->kind == TOK_SPM ? tok_spm_encode(t, text, first, out, note) : tok_bpe_encode(t, text, out, note);
}

static size_t spaces_at(struct bytes text, size_t at)
{
    size_t n = 0;
    while (at + n < text.n && (text.p[at + n] == ' ' || (text.p[at + n] >= 9 && text.p[at + n] <= 13)))
        n++;
    return n;
}

/* Phi-3's special tokens, but for three. */
static bool swallows_spaces(const struct tok *t, int32_t id)
{
    static const char *const others[] = {"<unk>", "<s>", "<|endoftext|>"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (bytes_equal(vocab_text(&t->vocab, (uint32_t)id), bytes_of_text(others[i])))
            return false;
    return t->strips_right;
}

/* The plain stretches and the special tokens between them, in order. */
static enum err encode_parts(const struct tok *t, struct bytes text, bool all, struct tok_ids *out, struct note *note)
{
    size_t start = 0, at = 0;
    bool first = true; /* the next word begins the text or follows a special token */
    while (at < text.n) {
        int32_t id = tok_special_match(t, text, at, all);
        if (id < 0) {
            at++;
            continue;
        }
        enum err err = encode_plain(t, bytes_of(text.p + start, at - start), first, out, note);
        if (err != ERR_OK)
            return err;
        tok_ids_add(out, id);
        at += vocab_text(&t->vocab, (uint32_t)id).n;
        if (swallows_spaces(t, id))
            at += spaces_at(text, at);
        start = at;
        first = true;
    }
    return encode_plain(t, bytes_of(text.p + start, text.n - start), first, out, note);
}

enum err tok_encode(const struct tok *t, struct bytes text, struct tok_options options, struct tok_ids *out,
                    struct note *note)
{
    size_t before = out->n;
    if (text.n > PROMPT_BYTES_MAX)
        return note_set(note, ERR_LIMIT, "a text of %zu bytes: at most %u are turned into tokens at once", text.n,
                        PROMPT_BYTES_MAX);
    if (options.ends == TOK_ENDS_BOS && t->bos < 0)
        return note_set(note, ERR_NOT_FOUND, "this vocabulary has no beginning-of-text token");
    if (options.ends == TOK_ENDS_BOS || (options.ends == TOK_ENDS_FILE && t->add_bos))
        tok_ids_add(out, t->bos);
    enum err err = encode_parts(t, text, options.special, out, note);
    if (err != ERR_OK)
        out->n = before;
    else if (options.ends == TOK_ENDS_FILE && t->add_eos)
        tok_ids_add(out, t->eos);
    return err;
}

/* -- decoding -- */

static bool is_known(const struct tok *t, int32_t id)
{
    return id >= 0 && (uint32_t)id < t->vocab.count;
}

void tok_piece(const struct tok *t, int32_t id, bool special, struct buf *out)
{
    if (!is_known(t, id))
        return;
    struct bytes text = vocab_text(&t->vocab, (uint32_t)id);
    switch (t->vocab.types[id]) {
    case VOCAB_CONTROL:
    case VOCAB_UNKNOWN:
        if (special || tok_special_is_mark(t, (uint32_t)id))
            buf_add(out, text.p, text.n);
        break;
    case VOCAB_USER:
        buf_add(out, text.p, text.n);
        break;
    case VOCAB_UNUSED:
        break;
    default:
        if (t->kind == TOK_BPE)
            tok_bpe_piece(t, (uint32_t)id, out);
        else
            tok_spm_piece(t, (uint32_t)id, out);
    }
}

void tok_decode(const struct tok *t, const int32_t *ids, size_t n, bool special, struct buf *out)
{
    size_t i = 0;
    if (n && ids[0] == t->bos && t->add_bos && !special)
        i++;
    bool strip = t->add_space;
    for (; i < n; i++) {
        size_t before = out->n;
        tok_piece(t, ids[i], special, out);
        if (strip && out->n > before && out->p[before] == ' ') {
            memmove(out->p + before, out->p + before + 1, out->n - before - 1);
            out->n--;
        }
        strip = false;
    }
}

static struct trie *make_trie(const struct tok *t)
{
    struct buf pieces = {0};
    uint32_t *starts = mem_array(t->vocab.count + 1u, sizeof *starts);
    for (uint32_t i = 0; i < t->vocab.count; i++) {
        if (!t->eog[i] && t->vocab.types[i] != VOCAB_CONTROL)
            tok_piece(t, (int32_t)i, false, &pieces);
        starts[i + 1] = (uint32_t)pieces.n;
    }
    struct trie *trie = trie_new(&pieces, starts, t->vocab.count);
    buf_clear(&pieces);
    free(starts);
    return trie;
}

const struct trie *tok_trie(const struct tok *t)
{
    pthread_mutex_lock(&t->lazy->lock);
    if (!t->lazy->trie)
        t->lazy->trie = make_trie(t);
    const struct trie *trie = t->lazy->trie;
    pthread_mutex_unlock(&t->lazy->lock);
    return trie;
}

uint32_t tok_count(const struct tok *t)
{
    return t->vocab.count;
}

int32_t tok_bos(const struct tok *t)
{
    return t->bos;
}

int32_t tok_eos(const struct tok *t)
{
    return t->eos;
}

bool tok_adds_bos(const struct tok *t)
{
    return t->add_bos;
}

bool tok_is_eog(const struct tok *t, int32_t id)
{
    return is_known(t, id) && t->eog[id];
}

bool tok_has_channels(const struct tok *t)
{
    return t->shows_marks;
}

struct bytes tok_mark(const struct tok *t, int32_t id)
{
    if (!tok_is_control(t, id) || tok_special_is_mark(t, (uint32_t)id))
        return bytes_of(NULL, 0);
    struct bytes text = vocab_text(&t->vocab, (uint32_t)id);
    return answer_form_is_mark(text) ? text : bytes_of(NULL, 0);
}

bool tok_is_control(const struct tok *t, int32_t id)
{
    return is_known(t, id) && t->vocab.types[id] == VOCAB_CONTROL;
}

struct bytes tok_text(const struct tok *t, int32_t id)
{
    return is_known(t, id) ? vocab_text(&t->vocab, (uint32_t)id) : bytes_of(NULL, 0);
}

int32_t tok_find(const struct tok *t, const char *text)
{
    return vocab_find(&t->vocab, bytes_of_text(text));
}
