/* Options of a worker, and starting it so. */
#include "cli/how.h"

void how_read(const struct args *args, struct wire_open *how)
{
    *how = (struct wire_open){.mode = WIRE_FULL,
                              .threads = (uint32_t)args_count(args, "threads"),
                              .batch = (uint32_t)args_count(args, "batch")};
    if (!text64_set(&how->backend, args_text(args, "backend")))
        CHECK(text64_set(&how->backend, "?")); /* which the worker refuses by name */
}

enum err how_open(const char *model, const struct wire_open *how, struct local **l, struct note *note)
{
    struct buf path = {0};
    enum err e = local_find_model(model, &path, note);
    if (e == ERR_OK)
        e = local_open(buf_text(&path), how, l, note);
    buf_clear(&path);
    return e;
}
