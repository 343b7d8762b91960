/* BIP39. Eleven bits a word: the entropy, then the first n / 4 bits of its SHA-256 (n bytes of entropy) as a checksum.
 */
#include "wallet/mnemonic.h"

#include "base/hash.h"
#include "base/secret.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { WORD_COUNT = 2048, WORD_BITS = 11, WORD_LETTERS_MAX = 8 };

static const char *const words[WORD_COUNT] = {
#include "words.inc"
};

static bool is_length(size_t n)
{
    return n >= 16 && n <= MNEMONIC_ENTROPY_MAX && n % 4 == 0;
}

/* Bit i of the entropy with its checksum byte behind. */
static unsigned bit_at(const uint8_t *p, size_t i)
{
    return (unsigned)p[i / 8] >> (7 - i % 8) & 1u;
}

void mnemonic_put(const uint8_t *entropy, size_t n, char text[MNEMONIC_TEXT_ROOM])
{
    uint8_t bits[MNEMONIC_ENTROPY_MAX + 1];
    CHECK(is_length(n));
    struct hash sum = hash_sha256(entropy, n);
    memcpy(bits, entropy, n);
    bits[n] = sum.b[0];
    size_t at = 0, count = (n * 8 + n / 4) / WORD_BITS;
    for (size_t w = 0; w < count; w++) {
        unsigned index = 0;
        for (size_t i = 0; i < WORD_BITS; i++)
            index = index << 1 | bit_at(bits, w * WORD_BITS + i);
        size_t letters = strlen(words[index]);
        if (w)
            text[at++] = ' ';
        memcpy(text + at, words[index], letters);
        at += letters;
    }
    text[at] = 0;
    secret_wipe(bits, sizeof bits);
    secret_wipe(&sum, sizeof sum);
}

/* The list is sorted. WORD_COUNT when absent. */
static unsigned find_word(const char *word)
{
    unsigned low = 0, high = WORD_COUNT;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        int order = strcmp(word, words[middle]);
        if (order == 0)
            return middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return WORD_COUNT;
}

/* Letters that must change, insert or go: small words, so the plain recursion's table fits on the stack. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[WORD_LETTERS_MAX * 2 + 1];
    size_t m = strlen(b);
    for (unsigned j = 0; j <= m; j++)
        row[j] = j;
    for (unsigned i = 1; *a; a++, i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            unsigned change = diagonal + (*a != b[j - 1]), edge = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < edge ? change : edge;
        }
    }
    return row[m];
}

static enum err wrong_word(const char *word, unsigned position, struct note *note)
{
    const char *best = NULL;
    unsigned least = 3;
    for (unsigned i = 0; i < WORD_COUNT; i++) {
        unsigned d = distance(word, words[i]);
        if (d < least) {
            least = d;
            best = words[i];
        }
    }
    if (best)
        return note_set(note, ERR_FORMAT, "word %u, \"%s\", is not in the list: did you mean \"%s\"?", position, word,
                        best);
    return note_set(note, ERR_FORMAT, "word %u, \"%s\", is not in the list of recovery words", position, word);
}

/* The next word in lower case; false at the end. Longer ones are cut, which makes them no word of the list. */
static bool next_word(const char **text, char word[WORD_LETTERS_MAX * 2 + 1])
{
    size_t n = 0;
    while (isspace((unsigned char)**text))
        ++*text;
    for (; **text && !isspace((unsigned char)**text); ++*text)
        if (n < WORD_LETTERS_MAX * 2)
            word[n++] = (char)(isprint((unsigned char)**text) ? tolower((unsigned char)**text) : '?');
    word[n] = 0;
    return n > 0;
}

enum err mnemonic_get(const char *text, uint8_t entropy[MNEMONIC_ENTROPY_MAX], size_t *n, struct note *note)
{
    uint8_t bits[MNEMONIC_ENTROPY_MAX + 1] = {0};
    char word[WORD_LETTERS_MAX * 2 + 1];
    unsigned count = 0;
    enum err e = ERR_OK;
    while (e == ERR_OK && next_word(&text, word)) {
        unsigned index = find_word(word);
        if (index == WORD_COUNT)
            e = wrong_word(word, count + 1, note);
        else if (count < MNEMONIC_WORDS)
            for (size_t i = 0; i < WORD_BITS; i++) {
                size_t at = count * WORD_BITS + i;
                bits[at / 8] |= (uint8_t)((index >> (WORD_BITS - 1 - i) & 1u) << (7 - at % 8));
            }
        count++;
    }
    if (e == ERR_OK && (count < 12 || count > MNEMONIC_WORDS || count % 3 != 0))
        e = note_set(note, ERR_FORMAT, "%u words were given: a wallet has 24 (or 12, 15, 18 or 21)", count);
    if (e == ERR_OK) {
        *n = (size_t)count / 3 * 4;
        struct hash sum = hash_sha256(bits, *n);
        unsigned kept = 8 - (unsigned)*n / 4; /* bits of the last byte that the checksum leaves free */
        if (bits[*n] >> kept != sum.b[0] >> kept)
            e = note_set(
                note, ERR_FORMAT,
                "all %u words are in the list, but their checksum is wrong: a word is mistaken or two are swapped",
                count);
        else
            memcpy(entropy, bits, *n);
        secret_wipe(&sum, sizeof sum);
    }
    secret_wipe(bits, sizeof bits);
    secret_wipe(word, sizeof word);
    return e;
}

void mnemonic_seed(const char *text, const char *passphrase, uint8_t seed[MNEMONIC_SEED_SIZE])
{
    enum { ROUNDS = 2048 };
    char salt[8 + 256];
    int n = snprintf(salt, sizeof salt, "mnemonic%s", passphrase);
    CHECK(n > 0 && (size_t)n < sizeof salt);
    hash_pbkdf2_sha512(seed, text, strlen(text), salt, (size_t)n, ROUNDS);
    secret_wipe(salt, sizeof salt);
}
