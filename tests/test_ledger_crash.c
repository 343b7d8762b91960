/* kill -9 while blocks are committed over LevelDB: what was reported as committed is there, whole, each time. */
#include "chain/ledger.h"
#include "tests/support.h"
#include "tests/world.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLS 12

/* One block with a transfer; true if it is committed. */
static bool one_block(const struct world *w, struct ledger *l)
{
    struct tx_transfer body = {.to = w->key[2], .amount = amount_of(1)};
    struct ledger_info info = ledger_info(l);
    struct buf raw = {0}, tx = {0};
    const struct ledger_result *result;
    struct note note;
    tx_transfer_put(&raw, &body);
    tx_build(&tx, &w->chain, &w->secret[1], info.height, amount_of(1000000), TX_TRANSFER, bytes_of_buf(&raw));
    struct bytes only = bytes_of_buf(&tx);
    struct ledger_block b = {.height = info.height + 1, .time_ms = info.time_ms + 1, .proposer = w->key[0]};
    b.txs = &only;
    b.n = 1;
    bool ok = ledger_finalize(l, &b, &result, &note) == ERR_OK && result->codes[0] == ERR_OK &&
              ledger_commit(l, NULL, &note) == ERR_OK;
    buf_clear(&raw);
    buf_clear(&tx);
    return ok;
}

/* The child: opens, commits for ever, reports each committed height. */
static _Noreturn void commit_until_killed(const struct world *w, const char *dir, int out)
{
    struct kv *kv;
    struct ledger *l;
    struct note note;
    if (kv_leveldb_open(dir, &kv, &note) || ledger_open(kv, &w->genesis, &l, &note))
        _exit(1);
    while (one_block(w, l)) {
        uint64_t height = ledger_info(l).height;
        if (write(out, &height, sizeof height) != sizeof height)
            _exit(1);
    }
    _exit(2);
}

/* Kills it some time after its first report; the last height that it reported. */
static uint64_t run_and_kill(const struct world *w, const char *dir, unsigned delay_us)
{
    int pipe_ends[2];
    uint64_t height, last = 0;
    assert_int_equal(pipe(pipe_ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(pipe_ends[0]);
        commit_until_killed(w, dir, pipe_ends[1]);
    }
    close(pipe_ends[1]);
    for (unsigned reports = 0; read(pipe_ends[0], &height, sizeof height) == sizeof height; reports++) {
        last = height;
        if (reports == 5) {
            usleep(delay_us);
            assert_int_equal(kill(child, SIGKILL), 0);
        }
    }
    close(pipe_ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    return last;
}

static void what_was_committed_stays(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    char *dir = test_dir_new();
    struct rec_account account;
    for (unsigned i = 0; i < KILLS; i++) {
        struct kv *kv;
        struct ledger *l;
        struct note note;
        uint64_t reported = run_and_kill(w, dir, 137 * i);
        assert_int_equal(kv_leveldb_open(dir, &kv, &note), ERR_OK);
        supply_check(kv);
        assert_int_equal(ledger_open(kv, &w->genesis, &l, &note), ERR_OK);
        uint64_t height = ledger_info(l).height;
        assert_true(height >= reported && height <= reported + 1);
        ledger_account(l, &w->key[2], &account);
        assert_true(account.balance.mote == WORLD_FUND + height);
        assert_true(ledger_nonce(l, &w->key[1]) == height);
        ledger_close(l);
        kv_close(kv);
    }
    test_dir_remove(dir);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_committed_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
