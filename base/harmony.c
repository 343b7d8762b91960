/* Answers in parts, by their marks. */
#include "base/harmony.h"

#include <string.h>

static const char start_mark[] = "<|start|>", channel_mark[] = "<|channel|>", message_mark[] = "<|message|>",
                  to_mark[] = "to=", function_prefix[] = "functions.";

/* How answers in parts begin. */
static const char *const beginnings[] = {"<|channel|>", " to=functions."};

bool harmony_is(struct bytes answer, bool is_over)
{
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        const char *mark = beginnings[i];
        if (bytes_begin(answer, mark))
            return true;
        if (!is_over && answer.n > 0 && answer.n < strlen(mark) && memcmp(answer.p, mark, answer.n) == 0)
            return true;
    }
    return false;
}

/* Where the mark stands, the text's length if nowhere. */
static size_t find(struct bytes text, const char *mark)
{
    const uint8_t *p = text.n ? memmem(text.p, text.n, mark, strlen(mark)) : NULL;
    return p ? (size_t)(p - text.p) : text.n;
}

static struct bytes from(struct bytes text, size_t at)
{
    return bytes_of(text.p + at, text.n - at);
}

/* What stands behind the mark, up to white space or another mark; empty where there is none. */
static struct bytes word_behind(struct bytes head, const char *mark)
{
    size_t at = find(head, mark), n = 0;
    if (at == head.n)
        return bytes_of(NULL, 0);
    struct bytes rest = from(head, at + strlen(mark));
    while (n < rest.n && !strchr(" \t\r\n<", rest.p[n]))
        n++;
    return bytes_of(rest.p, n);
}

static void read_head(struct bytes head, struct harmony_part *out)
{
    struct bytes to = word_behind(head, to_mark), channel = word_behind(head, channel_mark);
    out->name = bytes_of(NULL, 0);
    if (bytes_begin(to, function_prefix)) {
        out->kind = HARMONY_CALL;
        out->name = from(to, strlen(function_prefix));
    } else {
        out->kind = to.n || bytes_equal(channel, bytes_of_text("analysis")) ? HARMONY_THOUGHT : HARMONY_ANSWER;
    }
}

/* How long a part's text is. In one pass: who wrote the answer may have made thousands of parts. */
static size_t text_length(struct bytes body)
{
    size_t at = find(body, "<|");
    while (at < body.n && !bytes_begin(from(body, at), start_mark) && !bytes_begin(from(body, at), channel_mark)) {
        at += 2;
        at += find(from(body, at), "<|");
    }
    return at;
}

bool harmony_next(struct bytes *rest, struct harmony_part *out)
{
    size_t at = find(*rest, message_mark);
    if (at == rest->n)
        return false;
    read_head(bytes_of(rest->p, at), out);
    struct bytes body = from(*rest, at + strlen(message_mark));
    size_t n = text_length(body);
    out->text = bytes_of(body.p, n);
    *rest = from(body, n);
    return true;
}

void harmony_join(struct bytes answer, enum harmony_kind kind, struct buf *out)
{
    struct harmony_part part;
    bool first = true;
    while (harmony_next(&answer, &part)) {
        if (part.kind != kind || part.text.n == 0)
            continue;
        buf_add_text(out, first ? "" : "\n\n");
        buf_add(out, part.text.p, part.text.n);
        first = false;
    }
}
