#include "unit_thread.h"

#include <stddef.h>

#include "system.h"

static void *serve(void *argument) {
    struct unit_thread *unit = argument;
    pthread_mutex_lock(&unit->mutex);
    for (;;) {
        while (unit->task == NULL && !unit->stopping) pthread_cond_wait(&unit->changed, &unit->mutex);
        if (unit->task == NULL) break;
        void (*task)(void *) = unit->task;
        pthread_mutex_unlock(&unit->mutex);
        system_run_task(task, unit->argument);
        pthread_mutex_lock(&unit->mutex);
        unit->task = NULL;
        pthread_cond_broadcast(&unit->changed);
    }
    pthread_mutex_unlock(&unit->mutex);
    return NULL;
}

int unit_thread_start(struct unit_thread *unit) {
    pthread_mutex_init(&unit->mutex, NULL);
    pthread_cond_init(&unit->changed, NULL);
    unit->task = NULL;
    unit->stopping = false;
    const int status = pthread_create(&unit->thread, NULL, serve, unit);
    unit->started = status == 0;
    if (status != 0) {
        pthread_cond_destroy(&unit->changed);
        pthread_mutex_destroy(&unit->mutex);
    }
    return status;
}

void unit_thread_post(struct unit_thread *unit, void (*task)(void *argument), void *argument) {
    pthread_mutex_lock(&unit->mutex);
    unit->argument = argument;
    unit->task = task;
    pthread_cond_broadcast(&unit->changed);
    pthread_mutex_unlock(&unit->mutex);
}

void unit_thread_wait(struct unit_thread *unit) {
    pthread_mutex_lock(&unit->mutex);
    while (unit->task != NULL) pthread_cond_wait(&unit->changed, &unit->mutex);
    pthread_mutex_unlock(&unit->mutex);
}

void unit_thread_call(struct unit_thread *unit, void (*task)(void *argument), void *argument) {
    unit_thread_post(unit, task, argument);
    unit_thread_wait(unit);
}

void unit_thread_stop(struct unit_thread *unit) {
    if (!unit->started) return;
    pthread_mutex_lock(&unit->mutex);
    unit->stopping = true;
    pthread_cond_broadcast(&unit->changed);
    pthread_mutex_unlock(&unit->mutex);
    pthread_join(unit->thread, NULL);
    pthread_cond_destroy(&unit->changed);
    pthread_mutex_destroy(&unit->mutex);
    unit->started = false;
}
