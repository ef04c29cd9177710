// Monotonic time in nanoseconds, and what to do while spinning.
#ifndef SYNCNAS_CLOCK_H
#define SYNCNAS_CLOCK_H

#include <stdint.h>
#include <time.h>

// The clock of Python's time.monotonic_ns.
#if defined(__APPLE__)
#define MONOTONIC_CLOCK CLOCK_UPTIME_RAW  // CLOCK_MONOTONIC ticks in whole microseconds there
#else
#define MONOTONIC_CLOCK CLOCK_MONOTONIC
#endif

static inline int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(MONOTONIC_CLOCK, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// Tell the core that this is a spin loop: it saves power and leaves the sibling thread its share.
static inline void cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __asm__ volatile("pause" ::: "memory");
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

static inline void spin_for_ns(int64_t duration_ns) {
    const int64_t end_ns = now_ns() + duration_ns;
    while (now_ns() < end_ns) cpu_relax();
}

static inline void sleep_for_us(int64_t duration_us) {
    const struct timespec gap = {.tv_sec = (time_t)(duration_us / 1000000),
                                 .tv_nsec = (long)(duration_us % 1000000) * 1000};
    nanosleep(&gap, NULL);
}

#endif
