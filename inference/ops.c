/* Which sets of kernels there are and which this processor can run. */
#include "inference/ops.h"

#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#if defined(__x86_64__)
/* CPUID leaf 1, ECX bit 29; not every compiler's __builtin_cpu_supports knows the name. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c >> 29 & 1u);
}
#endif

const struct ops *ops_at(size_t i)
{
    const struct ops *found[3] = {&ops_ref};
#if defined(__x86_64__)
    size_t n = 1;
    if (__builtin_cpu_supports("avx2") && has_f16c())
        found[n++] = &ops_avx2;
#endif
    return i < sizeof found / sizeof *found ? found[i] : NULL;
}

const struct ops *ops_pick(const char *name, struct note *note)
{
    const struct ops *best = NULL, *o;
    for (size_t i = 0; (o = ops_at(i)); i++) {
        if (strcmp(o->name, name) == 0)
            return o;
        best = o;
    }
    if (strcmp(name, "auto") == 0)
        return best;
    note_set(note, ERR_UNSUPPORTED, "the backend %.32s is not known or this processor cannot run it; use auto or ref",
             name);
    return NULL;
}
