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

int samples_init(struct samples *samples, struct bound_job *job, int rounds, struct failure *failure) {
    *samples = (struct samples){.job = job, .rounds = rounds};
    const size_t runs = (size_t)rounds + 1;
    samples->t0_ns = calloc(runs, sizeof *samples->t0_ns);
    samples->calls = calloc(runs * calls_per_run(samples), sizeof *samples->calls);
    if (samples->t0_ns != NULL && samples->calls != NULL) return 0;
    return fail(failure, FAILURE_RUN, "out of memory for %d rounds of job %s", rounds, job->plan->name);
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
    const int run = record ? samples->recorded : samples->rounds;
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

static int take_rounds(const struct plan_step *step, struct samples *samples, struct failure *failure) {
    for (int round = 0; round < step->warmup + step->rounds; round++) {
        for (int j = 0; j < step->job_count; j++) {
            for (int d = 0; d < step->discard; d++) {
                if (run_once(&samples[j], step->gap_us, false, failure) != 0) return failure->code;
            }
            if (run_once(&samples[j], step->gap_us, round >= step->warmup, failure) != 0) return failure->code;
        }
    }
    return 0;
}

// What the two units of a pair tell each other while both run freely.
struct pair {
    const struct plan_step *step;
    struct samples *samples;
    atomic_bool warm[2], done[2], failed;
};

struct side {
    struct pair *pair;
    int index, unit;
};

static bool run_side_once(struct side *side, struct samples *samples, bool record) {
    struct job_stamps stamps = next_stamps(samples, record);
    if (side->pair->step->gap_us > 0) sleep_for_us(side->pair->step->gap_us);
    samples->job->stamps = &stamps;
    executor_run_lane(samples->job, 0);
    keep(samples, record, stamps.t0_ns);
    return samples->job->failures[0].code == FAILURE_NONE;
}

static bool run_side_round(struct side *side, bool record) {
    const struct plan_step *step = side->pair->step;
    for (int j = 0; j < step->job_count; j++) {
        struct samples *samples = &side->pair->samples[j];
        if (samples->job->plan->lanes[0].unit != side->unit) continue;
        for (int d = 0; d < step->discard; d++) {
            if (!run_side_once(side, samples, false)) return false;
        }
        if (!run_side_once(side, samples, record)) return false;
    }
    return true;
}

// Record only while the partner runs too: from when both are warm, and go on until both are done.
static void run_side(void *argument) {
    struct side *side = argument;
    struct pair *pair = side->pair;
    int recorded = 0;
    for (int round = 0; !atomic_load(&pair->failed); round++) {
        if (round >= pair->step->warmup) atomic_store(&pair->warm[side->index], true);
        const bool both_warm = atomic_load(&pair->warm[0]) && atomic_load(&pair->warm[1]);
        const bool record = both_warm && recorded < pair->step->rounds;
        if (!run_side_round(side, record)) atomic_store(&pair->failed, true);
        recorded += record;
        if (recorded == pair->step->rounds) atomic_store(&pair->done[side->index], true);
        if (atomic_load(&pair->done[0]) && atomic_load(&pair->done[1])) return;
    }
}

static int take_pair(const struct plan_step *step, struct samples *samples, struct failure *failure) {
    struct pair pair = {.step = step, .samples = samples};
    struct side sides[2] = {{&pair, 0, step->jobs[0].lanes[0].unit}, {&pair, 1, 0}};
    for (int j = 0; j < step->job_count; j++) {
        if (step->jobs[j].lanes[0].unit != sides[0].unit) sides[1].unit = step->jobs[j].lanes[0].unit;
    }
    struct unit *units = samples[0].job->executor->units;
    for (int s = 0; s < 2; s++) unit_thread_post(&units[sides[s].unit].thread, run_side, &sides[s]);
    for (int s = 0; s < 2; s++) unit_thread_wait(&units[sides[s].unit].thread);
    for (int j = 0; j < step->job_count; j++) {
        const struct failure *found = &samples[j].job->failures[0];
        if (found->code != FAILURE_NONE) fail(failure, found->code, "%s", found->text);
    }
    return failure->code;
}

int samples_take(const struct plan_step *step, struct samples *samples, struct failure *failure) {
    return step->mode == STEP_PAIR ? take_pair(step, samples, failure) : take_rounds(step, samples, failure);
}
