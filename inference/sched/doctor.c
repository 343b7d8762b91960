/* A look at this machine by a worker that has no model. */
#include "inference/sched/doctor.h"

#include "base/json.h"
#include "inference/engine/devices.h"
#include "inference/kernels/ops.h"
#include "inference/sandbox.h"
#include "inference/worker_proto.h"

static json_t *list_kernels(void)
{
    json_t *list = json_array();
    const struct ops *o;
    for (size_t i = 0; (o = ops_at(i)); i++)
        json_array_append_new(list, json_string(o->name));
    return list;
}

static json_t *list_gpus(struct devices *d)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < d->n; i++) {
        struct device_facts f;
        if (d->table->describe(i, &f, &d->why) == ERR_OK)
            json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I, s:I}", "name", f.name, "kind", f.kind, "driver",
                                                  f.driver, "free_bytes", (json_int_t)f.free_bytes, "total_bytes",
                                                  (json_int_t)f.total_bytes));
    }
    return list;
}

void doctor_look(struct buf *json)
{
    struct devices devices;
    struct sandbox_state walls = {0};
    struct sandbox_options o = {.fd_last = WORKER_FD_SOCKET - 1, .fd_written = -1};
    struct note why = {{0}};
    if (devices_possible(&devices)) {
        sandbox_before_devices(&o, &walls);
        devices_start(&devices);
        o.has_devices = devices.n > 0;
    }
    json_t *kernels = list_kernels(), *gpus = list_gpus(&devices);
    enum err e = sandbox_enter(&o, &walls, &why);
    json_t *all = json_pack(
        "{s:o, s:s, s:o, s:s, s:{s:b, s:b, s:b, s:s}}", "kernels", kernels, "picked", ops_pick("auto", NULL)->name,
        "gpus", gpus, "gpu_why", json_array_size(gpus) ? "" : devices.why.text, "sandbox", "filter", walls.is_filtered,
        "own_root", walls.has_own_root, "own_net", walls.has_own_net, "why", e == ERR_OK ? "" : why.text);
    json_print(json, all);
    json_decref(all);
}
