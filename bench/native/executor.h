// The executor, a library: it holds the models of a plan on their units and runs jobs. It measures
// nothing but time stamps and prints nothing; the runner is one program that uses it, an app another.
// executor.c has the units and the running of jobs, bound_job.c a job's buffers and what goes in and out.
//
// One executor is used from one thread. Failures are returned and described in `failure`.
#ifndef SYNCNAS_EXECUTOR_H
#define SYNCNAS_EXECUTOR_H

#include "barrier.h"
#include "bound_call.h"

struct executor {
    const struct plan *plan;
    struct litert litert;
    atomic_int load;
    struct unit units[PLAN_UNITS];
};

// One run of a job. The caller gives the arrays: one entry per call of the lane.
struct job_stamps {
    int64_t t0_ns;  // CLOCK_MONOTONIC when both lanes were released
    struct call_stamps *lanes[2];
};

struct bound_job {
    struct executor *executor;
    const struct plan_job *plan;
    const struct app_memory *memory;
    struct bound_call *calls[2];
    struct barrier barrier;
    int64_t ready_ns[2];        // when each lane was ready to start
    struct job_stamps *stamps;  // of the run under way
    struct failure failures[2];
};

// Start the units one after another: thread, pinning, then every model the plan runs on it. The plan
// must outlive the executor. Returns NULL on failure.
struct executor *executor_open(const struct plan *plan, struct failure *failure);
void executor_close(struct executor *executor);

// Give a job its buffers. External inputs are filled with seeded values in [-1, 1).
//   memory  an app's: all external inputs are its input, the output of the last phase is its output, at each run.
//           It must outlive the job. NULL: the job has buffers of its own, see below.
struct bound_job *executor_bind(struct executor *executor, const struct plan_job *job,
                                const struct app_memory *memory, struct failure *failure);
void executor_release(struct bound_job *job);

// All external inputs one after another, by lane, then phase, then index, as float32.
size_t executor_input_bytes(const struct bound_job *job);
int executor_set_inputs(struct bound_job *job, const void *values, struct failure *failure);

// Run the job once. Stamps are relative to t0_ns on return.
int executor_run(struct bound_job *job, struct job_stamps *stamps, struct failure *failure);

// The outputs of the last phase, lane 0 first, as float32.
size_t executor_output_bytes(const struct bound_job *job);
int executor_outputs(struct bound_job *job, void *values, struct failure *failure);

#endif
