// What calls of syncnas_run take beyond the makespans that they tell, in nanoseconds; -1 where one failed.
#include <time.h>

#include "syncnas.h"

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

// AppCalls.inC(network, calls), by the JNI's rule of names.
int64_t Java_AppCalls_inC(void *env, void *type, int64_t network, int32_t calls) {
    (void)env, (void)type;
    syncnas_times times = {.struct_size = sizeof times};
    syncnas_error error;
    long long told = 0;
    const long long start = now();
    for (int i = 0; i < calls; i++) {
        if (syncnas_run((syncnas_network)network, &times, &error) != SYNCNAS_OK) return -1;
        told += times.total_ns;
    }
    return now() - start - told;
}
