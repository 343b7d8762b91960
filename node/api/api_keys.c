/* Keys of the API: who is let in, and the routes that make, list and remove them. */
#include "node/api/api.h"

#include "base/codec.h"
#include "node/node.h"

#include <string.h>

/* -- letting in -- */

static const struct {
    const char *name;
    unsigned scope;
} scopes[] = {{"use", APIKEY_USE}, {"read", APIKEY_READ}, {"post", APIKEY_POST}};
#define SCOPES_N (sizeof scopes / sizeof *scopes)

/* What follows "Bearer ", or NULL. */
static const char *bearer(const struct http_request *r)
{
    const char *text = http_header(r, "Authorization");
    if (!text || strncasecmp(text, "Bearer ", 7) != 0)
        return NULL;
    return text + 7 + strspn(text + 7, " ");
}

static bool refuse(struct http_request *r, const char *message)
{
    http_add_header(r, "WWW-Authenticate", "Bearer");
    http_reply_error(r, 401, "invalid_api_key", message);
    return false;
}

/* For the node's own user on this machine no key is needed, and a text that is none of ours is what a client that must
 * have one sends; but whoever sends one of ours means to be held to it. */
bool api_let_in(struct api_call *call, unsigned scope)
{
    struct http_request *r = call->request;
    const char *text = bearer(r);
    call->key = text ? apikeys_find(call->node->apikeys, text) : NULL;
    if (scope == 0)
        return true;
    if (!call->key && text && apikeys_looks_like_key(text))
        return refuse(r, "this node knows no such key: `kith key ls` lists those it has");
    if (!call->key && !http_is_near(r))
        return refuse(
            r, "without a key only the node's own user is let in, on this machine and not from another site's page: "
               "`kith key new` makes one, for `Authorization: Bearer KEY`");
    if (call->key && !(call->key->scopes & scope)) {
        http_reply_error(r, 403, "forbidden", "this key does not allow that: `kith key ls` shows what it is for");
        return false;
    }
    return true;
}

struct hash api_owner(const struct api_call *call)
{
    return call->key ? call->key->hash : (struct hash){{0}};
}

bool api_may_see(const struct api_call *call, const struct hash *owner)
{
    return !call->key || hash_equal(&call->key->hash, owner);
}

/* -- routes -- */

static void put_key(void *arg, const struct apikey *k)
{
    struct buf *b = arg;
    char id[APIKEY_ID_ROOM];
    bool first = true;
    apikeys_id(k, id);
    api_begin_entry(b);
    api_put_text(b, &first, "id", id);
    api_put_text(b, &first, "name", k->name.s);
    codec_json_key(b, &first, "scopes");
    buf_add_text(b, "[");
    for (size_t i = 0; i < SCOPES_N; i++)
        if (k->scopes & scopes[i].scope)
            buf_add_format(b, "%s\"%s\"", b->p[b->n - 1] == '[' ? "" : ",", scopes[i].name);
    buf_add_text(b, "]");
    if (k->capped)
        api_put_amount(b, &first, "cap", k->cap);
    api_put_amount(b, &first, "spent", k->spent);
    api_put_u64(b, &first, "made_ms", k->made_ms);
    buf_add_text(b, "}");
}

void api_keys_get(struct api_call *c)
{
    struct buf b = {0};
    buf_add_text(&b, "{\"keys\":[");
    apikeys_each(c->node->apikeys, put_key, &b);
    buf_add_text(&b, "]}");
    api_reply_json(c->request, 200, &b);
}

/* A list of names; absent: use. */
static enum err read_scopes(const json_t *body, unsigned *out, struct note *note)
{
    const json_t *list = json_object_get(body, "scopes");
    *out = list ? 0 : APIKEY_USE;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        unsigned scope = 0;
        for (size_t k = 0; name && k < SCOPES_N; k++)
            if (strcmp(name, scopes[k].name) == 0)
                scope = scopes[k].scope;
        if (!scope)
            return note_set(note, ERR_FORMAT, "\"%.40s\" is no scope: use, read and post are", name ? name : "?");
        *out |= scope;
    }
    return *out ? ERR_OK : note_set(note, ERR_FORMAT, "scopes must be a list of use, read and post");
}

static enum err make_key(struct api_call *c, const json_t *body, char text[APIKEY_TEXT_ROOM], struct note *note)
{
    const json_t *limit = json_object_get(body, "cap");
    const char *name = json_text(body, "name");
    unsigned wanted;
    struct amount cap;
    enum err e = read_scopes(body, &wanted, note);
    if (e == ERR_OK && limit)
        e = api_read_mote(limit, "cap", &cap, note);
    if (e != ERR_OK)
        return e;
    return apikeys_add(c->node->apikeys, name ? name : "", wanted, limit ? &cap : NULL, text, note);
}

void api_key_post(struct api_call *c)
{
    struct note note = {{0}};
    char text[APIKEY_TEXT_ROOM], id[APIKEY_ID_ROOM];
    struct buf b = {0};
    bool first = true;
    json_t *body = api_body(c->request);
    if (!body)
        return;
    enum err e = make_key(c, body, text, &note);
    json_decref(body);
    if (e != ERR_OK) {
        api_fail(c->request, e, &note);
        return;
    }
    apikeys_id(apikeys_find(c->node->apikeys, text), id);
    buf_add_text(&b, "{");
    api_put_text(&b, &first, "id", id);
    api_put_text(&b, &first, "key", text);
    buf_add_text(&b, "}");
    api_reply_json(c->request, 201, &b);
}

void api_key_remove(struct api_call *c)
{
    struct note note = {{0}};
    struct buf b = {0};
    enum err e = apikeys_remove(c->node->apikeys, c->rest, &note);
    if (e != ERR_OK) {
        api_fail(c->request, e, &note);
        return;
    }
    buf_add_text(&b, "{}");
    api_reply_json(c->request, 200, &b);
}
