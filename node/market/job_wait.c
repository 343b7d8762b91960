/* What a job waits for, in words: somebody is looking at a silent screen. A job that has not come forward for a moment
 * says why, and says something else when the reason is another. */
#include "node/market/job.h"

#include "base/limits.h"

#include <stdio.h>
#include <string.h>

#define LOOK_MS   1000
#define SILENT_MS 2000 /* shorter waits are nobody's business */

static void on_look(void *arg);

static void look_later(struct job *j)
{
    host_timer_set(j->jobs->s.host, &j->look, LOOK_MS, on_look, j);
}

void job_wait_start(struct job *j)
{
    j->moved_ms = host_now_ms(j->jobs->s.host);
    look_later(j);
}

void job_wait_end(struct job *j)
{
    host_timer_cancel(j->jobs->s.host, &j->look);
    j->note[0] = 0;
    j->is_noted = false;
}

static void say(struct job *j, const char *text)
{
    if (strcmp(j->note, text) == 0)
        return;
    snprintf(j->note, sizeof j->note, "%s", text);
    j->notes++;
    job_changed(j);
}

static void short_key(const struct pubkey *k, char out[9])
{
    char hex[2 * sizeof k->b + 1];
    hex_put(hex, k->b, sizeof k->b);
    snprintf(out, 9, "%.8s", hex);
}

void job_moved(struct job *j)
{
    char line[JOB_NOTE_ROOM], who[9];
    j->moved_ms = host_now_ms(j->jobs->s.host);
    if (!j->is_noted)
        return;
    j->is_noted = false;
    short_key(&j->r.provider, who);
    snprintf(line, sizeof line, "going on with provider %s", who);
    say(j, line);
}

static void put_funding(const struct job *j, char *out, size_t room)
{
    char who[9];
    short_key(&j->remote->offer.provider, who);
    snprintf(out, room, "waiting for the ledger: a payment channel to provider %s is being %s", who,
             j->remote->channel ? "topped up" : "opened");
}

static void put_running(const struct job *j, char *out, size_t room)
{
    char who[9];
    const struct job_remote *m = j->remote;
    uint64_t silent_ms = host_now_ms(j->jobs->s.host) - m->heard_ms;
    short_key(&m->offer.provider, who);
    if (m->accepted && silent_ms < 2 * SILENT_MS)
        snprintf(out, room, "provider %s reads the prompt", who);
    else if (m->accepted)
        snprintf(out, room, "provider %s has said nothing for a while: another is asked if it stays silent", who);
    else
        snprintf(out, room, "waiting for provider %s to take the job", who);
}

static void put_waiting(const struct job *j, char *out, size_t room)
{
    *out = 0;
    if (j->r.stop != JOB_STOP_NONE)
        snprintf(out, room, "the answer is there and paid: its text is being made");
    else if (j->r.state == JOB_PREPARING)
        snprintf(out, room, j->worker ? "loading the model's vocabulary" : "looking for the model among the peers");
    else if (j->r.state == JOB_ROUTING)
        snprintf(out, room, "waiting for a provider: %.150s", j->why[0] ? j->why : "asking again in a moment");
    else if (j->r.state == JOB_FUNDING && j->remote)
        put_funding(j, out, room);
    else if (j->r.state == JOB_RUNNING && j->remote)
        put_running(j, out, room);
}

static void on_look(void *arg)
{
    struct job *j = arg;
    char line[JOB_NOTE_ROOM];
    if (j->r.state >= JOB_DONE)
        return;
    look_later(j);
    if (j->r.local || host_now_ms(j->jobs->s.host) - j->moved_ms < SILENT_MS)
        return;
    put_waiting(j, line, sizeof line);
    if (!line[0])
        return;
    j->is_noted = true;
    say(j, line);
}
