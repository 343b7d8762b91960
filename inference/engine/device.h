/* A device: some of a model's layers, with their weights and their part of the cache, on a GPU. kith-cuda.so has it for
 * NVIDIA's (inference/cuda); whoever makes another fills in the same table.
 *
 *     engine: tokens -> stream x -> [layers here] -> device: [layers first..end) -> x, or hidden states and logits
 *
 * A device gives the bits that the layers would give here. It may fail at any time (out of memory, lost); then nothing
 * that it holds counts, and the engine goes on without it from the tokens that it knows. One thread uses a device. */
#ifndef KITH_INFERENCE_DEVICE_H
#define KITH_INFERENCE_DEVICE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DEVICE_ABI      10u /* of this file and of struct model: a shared object of another is not used */
#define DEVICE_SYMBOL   "kith_device_table"
#define DEVICES_MAX     20u
#define DEVICE_NAME_MAX 64u

struct model;
struct device;

struct device_facts {
    char name[DEVICE_NAME_MAX]; /* "NVIDIA H200" */
    char kind[16];              /* "sm_90" */
    char driver[32];            /* "CUDA 13.0" */
    uint64_t free_bytes, total_bytes;
};

struct device_options {
    uint32_t index;
    const struct model *model; /* outlives the device; its weights are read from the file (ops_weight.data) */
    uint32_t first, end;       /* layers */
    bool has_output;    /* of a model that writes: its output norm and product too; then all layers to the last */
    uint32_t batch_max; /* rows of a call */
    uint32_t threads;   /* that may bring the weights into their order; 0: as 1 */
    /* Called from time to time while weights are copied. */
    void (*progress)(void *arg, uint64_t done, uint64_t all);
    void *progress_arg;
};

/* Rows of one sequence in a batch, of a model whose layers carry a state (recur.h). A device keeps it from batch to
 * batch under its number. */
struct device_chain {
    uint32_t number;      /* of no other sequence that exists */
    uint32_t first, rows; /* in device_batch.chain_row, where its rows stand in their order */
    uint32_t
        guessed;    /* the last so many may be taken back: they leave the state as it is, and what they bring beside */
    uint32_t right; /* so many that were guessed in its last batch were not taken back: they join the state first */
    bool begins;    /* whatever is there by this number is another's: the state is `from` */
    const float *from; /* of all layers; NULL: zeros */
};
/* Of the states behind a batch's rows so many are kept at most: of large ones a few, of small ones those of all pages
 * that end in it. `state_bytes` of all layers. */
#define DEVICE_KEEPS_BYTES ((uint64_t)64 << 20)
#define DEVICE_KEEPS_LEAST 4u
#define DEVICE_KEEPS_MORE  32u /* sequences that write, beside the pages of a prompt */
static inline uint32_t device_keeps_max(uint64_t state_bytes, uint32_t batch_max)
{
    const uint64_t room = DEVICE_KEEPS_BYTES / (state_bytes ? state_bytes : 1);
    const uint32_t ends = batch_max / 64 + DEVICE_KEEPS_MORE;
    uint32_t most = room < ends ? (uint32_t)room : ends;
    most = most > DEVICE_KEEPS_LEAST ? most : DEVICE_KEEPS_LEAST;
    return most < batch_max ? most : batch_max;
}

/* A row of the stream that is wanted as it leaves a layer, which is not the model's last. */
struct device_tap {
    uint32_t layer, row;
    float *to; /* [embed] */
};

/* One call: rows of the batch in, what becomes of them out. Pointers are this machine's. */
struct device_batch {
    uint32_t n;
    const uint32_t *position; /* [n] in its sequence; of a model that does not write, the batch is a whole text */
    const uint32_t *table;    /* [n] where its sequence's pages begin in `page` */
    const uint32_t *page;     /* [pages] numbers of pages: positions 64 i to 64 i + 63 of a sequence are in its i-th */
    uint32_t pages, pages_most; /* of one sequence at most */
    uint32_t number_end;        /* all numbers are below */
    const float *angles[2];     /* [n, 2, rope_pairs]: cosines and sines; for layers with a window [1], NULL: as [0] */
    /* Of a model whose layers carry a state: */
    const struct device_chain *chain; /* [chains] */
    uint32_t chains;
    const uint32_t *chain_row; /* [n] */
    float *const *state_kept;  /* [n] where the state behind a row goes, what of it is here; NULL: nowhere */
    const float *x;            /* [n, embed], as it enters layer `first` */
    float *out;                /* no output here: [n, embed], as it leaves */
    /* In the last layer of a model that writes only these go on behind their keys and values: */
    uint32_t wanted, told, kept; /* the first `told` of them have logits, and those of `kept` are copied */
    const uint32_t *slot;        /* [wanted] rows, rising */
    const uint32_t *keep;        /* [kept] which of the told, rising */
    float *hidden, *logits;      /* [wanted, embed], [kept, vocab] */
    uint32_t *best;              /* [told] the first of the largest logits; where one is not finite, any number */
    uint8_t *finite;             /* [n], set to 0 where a value was not finite, left otherwise */
    /* Rows of the device's layers, and perhaps of others', which are not its business. */
    const struct device_tap *tap; /* [taps], by rising rows */
    uint32_t taps, tap_from;      /* the batch's row 0 is their row tap_from */
};

struct device_table {
    uint32_t abi;
    /* Starts all that opens files or makes code, so that a process may shut itself in behind it. How many devices there
     * are; 0: why there is none. */
    uint32_t (*start)(struct note *why);
    enum err (*describe)(uint32_t index, struct device_facts *out, struct note *note);
    /* Bytes on the device for such options, without the cache; and of the cache for a page. */
    uint64_t (*bytes)(const struct device_options *o);
    uint64_t (*page_bytes)(const struct device_options *o);
    /* ERR_FULL: no room; ERR_UNSUPPORTED, ERR_IO; with a note. */
    enum err (*open)(const struct device_options *o, struct device **out, struct note *note);
    void (*close)(struct device *d);
    /* Memory of this machine's that many runs will name, until unpin: copies of it need no detour. Nothing is lost but
     * speed where that cannot be; both NULL where there is nothing to gain. */
    void (*pin)(struct device *d, void *p, uint64_t bytes);
    void (*unpin)(struct device *d, void *p);
    /* ERR_FULL: the cache found no room; ERR_IO: the device is lost. */
    enum err (*run)(struct device *d, const struct device_batch *b, struct note *note);
    /* The same in two: what `begin` was given stays as it is until `end`, which waits for it and must come, also where
     * nobody wants the rows any more. Both NULL where a run keeps this machine busy. */
    enum err (*begin)(struct device *d, const struct device_batch *b, struct note *note);
    enum err (*end)(struct device *d, const struct device_batch *b, struct note *note);
};

/* What the shared object offers by this name. */
__attribute__((__visibility__("default"))) const struct device_table *kith_device_table(void);

#ifdef __cplusplus
}
#endif
#endif
