/* Logarithms of probabilities; see the header. */
#include "inference/sched/logprob.h"

#include "base/limits.h"

#include <string.h>

#define PIECE 256u /* exponentials at once */

/* The `n` largest in order, by insertion: few are asked for. */
static void find_top(const float *logits, uint32_t vocab, uint32_t n, struct logprob *top)
{
    uint32_t have = 0;
    for (uint32_t id = 0; id < vocab; id++) {
        if (have == n && (n == 0 || logits[id] <= top[n - 1].value))
            continue;
        uint32_t at = have < n ? have++ : n - 1;
        for (; at > 0 && top[at - 1].value < logits[id]; at--)
            top[at] = top[at - 1];
        top[at] = (struct logprob){id, logits[id]};
    }
}

void logprob_all(const struct ops *ops, const float *logits, uint32_t n, uint32_t token, uint32_t top_n,
                 struct logprob *out)
{
    float peak, piece[PIECE];
    double sum = 0;
    CHECK(ops->peak(logits, n, &peak));
    for (uint32_t from = 0, have; from < n; from += have) {
        have = n - from < PIECE ? n - from : PIECE;
        memcpy(piece, logits + from, have * sizeof *piece);
        (void)ops->exponentials(piece, have, peak);
        for (uint32_t i = 0; i < have; i++)
            sum = sum + (double)piece[i];
    }
    double z = arith_log_f64(sum); /* sum >= 1 */
    out[0] = (struct logprob){token, logits[token]};
    find_top(logits, n, top_n, out + 1);
    for (uint32_t i = 0; i <= top_n; i++) {
        double value = (double)out[i].value - (double)peak - z;
        out[i].value = value > LOGPROB_LEAST ? (float)value : (float)LOGPROB_LEAST;
    }
}

void logprob_put(struct buf *out, const struct tok *tok, const struct logprob *all, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint8_t head[10];
        size_t at = out->n;
        store_le32(head, all[i].token);
        store_le32(head + 4, arith_bits(all[i].value));
        buf_add(out, head, sizeof head);
        if (tok)
            tok_piece(tok, (int32_t)all[i].token, true, out);
        if (out->n - at > sizeof head + TOKEN_PIECE_MAX)
            out->n = at + sizeof head + TOKEN_PIECE_MAX;
        store_le16(out->p + at + 8, (uint16_t)(out->n - at - sizeof head));
    }
}
