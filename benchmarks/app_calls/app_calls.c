// What a call of syncnas_run takes beyond the makespan that it tells: app_calls LITERT BUNDLE RUNS. Prints all, in ns.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "syncnas.h"

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int count, char **words) {
    syncnas_options options = {.struct_size = sizeof options, .runtime = words[1], .spin_us = 2000};
    syncnas_bundle bundle = {.folder = words[2]};
    syncnas_times times = {.struct_size = sizeof times};
    syncnas_network network;
    syncnas_error error;
    if (count != 4 || syncnas_open(&bundle, &options, &network, &error) != SYNCNAS_OK) return 1;
    for (int left = atoi(words[3]); left > 0; left--) {
        const long long start = now();
        if (syncnas_run(network, &times, &error) != SYNCNAS_OK) return 1;
        printf("%lld\n", now() - start - (long long)times.total_ns);
    }
    syncnas_close(network);
    return 0;
}
