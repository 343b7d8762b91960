#include "node/host/room.h"

static unsigned count(const struct room_guest *guests, size_t n, uint64_t network)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += !guests[i].stays && guests[i].network == network;
    return sum;
}

size_t room_of_strangers(const struct room_guest *guests, size_t n, uint64_t network)
{
    size_t best = 0;
    unsigned most = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned sum = count(guests, n, guests[i].network) + (guests[i].network == network);
        if (sum > most || (sum == most && guests[i].since < guests[best].since)) {
            most = sum;
            best = i;
        }
    }
    return best;
}

bool room_of_peers(const struct room_guest *guests, size_t n, uint64_t network, size_t *gone)
{
    unsigned most = 0;
    for (size_t i = 0; i < n; i++) {
        if (guests[i].stays)
            continue;
        unsigned sum = count(guests, n, guests[i].network);
        if (sum > most || (sum == most && guests[i].since > guests[*gone].since)) {
            most = sum;
            *gone = i;
        }
    }
    return most > count(guests, n, network) + 1;
}
