#include "barrier.h"

#include "clock.h"

void barrier_init(struct barrier *barrier, int64_t spin_ns) {
    atomic_init(&barrier->sleepers, 0);
    barrier->spin_ns = spin_ns;
    barrier_reset(barrier);
    pthread_mutex_init(&barrier->mutex, NULL);
    pthread_cond_init(&barrier->moved, NULL);
}

void barrier_destroy(struct barrier *barrier) {
    pthread_mutex_destroy(&barrier->mutex);
    pthread_cond_destroy(&barrier->moved);
}

void barrier_reset(struct barrier *barrier) {
    for (int lane = 0; lane < 2; lane++) atomic_store(&barrier->reached[lane], 0);
}

void barrier_reach(struct barrier *barrier, int lane, int place) {
    // Both this pair and the waiter's "count itself, then look" are sequentially consistent: either the
    // waiter sees the new place or we see the sleeper.
    atomic_store(&barrier->reached[lane], place);
    if (atomic_load(&barrier->sleepers) == 0) return;
    pthread_mutex_lock(&barrier->mutex);
    pthread_cond_broadcast(&barrier->moved);
    pthread_mutex_unlock(&barrier->mutex);
}

bool barrier_reached(struct barrier *barrier, int lane, int place) {
    return atomic_load(&barrier->reached[lane]) >= place;
}

bool barrier_wait(struct barrier *barrier, int lane, int place) {
    bool slept = false;
    const int64_t spin_end_ns = now_ns() + barrier->spin_ns;
    for (unsigned turn = 1; !barrier_reached(barrier, lane, place); turn++) {
        cpu_relax();
        if (turn % 16 == 0 && now_ns() >= spin_end_ns) break;
    }
    if (barrier_reached(barrier, lane, place)) return false;
    pthread_mutex_lock(&barrier->mutex);
    atomic_fetch_add(&barrier->sleepers, 1);
    while (!barrier_reached(barrier, lane, place)) {
        slept = true;
        pthread_cond_wait(&barrier->moved, &barrier->mutex);
    }
    atomic_fetch_sub(&barrier->sleepers, 1);
    pthread_mutex_unlock(&barrier->mutex);
    return slept;
}
