/* init, config show, config set: a home and its settings. The daemon's program does the work, so that one table of
 * settings is in one place. */
#include "base/json.h"
#include "base/locate.h"
#include "base/mem.h"
#include "cli/accounts.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAID_MAX  (1u << 20)
#define WORDS_MAX 300

/* -- running kithd -- */

static _Noreturn void become_daemon(const char *program, char **words, int out, int err)
{
    int none = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (none >= 0 && dup2(none, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0)
        execv(program, words);
    _exit(127);
}

static void read_all(int fd, struct buf *out)
{
    ssize_t n;
    do {
        buf_reserve(out, 4096);
        n = read(fd, out->p + out->n, 4096);
        out->n += n > 0 ? (size_t)n : 0;
    } while ((n > 0 && out->n < SAID_MAX) || (n < 0 && errno == EINTR));
    close(fd);
}

/* Appends what it printed; a failure has been said in its words. `words` begin with the program's name and end with
 * NULL. */
static int run_daemon(const struct cli *cli, char **words, struct buf *out)
{
    struct buf program = {0}, said = {0};
    struct note note = {{0}};
    int outs[2], errs[2], status = 0;
    if (locate_daemon(&program, &note) != ERR_OK)
        return cli_fail(cli, CLI_REFUSED, "%s", note.text);
    if (pipe2(outs, O_CLOEXEC) != 0 || pipe2(errs, O_CLOEXEC) != 0)
        return cli_fail(cli, CLI_REFUSED, "no pipe for kithd: %s", strerror(errno));
    pid_t child = fork();
    if (child == 0)
        become_daemon(buf_text(&program), words, outs[1], errs[1]);
    close(outs[1]);
    close(errs[1]);
    read_all(outs[0], out); /* what it says of a failure is short, and waits in its pipe */
    read_all(errs[0], &said);
    bool ended = child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status);
    int rc = ended ? WEXITSTATUS(status) : CLI_REFUSED;
    const char *text = buf_text(&said);
    if (rc != CLI_DONE) {
        text += strncmp(text, "kithd: ", 7) == 0 ? 7 : 0;
        rc = cli_fail(cli, rc == CLI_USAGE ? CLI_USAGE : CLI_REFUSED, "%.*s", (int)strcspn(text, "\n"),
                      *text ? text : "kithd did not start");
    }
    buf_clear(&program);
    buf_clear(&said);
    return rc;
}

/* Its answer, which is JSON. */
static int ask_daemon(const struct cli *cli, char **words, json_t **reply)
{
    struct buf out = {0};
    struct note note = {{0}};
    int rc = run_daemon(cli, words, &out);
    *reply = rc == CLI_DONE ? json_parse(bytes_of_buf(&out), &note) : NULL;
    if (rc == CLI_DONE && !*reply)
        rc = cli_fail(cli, CLI_REFUSED, "kithd's answer is no JSON: do kith and kithd differ in version?");
    buf_clear(&out);
    return rc;
}

/* -- config -- */

static void print_config(const struct cli *cli, const json_t *r)
{
    static const char *const titles[] = {"SETTING", "VALUE", "FROM"};
    const json_t *s;
    size_t i;
    struct out_table *t = out_table_new(titles, 3);
    json_array_foreach(json_object_get(r, "settings"), i, s)
    {
        const char *value = json_text(s, "value");
        out_table_add(t, "%s", out_text(s, "name"));
        out_table_add(t, "%s", value && *value ? out_text(s, "value") : "-");
        out_table_add(t, "%s", out_text(s, "from"));
    }
    out_table_print_free(cli, t);
    printf("\nfile: %s\n", out_text(r, "file"));
}

/* As kithd would read them now. Which options a running one was given nobody else knows. */
int cmd_config_show(const struct cli *cli, const struct args *args)
{
    char *words[] = {"kithd", "config", "show", "--json", "--home", (char *)(uintptr_t)cli->home, NULL};
    json_t *reply;
    (void)args;
    int rc = ask_daemon(cli, words, &reply);
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_config) : rc;
}

static void print_written(const struct cli *cli, const json_t *r)
{
    (void)cli;
    printf("%s is written; it holds from the next start of kithd on\n", out_text(r, "name"));
}

int cmd_config_set(const struct cli *cli, const struct args *args)
{
    char *words[WORDS_MAX + 8] = {"kithd", "config", "set", "--json", "--home", (char *)(uintptr_t)cli->home};
    unsigned n = 6;
    json_t *reply;
    for (unsigned i = 0; i < args->words_n && i < WORDS_MAX; i++)
        words[n++] = (char *)(uintptr_t)args_word(args, i);
    int rc = ask_daemon(cli, words, &reply);
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_written) : rc;
}

/* -- init -- */

static void print_init(const struct cli *cli, const json_t *r)
{
    bool wallet = json_is_true(json_object_get(r, "wallet")), genesis = json_is_true(json_object_get(r, "genesis"));
    printf("home     %s\nnode     %s\n\nnext:\n", out_text(r, "home"), out_text(r, "node"));
    (void)cli;
    if (!wallet)
        printf("  kith wallet new                a wallet of 24 words, for money and to lend this machine\n");
    if (!genesis)
        printf("  kithd --genesis FILE --peer PUBKEY@HOST:PORT    join a network: its genesis, and one who is there\n"
               "  kithd dev                      or a chain of one, to try it\n");
    else
        printf("  kithd                          start the node\n");
    printf("  kith config show               its settings; kith config set NAME VALUE\n"
           "  kith chat                      ask; kith share plan, kith share start: lend\n");
}

static bool is_there(const struct cli *cli, const char *file)
{
    struct buf path = {0};
    buf_add_format(&path, "%s/%s", cli->home, file);
    bool there = access(buf_text(&path), F_OK) == 0;
    buf_clear(&path);
    return there;
}

int cmd_init(const struct cli *cli, const struct args *args)
{
    char *words[] = {"kithd", "init", "--home", (char *)(uintptr_t)cli->home, NULL};
    struct buf out = {0};
    (void)args;
    bool runs = client_is_reachable(cli);
    if (runs)
        return cli_fail(cli, CLI_REFUSED, "a node runs there already: kith status");
    int rc = run_daemon(cli, words, &out);
    if (rc != CLI_DONE) {
        buf_clear(&out);
        return rc;
    }
    while (out.n && out.p[out.n - 1] == '\n')
        out.n--;
    json_t *reply = json_pack("{s:s, s:s, s:b, s:b}", "home", cli->home, "node", buf_text(&out), "wallet",
                              (int)is_there(cli, "wallet/wallet.keys"), "genesis", (int)is_there(cli, "genesis.json"));
    buf_clear(&out);
    return out_reply_take(cli, reply, print_init);
}
