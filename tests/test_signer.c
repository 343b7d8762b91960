/* The signer's record: never back, never two things, the same bytes again, and a file that survives torn writes. */
#include "chain/signer.h"
#include "tests/support.h"

#include <string.h>

static const struct hash chain = {{1}};

static struct seckey key(void)
{
    struct seckey k;
    memset(k.b, 7, sizeof k.b);
    return k;
}

static struct vote vote(enum vote_kind kind, uint64_t height, uint32_t round, uint8_t value)
{
    return (struct vote){
        .kind = (uint8_t)kind, .height = height, .round = round, .value = {{value}}, .valid_round = VOTE_NO_ROUND};
}

static enum err sign(struct signer *s, struct vote *v, bool *fresh)
{
    struct seckey k = key();
    return signer_sign_vote(s, &k, &chain, v, fresh);
}

static void the_same_step_gives_the_same_bytes(void **state)
{
    (void)state;
    struct signer s;
    bool fresh;
    signer_init(&s, 0);
    struct vote a = vote(VOTE_PREVOTE, 5, 1, 3), b = a, c = vote(VOTE_PREVOTE, 5, 1, 4);
    assert_int_equal(sign(&s, &a, &fresh), ERR_OK);
    assert_true(fresh);
    assert_int_equal(sign(&s, &b, &fresh), ERR_OK);
    assert_false(fresh);
    assert_true(vote_equal(&a, &b));
    assert_int_equal(sign(&s, &c, &fresh), ERR_STATE); /* the other face */
    c.value = a.value;
    c.valid_round = 0; /* differs only in the valid round */
    assert_int_equal(sign(&s, &c, &fresh), ERR_STATE);
    struct seckey k = key();
    struct pubkey p = key_public(&k);
    assert_true(vote_verify(&a, &chain, &p));
}

static void it_never_goes_back(void **state)
{
    (void)state;
    struct signer s;
    bool fresh;
    struct seckey k = key();
    signer_init(&s, 4);
    struct vote v = vote(VOTE_PREVOTE, 3, 9, 1);
    assert_int_equal(sign(&s, &v, &fresh), ERR_STATE); /* below where it begins */
    v = vote(VOTE_PRECOMMIT, 5, 2, 1);
    assert_int_equal(sign(&s, &v, &fresh), ERR_OK);
    assert_int_equal(s.locked_height, 5);
    assert_int_equal(s.locked_round, 2);
    static const struct {
        enum vote_kind kind;
        uint64_t height;
        uint32_t round;
        enum err e;
    } next[] = {
        {VOTE_PREVOTE, 5, 2, ERR_STATE}, {VOTE_PRECOMMIT, 5, 1, ERR_STATE}, {VOTE_PRECOMMIT, 4, 9, ERR_STATE},
        {VOTE_PREVOTE, 5, 3, ERR_OK},    {VOTE_PREVOTE, 6, 0, ERR_OK},      {VOTE_PRECOMMIT, 6, 0, ERR_OK},
        {VOTE_PREVOTE, 5, 4, ERR_STATE},
    };
    for (size_t i = 0; i < sizeof next / sizeof *next; i++) {
        v = vote(next[i].kind, next[i].height, next[i].round, 0);
        assert_int_equal(sign(&s, &v, &fresh), next[i].e);
    }
    assert_int_equal(s.locked_height, 5); /* nil locks nothing */
    struct proposal p = {.height = 6, .round = 0, .valid_round = VOTE_NO_ROUND, .value = {{1}}};
    assert_int_equal(signer_sign_proposal(&s, &k, &chain, &p, &fresh), ERR_STATE); /* after its own votes */
    p.round = 1;
    assert_int_equal(signer_sign_proposal(&s, &k, &chain, &p, &fresh), ERR_OK);
}

static void put(uint8_t *file, const struct signer *s)
{
    uint8_t slot[SIGNER_SLOT_SIZE];
    uint64_t at = signer_put_slot(s, slot);
    memcpy(file + at, slot, sizeof slot);
}

/* Whatever part of the last write reached the disk, what is read is the record before it or the new one. */
static void a_torn_write_loses_nothing_that_left(void **state)
{
    (void)state;
    uint8_t file[SIGNER_FILE_SIZE] = {0}, torn[SIGNER_FILE_SIZE], slot[SIGNER_SLOT_SIZE];
    struct signer s, back;
    bool fresh;
    signer_init(&s, 0);
    signer_make_file(&s, file);
    for (uint32_t round = 0; round < 5; round++) {
        struct signer before = s;
        struct vote v = vote(VOTE_PREVOTE, 1, round, 1);
        assert_int_equal(sign(&s, &v, &fresh), ERR_OK);
        uint64_t at = signer_put_slot(&s, slot);
        for (size_t n = 0; n <= SIGNER_SLOT_SIZE; n++) {
            memcpy(torn, file, sizeof torn);
            memcpy(torn + at, slot, n);
            assert_int_equal(signer_get_file(&back, bytes_of(torn, sizeof torn)), ERR_OK);
            assert_true(signer_equal(&back, &s) || (n < SIGNER_SLOT_SIZE && signer_equal(&back, &before)));
        }
        put(file, &s);
    }
    memset(file, 0, sizeof file);
    assert_int_equal(signer_get_file(&back, bytes_of(file, sizeof file)), ERR_CORRUPT);
    assert_int_equal(signer_get_file(&back, bytes_of(file, 100)), ERR_FORMAT);
}

/* A tear, mended or not believed, then another one in the same slot. */
static void a_second_tear_finds_a_whole_copy(void **state)
{
    (void)state;
    uint8_t start[SIGNER_FILE_SIZE], file[SIGNER_FILE_SIZE], slot[SIGNER_SLOT_SIZE];
    struct signer s, back;
    bool fresh;
    signer_init(&s, 0);
    signer_make_file(&s, start);
    for (size_t first = 0; first <= SIGNER_SLOT_SIZE; first += 37)
        for (size_t second = 0; second <= SIGNER_SLOT_SIZE; second += 37) {
            memcpy(file, start, sizeof file);
            s = (struct signer){0};
            assert_int_equal(signer_get_file(&s, bytes_of(file, sizeof file)), ERR_OK);
            for (uint32_t round = 0; round < 4; round++) {
                struct vote v = vote(VOTE_PREVOTE, 1, round, 1);
                assert_int_equal(sign(&s, &v, &fresh), ERR_OK);
                uint64_t at = signer_put_slot(&s, slot);
                memcpy(file + at, slot, round % 2 ? second : first);
                assert_int_equal(signer_get_file(&back, bytes_of(file, sizeof file)), ERR_OK);
                bool changed = signer_mend_file(file);
                (void)changed;
                assert_int_equal(signer_get_file(&s, bytes_of(file, sizeof file)), ERR_OK);
                assert_true(signer_equal(&s, &back));
                assert_false(signer_mend_file(file));
            }
        }
}

/* Any byte, changed in any file that can be: the last record is found, or nothing is. */
static void damage_is_repaired_or_found(void **state)
{
    (void)state;
    uint8_t file[SIGNER_FILE_SIZE];
    struct signer s, back;
    bool fresh;
    signer_init(&s, 0);
    signer_make_file(&s, file);
    for (uint32_t round = 0; round < 5; round++) {
        for (size_t at = 0; at < sizeof file; at++)
            for (uint8_t flip = 1; flip; flip = (uint8_t)(flip << 1)) {
                file[at] ^= flip;
                assert_int_equal(signer_get_file(&back, bytes_of(file, sizeof file)), ERR_OK);
                assert_true(signer_equal(&back, &s));
                file[at] ^= flip;
            }
        struct vote v = vote(VOTE_PREVOTE, 1, round, 1);
        assert_int_equal(sign(&s, &v, &fresh), ERR_OK);
        put(file, &s);
    }
    uint64_t at = s.sequence % 2 * SIGNER_SLOT_SIZE;
    file[at + 5] ^= 1;
    file[at + SIGNER_COPY_SIZE + 5] ^= 1; /* both copies of what was signed last: the slot before it is not believed */
    assert_int_equal(signer_get_file(&back, bytes_of(file, sizeof file)), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_step_gives_the_same_bytes),   cmocka_unit_test(it_never_goes_back),
        cmocka_unit_test(a_torn_write_loses_nothing_that_left), cmocka_unit_test(a_second_tear_finds_a_whole_copy),
        cmocka_unit_test(damage_is_repaired_or_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
