/* Asking the daemon what stands under a name. */
#include "cli/find.h"

#include "cli/client.h"
#include "cli/out.h"

#include <stdio.h>
#include <string.h>

int find_data(const struct cli *cli, const char *what, json_t **data)
{
    json_t *reply, *one;
    size_t i, found = 0;
    *data = NULL;
    int rc = client_get(cli, &reply, "/kith/v1/data");
    if (rc != CLI_DONE)
        return rc;
    json_array_foreach(json_object_get(reply, "data"), i, one)
    {
        bool is_root = strcmp(out_text(one, "plain_root"), what) == 0;
        if (!is_root && strcmp(out_text(one, "name"), what) != 0)
            continue;
        json_decref(*data);
        *data = json_incref(one);
        found = is_root ? 1 : found + 1;
        if (is_root)
            break;
    }
    json_decref(reply);
    if (found == 1)
        return CLI_DONE;
    json_decref(*data);
    *data = NULL;
    return found ? cli_fail(cli, CLI_USAGE, "%zu data sets are called \"%.64s\": name the root, see `kith data ls`",
                            found, what)
                 : cli_fail(cli, CLI_REFUSED, "no data set \"%.64s\" is on the ledger: see `kith data ls`", what);
}

bool find_is_data(const struct cli *cli, const char *root)
{
    json_t *reply, *one;
    size_t i;
    bool found = false;
    if (client_get(cli, &reply, "/kith/v1/data") != CLI_DONE)
        return false;
    json_array_foreach(json_object_get(reply, "data"), i, one) found |= strcmp(out_text(one, "plain_root"), root) == 0;
    json_decref(reply);
    return found;
}

/* A name as part of a path: anything but letters, digits and - _ . ~ is escaped (RFC 3986). */
static void add_path_part(struct buf *path, const char *part)
{
    for (; *part; part++) {
        unsigned char c = (unsigned char)*part;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-_.~", c))
            buf_add(path, part, 1);
        else
            buf_add_format(path, "%%%02X", c);
    }
}

int find_model(const struct cli *cli, const char *name, json_t **model)
{
    struct buf path = {0};
    if (!*name)
        return cli_fail(cli, CLI_USAGE, "which model? `kith models` lists them");
    if (strlen(name) > 100)
        return cli_fail(cli, CLI_USAGE, "\"%.40s...\" is too long for the name of a model", name);
    add_path_part(&path, name);
    int rc = client_get(cli, model, "/kith/v1/models/%s", buf_text(&path));
    buf_clear(&path);
    return rc;
}
