// Run one step's jobs with the executor and keep every recorded time stamp.
#ifndef SYNCNAS_SAMPLES_H
#define SYNCNAS_SAMPLES_H

#include "executor.h"

// The recorded runs of one job. A spare run at the end takes the stamps of unrecorded runs.
struct samples {
    struct bound_job *job;
    int runs, recorded;
    int64_t *t0_ns;             // [runs + 1]
    struct call_stamps *calls;  // [runs + 1][calls of lane 0, then calls of lane 1]
};

int samples_init(struct samples *samples, struct bound_job *job, int runs, struct failure *failure);
void samples_free(struct samples *samples);

// Stamps of the call `call` of `lane` in recorded run `run`.
const struct call_stamps *samples_at(const struct samples *samples, int run, int lane, int call);

// Run the step: `samples` has one entry per job. Returns 0, or the code of the failure.
int samples_take(const struct plan_step *step, struct samples *samples, struct failure *failure);

#endif
