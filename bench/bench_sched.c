/* What people wait for when one model serves many: bench_sched MODEL.gguf [PROMPT_TOKENS] [THREADS].
 *
 * Somebody writes while somebody else's long prompt is read: the gaps between the writer's tokens with and without the
 * reader, and how long the prompt took. Then the next turn of that talk: how long until its first token, with what is
 * known of its beginning and without. Before a time is printed, the answers are compared: they are the same. */
#include "base/file_map.h"
#include "base/mem.h"
#include "bench/talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS 64 /* that the writer writes at least; the reader writes two */

enum { WRITER = 1, READER, AGAIN, ALONE, ASKS };

struct heard {
    uint64_t at_us[4096], start_us, first_us;
    uint32_t n;
    struct hash digest;
    bool is_over;
};

struct stage {
    struct talk talk;
    struct heard heard[ASKS];
};

static void hear(void *arg, const struct wire_frame *f)
{
    struct stage *s = arg;
    struct wire_token token;
    struct wire_done done;
    struct wire_failed failed;
    if (f->type == WIRE_TOKEN && wire_read_token(f->body, &token)) {
        struct heard *h = &s->heard[token.ask];
        h->first_us = h->n ? h->first_us : talk_now_us();
        h->at_us[h->n++ % 4096] = talk_now_us();
    } else if (f->type == WIRE_DONE && wire_read_done(f->body, &done)) {
        s->heard[done.ask].is_over = true;
        s->heard[done.ask].digest = done.digest;
    } else if (f->type == WIRE_FAILED && wire_read_failed(f->body, &failed) && failed.code != ERR_CANCELLED) {
        fprintf(stderr, "bench_sched: %s\n", failed.text.s);
        exit(1);
    }
}

static void ask(struct stage *s, uint64_t number, uint8_t scope, uint32_t prompt_n, uint32_t tokens)
{
    struct buf request = {0}, frame = {0};
    talk_request(&request, prompt_n, tokens, 0);
    s->heard[number] = (struct heard){.start_us = talk_now_us()};
    wire_add_run(&frame, &(struct wire_run){.ask = number, .scope = {{scope}}, .request = bytes_of_buf(&request)});
    talk_say(&s->talk, &frame);
    buf_clear(&request);
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Of the gaps between the writer's tokens from `from` on. */
static void print_gaps(const struct heard *h, uint32_t from, const char *when)
{
    uint64_t gaps[4096];
    uint32_t n = 0;
    for (uint32_t i = from + 1; i < h->n && i < 4096; i++)
        gaps[n++] = h->at_us[i] - h->at_us[i - 1];
    if (n == 0)
        return;
    qsort(gaps, n, sizeof *gaps, by_size);
    printf("a token %-28s %7.1f ms (median), %7.1f ms (longest of %u)\n", when, (double)gaps[n / 2] / 1000,
           (double)gaps[n - 1] / 1000, n);
}

static double first_ms(const struct heard *h)
{
    return (double)(h->first_us - h->start_us) / 1000;
}

static void measure(struct stage *s, uint32_t prompt_n)
{
    struct buf frame = {0};
    ask(s, WRITER, 0, 8, 1000);
    while (s->heard[WRITER].n < TOKENS / 2)
        talk_step(&s->talk);
    print_gaps(&s->heard[WRITER], 0, "with nobody else");
    uint32_t from = s->heard[WRITER].n;
    ask(s, READER, 1, prompt_n, 2);
    while (!s->heard[READER].is_over)
        talk_step(&s->talk);
    print_gaps(&s->heard[WRITER], from, "while a prompt is read");
    printf("a prompt of %u tokens beside a writer: %.0f ms to its first token\n", prompt_n,
           first_ms(&s->heard[READER]));
    wire_add_cancel(&frame, &(struct wire_cancel){WRITER});
    talk_say(&s->talk, &frame);
    ask(s, ALONE, 0, prompt_n, 2);
    while (!s->heard[ALONE].is_over)
        talk_step(&s->talk);
    ask(s, AGAIN, 1, prompt_n, 2);
    while (!s->heard[AGAIN].is_over)
        talk_step(&s->talk);
    CHECK(hash_equal(&s->heard[READER].digest, &s->heard[ALONE].digest));
    CHECK(hash_equal(&s->heard[READER].digest, &s->heard[AGAIN].digest));
    printf("the same alone: %.0f ms; with its beginning known: %.0f ms\n", first_ms(&s->heard[ALONE]),
           first_ms(&s->heard[AGAIN]));
}

int main(int argc, char **argv)
{
    struct bytes file;
    struct note note = {{0}};
    struct buf out = {0};
    struct stage *s = mem_new(sizeof *s);
    struct wire_open o = {.root = {{1}}, .threads = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 2};
    uint32_t prompt_n = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 400;
    s->talk.hear = hear;
    s->talk.arg = s;
    CHECK(text64_set(&o.backend, "auto"));
    if (argc < 2 || prompt_n < 2) {
        fprintf(stderr, "bench_sched MODEL.gguf [PROMPT_TOKENS] [THREADS]\n");
        return 2;
    }
    enum err e = file_map(argv[1], &file, &note);
    if (e == ERR_OK)
        e = sched_open(&o, &(struct sched_options){.file = file, .pack_fd = -1, .clock = talk_now_us}, &out,
                       &s->talk.sched, &note);
    if (e != ERR_OK) {
        fprintf(stderr, "bench_sched: %s\n", note.text);
        return 1;
    }
    buf_clear(&out);
    measure(s, prompt_n);
    sched_close(s->talk.sched);
    file_unmap(file);
    free(s);
    return 0;
}
