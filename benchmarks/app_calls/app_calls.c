// What a call of syncnas_run takes beyond the makespan that it tells, in nanoseconds; -1 where it failed.
#include <time.h>

#include "syncnas.h"

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

// AppCalls.inC(network), by the JNI's rule of names.
int64_t Java_AppCalls_inC(void *env, void *type, int64_t network) {
    (void)env, (void)type;
    syncnas_times times = {.struct_size = sizeof times};
    syncnas_error error;
    const long long start = now();
    const syncnas_status status = syncnas_run((syncnas_network)network, &times, &error);
    return status == SYNCNAS_OK ? now() - start - times.total_ns : -1;
}
