// Where two lanes meet: each says how far it is, and waits until the other one is as far as it must be. Who waits
// polls first and sleeps only when the other is late.
#ifndef SYNCNAS_BARRIER_H
#define SYNCNAS_BARRIER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct barrier {
    atomic_int reached[2];  // by lane; places only ascend
    atomic_uint sleepers;
    int64_t spin_ns;
    pthread_mutex_t mutex;
    pthread_cond_t moved;
};

void barrier_init(struct barrier *barrier, int64_t spin_ns);
void barrier_destroy(struct barrier *barrier);

// Both lanes are before the first place again. Neither may be at work.
void barrier_reset(struct barrier *barrier);

// The lane is at this place. What it wrote before is visible to a lane that waits for it.
void barrier_reach(struct barrier *barrier, int lane, int place);
bool barrier_reached(struct barrier *barrier, int lane, int place);

// Returns once the lane is at this place or past it, and whether the caller slept.
bool barrier_wait(struct barrier *barrier, int lane, int place);

#endif
