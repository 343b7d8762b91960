/* Finding devices, and sharing out layers among them. */
#include "inference/engine/devices.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Left free on a device: what its driver takes while kernels run, and other programs' change. */
#define SPARE_BYTES ((uint64_t)256 << 20)
#define SPARE_PART  32u /* ... and one part in so many */
#define PATH_ROOM   4096u

/* -- finding -- */

bool devices_possible(struct devices *out)
{
    static const char *const nodes[] = {"/dev/nvidiactl", "/dev/dxg"};
    *out = (struct devices){0};
    if (getenv(DEVICES_VARIABLE))
        return true;
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
        if (access(nodes[i], F_OK) == 0)
            return true;
    note_set(&out->why, ERR_NOT_FOUND, "this machine has no NVIDIA GPU, or no driver for it (no %s)", nodes[0]);
    return false;
}

/* The folder of this program, with a slash behind it. */
static bool find_folder(char *out, size_t room)
{
    ssize_t n = readlink("/proc/self/exe", out, room - 1);
    char *slash;
    if (n <= 0 || (size_t)n == room - 1)
        return false;
    out[n] = 0;
    slash = strrchr(out, '/');
    if (!slash)
        return false;
    slash[1] = 0;
    return true;
}

static void *open_object(struct note *why)
{
    static const char *const places[] = {"", "../libexec/", "../lib/kith/"};
    char folder[PATH_ROOM], path[PATH_ROOM + 64];
    const char *named = getenv(DEVICES_VARIABLE);
    if (named && !*named) {
        note_set(why, ERR_NOT_FOUND, "%s is set and empty, so no GPU is used", DEVICES_VARIABLE);
        return NULL;
    }
    if (named) {
        void *object = dlopen(named, RTLD_NOW | RTLD_LOCAL);
        if (!object)
            note_set(why, ERR_NOT_FOUND, "%s: %s", DEVICES_VARIABLE, dlerror());
        return object;
    }
    for (size_t i = 0; i < sizeof places / sizeof *places && find_folder(folder, sizeof folder); i++) {
        snprintf(path, sizeof path, "%s%s%s", folder, places[i], DEVICES_OBJECT);
        if (access(path, R_OK) != 0)
            continue;
        void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!object)
            note_set(why, ERR_UNSUPPORTED, "%s", dlerror());
        return object;
    }
    note_set(why, ERR_NOT_FOUND, "this build has no %s (it is made where nvcc is found)", DEVICES_OBJECT);
    return NULL;
}

void devices_start(struct devices *out)
{
    *out = (struct devices){0};
    void *object = open_object(&out->why), *symbol = object ? dlsym(object, DEVICE_SYMBOL) : NULL;
    const struct device_table *(*table)(void);
    if (!object)
        return;
    if (!symbol) {
        note_set(&out->why, ERR_UNSUPPORTED, "%s has no %s", DEVICES_OBJECT, DEVICE_SYMBOL);
        return;
    }
    memcpy(&table, &symbol, sizeof table); /* POSIX: a symbol may be a function; ISO C has no cast for that */
    if (table()->abi != DEVICE_ABI) {
        note_set(&out->why, ERR_UNSUPPORTED, "%s is of version %u, this program needs %u: build both together",
                 DEVICES_OBJECT, table()->abi, DEVICE_ABI);
        return;
    }
    out->n = table()->start(&out->why);
    if (out->n > DEVICES_MAX)
        out->n = DEVICES_MAX;
    out->table = out->n ? table() : NULL;
}

/* -- sharing out -- */

static uint64_t room_of(const struct device_facts *f)
{
    uint64_t spare = SPARE_BYTES + f->total_bytes / SPARE_PART;
    return f->free_bytes > spare ? f->free_bytes - spare : 0;
}

/* As many of the layers below o->end as fit beside so many pages; false if not even one does. */
static bool fit(const struct device_table *t, struct device_options *o, uint64_t room, uint32_t pages)
{
    uint32_t low = 0, high = o->end; /* more layers take more: the smallest `first` that fits */
    while (low < high) {
        o->first = low + (high - low) / 2;
        if (t->bytes(o) + t->page_bytes(o) * pages <= room)
            high = o->first;
        else
            low = o->first + 1;
    }
    o->first = low;
    return low < o->end;
}

/* From the last layer to the first, device by device. */
static void share_out(const struct devices *d, const struct model *m, uint32_t batch_max, uint32_t pages,
                      struct devices_plan *p)
{
    uint32_t end = m->layers;
    p->n = 0;
    p->pages_max = UINT32_MAX;
    for (uint32_t i = 0; i < d->n && end > 0; i++) {
        struct device_options o = {.index = i,
                                   .model = m,
                                   .end = end,
                                   .has_output = model_writes(m) && end == m->layers,
                                   .batch_max = batch_max};
        struct device_facts facts;
        if (d->table->describe(i, &facts, &p->why) != ERR_OK || !fit(d->table, &o, room_of(&facts), pages))
            continue;
        uint64_t more = (room_of(&facts) - d->table->bytes(&o)) / d->table->page_bytes(&o);
        p->pages_max = more < p->pages_max ? (uint32_t)more : p->pages_max;
        p->facts[p->n] = facts;
        p->at[p->n++] = o;
        end = o.first;
    }
}

static void turn_round(struct devices_plan *p)
{
    for (uint32_t i = 0; i < p->n / 2; i++) {
        uint32_t k = p->n - 1 - i;
        struct device_options o = p->at[i];
        struct device_facts f = p->facts[i];
        p->at[i] = p->at[k];
        p->facts[i] = p->facts[k];
        p->at[k] = o;
        p->facts[k] = f;
    }
}

void devices_plan(const struct devices *d, const struct model *m, uint32_t batch_max, uint32_t pages,
                  uint32_t pages_least, struct devices_plan *out)
{
    *out = (struct devices_plan){.why = d->why};
    if (!d->n)
        return;
    const char *what = model_on_processors(m);
    if (what) {
        note_set(&out->why, ERR_UNSUPPORTED, "a %s has %s, which runs on processors only", m->architecture, what);
        return;
    }
    share_out(d, m, batch_max, pages, out);
    if (out->n == 0 || out->at[out->n - 1].first > 0)
        share_out(d, m, batch_max, pages_least, out);
    if (out->n == 0 && !out->why.text[0])
        note_set(&out->why, ERR_FULL, "no GPU has room for a single layer of the model");
    turn_round(out);
}

void devices_say(const struct devices_plan *p, char *out, size_t room)
{
    if (p->n == 0) {
        snprintf(out, room, "no GPU: %s", p->why.text);
        return;
    }
    uint32_t layers = p->at[0].model->layers, here = p->at[0].first;
    int n = snprintf(out, room, "%u of %u layers on %s", layers - here, layers, p->facts[0].name);
    for (uint32_t i = 1; i < p->n && n > 0 && (size_t)n < room; i++)
        n += snprintf(out + n, room - (size_t)n, ", %s", p->facts[i].name);
}
