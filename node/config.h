/* What a kithd was told: defaults, then HOME/kith.conf (or --config FILE), then KITH_* of the environment,
 * then options of the command line; the later wins, and lists (peers) add up. One table (config.c) has
 * every setting once.
 *
 *     kith.conf    listen = 0.0.0.0:7718         environment   KITH_LISTEN=0.0.0.0:7718
 *                  peer = PUBKEY@HOST:PORT                     KITH_PEER=...
 *     option       --listen 0.0.0.0:7718 --peer PUBKEY@HOST:PORT --peer ...
 */
#ifndef KITH_NODE_CONFIG_H
#define KITH_NODE_CONFIG_H

#include "base/limits.h"
#include "base/log.h"

#include <stdbool.h>
#include <stdint.h>

struct config_texts {
    char *text[PEERS_ADDED_MAX];
    unsigned n;
};

/* Where a value comes from; the later wins. */
enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT, CONFIG_OPTION };
#define CONFIG_SETTINGS_MAX 48

struct config {
    uint8_t from[CONFIG_SETTINGS_MAX]; /* enum config_source of each setting, in the order of the table */
    char *home;                        /* never NULL; absolute or as given */
    char *file;                        /* kith.conf; NULL: HOME/kith.conf if there is one */
    char *genesis;                     /* file to begin from; NULL: HOME/genesis.json */
    char *listen;                      /* p2p, "HOST:PORT"; "" does not listen */
    char *announce;                    /* what is told to others instead of listen's port; or NULL */
    char *http;                        /* API, "HOST:PORT"; "" does not listen on TCP */
    char *log_file;                    /* NULL: standard error */
    char *sync;                        /* auto, snapshot, blocks; NULL: auto */
    char *checkpoint;                  /* HEIGHT:BLOCK, from where headers are trusted; NULL: the genesis */
    char *plant;                       /* file of planted jobs; NULL: none */
    char *backend;                     /* of workers: auto, ref, avx2, ... */
    struct config_texts peers;
    struct config_texts http_names;
    enum log_level log_level;
    bool validator, provide, audit;
    bool portmap;
    bool relay; /* for nodes that nobody can dial */
    bool fresh; /* dev: begin again */
    bool dev;   /* not a setting: kithd dev sets it */
    bool no_default_model;
    bool history;                     /* of accounts is kept */
    uint64_t keep_blocks;             /* 0: all */
    uint64_t snapshot_blocks;         /* between two snapshots; 0: none */
    uint64_t block_ms, heartbeat_ms;  /* of blocks; 0: as limits.h says */
    uint64_t threads;                 /* of a worker; 0: one per processor */
    uint64_t memory_mb;               /* for all workers; 0: no limit */
    uint64_t keep_jobs, keep_jobs_mb; /* that this node asked for */
    uint64_t keep_jobs_days;          /* 0: as long as there is room */
    uint64_t check_auditors;          /* one of so many is; 0: none */
    uint64_t packs_mb;                /* of packed weights kept in HOME/packs; 0: none */
};

/* `home` may be set by the options or KITH_HOME; otherwise it is $XDG_DATA_HOME/kith or ~/.local/share/kith.
 * `words` are the command line behind program and command name. *help is set when --help stands among them.
 * ERR_USAGE or what reading the file gave, with a note. Clear it in either case. */
enum err config_load(struct config *c, int words_n, char **words, bool *help, struct note *note) MUST_USE;
void config_clear(struct config *c);
/* Every setting with its value as it would stand in a file (of a list, one after the other with a comma) and where that
 * comes from. */
typedef void (*config_setting_fn)(void *arg, const char *name, const char *value, enum config_source from,
                                  const char *help);
void config_each(const struct config *c, config_setting_fn fn, void *arg);
const char *config_source_text(enum config_source from);
/* Writes the setting into the file that `c` was read from: each value a line (none: back to the default), comments and
 * other lines stay, and the file is replaced at once or not at all. ERR_USAGE names what is no setting, and the nearest
 * that is one. */
enum err config_write(const struct config *c, const char *name, char **values, int values_n,
                      struct note *note) MUST_USE;
/* The options, one a line, for --help. */
void config_print_help(void);
/* A path under home; the caller frees. */
char *config_path(const struct config *c, const char *name);

#endif
