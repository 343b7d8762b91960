#include "node/host/stored.h"

enum err stored_broken(struct note *note, const char *what, struct bytes id)
{
    char text[17] = "";
    hex_put(text, id.p, id.n < 8 ? id.n : 8);
    return note_set(
        note, ERR_CORRUPT,
        "the %s %s... in this node's folder market does not decode, so its disk changed it: put the folder back "
        "from a copy, or move it away and start again; then jobs, conversations and what channels promise and "
        "nobody settled (kith settle) are lost, and nothing that is on the ledger",
        what, text);
}
