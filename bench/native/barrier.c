#include "barrier.h"

#include <stdbool.h>

#include "clock.h"

void barrier_init(struct barrier *barrier, int64_t spin_ns) {
    atomic_init(&barrier->arrived, 0);
    atomic_init(&barrier->generation, 0);
    atomic_init(&barrier->sleepers, 0);
    barrier->spin_ns = spin_ns;
    barrier->released_ns = 0;
    pthread_mutex_init(&barrier->mutex, NULL);
    pthread_cond_init(&barrier->released, NULL);
}

void barrier_destroy(struct barrier *barrier) {
    pthread_mutex_destroy(&barrier->mutex);
    pthread_cond_destroy(&barrier->released);
}

static bool passed(struct barrier *barrier, unsigned generation) {
    return atomic_load_explicit(&barrier->generation, memory_order_acquire) != generation;
}

static void release(struct barrier *barrier) {
    atomic_store(&barrier->arrived, 0);
    barrier->released_ns = now_ns();
    // Both this pair and the waiter's "count itself, then look" are sequentially consistent: either the
    // waiter sees the new generation or we see the sleeper.
    atomic_fetch_add(&barrier->generation, 1);
    if (atomic_load(&barrier->sleepers) == 0) return;
    pthread_mutex_lock(&barrier->mutex);
    pthread_cond_broadcast(&barrier->released);
    pthread_mutex_unlock(&barrier->mutex);
}

void barrier_wait(struct barrier *barrier) {
    const unsigned generation = atomic_load(&barrier->generation);
    if (atomic_fetch_add(&barrier->arrived, 1) == 1) {
        release(barrier);
        return;
    }
    const int64_t spin_end_ns = now_ns() + barrier->spin_ns;
    for (unsigned turn = 1; !passed(barrier, generation); turn++) {
        cpu_relax();
        if (turn % 16 == 0 && now_ns() >= spin_end_ns) break;
    }
    if (passed(barrier, generation)) return;
    pthread_mutex_lock(&barrier->mutex);
    atomic_fetch_add(&barrier->sleepers, 1);
    while (atomic_load(&barrier->generation) == generation) {
        pthread_cond_wait(&barrier->released, &barrier->mutex);
    }
    atomic_fetch_sub(&barrier->sleepers, 1);
    pthread_mutex_unlock(&barrier->mutex);
}
