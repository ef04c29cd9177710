#ifndef SYNCNAS_ANDROID_SCHED_H
#define SYNCNAS_ANDROID_SCHED_H

#include <bionic_types.h>

typedef struct {
    unsigned long words[16];
} cpu_set_t;

_Static_assert(sizeof(cpu_set_t) == 128, "cpu_set_t holds 1024 cores");

#define CPU_ZERO(set) __builtin_memset((set), 0, sizeof *(set))
#define CPU_SET(core, set) ((void)((set)->words[(core) / 64] |= 1UL << (core) % 64))
#define CPU_ISSET(core, set) ((int)((set)->words[(core) / 64] >> (core) % 64 & 1))
#define CPU_EQUAL(one, other) (__builtin_memcmp((one), (other), sizeof *(one)) == 0)

static inline int CPU_COUNT(const cpu_set_t *set) {
    int count = 0;
    for (int i = 0; i < 16; i++) count += __builtin_popcountl(set->words[i]);
    return count;
}

int sched_getaffinity(pid_t thread, size_t bytes, cpu_set_t *set);
int sched_setaffinity(pid_t thread, size_t bytes, const cpu_set_t *set);

#endif
