// A reusable barrier of two threads that spins first and sleeps only when the other is late.
#ifndef SYNCNAS_BARRIER_H
#define SYNCNAS_BARRIER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct barrier {
    atomic_uint arrived;
    atomic_uint generation;
    atomic_uint sleepers;
    int64_t spin_ns;
    int64_t released_ns;  // when the last one arrived; valid for both after barrier_wait
    pthread_mutex_t mutex;
    pthread_cond_t released;
};

void barrier_init(struct barrier *barrier, int64_t spin_ns);
void barrier_destroy(struct barrier *barrier);

// Returns once both threads have called it. Writes of either are then visible to both.
void barrier_wait(struct barrier *barrier);

#endif
