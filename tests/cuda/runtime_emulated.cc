/* cuda/runtime.h in this machine's memory. Work is done when it is queued. */
#include "tests/cuda/runtime_emulated.h"

#include "tests/cuda/emulate.h"
#include "tests/cuda/memory.h"

#include "inference/cuda/runtime.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

struct cuda_queue {
    uint32_t index;
    bool is_lost;
};

static uint32_t gpus = 1, lose_at;
static uint64_t gpu_bytes = (uint64_t)4 << 30;
static std::map<void *, uint64_t> allocated, pinned;
static uint64_t used[DEVICES_MAX];

/* The GPU that this thread launches on, as the CUDA runtime has it; and where cuda/runtime.cu says which. */
static uint32_t current;
static void use(const struct cuda_queue *q)
{
    current = q->index;
}

void emulate_launched_on(const void *stream)
{
    const struct cuda_queue *q = (const struct cuda_queue *)stream;
    if (!q || q->index == current)
        return;
    fprintf(stderr, "emulated GPU: a kernel is launched on GPU %u while the thread's is %u\n", q->index, current);
    abort();
}

bool emulated_is(void)
{
    return true;
}

void *gpu_new(size_t bytes)
{
    size_t room = (bytes + 255) / 256 * 256 + 256;
    void *p = aligned_alloc(256, room);
    memset(p, 0xA5, room);
    return p;
}

void gpu_free(void *p)
{
    free(p);
}

void gpu_wait(void)
{
}

void emulated_gpus(uint32_t count, uint64_t bytes)
{
    gpus = count;
    gpu_bytes = bytes;
}

void emulated_lose_at(uint32_t nth)
{
    lose_at = nth;
}

uint64_t emulated_bytes(void)
{
    uint64_t all = 0;
    for (uint64_t u : used)
        all += u;
    return all;
}

uint32_t emulated_pinned(void)
{
    return (uint32_t)pinned.size();
}

uint32_t cuda_start(struct note *note)
{
    if (gpus == 0)
        (void)note_set(note, ERR_NOT_FOUND, "no GPU is emulated");
    return gpus;
}

enum err cuda_describe(uint32_t index, struct device_facts *out, struct note *note)
{
    if (index >= gpus)
        return note_set(note, ERR_NOT_FOUND, "there is no GPU %u, only %u", index, gpus);
    *out = device_facts{};
    snprintf(out->name, sizeof out->name, "emulated GPU %u", index);
    snprintf(out->kind, sizeof out->kind, "emulated");
    snprintf(out->driver, sizeof out->driver, "none");
    out->total_bytes = gpu_bytes;
    out->free_bytes = gpu_bytes - used[index];
    return ERR_OK;
}

enum err cuda_queue_new(uint32_t index, struct cuda_queue **out, struct note *note)
{
    if (index >= gpus)
        return note_set(note, ERR_NOT_FOUND, "there is no GPU %u, only %u", index, gpus);
    *out = new cuda_queue{index, false};
    use(*out);
    return ERR_OK;
}

void cuda_queue_free(struct cuda_queue *q)
{
    delete q;
}

void *cuda_queue_stream(const struct cuda_queue *q)
{
    use(q);
    return (void *)q;
}

/* Garbage, so that what relies on zeros is seen. */
void *cuda_alloc(struct cuda_queue *q, uint64_t bytes)
{
    uint64_t room = (bytes + 255) / 256 * 256;
    use(q);
    if (used[q->index] + room > gpu_bytes)
        return nullptr;
    void *p = aligned_alloc(256, room ? room : 256);
    memset(p, 0xA5, room);
    allocated[p] = room | q->index;
    used[q->index] += room;
    return p;
}

void cuda_free(struct cuda_queue *q, void *p)
{
    use(q);
    if (!p)
        return;
    auto at = allocated.find(p);
    used[at->second % 256] -= at->second / 256 * 256;
    allocated.erase(at);
    free(p);
}

void *cuda_alloc_host(struct cuda_queue *, uint64_t bytes)
{
    return malloc(bytes ? bytes : 1);
}

void cuda_free_host(struct cuda_queue *, void *p)
{
    free(p);
}

void cuda_pin(struct cuda_queue *, void *p, size_t bytes)
{
    pinned[p] = bytes;
}

void cuda_unpin(struct cuda_queue *, void *p)
{
    if (!pinned.erase(p)) {
        fprintf(stderr, "memory is unpinned that is not pinned\n");
        abort();
    }
}

void cuda_put(struct cuda_queue *, void *device, const void *host, size_t bytes)
{
    memcpy(device, host, bytes);
}

void cuda_get(struct cuda_queue *, void *host, const void *device, size_t bytes)
{
    memcpy(host, device, bytes);
}

void cuda_zero(struct cuda_queue *, void *device, size_t bytes)
{
    memset(device, 0, bytes);
}

enum err cuda_wait(struct cuda_queue *q, struct note *note)
{
    use(q);
    if (lose_at && --lose_at == 0)
        q->is_lost = true;
    return q->is_lost ? note_set(note, ERR_IO, "the emulated GPU %u is lost", q->index) : ERR_OK;
}

/* -- graphs: launches, kept -- */

struct cuda_graph {
    std::vector<std::function<void()>> launches;
};

static struct cuda_graph *recording;
static uint64_t graphs_run;

bool emulate_keeps(const std::function<void()> &launch)
{
    if (recording)
        recording->launches.push_back(launch);
    return recording;
}

bool cuda_graph_begin(struct cuda_queue *q)
{
    use(q);
    recording = new cuda_graph;
    return true;
}

struct cuda_graph *cuda_graph_end(struct cuda_queue *)
{
    struct cuda_graph *g = recording;
    recording = nullptr;
    return g;
}

void cuda_graph_run(struct cuda_queue *, const struct cuda_graph *g)
{
    for (const auto &launch : g->launches)
        launch();
    graphs_run++;
}

void cuda_graph_free(struct cuda_graph *g)
{
    delete g;
}

uint64_t emulated_graphs_run(void)
{
    return graphs_run;
}
