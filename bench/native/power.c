#include "power.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"

enum { SLICE_US = 10000, SLICES_OF_A_PERIOD = 10, MOST_READINGS = 100000, NUMBER_BYTES = 64 };

static bool read_number(const char *path, double *number) {
    char text[NUMBER_BYTES];
    FILE *file = fopen(path, "r");
    if (file == NULL) return false;
    const size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    char *end = text;
    *number = strtod(text, &end);
    return end != text;
}

// Some gauges tell what a battery gives as a negative current and some as a positive one.
static bool read_microwatts(const struct plan_power *plan, int64_t *microwatts) {
    double product = plan->microwatts_per_reading;
    for (int i = 0; i < plan->file_count; i++) {
        double number = 0;
        if (!read_number(plan->files[i], &number)) return false;
        product *= number;
    }
    if (product < 0) product = -product;
    if (!isfinite(product) || product > 1e15) return false;
    *microwatts = (int64_t)product;
    return true;
}

static void *watch(void *argument) {
    struct power_log *log = argument;
    while (!atomic_load(&log->stopping) && log->count < MOST_READINGS) {
        struct power_reading *next = &log->readings[log->count];
        next->time_ns = now_ns();
        if (read_microwatts(log->plan, &next->microwatts)) log->count++;
        for (int i = 0; i < SLICES_OF_A_PERIOD && !atomic_load(&log->stopping); i++) sleep_for_us(SLICE_US);
    }
    return NULL;
}

int power_log_start(struct power_log *log, const struct plan_power *plan, struct failure *failure) {
    log->plan = plan;
    if (plan->file_count == 0) return 0;
    log->readings = calloc(MOST_READINGS, sizeof *log->readings);
    if (log->readings == NULL) return fail(failure, FAILURE_RUN, "out of memory for readings of power");
    log->started = pthread_create(&log->thread, NULL, watch, log) == 0;
    return log->started ? 0 : fail(failure, FAILURE_RUN, "no thread could be started to read the power");
}

void power_log_stop(struct power_log *log) {
    if (!log->started) return;
    atomic_store(&log->stopping, true);
    pthread_join(log->thread, NULL);
    log->started = false;
}

void power_log_free(struct power_log *log) { free(log->readings); }
