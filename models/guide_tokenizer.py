"""The tokenizer of kith-guide: byte-pair pieces, encoded as llama.cpp's "llama" (SentencePiece)
vocabularies are: start from characters, join the neighbours whose piece has the highest score
(leftmost first on equal scores) until nothing joins, and spell what is left over in byte tokens.

Training joins the most frequent pair inside words (a word carries its leading space as U+2581),
so no piece spans two words: encoding word by word gives the same ids as encoding the whole text,
and that is what makes the cache below sound.
"""
import collections
import heapq
import json
import re

SPACE = "\u2581"
CONTROL = ["<s>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
UNK_ID, BOS_ID, EOS_ID, USER_ID, ASSISTANT_ID, SYSTEM_ID = range(6)
TYPE_NORMAL, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_BYTE = 1, 2, 3, 6
WORD = re.compile(SPACE + "?[^" + SPACE + "]+|" + SPACE)


def words_of(text):
    """Cut text into words, each with the space before it."""
    return WORD.findall(text.replace(" ", SPACE))


class Tokenizer:
    def __init__(self, pieces, scores, types):
        self.pieces, self.scores, self.types = pieces, scores, types
        self.ids = {p: i for i, p in enumerate(pieces) if types[i] == TYPE_NORMAL}
        self.byte_base = pieces.index("<0x00>")
        self.cache = {}

    def __len__(self):
        return len(self.pieces)

    def encode_word(self, word, rng=None, dropout=0.0):
        """Ids of one word. With rng, each join is skipped with probability dropout (training only)."""
        symbols = list(word)
        after = list(range(1, len(symbols) + 1))
        before = list(range(-1, len(symbols) - 1))
        queue = []

        def offer(left):
            right = after[left] if left >= 0 else len(symbols)
            if left < 0 or right >= len(symbols):
                return
            joined = symbols[left] + symbols[right]
            if joined in self.ids and not (rng and rng.random() < dropout):
                heapq.heappush(queue, (-self.scores[self.ids[joined]], left, right, joined))

        for i in range(len(symbols) - 1):
            offer(i)
        while queue:
            _, left, right, joined = heapq.heappop(queue)
            if symbols[left] is None or symbols[right] is None or symbols[left] + symbols[right] != joined:
                continue
            if after[left] != right:
                continue
            symbols[left], symbols[right] = joined, None
            after[left] = after[right]
            if after[right] < len(symbols):
                before[after[right]] = left
            offer(before[left])
            offer(left)
        out = []
        for s in symbols:
            if s is None:
                continue
            if s in self.ids:
                out.append(self.ids[s])
            else:
                out.extend(self.byte_base + b for b in s.encode("utf-8"))
        return out

    def encode(self, text, rng=None, dropout=0.0):
        out = []
        for word in words_of(text):
            if rng and rng.random() < 0.3:
                out.extend(self.encode_word(word, rng, dropout))
                continue
            ids = self.cache.get(word)
            if ids is None:
                ids = self.cache[word] = self.encode_word(word)
            out.extend(ids)
        return out

    def decode(self, ids):
        out = bytearray()
        for i in ids:
            kind = self.types[i]
            if kind == TYPE_BYTE:
                out.append(i - self.byte_base)
            elif kind == TYPE_NORMAL:
                out += self.pieces[i].replace(SPACE, " ").encode("utf-8")
        return out.decode("utf-8", "replace")

    def save(self, path):
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"pieces": self.pieces, "scores": self.scores, "types": self.types}, f, ensure_ascii=False,
                      indent=0)

    @staticmethod
    def load(path):
        with open(path, encoding="utf-8") as f:
            d = json.load(f)
        return Tokenizer(d["pieces"], d["scores"], d["types"])


def train(word_counts, vocab_size):
    """Byte-pair training. word_counts: {word with its leading U+2581: count}. Ties go to the lesser pair."""
    chars = [SPACE] + [chr(c) for c in range(0x21, 0x7F)]
    chars += sorted({c for w in word_counts for c in w if ord(c) > 0x7F and c != SPACE} - set(chars))[:32]
    pieces = ["<unk>"] + CONTROL + ["<0x%02X>" % b for b in range(256)]
    types = [TYPE_UNKNOWN] + [TYPE_CONTROL] * len(CONTROL) + [TYPE_BYTE] * 256
    scores = [0.0] * len(pieces)
    merges_max = vocab_size - len(pieces) - len(chars)
    words = [(list(w), n) for w, n in sorted(word_counts.items())]
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for wi, (symbols, n) in enumerate(words):
        for p in zip(symbols, symbols[1:]):
            pairs[p] += n
            where[p].add(wi)
    merged, seen = [], set(chars)
    while len(merged) < merges_max and pairs:
        best = min(pairs, key=lambda p: (-pairs[p], p))
        if pairs[best] < 2:
            break
        joined = best[0] + best[1]
        if joined not in seen:
            merged.append(joined)
            seen.add(joined)
        for wi in sorted(where[best]):
            symbols, n = words[wi]
            for p in zip(symbols, symbols[1:]):
                pairs[p] -= n
                if pairs[p] <= 0:
                    del pairs[p]
            new, i = [], 0
            while i < len(symbols):
                if i + 1 < len(symbols) and (symbols[i], symbols[i + 1]) == best:
                    new.append(joined)
                    i += 2
                else:
                    new.append(symbols[i])
                    i += 1
            symbols[:] = new
            for p in zip(symbols, symbols[1:]):
                pairs[p] += n
                where[p].add(wi)
        pairs.pop(best, None)
        where.pop(best, None)
    for i, piece in enumerate(merged + chars):
        pieces.append(piece)
        types.append(TYPE_NORMAL)
        scores.append(float(-i))
    return Tokenizer(pieces, scores, types)
