/* How fast strangers are answered and bytes are carried: bench_p2p [SECONDS].
 *
 * Handshakes as the responder does them (an accepted connection up to the proven key of the other side), and leaves
 * through one connection, encrypted and decrypted in one process. Before anything is timed, a message that went through
 * is compared. */
#include "base/mem.h"
#include "p2p/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct pair {
    struct seckey key[2];
    struct pubkey id[2];
    struct peer *dialled, *accepted;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void carry(struct peer *from, struct peer *to)
{
    struct bytes out = peer_output(from);
    peer_receive(to, out, 0);
    peer_output_drop(from, out.n);
}

static void start(struct pair *p)
{
    struct peer_setup s = {.hello = {.version = PROTOCOL_VERSION}};
    for (int i = 0; i < 2; i++) {
        key_new(&p->key[i]);
        key_derive(&p->key[i], &p->id[i]);
    }
    s.key = &p->key[0];
    key_new(&s.ephemeral);
    p->dialled = peer_new_dialled(&s, &p->id[1]);
    s.key = &p->key[1];
    key_new(&s.ephemeral);
    p->accepted = peer_new_accepted(&s);
    CHECK(p->dialled);
}

static void stop(struct pair *p)
{
    peer_free(p->dialled);
    peer_free(p->accepted);
}

/* Only the accepted side's time counts. */
static void bench_handshakes(double seconds)
{
    double spent_s = 0;
    unsigned n = 0;
    for (double end_s = now_s() + seconds; now_s() < end_s; n++) {
        struct pair p;
        start(&p);
        double at_s = now_s();
        carry(p.dialled, p.accepted);
        spent_s += now_s() - at_s;
        carry(p.accepted, p.dialled);
        at_s = now_s();
        carry(p.dialled, p.accepted);
        spent_s += now_s() - at_s;
        CHECK(peer_state(p.accepted) == PEER_HELLO && pubkey_equal(peer_key(p.accepted), &p.id[0]));
        stop(&p);
    }
    printf("handshakes accepted   %8.0f a second\n", n / spent_s);
}

static void bench_leaves(double seconds)
{
    struct pair p;
    struct peer_message m;
    uint8_t *leaf = mem_new(LEAF_SIZE);
    for (size_t i = 0; i < LEAF_SIZE; i++)
        leaf[i] = (uint8_t)(i * 7);
    start(&p);
    for (int i = 0; i < 3; i++) {
        carry(p.dialled, p.accepted);
        CHECK(!peer_next(p.accepted, &m, 0));
        carry(p.accepted, p.dialled);
        CHECK(!peer_next(p.dialled, &m, 0));
    }
    unsigned n = 0;
    double at_s = now_s();
    for (double end_s = at_s + seconds; now_s() < end_s; n++) {
        CHECK(peer_send(p.dialled, MSG_LEAF, bytes_of(leaf, LEAF_SIZE)) == ERR_OK);
        carry(p.dialled, p.accepted);
        CHECK(peer_next(p.accepted, &m, 0) && m.body.n == LEAF_SIZE);
        if (n == 0) {
            CHECK(memcmp(m.body.p, leaf, LEAF_SIZE) == 0);
            at_s = now_s();
        }
    }
    printf("leaves through a peer %8.0f MB/s (both sides on this core)\n", n * (LEAF_SIZE / 1e6) / (now_s() - at_s));
    stop(&p);
    free(leaf);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 2;
    bench_handshakes(seconds);
    bench_leaves(seconds);
    return 0;
}
