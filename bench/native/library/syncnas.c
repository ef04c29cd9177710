// The public functions: a bundle and options become a plan of one job, which the executor runs as it runs the runner's.
#include "syncnas.h"

#include <stdlib.h>
#include <string.h>

#include "bundle_files.h"
#include "open_networks.h"
#include "options.h"
#include "tell.h"

const char *syncnas_version(void) { return SYNCNAS_VERSION; }

syncnas_status tell(const struct failure *failure, syncnas_error *error) {
    // LiteRT of another version is a runtime that cannot be used; the other codes are the public ones.
    const syncnas_status status = (syncnas_status)failure_exit_code(failure->code);
    if (error != NULL) {
        error->status = status;
        error->sentence[0] = 0;
        if (status != SYNCNAS_OK) memcpy(error->sentence, failure->text, sizeof error->sentence);
    }
    return status;
}

syncnas_status tell_closed(syncnas_error *error) {
    if (error != NULL) *error = (syncnas_error){SYNCNAS_ERROR_CLOSED, "the network is not open; it may have been closed"};
    return SYNCNAS_ERROR_CLOSED;
}

static int check_bundle(const syncnas_bundle *bundle, struct failure *failure) {
    if (bundle != NULL && (bundle->folder != NULL) != (bundle->files != NULL)) return 0;
    return fail(failure, FAILURE_ARGUMENT, "a bundle is a folder or files in memory: give one of them");
}

syncnas_status syncnas_shapes(const syncnas_bundle *bundle, syncnas_shape *input, syncnas_shape *output,
                              syncnas_error *error) {
    struct failure failure = {0};
    struct network *network = calloc(1, sizeof *network);
    if (network == NULL) {
        fail(&failure, FAILURE_RUN, "out of memory");
        return tell(&failure, error);
    }
    network->plan.unit_count = 2;
    if (check_bundle(bundle, &failure) == 0) bundle_read_network(bundle, network, &failure);
    if (failure.code == FAILURE_NONE) {
        *input = network->input;
        *output = network->output;
    }
    plan_free(&network->plan);
    free(network);
    return tell(&failure, error);
}

// The app's memory, or the library's own.
static int take_memory(void *given, size_t given_bytes, size_t bytes, const char *what, void **memory, void **owned,
                       struct failure *failure) {
    const size_t wanted = bytes + SYNCNAS_PADDING_BYTES;
    if (given == NULL) {
        if (given_bytes != 0) return fail(failure, FAILURE_ARGUMENT, "the %s has bytes and no memory", what);
        if (posix_memalign(owned, SYNCNAS_ALIGNMENT_BYTES, wanted) != 0) return fail(failure, FAILURE_RUN, "out of memory");
        memset(*owned, 0, wanted);
        *memory = *owned;
        return 0;
    }
    if (given_bytes < wanted) {
        return fail(failure, FAILURE_ARGUMENT, "the memory of the %s has %zu bytes and needs %zu", what, given_bytes, wanted);
    }
    if ((uintptr_t)given % SYNCNAS_ALIGNMENT_BYTES != 0) {
        return fail(failure, FAILURE_ARGUMENT, "the memory of the %s is not at a multiple of %d bytes", what,
                    SYNCNAS_ALIGNMENT_BYTES);
    }
    *memory = given;
    return 0;
}

static int take_memories(struct open_network *n, const syncnas_options *options, struct failure *failure) {
    struct app_memory *memory = &n->memory;
    memory->input_bytes = n->network.input.count * sizeof(float);
    memory->output_bytes = n->network.output.count * sizeof(float);
    if (take_memory(options->input, options->input_bytes, memory->input_bytes, "input", &memory->input, &n->owned[0],
                    failure) != 0) {
        return failure->code;
    }
    return take_memory(options->output, options->output_bytes, memory->output_bytes, "output", &memory->output,
                       &n->owned[1], failure);
}

// All networks share LiteRT's environment, which says nothing of threads: they are set up and taken down in turns.
static pthread_mutex_t setup = PTHREAD_MUTEX_INITIALIZER;

static int start(struct open_network *n, const syncnas_bundle *bundle, const syncnas_options *given,
                 struct failure *failure) {
    struct plan *plan = &n->network.plan;
    syncnas_options options;
    if (options_read(given, &options, failure) != 0 || options_apply(&options, plan, failure) != 0 ||
        check_bundle(bundle, failure) != 0 || bundle_read_network(bundle, &n->network, failure) != 0) {
        return failure->code;
    }
    const struct plan_job *job = &plan->steps[0].jobs[0];
    plan->unit_count = job->lane_count;
    n->mapped = bundle->folder != NULL;
    if (take_memories(n, &options, failure) != 0 || bundle_find_files(bundle, plan, failure) != 0) return failure->code;
    pthread_mutex_lock(&setup);
    n->executor = executor_open(plan, failure);
    if (n->executor != NULL) n->job = executor_bind(n->executor, job, &n->memory, failure);
    pthread_mutex_unlock(&setup);
    for (int l = 0; l < job->lane_count && n->job != NULL; l++) {
        n->stamps.lanes[l] = calloc((size_t)job->lanes[l].call_count, sizeof *n->stamps.lanes[l]);
        if (n->stamps.lanes[l] == NULL) return fail(failure, FAILURE_RUN, "out of memory");
    }
    return failure->code;
}

static void finish(struct open_network *n) {
    pthread_mutex_lock(&setup);
    if (n->job != NULL) executor_release(n->job);
    if (n->executor != NULL) executor_close(n->executor);
    pthread_mutex_unlock(&setup);
    if (n->mapped) bundle_unmap_files(&n->network.plan);
    plan_free(&n->network.plan);
    for (int i = 0; i < 2; i++) {
        free(n->owned[i]);
        free(n->stamps.lanes[i]);
    }
    pthread_mutex_destroy(&n->turn);
    free(n);
}

syncnas_status syncnas_open(const syncnas_bundle *bundle, const syncnas_options *options, syncnas_network *network,
                            syncnas_error *error) {
    struct failure failure = {0};
    struct open_network *n = calloc(1, sizeof *n);
    if (n == NULL) {
        fail(&failure, FAILURE_RUN, "out of memory");
        return tell(&failure, error);
    }
    pthread_mutex_init(&n->turn, NULL);
    *network = 0;
    if (start(n, bundle, options, &failure) == 0) {
        *network = open_networks_add(n);
    } else {
        finish(n);
    }
    return tell(&failure, error);
}

float *syncnas_input(syncnas_network network) {
    struct open_network *n = open_networks_enter(network);
    if (n == NULL) return NULL;
    float *input = n->memory.input;
    open_networks_leave(n);
    return input;
}

const float *syncnas_output(syncnas_network network) {
    struct open_network *n = open_networks_enter(network);
    if (n == NULL) return NULL;
    const float *output = n->memory.output;
    open_networks_leave(n);
    return output;
}

static void fill_times(const struct open_network *n, syncnas_times *times) {
    // A newer app's struct is longer: what this library does not know stays as it is.
    *times = (syncnas_times){.struct_size = times->struct_size};
    const struct plan_job *job = n->job->plan;
    for (int l = 0; l < job->lane_count; l++) {
        for (int c = 0; c < job->lanes[l].call_count; c++) {
            const struct call_stamps *stamps = &n->stamps.lanes[l][c];
            times->branch_ns[l] += stamps->end_ns - stamps->begin_ns;
            times->wait_ns[l] += stamps->wait_ns;
            if (stamps->end_ns > times->total_ns) times->total_ns = stamps->end_ns;
        }
    }
}

syncnas_status syncnas_run(syncnas_network network, syncnas_times *times, syncnas_error *error) {
    if (times != NULL && times->struct_size < sizeof *times) {
        struct failure failure = {0};
        fail(&failure, FAILURE_ARGUMENT, "struct_size of the times is %zu; set it to sizeof(syncnas_times)",
             times->struct_size);
        return tell(&failure, error);
    }
    struct open_network *n = open_networks_enter(network);
    if (n == NULL) return tell_closed(error);
    pthread_mutex_lock(&n->turn);
    if (n->failure.code == FAILURE_NONE) executor_run(n->job, &n->stamps, &n->failure);
    const syncnas_status status = tell(&n->failure, error);
    if (times != NULL && status == SYNCNAS_OK) fill_times(n, times);
    pthread_mutex_unlock(&n->turn);
    open_networks_leave(n);
    return status;
}

void syncnas_close(syncnas_network network) {
    struct open_network *n = open_networks_remove(network);
    if (n != NULL) finish(n);
}
