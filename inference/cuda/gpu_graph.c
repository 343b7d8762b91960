/* Graphs by the shape of their batch: recorded when a shape comes the second time; the one that was used longest ago
 * makes room. What else their kernels' arguments are is memory of the device that stays where it is, or is forgotten.
 */
#include "inference/cuda/gpu.h"

#include <string.h>

static struct gpu_graph *find(struct device *d, const struct gpu_shape *shape)
{
    for (unsigned i = 0; i < GPU_GRAPHS; i++)
        if (d->graph[i].used && memcmp(&d->graph[i].shape, shape, sizeof *shape) == 0)
            return &d->graph[i];
    return NULL;
}

static struct gpu_graph *oldest(struct device *d)
{
    struct gpu_graph *best = &d->graph[0];
    for (unsigned i = 1; i < GPU_GRAPHS; i++)
        if (d->graph[i].used < best->used)
            best = &d->graph[i];
    return best;
}

struct cuda_graph *gpu_graph_find(struct device *d, const struct gpu_shape *shape, bool *record)
{
    *record = false;
    if (shape->n > GPU_GRAPH_ROWS)
        return NULL;
    struct gpu_graph *g = find(d, shape);
    d->batches++;
    if (g) {
        g->used = d->batches;
        *record = !g->graph;
        return g->graph;
    }
    g = oldest(d);
    cuda_graph_free(g->graph);
    *g = (struct gpu_graph){.shape = *shape, .used = d->batches};
    return NULL;
}

void gpu_graph_keep(struct device *d, const struct gpu_shape *shape, struct cuda_graph *graph_take)
{
    struct gpu_graph *g = find(d, shape);
    if (g)
        g->graph = graph_take;
    else
        cuda_graph_free(graph_take);
}

void gpu_graph_forget(struct device *d)
{
    for (unsigned i = 0; i < GPU_GRAPHS; i++)
        cuda_graph_free(d->graph[i].graph);
    memset(d->graph, 0, sizeof d->graph);
}
