/* What a light client can be asked, and how it is shown: each only when proven, absence too. */
#include "base/mem.h"
#include "cli/light_in.h"
#include "cli/out.h"
#include "wallet/address.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- what is shown -- */

static void show_proof(const struct session *s)
{
    const struct header *h = light_header(s->light);
    char hex[65];
    struct hash id = light_id(s->light);
    hex_put(hex, id.b, sizeof id.b);
    printf("proven by block %" PRIu64 "  %s\n", h->height, hex);
}

static json_t *proof_json(const struct session *s, json_t *object)
{
    char hex[65];
    struct hash id = light_id(s->light);
    hex_put(hex, id.b, sizeof id.b);
    json_object_set_new(object, "proven", json_true());
    json_object_set_new(object, "height", json_integer((json_int_t)light_header(s->light)->height));
    json_object_set_new(object, "block", json_string(hex));
    return object;
}

/* A record's own JSON form. */
static json_t *record_json(const struct buf *text)
{
    return json_parse(bytes_of_buf(text), NULL);
}

static int show_record(const struct session *s, const char *what, const struct record *r, const struct buf *json)
{
    if (s->cli->json) {
        json_t *o = json_object();
        json_object_set_new(o, what, r->found ? record_json(json) : json_null());
        out_json_take(proof_json(s, o));
        return CLI_DONE;
    }
    if (r->found)
        out_untrusted((const char *)json->p, json->n);
    else
        printf("there is no such %s", what);
    printf("\n");
    show_proof(s);
    return CLI_DONE;
}

/* -- commands -- */

struct lookup {
    const char *class_name;
    enum state_class cls;
    uint8_t key[255];
    size_t n;
    struct record record;
};

static enum err lookup_ask(struct session *s, const struct cli *peer, void *arg, struct note *note)
{
    struct lookup *l = arg;
    return light_ask_record(s, peer, l->class_name, l->cls, bytes_of(l->key, l->n), &l->record, note);
}

static enum err newest_ask(struct session *s, const struct cli *peer, void *arg, struct note *note)
{
    (void)s;
    (void)peer;
    (void)arg;
    (void)note;
    return ERR_OK;
}

int light_run_info(struct session *s, const struct args *args)
{
    (void)args;
    int rc = light_question(s, newest_ask, NULL);
    if (rc != CLI_DONE)
        return rc;
    if (s->cli->json)
        out_json_take(proof_json(s, json_object()));
    else
        show_proof(s);
    return CLI_DONE;
}

int light_run_balance(struct session *s, const struct args *args)
{
    struct lookup l = {.class_name = "account", .cls = STATE_ACCOUNT, .n = 32};
    struct pubkey key;
    struct rec_account account = {0};
    struct buf json = {0};
    const char *word = args_word(args, 0);
    if (!word)
        return cli_fail(s->cli, CLI_USAGE, "say whose: kith --light wallet balance ADDRESS");
    if (!hex_get(word, key.b, sizeof key.b)) {
        struct note note = {{0}};
        enum err e = address_get(word, s->genesis.prefix.s, &key, &note);
        if (e != ERR_OK)
            return cli_fail_note(s->cli, e, &note);
    }
    memcpy(l.key, key.b, 32);
    int rc = light_question(s, lookup_ask, &l);
    struct cursor c = cursor_of(bytes_of_buf(&l.record.value));
    if (rc == CLI_DONE && l.record.found) {
        rec_account_get(&c, &account);
        if (!cursor_end(&c))
            rc = cli_fail(s->cli, CLI_REFUSED, "the account's record is of a newer version than this program");
    }
    if (rc == CLI_DONE && s->cli->json) {
        rec_account_json(&json, &account);
        show_record(s, "account", &(struct record){.found = true}, &json);
    } else if (rc == CLI_DONE) {
        char text[AMOUNT_TEXT_ROOM];
        amount_print(account.balance, text);
        printf("%s KITH\n", text);
        show_proof(s);
    }
    buf_clear(&json);
    buf_clear(&l.record.value);
    return rc;
}

/* By root, or by name: then the name's own record is proven first. */
static enum err model_ask(struct session *s, const struct cli *peer, void *arg, struct note *note)
{
    struct lookup *l = arg;
    struct lookup root = {.n = 32};
    struct hash id = hash_once(HASH_STATE_KEY, l->key, l->n);
    if (l->cls == STATE_MODEL)
        return lookup_ask(s, peer, l, note);
    enum err e = light_ask_record(s, peer, "name", STATE_NAME, bytes_of(id.b, sizeof id.b), &root.record, note);
    if (e == ERR_OK && root.record.found && root.record.value.n == 32)
        e = light_ask_record(s, peer, "model", STATE_MODEL, bytes_of_buf(&root.record.value), &l->record, note);
    else if (e == ERR_OK)
        l->record.found = false;
    buf_clear(&root.record.value);
    return e;
}

int light_run_model(struct session *s, const struct args *args)
{
    struct lookup l = {.class_name = "model", .cls = STATE_MODEL, .n = 32};
    struct rec_model model;
    struct buf json = {0};
    const char *word = args_word(args, 0);
    if (!hex_get(word, l.key, 32)) {
        l.cls = STATE_NAME;
        l.n = strlen(word) < sizeof l.key ? strlen(word) : 0;
        memcpy(l.key, word, l.n);
    }
    int rc = light_question(s, model_ask, &l);
    struct cursor c = cursor_of(bytes_of_buf(&l.record.value));
    if (rc == CLI_DONE && l.record.found) {
        rec_model_get(&c, &model);
        if (cursor_end(&c))
            rec_model_json(&json, &model);
        else
            rc = cli_fail(s->cli, CLI_REFUSED, "the model's record is of a newer version than this program");
    }
    if (rc == CLI_DONE)
        rc = show_record(s, "model", &l.record, &json);
    buf_clear(&json);
    buf_clear(&l.record.value);
    return rc;
}

struct receipt_lookup {
    struct lookup settlement;
    uint32_t index;
    struct signed_receipt receipt;
};

static enum err receipt_ask(struct session *s, const struct cli *peer, void *arg, struct note *note)
{
    struct receipt_lookup *l = arg;
    struct rec_settlement rec;
    struct buf raw = {0}, proof = {0};
    json_t *reply = NULL;
    char hex[65];
    enum err e = lookup_ask(s, peer, &l->settlement, note);
    if (e == ERR_OK && !l->settlement.record.found)
        return ERR_OK; /* proven: there is none */
    struct cursor c = cursor_of(bytes_of_buf(&l->settlement.record.value));
    if (e == ERR_OK) {
        rec_settlement_get(&c, &rec);
        if (!cursor_end(&c))
            e = note_set(note, ERR_UNSUPPORTED, "the settlement's record is of a newer version than this program");
    }
    hex_put(hex, l->settlement.key, 32);
    if (e == ERR_OK)
        e = light_ask(peer, &reply, note, "/kith/v1/receipt?settlement=%s&index=%u", hex, l->index);
    if (e == ERR_OK && (!light_get_bytes(reply, "receipt", &raw) || !light_get_bytes(reply, "proof", &proof)))
        e = note_set(note, ERR_PROTOCOL, "its receipt lacks a part");
    if (e == ERR_OK) {
        c = cursor_of(bytes_of_buf(&raw));
        signed_receipt_get(&c, &l->receipt);
        e = cursor_end(&c) ? light_check_receipt(&rec, l->index, &l->receipt, bytes_of_buf(&proof), note)
                           : note_set(note, ERR_FORMAT, "its receipt does not decode");
    }
    buf_clear(&raw);
    buf_clear(&proof);
    json_decref(reply);
    return e;
}

int light_run_receipt(struct session *s, const struct args *args)
{
    struct receipt_lookup l = {.settlement = {.class_name = "settlement", .cls = STATE_SETTLEMENT, .n = 32}};
    struct buf json = {0};
    const char *index = args_word(args, 1);
    if (!hex_get(args_word(args, 0), l.settlement.key, 32))
        return cli_fail(s->cli, CLI_USAGE, "\"%.70s\" is not a settlement's id: 64 hexadecimal digits",
                        args_word(args, 0));
    if (!*index || strlen(index) > 7 || strspn(index, "0123456789") != strlen(index))
        return cli_fail(s->cli, CLI_USAGE, "\"%.40s\" is not the number of a receipt: 0, 1, 2...", index);
    l.index = (uint32_t)strtoul(index, NULL, 10);
    int rc = light_question(s, receipt_ask, &l);
    if (rc == CLI_DONE && l.settlement.record.found)
        receipt_json(&json, &l.receipt.receipt);
    if (rc == CLI_DONE)
        rc = show_record(s, l.settlement.record.found ? "receipt" : "settlement", &l.settlement.record, &json);
    buf_clear(&json);
    buf_clear(&l.settlement.record.value);
    return rc;
}

static const char class_names[] =
#define C(byte, name, listed) " " #name
    STATE_CLASS_LIST(C)
#undef C
    ;

/* Any record, as its bytes. */
int light_run_proof(struct session *s, const struct args *args)
{
    struct lookup l = {.class_name = args_word(args, 0)};
    const char *hex = args_word(args, 1) ? args_word(args, 1) : "";
    struct buf json = {0};
    l.n = strlen(hex) / 2;
    if (!state_class_find(l.class_name, &l.cls))
        return cli_fail(s->cli, CLI_USAGE, "\"%.40s\" is no class of records; these are:%s", l.class_name, class_names);
    if (l.n > sizeof l.key || !hex_get(hex, l.key, l.n))
        return cli_fail(s->cli, CLI_USAGE, "\"%.80s\" is not a key: hexadecimal digits", hex);
    int rc = light_question(s, lookup_ask, &l);
    if (rc == CLI_DONE) {
        char *digits = mem_array(2 * l.record.value.n + 1, 1);
        hex_put(digits, l.record.value.p, l.record.value.n);
        buf_add_format(&json, "\"%s\"", digits);
        free(digits);
        rc = show_record(s, "record", &l.record, &json);
    }
    buf_clear(&json);
    buf_clear(&l.record.value);
    return rc;
}
