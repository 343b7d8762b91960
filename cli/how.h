/* The options with which a command starts a worker of its own: model, kernels, threads, batch. */
#ifndef KITH_CLI_HOW_H
#define KITH_CLI_HOW_H

#include "cli/local.h"

#define HOW_MODEL_OPTION                                                                                               \
    {                                                                                                                  \
        .name = "model", .type = OPTION_TEXT, .value = "FILE.gguf", .help = "the model's file, or `default`"           \
    }
#define HOW_OPTIONS                                                                                                    \
    {.name = "backend",                                                                                                \
     .type = OPTION_TEXT,                                                                                              \
     .value = "auto|ref|avx2|..",                                                                                      \
     .preset = "auto",                                                                                                 \
     .help = "which kernels; all give the same bits"},                                                                 \
        {.name = "threads",                                                                                            \
         .type = OPTION_COUNT,                                                                                         \
         .value = "N",                                                                                                 \
         .preset = "0",                                                                                                \
         .least = 0,                                                                                                   \
         .most = THREADS_MAX,                                                                                          \
         .help = "0: as many as there are processors"},                                                                \
    {                                                                                                                  \
        .name = "batch", .type = OPTION_COUNT, .value = "N", .preset = "0", .least = 0, .most = BATCH_MAX,             \
        .help = "prompt tokens processed at once, 0: what suits the machine; changes no bit"                           \
    }

/* From HOW_OPTIONS. */
void how_read(const struct args *args, struct wire_open *how);
/* A worker on a model named as for local_find_model. */
enum err how_open(const char *model, const struct wire_open *how, struct local **l, struct note *note) MUST_USE;

#endif
