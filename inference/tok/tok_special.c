/* Special tokens: finding their texts within a text, and knowing which of them end an answer.
 *
 * Where several match, the leftmost wins, and of those that begin at one place the longest. The
 * texts are kept sorted; a match narrows the range of candidates byte by byte, so a position costs
 * at most the length of the longest special token, whatever their number. */
#include "inference/tok/tok_kinds.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Names under which published vocabularies have the token that ends an answer or a turn. */
static const char *const eog_names[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<|fim_pad|>",
    "<|file_sep|>",
    "<|repo_name|>",
    "<｜end▁of▁sentence｜>",
    "<turn|>",
    "<|tool_response>",
};

static bool is_special(const struct tok *t, uint32_t id)
{
    uint8_t type = t->vocab.types[id];
    return (type == VOCAB_CONTROL || type == VOCAB_USER || type == VOCAB_UNKNOWN) && vocab_text(&t->vocab, id).n;
}

static int compare_texts(const void *a, const void *b, void *context)
{
    const struct vocab *v = context;
    struct bytes x = vocab_text(v, *(const uint32_t *)a), y = vocab_text(v, *(const uint32_t *)b);
    int order = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);
    return order ? order : (x.n > y.n) - (x.n < y.n);
}

static void find_eog(struct tok *t)
{
    t->eog = mem_array(t->vocab.count, sizeof *t->eog);
    for (size_t i = 0; i < sizeof eog_names / sizeof *eog_names; i++) {
        int32_t id = tok_find(t, eog_names[i]);
        if (id < 0)
            continue;
        t->eog[id] = true;
        t->vocab.types[id] = VOCAB_CONTROL; /* some files call it a normal token */
    }
    if (t->eos >= 0)
        t->eog[t->eos] = true;
    int32_t tag = tok_find(t, "<|tool_response>") >= 0 ? tok_find(t, "</s>") : -1;
    if (tag >= 0) { /* there it is a tag of HTML */
        t->eog[tag] = false;
        t->vocab.types[tag] = VOCAB_NORMAL;
    }
    /* Where <|return|> and <|call|> end an answer, <|end|> only separates its parts, */
    bool parts = tok_find(t, "<|return|>") >= 0 && tok_find(t, "<|call|>") >= 0;
    if (parts && tok_find(t, "<|end|>") >= 0)
        t->eog[tok_find(t, "<|end|>")] = false;
    t->shows_marks = parts && tok_find(t, "<|channel|>") >= 0;
}

/* ... of which these tell what the next one is: without them nobody could tell thoughts, calls and the answer apart. */
static const char *const mark_names[] = {"<|start|>", "<|channel|>", "<|constrain|>", "<|message|>"};

bool tok_special_is_mark(const struct tok *t, uint32_t id)
{
    if (!t->shows_marks || t->vocab.types[id] != VOCAB_CONTROL)
        return false;
    for (size_t i = 0; i < sizeof mark_names / sizeof *mark_names; i++)
        if (bytes_equal(vocab_text(&t->vocab, id), bytes_of_text(mark_names[i])))
            return true;
    return false;
}

void tok_special_open(struct tok *t)
{
    find_eog(t);
    for (uint32_t id = 0; id < t->vocab.count; id++)
        t->specials_n += is_special(t, id);
    t->specials = mem_array(t->specials_n, sizeof *t->specials);
    uint32_t n = 0;
    for (uint32_t id = 0; id < t->vocab.count; id++)
        if (is_special(t, id))
            t->specials[n++] = id;
    qsort_r(t->specials, n, sizeof *t->specials, compare_texts, &t->vocab);
    for (uint32_t i = 0; i < n; i++)
        t->special_first[vocab_text(&t->vocab, t->specials[i]).p[0] + 1]++;
    for (size_t b = 1; b <= 256; b++)
        t->special_first[b] += t->special_first[b - 1];
}

/* First of specials[low..high) whose byte at `depth` is at least `byte`; a text that ends before sorts first. */
static uint32_t narrow(const struct tok *t, uint32_t low, uint32_t high, size_t depth, unsigned byte)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct bytes text = vocab_text(&t->vocab, t->specials[middle]);
        if (depth >= text.n || text.p[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int32_t tok_special_match(const struct tok *t, struct bytes text, size_t at, bool all)
{
    uint32_t low = t->special_first[text.p[at]], high = t->special_first[text.p[at] + 1];
    int32_t best = -1;
    for (size_t depth = 1; low < high; depth++) {
        /* All in [low, high) agree with the text for `depth` bytes; only the first can be that short. */
        uint32_t id = t->specials[low];
        if (vocab_text(&t->vocab, id).n == depth && (all || t->vocab.types[id] == VOCAB_USER))
            best = (int32_t)id;
        if (at + depth >= text.n)
            break;
        unsigned byte = text.p[at + depth];
        low = narrow(t, low, high, depth, byte);
        high = narrow(t, low, high, depth, byte + 1);
    }
    return best;
}
