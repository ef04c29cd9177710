#include "samples.h"

#include <stdlib.h>

#include "clock.h"

static size_t calls_per_run(const struct samples *samples) {
    const struct plan_job *plan = samples->job->plan;
    return (size_t)plan->lanes[0].call_count + (size_t)plan->lanes[1].call_count;
}

static struct call_stamps *stamps_at(const struct samples *samples, int run, int lane) {
    const size_t offset = lane == 1 ? (size_t)samples->job->plan->lanes[0].call_count : 0;
    return samples->calls + (size_t)run * calls_per_run(samples) + offset;
}

int samples_init(struct samples *samples, struct bound_job *job, int runs, struct failure *failure) {
    *samples = (struct samples){.job = job, .runs = runs};
    const size_t places = (size_t)runs + 1;
    samples->t0_ns = calloc(places, sizeof *samples->t0_ns);
    samples->calls = calloc(places * calls_per_run(samples), sizeof *samples->calls);
    if (samples->t0_ns != NULL && samples->calls != NULL) return 0;
    return fail(failure, FAILURE_RUN, "out of memory for %d runs of job %s", runs, job->plan->name);
}

void samples_free(struct samples *samples) {
    free(samples->t0_ns);
    free(samples->calls);
    *samples = (struct samples){0};
}

const struct call_stamps *samples_at(const struct samples *samples, int run, int lane, int call) {
    return stamps_at(samples, run, lane) + call;
}

// The stamps of the next run, either the next to be recorded or the spare one.
static struct job_stamps next_stamps(struct samples *samples, bool record) {
    const int run = record ? samples->recorded : samples->runs;
    return (struct job_stamps){.lanes = {stamps_at(samples, run, 0), stamps_at(samples, run, 1)}};
}

static void keep(struct samples *samples, bool record, int64_t t0_ns) {
    if (record) samples->t0_ns[samples->recorded++] = t0_ns;
}

static int run_once(struct samples *samples, int gap_us, bool record, struct failure *failure) {
    struct job_stamps stamps = next_stamps(samples, record);
    if (gap_us > 0) sleep_for_us(gap_us);
    if (executor_run(samples->job, &stamps, failure) != 0) return failure->code;
    keep(samples, record, stamps.t0_ns);
    return 0;
}

int samples_take(const struct plan_step *step, struct samples *samples, struct failure *failure) {
    for (int round = 0; round < step->rounds; round++) {
        for (int j = 0; j < step->job_count; j++) {
            for (int d = 0; d < step->discard; d++) {
                if (run_once(&samples[j], step->gap_us, false, failure) != 0) return failure->code;
            }
            for (int r = 0; r < step->repeats; r++) {
                if (run_once(&samples[j], step->gap_us, true, failure) != 0) return failure->code;
            }
        }
    }
    return 0;
}
