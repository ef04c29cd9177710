#include "executor.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "simulated.h"
#include "system.h"

struct setup {
    struct executor *executor;
    struct unit *unit;
    const bool *files;
    struct failure *failure;
};

static void set_up(void *argument) {
    struct setup *setup = argument;
    const struct plan *plan = setup->executor->plan;
    const int64_t start_ns = now_ns();
    const int index = (int)(setup->unit - setup->executor->units);
    if (system_pin(setup->unit->plan, index, setup->failure) != 0) return;
    for (int file = 0; file < plan->file_count && setup->unit->plan->kind != UNIT_SIM; file++) {
        if (!setup->files[file]) continue;
        if (unit_compile(setup->unit, plan, file, setup->failure) != 0) return;
    }
    setup->unit->setup_ns = now_ns() - start_ns;
}

static void tear_down(void *argument) { unit_release_models(argument); }

static void mark_files(const struct plan *plan, bool used[PLAN_UNITS][PLAN_FILES]) {
    for (int s = 0; s < plan->step_count; s++) {
        for (int j = 0; j < plan->steps[s].job_count; j++) {
            const struct plan_job *job = &plan->steps[s].jobs[j];
            for (int l = 0; l < job->lane_count; l++) {
                for (int c = 0; c < job->lanes[l].call_count; c++) {
                    used[job->lanes[l].unit][job->lanes[l].calls[c].file] = true;
                }
            }
        }
    }
}

static int open_litert(struct executor *executor, struct failure *failure) {
    const struct plan *plan = executor->plan;
    int units = plan->app ? LITERT_ACCELERATOR_CPU | LITERT_ACCELERATOR_GPU : 0;
    for (int u = 0; u < plan->unit_count; u++) {
        if (plan->units[u].kind == UNIT_CPU) units |= LITERT_ACCELERATOR_CPU;
        if (plan->units[u].kind == UNIT_GPU) units |= LITERT_ACCELERATOR_CPU | LITERT_ACCELERATOR_GPU;
    }
    if (units == 0) return 0;
    return litert_open(plan->runtime, plan->accelerators, units, &executor->litert, failure);
}

static int start_unit(struct executor *executor, int index, const bool *files, struct failure *failure) {
    struct unit *unit = &executor->units[index];
    uint64_t state = (uint64_t)executor->plan->seed ^ (uint64_t)(index + 1) << 48;
    unit->plan = &executor->plan->units[index];
    unit->api = &executor->litert.api;
    unit->environment = executor->litert.environment;
    unit->load = &executor->load;
    unit->simulated.noise_state = splitmix64(&state);
    if (unit_thread_start(&unit->thread) != 0) return fail(failure, FAILURE_RUN, "no thread could be started");
    struct setup setup = {executor, unit, files, failure};
    unit_thread_call(&unit->thread, set_up, &setup);
    return failure->code;
}

struct executor *executor_open(const struct plan *plan, struct failure *failure) {
    bool used[PLAN_UNITS][PLAN_FILES] = {{false}};
    struct executor *executor = calloc(1, sizeof *executor);
    if (executor == NULL) {
        fail(failure, FAILURE_RUN, "out of memory");
        return NULL;
    }
    executor->plan = plan;
    atomic_init(&executor->load, 0);
    mark_files(plan, used);
    int status = open_litert(executor, failure);
    for (int u = 0; u < plan->unit_count && status == 0; u++) status = start_unit(executor, u, used[u], failure);
    if (status == 0) return executor;
    executor_close(executor);
    return NULL;
}

void executor_close(struct executor *executor) {
    for (int u = executor->plan->unit_count - 1; u >= 0; u--) {
        struct unit *unit = &executor->units[u];
        if (!unit->thread.started) continue;
        unit_thread_call(&unit->thread, tear_down, unit);
        unit_thread_stop(&unit->thread);
    }
    litert_close(&executor->litert, executor->plan->app);
    free(executor);
}

// How far a lane is: at the start, then past each phase.
enum { AT_START = 1 };
static int past(int phase) { return AT_START + 1 + phase; }

// Returns when both lanes are there, and since when.
static int64_t start_together(struct bound_job *job, int lane) {
    job->ready_ns[lane] = now_ns();
    barrier_reach(&job->barrier, lane, AT_START);
    barrier_wait(&job->barrier, 1 - lane, AT_START);
    return job->ready_ns[0] > job->ready_ns[1] ? job->ready_ns[0] : job->ready_ns[1];
}

// How far the partner must be before a call may begin: it has what the call reads, or in turns it has had its own.
static int awaited_place(const struct plan_job *job, int lane, const struct plan_call *call) {
    if (job->lane_count == 1) return 0;
    if (job->serial) return lane == 0 ? past(call->phase - 1) : past(call->phase);
    return call->partner_source < 0 ? 0 : past(job->lanes[1 - lane].calls[call->partner_source].phase);
}

// `before` are the stamps of the lane's call before this one, or NULL.
static void await_partner(struct bound_job *job, int lane, int place, struct bound_call *call,
                          struct call_stamps *before) {
    struct barrier *barrier = &job->barrier;
    if (!job->plan->serial && !barrier_reached(barrier, 1 - lane, place)) {
        bound_call_open(call, &job->failures[lane]);
    }
    const bool slept = barrier_wait(barrier, 1 - lane, place);
    if (before == NULL) return;
    before->wait_ns = now_ns() - before->arrive_ns;
    before->slept = slept;
}

static void run_lane(struct bound_job *job, int lane) {
    const struct plan_lane *plan = &job->plan->lanes[lane];
    struct call_stamps *stamps = job->stamps->lanes[lane];
    const bool alone = job->plan->lane_count == 1;
    memset(stamps, 0, sizeof *stamps * (size_t)plan->call_count);
    const int64_t t0_ns = alone ? now_ns() : start_together(job, lane);
    for (int c = 0; c < plan->call_count; c++) {
        struct bound_call *call = &job->calls[lane][c];
        const int place = awaited_place(job->plan, lane, &plan->calls[c]);
        // Phases without a call of this lane are over at once.
        barrier_reach(&job->barrier, lane, past(plan->calls[c].phase - 1));
        if (place > 0) await_partner(job, lane, place, call, c > 0 ? &stamps[c - 1] : NULL);
        // A lane that has failed goes on saying how far it is, so that the other one is not left waiting.
        if (job->failures[lane].code == FAILURE_NONE) bound_call_run(call, &stamps[c], &job->failures[lane]);
        stamps[c].arrive_ns = now_ns();
        barrier_reach(&job->barrier, lane, past(plan->calls[c].phase));
    }
    barrier_reach(&job->barrier, lane, past(job->plan->phases - 1));
    for (int c = 0; c < plan->call_count; c++) {
        stamps[c].begin_ns -= t0_ns;
        stamps[c].end_ns -= t0_ns;
        stamps[c].arrive_ns -= t0_ns;
    }
    if (lane == 0) job->stamps->t0_ns = t0_ns;
}

static void run_lane_0(void *job) { run_lane(job, 0); }
static void run_lane_1(void *job) { run_lane(job, 1); }

static struct unit_thread *lane_thread(struct bound_job *job, int lane) {
    return &job->executor->units[job->plan->lanes[lane].unit].thread;
}

int executor_run(struct bound_job *job, struct job_stamps *stamps, struct failure *failure) {
    const int lanes = job->plan->lane_count;
    job->stamps = stamps;
    barrier_reset(&job->barrier);
    unit_thread_post(lane_thread(job, 0), run_lane_0, job);
    if (lanes == 2) unit_thread_post(lane_thread(job, 1), run_lane_1, job);
    for (int l = 0; l < lanes; l++) unit_thread_wait(lane_thread(job, l));
    for (int l = 0; l < lanes; l++) {
        const struct failure *found = &job->failures[l];
        if (found->code != FAILURE_NONE) fail(failure, found->code, "%s", found->text);
    }
    return failure->code;
}
