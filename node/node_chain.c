/* The parts of the node that keep the chain: ledger, consensus, snapshots. */
#include "node/node_in.h"

#include "chain/genesis.h"
#include "node/host/helpers.h"
#include "node/consensus/history.h"
#include "node/home.h"

#include <stdlib.h>

/* The genesis counts at the first start; later it must be the same one. */
enum err node_start_ledger(struct node *n, struct note *note)
{
    char *path, *store = config_path(n->config, "chain");
    struct genesis genesis;
    struct buf room = {0};
    enum err e = home_genesis(n->config, &path, note);
    if (e == ERR_OK)
        e = genesis_read(path, &genesis, &room, note);
    if (e == ERR_OK)
        e = kv_leveldb_open(store, &n->kv, note);
    n->helpers = helpers_new(helpers_best());
    struct parallel parallel = helpers_parallel(n->helpers);
    if (e == ERR_OK && (e = ledger_open_parallel(n->kv, &genesis, &parallel, &n->ledger, note)) != ERR_OK)
        kv_close(n->kv);
    if (e == ERR_OK)
        n->chain = ledger_info(n->ledger).chain;
    else
        helpers_free(n->helpers);
    buf_clear(&room);
    free(store);
    free(path);
    return e;
}

void node_stop_ledger(struct node *n)
{
    ledger_close(n->ledger);
    helpers_free(n->helpers);
    kv_close(n->kv);
}

/* It votes with the node's key wherever that is a validator's, and only if it was told to: two machines with a copy of
 * one key must not both. */
enum err node_start_consensus(struct node *n, struct note *note)
{
    if (n->config->history) {
        enum err e = history_open(n->kv, ledger_info(n->ledger).height, &n->history, note);
        if (e != ERR_OK)
            return e;
    }
    char *dir = config_path(n->config, "consensus");
    struct consensus_options o = {
        .host = n->host,
        .kv = n->kv,
        .ledger = n->ledger,
        .peers = n->peers,
        .key = n->config->validator ? &n->key : NULL,
        .dir = dir,
        .block_interval_ms = n->config->dev && !n->config->block_ms ? 1 : (uint32_t)n->config->block_ms,
        .heartbeat_ms = (uint32_t)n->config->heartbeat_ms,
        .keep_blocks = n->config->keep_blocks,
        .store = n->history ? history_store : NULL,
        .store_arg = n->history,
    };
    enum err e = consensus_open(&o, &n->consensus, note);
    free(dir);
    if (e != ERR_OK)
        history_close(n->history);
    return e;
}

void node_stop_consensus(struct node *n)
{
    consensus_close(n->consensus);
    history_close(n->history);
}

/* HEIGHT:BLOCK, as `kith chain block` shows them. */
static enum err checkpoint_parse(const char *text, uint64_t *height, struct hash *id, struct note *note)
{
    char *end;
    *height = text ? strtoull(text, &end, 10) : 0;
    if (!text || (*text >= '1' && *text <= '9' && *end == ':' && hex_get(end + 1, id->b, sizeof id->b)))
        return ERR_OK;
    return note_set(note, ERR_USAGE, "checkpoint = %.100s: HEIGHT:BLOCK is needed, a number and 64 hexadecimal digits",
                    text);
}

static bool needs_blocks(void *arg)
{
    const struct node *n = arg;
    return n->access && access_waits(n->access);
}

enum err node_start_snapshots(struct node *n, struct note *note)
{
    char *dir = config_path(n->config, "snapshots");
    struct snapshots_options o = {.host = n->host,
                                  .peers = n->peers,
                                  .ledger = n->ledger,
                                  .consensus = n->consensus,
                                  .dir = dir,
                                  .interval = (uint32_t)n->config->snapshot_blocks,
                                  .needs_blocks = needs_blocks,
                                  .needs_arg = n};
    enum err e = checkpoint_parse(n->config->checkpoint, &o.checkpoint_height, &o.checkpoint_id, note);
    if (e == ERR_OK && n->config->sync && !snapshot_sync_parse(n->config->sync, &o.sync))
        e = note_set(note, ERR_USAGE, "sync = %.60s: auto, snapshot or blocks is needed", n->config->sync);
    if (e == ERR_OK)
        e = snapshots_open(&o, &n->snapshots, note);
    free(dir);
    return e;
}

void node_stop_snapshots(struct node *n)
{
    snapshots_close(n->snapshots);
}
