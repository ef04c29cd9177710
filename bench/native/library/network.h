// network.txt: what a bundle's network is, in a plan's own statements. Python writes it: syncnas_bench/network_text.py.
#ifndef SYNCNAS_NETWORK_H
#define SYNCNAS_NETWORK_H

#include "../plan.h"
#include "syncnas.h"

enum { NETWORK_VERSION = 1, NETWORK_MAX_BYTES = 65536 };

struct network {
    struct plan plan;  // one step with one job of one or two lanes, on units of the same number
    syncnas_shape input, output;
};

// Read and check the text (FAILURE_PLAN: what is wrong, and what to do). `network` has its units already, and nothing
// else; on failure it is to be freed all the same.
int network_read(const char *text, size_t bytes, struct network *network, struct failure *failure);

#endif
