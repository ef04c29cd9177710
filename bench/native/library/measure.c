// An app's own times, in the rows of the runner.
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "../report.h"
#include "open_networks.h"
#include "tell.h"

enum { UNRECORDED = 6, MAX_RUNS = 1000000 };

static void measure(struct open_network *n, int runs, struct json_lines *json, struct failure *failure) {
    struct plan_step step = n->network.plan.steps[0];
    struct samples samples;
    const struct power_log no_power = {0};
    step.rounds = runs;
    for (int i = 0; i < UNRECORDED; i++) {
        if (executor_run(n->job, &n->stamps, failure) != 0) return;
    }
    if (samples_init(&samples, n->job, runs, failure) == 0 && samples_take(&step, &samples, failure) == 0) {
        if (!report_header(json, n->executor)) fail(failure, FAILURE_RUN, "the times cannot be written");
        report_row(json, 0, &step, &samples, &no_power, failure);
        if (!report_trailer(json, 1)) fail(failure, FAILURE_RUN, "the times cannot be written");
    }
    samples_free(&samples);
}

syncnas_status syncnas_measure(syncnas_network network, int32_t runs, const char *path, syncnas_error *error) {
    struct failure failure = {0};
    struct json_lines json;
    if (runs < 1 || runs > MAX_RUNS || path == NULL) {
        fail(&failure, FAILURE_ARGUMENT, "a measurement has a path and 1 to %d runs, not %d", MAX_RUNS, (int)runs);
        return tell(&failure, error);
    }
    struct open_network *n = open_networks_enter(network);
    if (n == NULL) return tell_closed(error);
    pthread_mutex_lock(&n->turn);
    failure = n->failure;
    if (failure.code == FAILURE_NONE) {
        if (json_lines_init(&json, open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644))) {
            measure(n, runs, &json, &failure);
            json_lines_free(&json);
        } else {
            fail(&failure, FAILURE_ARGUMENT, "%s cannot be written: %s", path, strerror(errno));
        }
    }
    pthread_mutex_unlock(&n->turn);
    open_networks_leave(n);
    return tell(&failure, error);
}
