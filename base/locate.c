/* Finding Kith's own parts. */
#include "base/locate.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The directory of the running program, links resolved, with a slash behind. */
static bool own_directory(struct buf *path)
{
    char text[4096];
    ssize_t n = readlink("/proc/self/exe", text, sizeof text);
    if (n <= 0 || n == (ssize_t)sizeof text)
        return false;
    while (n > 0 && text[n - 1] != '/')
        n--;
    buf_reset(path);
    buf_add(path, text, (size_t)n);
    return n > 0;
}

/* Tries each folder relative to the program. */
static bool find_in(struct buf *path, const char *const *folders, const char *file, int mode)
{
    for (; *folders; folders++) {
        if (!own_directory(path))
            return false;
        buf_add_text(path, *folders);
        buf_add_text(path, file);
        if (access(buf_text(path), mode) == 0)
            return true;
    }
    return false;
}

enum err locate_worker(struct buf *path, struct note *note)
{
    static const char *const folders[] = {"", "../libexec/", "../", NULL}; /* the last: programs of the tests */
    const char *set = getenv("KITH_WORKER");
    if (set && *set) {
        buf_reset(path);
        buf_add_text(path, set);
        if (access(buf_text(path), X_OK) != 0)
            return note_set(note, ERR_NOT_FOUND, "KITH_WORKER is \"%.200s\", which is no program", set);
        return ERR_OK;
    }
    if (find_in(path, folders, "kith-worker", X_OK))
        return ERR_OK;
    return note_set(
        note, ERR_NOT_FOUND,
        "kith-worker is neither beside this program nor in ../libexec: build it with `make`, or say where it "
        "is with KITH_WORKER");
}

enum err locate_daemon(struct buf *path, struct note *note)
{
    static const char *const folders[] = {"", "../", NULL}; /* the last: programs of the tests */
    if (find_in(path, folders, "kithd", X_OK))
        return ERR_OK;
    return note_set(note, ERR_NOT_FOUND, "kithd is not beside this program: build it with `make`");
}

enum err locate_model(const char *file, struct buf *path, struct note *note)
{
    static const char *const folders[] = {"../models/", "../../models/", "../../../models/", "../share/kith/models/",
                                          NULL};
    const char *set = getenv("KITH_MODELS");
    if (set && *set) {
        buf_reset(path);
        buf_add_format(path, "%s/%s", set, file);
        if (access(buf_text(path), R_OK) == 0)
            return ERR_OK;
        return note_set(note, ERR_NOT_FOUND, "%s is not in KITH_MODELS, \"%.200s\"", file, set);
    }
    if (find_in(path, folders, file, R_OK))
        return ERR_OK;
    return note_set(note, ERR_NOT_FOUND, "%s is not where it was installed: say where with KITH_MODELS", file);
}

void locate_environment(char *out[LOCATE_ENVIRONMENT_MAX])
{
    static const char *const names[LOCATE_ENVIRONMENT_MAX - 1] = {"KITH_CUDA=", "CUDA_VISIBLE_DEVICES="};
    size_t n = 0;
    for (size_t i = 0; i < LOCATE_ENVIRONMENT_MAX - 1; i++)
        for (char **at = environ; at && *at; at++)
            if (strncmp(*at, names[i], strlen(names[i])) == 0) {
                out[n++] = *at;
                break;
            }
    out[n] = NULL;
}
