/* What the owner says of a machine that is lent, over HTTP: its rules, pausing, finishing, stopping; and the state. */
#include "node/api/api.h"
#include "node/node.h"

#include <stdlib.h>
#include <string.h>

/* -- the state -- */

static void put_rules(struct buf *b, bool *outer, const struct share_rules *r)
{
    bool first = true;
    codec_json_key(b, outer, "rules");
    buf_add_text(b, "{");
    codec_json_key(b, &first, "hours");
    buf_add_text(b, "\"");
    share_hours_put(b, r);
    buf_add_text(b, "\"");
    api_put_flag(b, &first, "idle_only", r->idle_only);
    api_put_flag(b, &first, "on_battery", r->on_battery);
    api_put_u64(b, &first, "temperature_max", r->temperature_max);
    api_put_u64(b, &first, "memory_max_mb", r->memory_max_mb);
    buf_add_text(b, "}");
}

static void put_number(struct buf *b, bool *first, const char *name, bool known, int64_t v)
{
    codec_json_key(b, first, name);
    if (known)
        buf_add_format(b, "%lld", (long long)v);
    else
        buf_add_text(b, "null");
}

static void put_machine(struct buf *b, bool *outer, const struct share_readings *now)
{
    const struct machine *m = &now->machine;
    bool first = true;
    codec_json_key(b, outer, "machine");
    buf_add_text(b, "{");
    codec_json_key(b, &first, "power");
    buf_add_text(b, m->power == MACHINE_MAINS ? "\"mains\"" : m->power == MACHINE_BATTERY ? "\"battery\"" : "null");
    put_number(b, &first, "temperature", m->has_temperature, m->temperature);
    put_number(b, &first, "input_s", m->has_input && m->input_ms != MACHINE_NOBODY, (int64_t)(m->input_ms / 1000));
    put_number(b, &first, "others_permille", now->has_others, now->others);
    put_number(b, &first, "memory_free_bytes", m->memory_bytes != 0, (int64_t)m->memory_free_bytes);
    buf_add_text(b, "}");
}

static void put_models(struct buf *b, bool *outer, const struct node *n, const struct market_share *s)
{
    codec_json_key(b, outer, "models");
    buf_add_text(b, "[");
    for (unsigned i = 0; i < s->models_n; i++) {
        struct rec_model rec;
        bool first = true;
        api_begin_entry(b);
        api_put_hash(b, &first, "root", &s->models[i]);
        api_put_text(b, &first, "name", ledger_model(n->ledger, &s->models[i], &rec) ? rec.name.s : "");
        buf_add_text(b, "}");
    }
    buf_add_text(b, "]");
}

/* 0: not paused; null: until somebody says otherwise. */
static void put_pause(struct buf *b, bool *first, const struct market_share *s, bool is_paused)
{
    bool has_end = s->paused_until_ms != MARKET_PAUSED_FOREVER;
    put_number(b, first, "paused_until_ms", !is_paused || has_end,
               is_paused && has_end ? (int64_t)s->paused_until_ms : 0);
}

void api_reply_share(struct api_call *c)
{
    struct market *m = c->node->market;
    struct rec_provider provider;
    struct buf b = {0}, why = {0};
    bool first = true;
    const char *state = market_share_state(m, &why);
    struct market_share s = market_share(m);
    buf_add_text(&b, "{");
    api_put_text(&b, &first, "state", state);
    api_put_text(&b, &first, "why", buf_text(&why));
    if (ledger_provider(c->node->ledger, &c->node->id, &provider))
        api_put_address(&b, &first, "owner", c->node, &provider.owner);
    api_put_amount(&b, &first, "price_in", s.price_in);
    api_put_amount(&b, &first, "price_out", s.price_out);
    api_put_u64(&b, &first, "slots", s.slots);
    api_put_u64(&b, &first, "running", market_jobs_running(m));
    put_rules(&b, &first, &s.rules);
    put_pause(&b, &first, &s, strcmp(state, "paused") == 0);
    if (s.on)
        put_machine(&b, &first, market_share_readings(m));
    put_models(&b, &first, c->node, &s);
    api_put_u64(&b, &first, "jobs", market_jobs_served(m));
    api_put_amount(&b, &first, "earned", market_earned(m));
    api_put_amount(&b, &first, "unsettled", market_unsettled(m));
    buf_add_text(&b, "}");
    buf_clear(&why);
    api_reply_json(c->request, 200, &b);
}

void api_share_get(struct api_call *c)
{
    api_reply_share(c);
}

/* -- terms -- */

static enum err read_price(const json_t *body, const char *name, struct amount *out, struct note *note)
{
    const json_t *v = json_object_get(body, name);
    return json_is_given(v) ? api_read_mote(v, name, out, note) : ERR_OK;
}

static enum err read_flag(const json_t *body, const char *name, bool *out, struct note *note)
{
    return json_is_given(json_object_get(body, name)) ? api_read_flag(body, name, name, out, note) : ERR_OK;
}

static enum err read_hours(const json_t *body, struct share_rules *r, struct note *note)
{
    const json_t *v = json_object_get(body, "hours");
    if (!json_is_given(v))
        return ERR_OK;
    if (!json_is_string(v) || !share_hours_parse(json_string_value(v), &r->from_min, &r->to_min))
        return note_set(note, ERR_FORMAT, "hours = %.40s: \"22:00-07:00\" of the local day is meant, or \"any\"",
                        json_is_string(v) ? json_string_value(v) : "?");
    return ERR_OK;
}

enum err api_read_terms(const json_t *body, struct market_share *s, struct note *note)
{
    struct share_rules *r = &s->rules;
    enum err e = read_price(body, "price_in", &s->price_in, note);
    if (e == ERR_OK)
        e = read_price(body, "price_out", &s->price_out, note);
    if (e == ERR_OK)
        e = api_read_whole(body, "slots", "slots", 1, SHARE_SLOTS_MAX, &s->slots, note);
    if (e == ERR_OK)
        e = read_hours(body, r, note);
    if (e == ERR_OK)
        e = read_flag(body, "idle_only", &r->idle_only, note);
    if (e == ERR_OK)
        e = read_flag(body, "on_battery", &r->on_battery, note);
    if (e == ERR_OK)
        e = api_read_whole(body, "temperature_max", "temperature_max", 0, 150, &r->temperature_max, note);
    if (e == ERR_OK)
        e = api_read_whole(body, "memory_max_mb", "memory_max_mb", 0, UINT32_MAX, &r->memory_max_mb, note);
    return e;
}

/* A rule whose name is misspelt would else be taken for one that is kept. */
static enum err check_names(json_t *body, struct note *note)
{
    static const char *const names[] = {"price_in",  "price_out",  "slots",           "hours",
                                        "idle_only", "on_battery", "temperature_max", "memory_max_mb"};
    const char *name;
    json_t *v;
    json_object_foreach(body, name, v)
    {
        bool known = false;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            known |= strcmp(name, names[i]) == 0;
        if (!known)
            return note_set(note, ERR_FORMAT,
                            "%.40s is no term of lending: price_in, price_out, slots, hours, idle_only, on_battery, "
                            "temperature_max, memory_max_mb are",
                            name);
    }
    return ERR_OK;
}

static void answer(struct api_call *c, enum err e, const struct market_share *s, struct note *note)
{
    if (e == ERR_OK)
        e = market_set_share(c->node->market, s, note);
    if (e == ERR_OK)
        api_reply_share(c);
    else
        api_fail(c->request, e, note);
}

void api_share_set(struct api_call *c)
{
    struct note note = {{0}};
    struct market_share s = market_share(c->node->market);
    json_t *body = api_body(c->request);
    if (!body)
        return;
    enum err e = check_names(body, &note);
    if (e == ERR_OK)
        e = api_read_terms(body, &s, &note);
    answer(c, e, &s, &note);
    json_decref(body);
}

/* -- when -- */

/* {"for_ms":N}, or {} until it is resumed. Paused for good is no less than stopped, so a year is enough. */
void api_share_pause(struct api_call *c)
{
    static const uint64_t most_ms = UINT64_C(366) * 24 * 3600 * 1000;
    struct note note = {{0}};
    struct market_share s = market_share(c->node->market);
    json_t *body = api_body(c->request);
    enum err e = ERR_OK;
    if (!body)
        return;
    const json_t *v = json_object_get(body, "for_ms");
    s.paused_until_ms = MARKET_PAUSED_FOREVER;
    if (json_is_given(v) &&
        (!json_is_integer(v) || json_integer_value(v) <= 0 || (uint64_t)json_integer_value(v) > most_ms))
        e = note_set(&note, ERR_FORMAT, "for_ms must be a whole number of milliseconds, a year at most");
    else if (json_is_given(v))
        s.paused_until_ms = host_wall_ms(c->node->host) + (uint64_t)json_integer_value(v);
    if (e == ERR_OK && !s.on)
        e = note_set(&note, ERR_STATE, "sharing is off, so there is nothing to pause");
    answer(c, e, &s, &note);
    json_decref(body);
}

void api_share_resume(struct api_call *c)
{
    struct note note = {{0}};
    struct market_share s = market_share(c->node->market);
    enum err e = s.on ? ERR_OK : note_set(&note, ERR_STATE, "sharing is off: kith share start turns it on");
    s.paused_until_ms = 0;
    s.finishing = false;
    answer(c, e, &s, &note);
}

void api_share_finish(struct api_call *c)
{
    struct note note = {{0}};
    struct market_share s = market_share(c->node->market);
    s.finishing = s.on;
    answer(c, ERR_OK, &s, &note);
}

void api_share_stop(struct api_call *c)
{
    struct note note = {{0}};
    struct market_share s = market_share(c->node->market);
    s.on = s.finishing = false;
    market_settle(c->node->market, NULL, NULL);
    answer(c, ERR_OK, &s, &note);
}
