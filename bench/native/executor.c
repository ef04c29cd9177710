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

static void run_serially(struct bound_job *job, int lane, int phase, struct bound_call *call,
                         struct call_stamps *stamps) {
    for (int turn = 0; turn < 2; turn++) {
        if (turn == lane && call != NULL && job->failures[lane].code == FAILURE_NONE) {
            bound_call_run(call, stamps, &job->failures[lane]);
        }
        const int64_t done_ns = now_ns();
        if (turn == lane && call != NULL) stamps->arrive_ns = done_ns;
        if (turn == 1 && phase + 1 == job->plan->phases) return;
        barrier_wait(&job->barrier);
        if (turn >= lane && call != NULL) stamps->wait_ns += now_ns() - done_ns;
    }
}

static void run_concurrently(struct bound_job *job, int lane, int phase, struct bound_call *call,
                             struct call_stamps *stamps) {
    // A lane that has failed keeps the barriers, so that the other one is not left waiting.
    if (call != NULL && job->failures[lane].code == FAILURE_NONE) {
        bound_call_run(call, stamps, &job->failures[lane]);
    }
    const int64_t done_ns = now_ns();
    if (call != NULL) stamps->arrive_ns = done_ns;
    if (job->plan->lane_count == 1 || phase + 1 == job->plan->phases) return;
    barrier_wait(&job->barrier);
    if (call != NULL) stamps->wait_ns = now_ns() - done_ns;
}

static void run_lane(struct bound_job *job, int lane) {
    const struct plan_lane *plan = &job->plan->lanes[lane];
    struct call_stamps *stamps = job->stamps->lanes[lane];
    const bool alone = job->plan->lane_count == 1;
    memset(stamps, 0, sizeof *stamps * (size_t)plan->call_count);
    if (!alone) barrier_wait(&job->barrier);
    const int64_t t0_ns = alone ? now_ns() : job->barrier.released_ns;
    for (int phase = 0, next = 0; phase < job->plan->phases; phase++) {
        const bool called = next < plan->call_count && plan->calls[next].phase == phase;
        struct bound_call *call = called ? &job->calls[lane][next] : NULL;
        struct call_stamps *into = called ? &stamps[next] : NULL;
        if (job->plan->serial && !alone) {
            run_serially(job, lane, phase, call, into);
        } else {
            run_concurrently(job, lane, phase, call, into);
        }
        next += called;
    }
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
    unit_thread_post(lane_thread(job, 0), run_lane_0, job);
    if (lanes == 2) unit_thread_post(lane_thread(job, 1), run_lane_1, job);
    for (int l = 0; l < lanes; l++) unit_thread_wait(lane_thread(job, l));
    for (int l = 0; l < lanes; l++) {
        const struct failure *found = &job->failures[l];
        if (found->code != FAILURE_NONE) fail(failure, found->code, "%s", found->text);
    }
    return failure->code;
}
