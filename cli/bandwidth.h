/* How fast this machine reads memory: the measure beside which a decoding speed means something. */
#ifndef KITH_CLI_BANDWIDTH_H
#define KITH_CLI_BANDWIDTH_H

/* Bytes a second of a plain sum over memory far larger than the caches, on so many threads, the best of a few passes;
 * 0 where there is no memory or thread for it. */
double bandwidth_measure(unsigned threads);

#endif
