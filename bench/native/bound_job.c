// The executor's other half: a job's buffers, what goes into them and what comes out.
#include <stdlib.h>
#include <string.h>

#include "executor.h"
#include "simulated.h"

enum task_kind { TASK_BIND, TASK_RELEASE, TASK_WRITE, TASK_READ };

struct task {
    enum task_kind kind;
    struct bound_call *call;
    const char *path;
    const struct bound_call *own, *partner;
    int input;
    const void *from;
    void *into;
    struct failure *failure;
};

static void perform(void *argument) {
    struct task *task = argument;
    switch (task->kind) {
    case TASK_BIND: bound_call_bind(task->call, task->path, task->own, task->partner, task->failure); break;
    case TASK_RELEASE: bound_call_release(task->call); break;
    case TASK_WRITE: bound_call_write_input(task->call, task->input, task->from, task->failure); break;
    case TASK_READ: bound_call_read_output(task->call, task->into, task->failure); break;
    }
}

static int on_own_thread(struct task task) {
    unit_thread_call(&task.call->unit->thread, perform, &task);
    return task.failure != NULL ? task.failure->code : 0;
}

static int bind_call(struct bound_job *job, int lane, int index, struct failure *failure) {
    struct executor *executor = job->executor;
    struct bound_call *call = &job->calls[lane][index];
    const struct plan_call *plan = &job->plan->lanes[lane].calls[index];
    call->plan = plan;
    call->unit = &executor->units[job->plan->lanes[lane].unit];
    call->memory = job->memory;
    call->last = plan->phase + 1 == job->plan->phases && !job->plan->unread;
    const struct bound_call *own = plan->own_source >= 0 ? &job->calls[lane][plan->own_source] : NULL;
    const struct bound_call *partner =
        plan->partner_source >= 0 ? &job->calls[1 - lane][plan->partner_source] : NULL;
    const bool real = call->unit->plan->kind != UNIT_SIM;
    if (real && partner != NULL && partner->unit->plan->kind == UNIT_SIM) {
        return fail(failure, FAILURE_PLAN, "call %s reads a simulated partner, which has no features",
                    plan->signature);
    }
    return on_own_thread((struct task){.kind = TASK_BIND,
                                       .call = call,
                                       .path = real ? executor->plan->files[plan->file] : NULL,
                                       .own = own,
                                       .partner = partner,
                                       .failure = failure});
}

// Phase by phase, since a call's inputs are buffers of calls in earlier phases.
static int bind_calls(struct bound_job *job, struct failure *failure) {
    int next[2] = {0, 0};
    for (int phase = 0; phase < job->plan->phases; phase++) {
        for (int l = 0; l < job->plan->lane_count; l++) {
            const struct plan_lane *lane = &job->plan->lanes[l];
            if (next[l] == lane->call_count || lane->calls[next[l]].phase != phase) continue;
            if (bind_call(job, l, next[l]++, failure) != 0) return failure->code;
        }
    }
    return 0;
}

// Seeded values in [-1, 1): 24 bits each, from splitmix64 seeded by FNV-1a of what names the input.
static void fill_random(float *values, size_t count, int64_t seed, const struct plan_call *plan, int index) {
    uint64_t state = UINT64_C(0xcbf29ce484222325);
    const uint64_t numbers[] = {(uint64_t)seed, (uint64_t)plan->file, (uint64_t)index};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        for (int byte = 0; byte < 8; byte++) state = (state ^ (numbers[i] >> 8 * byte & 0xff)) * 0x100000001b3u;
    }
    for (const char *c = plan->signature; *c != 0; c++) state = (state ^ (unsigned char)*c) * 0x100000001b3u;
    for (size_t i = 0; i < count; i++) values[i] = (float)(splitmix64(&state) >> 40) / 8388608.0f - 1.0f;
}

// Visit every external input in order. `values` is advanced; NULL fills with seeded values instead.
static int write_external(struct bound_job *job, const char *values, struct failure *failure) {
    for (int l = 0; l < job->plan->lane_count; l++) {
        for (int c = 0; c < job->plan->lanes[l].call_count; c++) {
            struct bound_call *call = &job->calls[l][c];
            for (int i = 0; i < call->plan->input_count && call->unit->plan->kind != UNIT_SIM; i++) {
                if (call->plan->inputs[i] != INPUT_EXTERNAL) continue;
                const size_t bytes = call->inputs[i].bytes;
                float *random = values == NULL ? malloc(bytes) : NULL;
                if (values == NULL && random == NULL) return fail(failure, FAILURE_RUN, "out of memory");
                if (random != NULL) {
                    fill_random(random, bytes / sizeof *random, job->executor->plan->seed, call->plan, i);
                }
                const void *from = random != NULL ? (const void *)random : values;
                const struct task task = {TASK_WRITE, call, .input = i, .from = from, .failure = failure};
                const int status = on_own_thread(task);
                free(random);
                if (status != 0) return status;
                if (values != NULL) values += bytes;
            }
        }
    }
    return 0;
}

struct bound_job *executor_bind(struct executor *executor, const struct plan_job *plan,
                                const struct app_memory *memory, struct failure *failure) {
    struct bound_job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        fail(failure, FAILURE_RUN, "out of memory");
        return NULL;
    }
    job->executor = executor;
    job->plan = plan;
    job->memory = memory;
    barrier_init(&job->barrier, executor->plan->spin_us * 1000);
    for (int l = 0; l < plan->lane_count; l++) {
        job->calls[l] = calloc((size_t)plan->lanes[l].call_count, sizeof *job->calls[l]);
        if (job->calls[l] == NULL) fail(failure, FAILURE_RUN, "out of memory");
    }
    if (failure->code == FAILURE_NONE && bind_calls(job, failure) == 0 &&
        (memory != NULL || write_external(job, NULL, failure) == 0)) {
        return job;
    }
    executor_release(job);
    return NULL;
}

void executor_release(struct bound_job *job) {
    for (int l = 0; l < job->plan->lane_count; l++) {
        for (int c = job->plan->lanes[l].call_count - 1; c >= 0 && job->calls[l] != NULL; c--) {
            struct bound_call *call = &job->calls[l][c];
            if (call->plan != NULL) on_own_thread((struct task){.kind = TASK_RELEASE, .call = call});
        }
    }
    free(job->calls[0]);
    free(job->calls[1]);
    barrier_destroy(&job->barrier);
    free(job);
}

size_t executor_input_bytes(const struct bound_job *job) {
    size_t bytes = 0;
    for (int l = 0; l < job->plan->lane_count; l++) {
        for (int c = 0; c < job->plan->lanes[l].call_count; c++) {
            const struct bound_call *call = &job->calls[l][c];
            for (int i = 0; i < call->plan->input_count; i++) {
                if (call->plan->inputs[i] == INPUT_EXTERNAL) bytes += call->inputs[i].bytes;
            }
        }
    }
    return bytes;
}

int executor_set_inputs(struct bound_job *job, const void *values, struct failure *failure) {
    return write_external(job, values, failure);
}

static struct bound_call *last_call(const struct bound_job *job, int lane) {
    const struct plan_lane *plan = &job->plan->lanes[lane];
    const int last = plan->call_count - 1;
    return plan->calls[last].phase + 1 == job->plan->phases ? &job->calls[lane][last] : NULL;
}

size_t executor_output_bytes(const struct bound_job *job) {
    size_t bytes = 0;
    for (int l = 0; l < job->plan->lane_count; l++) {
        const struct bound_call *call = last_call(job, l);
        bytes += call != NULL ? call->output.bytes : 0;
    }
    return bytes;
}

int executor_outputs(struct bound_job *job, void *values, struct failure *failure) {
    char *into = values;
    for (int l = 0; l < job->plan->lane_count; l++) {
        struct bound_call *call = last_call(job, l);
        if (call == NULL) continue;
        const struct task task = {.kind = TASK_READ, .call = call, .into = into, .failure = failure};
        if (on_own_thread(task) != 0) return failure->code;
        into += call->output.bytes;
    }
    return 0;
}
