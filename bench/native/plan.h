// What to measure, as read from a plan file. The Python side writes it: syncnas_bench/plan.py, which
// also documents the statements and what each field means.
#ifndef SYNCNAS_PLAN_H
#define SYNCNAS_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

enum {
    PLAN_VERSION = 5,
    PLAN_NAME_BYTES = 96,
    PLAN_PATH_BYTES = 1001,
    PLAN_UNITS = 8,
    PLAN_FILES = 64,
    PLAN_PHASES = 64,
    PLAN_INPUTS = 8,
    PLAN_JOBS = 65536,
    PLAN_CORES = 1024,
    PLAN_THREADS = 64,
    PLAN_STEPS = 65536,
};

enum unit_kind { UNIT_CPU, UNIT_GPU, UNIT_SIM };
enum input_source { INPUT_EXTERNAL, INPUT_OWN, INPUT_PARTNER };

struct plan_unit {
    enum unit_kind kind;
    int threads;
    int core_count;  // 0: not pinned
    bool cores[PLAN_CORES];
    bool fp16;
    struct simulated_law *law;  // sim: what the simulator was told, else NULL
};

struct plan_call {
    int phase, file;
    char signature[PLAN_NAME_BYTES];
    int input_count;
    enum input_source inputs[PLAN_INPUTS];
    struct simulated_spend *spend;  // sim: what the simulator was told, else NULL
    int own_source;      // index of the lane's call that an "own" input reads, or -1
    int partner_source;  // index of the partner's call that a "partner" input reads, or -1
    bool partner_reads;  // some call of the partner reads this call's output
};

struct plan_lane {
    int unit;
    int call_count;
    struct plan_call *calls;
};

struct plan_job {
    char name[PLAN_NAME_BYTES];
    bool serial;
    bool unread;  // nobody reads the last phase's outputs in a run
    char *input, *output;  // NULL: none
    int lane_count, phases;
    struct plan_lane lanes[2];
};

struct plan_step {
    char name[PLAN_NAME_BYTES];
    int rounds, discard, repeats, gap_us;
    int job_count;
    struct plan_job *jobs;
};

// The product of the files, times the factor, is what the device draws; no files: its power is not read.
struct plan_power {
    double microwatts_per_reading;
    int file_count;
    char *files[2];
};

// A file that is in memory already, and stays there as long as the executor.
struct plan_content {
    const void *data;  // NULL: the executor reads the file
    size_t bytes;
    char sha256[65];
};

struct plan {
    int64_t seed, spin_us;
    bool ack;
    char *runtime, *accelerators;
    struct plan_power power;
    int unit_count, file_count, step_count;
    struct plan_unit units[PLAN_UNITS];
    char *files[PLAN_FILES];
    struct plan_step *steps;

    // What no plan file tells, but an app.
    struct plan_content contents[PLAN_FILES];
    char *cache_folder;  // where the GPU keeps what it compiled, without " and \ in its name; NULL: nowhere
    bool app;            // other executors of this process may come, with units that this plan has not
};

// Read and check a plan file. On failure (FAILURE_PLAN, with line number and reason) nothing is kept.
int plan_read(const char *path, struct plan *plan, struct failure *failure);
void plan_free(struct plan *plan);

#endif
