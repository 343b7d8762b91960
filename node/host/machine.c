/* Readings of this machine, from /sys, /proc, /dev and /run. A file that is not there is an answer too: a machine
 * without /sys/class/power_supply entries has no battery. */
#include "node/host/machine.h"

#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_ROOM     512
#define PROCESSES_MAX 8192 /* looked at for those below this one */

/* -- small files -- */

/* The beginning of a file as text, without the newline at its end; false if there is none. */
static bool read_text(char *text, size_t room, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, room - 1);
    close(fd);
    if (n < 0)
        return false;
    while (n > 0 && text[n - 1] == '\n')
        n--;
    text[n] = 0;
    return true;
}

static bool read_number(const char *dir, const char *name, const char *file, long *out)
{
    char path[PATH_ROOM], text[64], *end;
    snprintf(path, sizeof path, "%.300s/%.100s/%.64s", dir, name, file);
    if (!read_text(text, sizeof text, path))
        return false;
    *out = strtol(text, &end, 10);
    return end != text;
}

static bool read_word(const char *dir, const char *name, const char *file, char *out, size_t room)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%.300s/%.100s/%.64s", dir, name, file);
    return read_text(out, room, path);
}

typedef void (*entry_fn)(void *arg, const char *dir, const char *name);

/* Every name in ROOT/UNDER; false if there is no such directory. */
static bool each_entry(const char *root, const char *under, entry_fn fn, void *arg)
{
    char dir[PATH_ROOM];
    snprintf(dir, sizeof dir, "%.300s%.100s", root, under);
    DIR *d = opendir(dir);
    if (!d)
        return false;
    for (const struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.')
            fn(arg, dir, e->d_name);
    closedir(d);
    return true;
}

/* -- power -- */

struct supplies {
    bool mains, battery, drains, rests; /* rests: a battery that says it is charging, full or kept */
};

/* A mouse has a battery as well; its scope is "Device". */
static void look_at_supply(void *arg, const char *dir, const char *name)
{
    struct supplies *s = arg;
    char type[32] = "", status[32] = "", scope[32] = "";
    long online = 0;
    (void)!read_word(dir, name, "type", type, sizeof type);
    (void)!read_word(dir, name, "scope", scope, sizeof scope);
    (void)!read_word(dir, name, "status", status, sizeof status);
    if (strcmp(scope, "Device") == 0)
        return;
    if (strcmp(type, "Battery") == 0 || strcmp(type, "UPS") == 0) {
        s->battery = true;
        s->drains |= strcmp(status, "Discharging") == 0;
        s->rests |=
            strcmp(status, "Charging") == 0 || strcmp(status, "Full") == 0 || strcmp(status, "Not charging") == 0;
    } else if (read_number(dir, name, "online", &online) && online > 0) {
        s->mains = true;
    }
}

static enum machine_power read_power(const char *root)
{
    struct supplies s = {0};
    struct stat st;
    char class[PATH_ROOM];
    snprintf(class, sizeof class, "%s/sys/class", root);
    if (stat(class, &st) != 0)
        return MACHINE_POWER_UNKNOWN;
    (void)!each_entry(root, "/sys/class/power_supply", look_at_supply, &s);
    if (!s.battery || s.mains)
        return MACHINE_MAINS;
    return s.drains ? MACHINE_BATTERY : s.rests ? MACHINE_MAINS : MACHINE_POWER_UNKNOWN;
}

/* -- temperature -- */

struct sensors {
    bool has_processor, has_any;
    long processor, any; /* the warmest, in thousandths of a degree */
};

static bool is_processor(const char *name)
{
    static const char *const names[] = {"x86_pkg_temp", "coretemp", "k10temp", "zenpower", "cpu"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static void add_sensor(struct sensors *s, const char *name, long value)
{
    if (value < -40000 || value > 150000) /* a sensor that is not connected */
        return;
    if (!s->has_any || value > s->any)
        s->any = value;
    s->has_any = true;
    if (!is_processor(name))
        return;
    if (!s->has_processor || value > s->processor)
        s->processor = value;
    s->has_processor = true;
}

static void look_at_zone(void *arg, const char *dir, const char *name)
{
    char type[64];
    long value;
    if (strncmp(name, "thermal_zone", 12) == 0 && read_word(dir, name, "type", type, sizeof type) &&
        read_number(dir, name, "temp", &value))
        add_sensor(arg, type, value);
}

static void look_at_hwmon(void *arg, const char *dir, const char *name)
{
    char type[64];
    long value;
    if (read_word(dir, name, "name", type, sizeof type) && is_processor(type) &&
        read_number(dir, name, "temp1_input", &value))
        add_sensor(arg, type, value);
}

/* Of the processor where something says that it is its sensor, else of the warmest zone. */
static void read_temperature(const char *root, struct machine *m)
{
    struct sensors s = {0};
    (void)!each_entry(root, "/sys/class/thermal", look_at_zone, &s);
    (void)!each_entry(root, "/sys/class/hwmon", look_at_hwmon, &s);
    m->has_temperature = s.has_any;
    m->temperature = (int32_t)((s.has_processor ? s.processor : s.any) / 1000);
}

/* -- who is there -- */

struct terminals {
    uint64_t newest_ms; /* when a key was last read */
    bool any;
};

/* The kernel sets a terminal's access time when somebody's input is read from it (to some seconds). */
static void look_at_terminal(struct terminals *t, const char *dir, const char *name)
{
    char path[PATH_ROOM];
    struct stat st;
    snprintf(path, sizeof path, "%.300s/%.100s", dir, name);
    if (stat(path, &st) != 0)
        return;
    uint64_t at = (uint64_t)st.st_atim.tv_sec * 1000;
    t->any = true;
    if (at > t->newest_ms)
        t->newest_ms = at;
}

static void look_at_pts(void *arg, const char *dir, const char *name)
{
    if (name[0] >= '0' && name[0] <= '9')
        look_at_terminal(arg, dir, name);
}

static void look_at_console(void *arg, const char *dir, const char *name)
{
    if (strncmp(name, "tty", 3) == 0 && name[3] >= '1' && name[3] <= '9')
        look_at_terminal(arg, dir, name);
}

/* A session of a desktop, whose keys no terminal sees. */
static void look_at_session(void *arg, const char *dir, const char *name)
{
    bool *desktop = arg;
    char path[PATH_ROOM], text[4096];
    snprintf(path, sizeof path, "%.300s/%.100s", dir, name);
    if (!read_text(text, sizeof text, path) || !strstr(text, "ACTIVE=1") || !strstr(text, "CLASS=user"))
        return;
    *desktop |= strstr(text, "\nTYPE=x11") || strstr(text, "\nTYPE=wayland") || strstr(text, "\nTYPE=mir");
}

static void look_at_screen(void *arg, const char *dir, const char *name)
{
    bool *desktop = arg;
    (void)dir;
    *desktop |= name[0] == 'X';
}

static void read_input(const char *root, uint64_t wall_ms, struct machine *m)
{
    struct terminals t = {0};
    bool desktop = false;
    bool known = each_entry(root, "/dev/pts", look_at_pts, &t);
    (void)!each_entry(root, "/dev", look_at_console, &t);
    if (!each_entry(root, "/run/systemd/sessions", look_at_session, &desktop))
        (void)!each_entry(root, "/tmp/.X11-unix", look_at_screen, &desktop);
    m->has_input = known && !desktop;
    m->input_ms = !t.any ? MACHINE_NOBODY : wall_ms > t.newest_ms ? wall_ms - t.newest_ms : 0;
}

/* -- processors -- */

struct process {
    long pid, parent;
    uint64_t ticks;
    bool ours;
};

struct processes {
    struct process *p;
    size_t n;
};

/* "PID (NAME) STATE PPID ... utime stime cutime cstime": the name may hold anything, also parentheses. */
static bool read_process(const char *path, bool with_children, struct process *out)
{
    char text[1024];
    unsigned long u, s, cu, cs;
    if (!read_text(text, sizeof text, path))
        return false;
    const char *behind = strrchr(text, ')');
    out->pid = strtol(text, NULL, 10);
    if (!behind || sscanf(behind + 1, " %*c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu", &out->parent, &u,
                          &s, &cu, &cs) != 5)
        return false;
    out->ticks = u + s + (with_children ? cu + cs : 0);
    out->ours = false;
    return true;
}

static void look_at_process(void *arg, const char *dir, const char *name)
{
    struct processes *all = arg;
    char path[PATH_ROOM];
    if (name[0] < '0' || name[0] > '9' || all->n == PROCESSES_MAX)
        return;
    snprintf(path, sizeof path, "%.300s/%.20s/stat", dir, name);
    all->n += read_process(path, true, &all->p[all->n]);
}

static bool is_below(const struct processes *all, const struct process *p, long self)
{
    if (p->pid == self || p->parent == self)
        return true;
    for (size_t i = 0; i < all->n; i++)
        if (all->p[i].pid == p->parent)
            return all->p[i].ours;
    return false;
}

/* What ended below us is in the times of who waited for it. */
static uint64_t ticks_of_ours(const char *root)
{
    struct processes all = {.p = mem_array(PROCESSES_MAX, sizeof *all.p)};
    char path[PATH_ROOM];
    struct process self = {0};
    uint64_t sum = 0;
    snprintf(path, sizeof path, "%s/proc/self/stat", root);
    if (read_process(path, true, &self)) {
        (void)!each_entry(root, "/proc", look_at_process, &all);
        for (bool more = true; more;) {
            more = false;
            for (size_t i = 0; i < all.n; i++)
                if (!all.p[i].ours && is_below(&all, &all.p[i], self.pid))
                    more = all.p[i].ours = true;
        }
    }
    for (size_t i = 0; i < all.n; i++)
        sum += all.p[i].ours ? all.p[i].ticks : 0;
    free(all.p);
    return sum;
}

static void read_processors(const char *root, struct machine *m)
{
    char path[PATH_ROOM], text[256];
    unsigned long v[8] = {0};
    snprintf(path, sizeof path, "%s/proc/stat", root);
    if (!read_text(text, sizeof text, path) ||
        sscanf(text, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) < 4)
        return;
    for (int i = 0; i < 8; i++)
        m->cpu_total += v[i];
    m->cpu_busy = m->cpu_total - v[3] - v[4]; /* idle, and waiting for a disk */
    m->cpu_ours = ticks_of_ours(root);
}

bool machine_others(const struct machine *before, const struct machine *now, uint32_t *permille)
{
    if (before->cpu_total == 0 || now->cpu_total <= before->cpu_total || now->cpu_busy < before->cpu_busy)
        return false;
    uint64_t total = now->cpu_total - before->cpu_total, busy = now->cpu_busy - before->cpu_busy;
    uint64_t ours = now->cpu_ours > before->cpu_ours ? now->cpu_ours - before->cpu_ours : 0;
    uint64_t others = busy > ours ? busy - ours : 0;
    *permille = (uint32_t)(others >= total ? 1000 : others * 1000 / total);
    return true;
}

/* -- memory, and the time -- */

static uint64_t kib_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? strtoull(at + strlen(name), NULL, 10) << 10 : 0;
}

static void read_memory(const char *root, struct machine *m)
{
    char path[PATH_ROOM], text[4096];
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    if (!read_text(text, sizeof text, path))
        return;
    m->memory_bytes = kib_of(text, "MemTotal:");
    m->memory_free_bytes = kib_of(text, "MemAvailable:");
}

static uint32_t local_minute(uint64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm local;
    tzset(); /* a laptop travels */
    return localtime_r(&seconds, &local) ? (uint32_t)(local.tm_hour * 60 + local.tm_min) : 0;
}

void machine_read(const char *root, uint64_t wall_ms, struct machine *out)
{
    *out = (struct machine){.local_min = local_minute(wall_ms), .power = read_power(root)};
    read_temperature(root, out);
    read_input(root, wall_ms, out);
    read_processors(root, out);
    read_memory(root, out);
}
