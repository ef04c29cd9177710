// syncnas-runner PLAN: run the plan's steps and stream one JSON row of raw time stamps per step.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host_link.h"
#include "report.h"
#include "system.h"

static int load_input(struct bound_job *job, struct failure *failure) {
    const char *path = job->plan->input;
    const size_t bytes = executor_input_bytes(job);
    FILE *file = system_open(path, "rb");
    if (file == NULL) return fail(failure, FAILURE_PLAN, "input %s cannot be read: %s", path, strerror(errno));
    char *values = malloc(bytes + 1);
    const size_t length = values != NULL ? fread(values, 1, bytes + 1, file) : 0;
    fclose(file);
    if (length != bytes) {
        fail(failure, FAILURE_PLAN, "input %s has %s than the %zu bytes of job %s", path,
             length < bytes ? "less" : "more", bytes, job->plan->name);
    } else {
        executor_set_inputs(job, values, failure);
    }
    free(values);
    return failure->code;
}

static int bind_jobs(struct executor *executor, const struct plan_step *step, struct samples *samples,
                struct failure *failure) {
    for (int j = 0; j < step->job_count; j++) {
        struct bound_job *job = executor_bind(executor, &step->jobs[j], NULL, failure);
        if (job == NULL) return failure->code;
        samples[j].job = job;
        if (job->plan->input != NULL && load_input(job, failure) != 0) return failure->code;
        if (samples_init(&samples[j], job, step->rounds * step->repeats, failure) != 0) return failure->code;
    }
    return 0;
}

static int run_step(struct executor *executor, int row, struct json_lines *json, struct failure *failure) {
    const struct plan_step *step = &executor->plan->steps[row];
    struct samples *samples = calloc((size_t)step->job_count, sizeof *samples);
    if (samples == NULL) return fail(failure, FAILURE_RUN, "out of memory");
    struct power_log power = {0};
    if (bind_jobs(executor, step, samples, failure) == 0 &&
        power_log_start(&power, &executor->plan->power, failure) == 0 &&
        samples_take(step, samples, failure) == 0) {
        power_log_stop(&power);
        report_row(json, row, step, samples, &power, failure);
    }
    power_log_stop(&power);
    power_log_free(&power);
    for (int j = 0; j < step->job_count; j++) {
        struct bound_job *job = samples[j].job;
        samples_free(&samples[j]);
        if (job != NULL) executor_release(job);
    }
    free(samples);
    return failure->code;
}

static int run_plan(const struct plan *plan, struct json_lines *json, struct failure *failure) {
    if (plan->ack && host_link_start() != 0) return fail(failure, FAILURE_RUN, "no thread could be started");
    struct executor *executor = executor_open(plan, failure);
    if (executor == NULL) return failure->code;
    if (!report_header(json, executor)) fail(failure, FAILURE_RUN, "the header cannot be written");
    for (int row = 0; row < plan->step_count && failure->code == FAILURE_NONE; row++) {
        if (run_step(executor, row, json, failure) == 0 && plan->ack) host_link_wait();
    }
    // The trailer comes first: some GPU drivers crash when they are taken down, and all rows are in by then.
    if (failure->code == FAILURE_NONE && !report_trailer(json, plan->step_count)) {
        fail(failure, FAILURE_RUN, "the trailer cannot be written");
    }
    executor_close(executor);
    return failure->code;
}

int main(int count, char **arguments) {
    system_start(count, arguments);
    if (count == 2 && strcmp(arguments[1], "--version") == 0) {
        printf("syncnas-runner " RUNNER_VERSION " plan %d\n", PLAN_VERSION);
        return 0;
    }
    if (count != 2) {
        fprintf(stderr, "usage: syncnas-runner PLAN | --version\n");
        return FAILURE_PLAN;
    }
    struct failure failure = {0};
    struct json_lines json;
    struct plan plan;
    // Rows go to what was standard output, which from then on leads to standard error: GPU libraries print there.
    if (!json_lines_init(&json, dup(STDOUT_FILENO)) || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) return FAILURE_RUN;
    if (plan_read(arguments[1], &plan, &failure) == 0) {
        run_plan(&plan, &json, &failure);
        plan_free(&plan);
    }
    if (failure.code != FAILURE_NONE) {
        fprintf(stderr, "syncnas-runner: %s\n", failure.text);
        report_error(&json, &failure);
    }
    json_lines_free(&json);
    return failure_exit_code(failure.code);
}
