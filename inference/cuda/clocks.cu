/* clocks.h: gathers what each file of kernels has (lane_clock.h). */
#include "inference/cuda/clocks.h"

#ifdef LANE_CLOCKS
#include "inference/cuda/lane.h"

#include <algorithm>
#include <vector>

static struct lane_clocks *files;

void lane_clocks_add(struct lane_clocks *of_file)
{
    of_file->next = files;
    files = of_file;
}

uint32_t cuda_clocks_take(struct cuda_clock *out, uint32_t room)
{
    std::vector<cuda_clock> all;
    std::vector<lane_moment> marks(LANE_CLOCKS_MOST);
    for (const struct lane_clocks *f = files; f; f = f->next) {
        const uint32_t n = f->take(marks.data());
        for (uint32_t i = 0; i < n; i++) {
            const struct lane_moment &m = marks[i];
            all.push_back({m.ns, f->file, {m.grid[0], m.grid[1], m.grid[2]}, m.threads});
        }
    }
    std::sort(all.begin(), all.end(), [](const cuda_clock &a, const cuda_clock &b) { return a.ns < b.ns; });
    const uint32_t n = (uint32_t)std::min<size_t>(all.size(), room);
    std::copy(all.begin(), all.begin() + n, out);
    return n;
}
#else
uint32_t cuda_clocks_take(struct cuda_clock *out, uint32_t room)
{
    (void)out, (void)room;
    return 0;
}
#endif
