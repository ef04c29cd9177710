// The one thread of a unit: it sleeps on a condition until it is given a task.
#ifndef SYNCNAS_UNIT_THREAD_H
#define SYNCNAS_UNIT_THREAD_H

#include <pthread.h>
#include <stdbool.h>

struct unit_thread {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    void (*task)(void *argument);  // NULL while idle
    void *argument;
    bool started, stopping;
};

// Returns 0, or an errno value.
int unit_thread_start(struct unit_thread *unit);

// Run `task` on the thread. Returns at once; one task at a time.
void unit_thread_post(struct unit_thread *unit, void (*task)(void *argument), void *argument);

// Sleep until the posted task has returned.
void unit_thread_wait(struct unit_thread *unit);

// Post and wait.
void unit_thread_call(struct unit_thread *unit, void (*task)(void *argument), void *argument);

// End the thread and join it. Does nothing if it was never started.
void unit_thread_stop(struct unit_thread *unit);

#endif
