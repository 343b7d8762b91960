/* The way of a publication to the ledger: claimed, waited for, published. Over a kill at any moment: the salt of the
 * claim, and what was sent, are in HOME/claims before anything leaves, so the same command again goes on where it was.
 */
#ifndef KITH_CLI_PUBLISH_H
#define KITH_CLI_PUBLISH_H

#include "cli/owner.h"

/* --out, for accounts whose keys sign elsewhere. */
#define PUBLISH_OUT_OPTION                                                                                             \
    {                                                                                                                  \
        .name = "out", .type = OPTION_TEXT, .value = "FILE",                                                           \
        .help = "write what is to be signed next, instead of signing: the claim, then the publication"                 \
    }

/* `body`: of a kind that is claimed, its salt zero; filled here. `out` NULL: signs and sends, and *reply (the caller's)
 * is as GET /kith/v1/tx/ID of the publication. Else *reply is NULL where a file was written, which has been said. A
 * cli_exit, said. Before the publication itself nothing is sent that shows what it is of. */
int publish(struct owner *o, enum tx_kind kind, struct buf *body, const char *out, json_t **reply);
/* Is this one on the ledger, or on its way, by an earlier call in this home? */
bool publish_has_begun(const struct owner *o, enum tx_kind kind, struct bytes body);

/* HOME/claims/NAME with the digits of `id`; the caller frees. */
char *publish_path(const struct cli *cli, const char *name, const struct hash *id);
/* Content with a checksum in front. False where there is none, or it is damaged. */
bool publish_read(const char *path, struct buf *content);
int publish_write(const struct cli *cli, const char *path, struct bytes content);

#endif
