/* Settings of kithd: from a file (through inih) and from the command line. The first byte chooses one. */
#include "base/bytes.h"
#include "base/mem.h"
#include "node/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORDS_MAX 32

/* Refused with words, or every setting is something that can be used. */
static void load(int n, char **words)
{
    struct config c;
    struct note note = {{0}};
    bool help;
    enum err e = config_load(&c, n, words, &help, &note);
    CHECK(e == ERR_OK || note.text[0]);
    if (e == ERR_OK)
        CHECK(c.home && c.listen && c.http && c.backend && c.threads <= UINT32_MAX && c.peers.n <= PEERS_ADDED_MAX);
    config_clear(&c);
}

static void try_file(struct bytes raw)
{
    static int fd = -1;
    char path[64], home[] = "--home=/nonexistent", *words[2] = {home, path};
    if (fd < 0)
        fd = memfd_create("settings", 0);
    CHECK(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, raw.p, raw.n, 0) == (ssize_t)raw.n);
    snprintf(path, sizeof path, "--config=/proc/self/fd/%d", fd);
    load(2, words);
}

/* One a line; no file is read, but where it is named. */
static void try_words(struct bytes raw)
{
    char *text = mem_new(raw.n + 1), home[] = "--home=/nonexistent", *words[WORDS_MAX] = {home}, *rest = text;
    int n = 1;
    memcpy(text, raw.p, raw.n);
    for (char *word; n < WORDS_MAX && (word = strsep(&rest, "\n"));)
        words[n++] = word;
    load(n, words);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct bytes) = {try_file, try_words};
    if (size > 0)
        tries[data[0] % (sizeof tries / sizeof *tries)](bytes_of(data + 1, size - 1));
    return 0;
}
