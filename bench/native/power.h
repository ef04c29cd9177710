// What the device draws while a step runs: a thread of its own reads the plan's files now and then.
#ifndef SYNCNAS_POWER_H
#define SYNCNAS_POWER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "plan.h"

struct power_reading {
    int64_t time_ns;  // CLOCK_MONOTONIC
    int64_t microwatts;
};

struct power_log {
    const struct plan_power *plan;
    pthread_t thread;
    bool started;
    atomic_bool stopping;
    int count;  // of readings
    struct power_reading *readings;
};

// Start reading; does nothing for a plan without files. What cannot be read leaves no reading.
int power_log_start(struct power_log *log, const struct plan_power *plan, struct failure *failure);

// End the thread and join it; the readings stay. May be called twice.
void power_log_stop(struct power_log *log);
void power_log_free(struct power_log *log);

#endif
