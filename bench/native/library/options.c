#include "options.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

// What the options had at first. A library that knows more takes this much, too: what is missing is zero.
enum { FIRST_BYTES = 120 };
_Static_assert(sizeof(syncnas_options) >= FIRST_BYTES, "syncnas_options");

enum { SPIN_US = 200, MAX_SPIN_US = 1000000, CORES_TO_SPIN = 3 };

static const char RUNTIME[] = "libLiteRt.so";

int options_read(const syncnas_options *given, syncnas_options *own, struct failure *failure) {
    memset(own, 0, sizeof *own);
    if (given == NULL) return 0;
    const size_t size = given->struct_size;
    if (size < FIRST_BYTES || size > 4096) {
        return fail(failure, FAILURE_ARGUMENT, "struct_size of the options is %zu; set it to sizeof(syncnas_options)", size);
    }
    for (size_t i = sizeof *own; i < size; i++) {
        if (((const char *)given)[i] == 0) continue;
        return fail(failure, FAILURE_ARGUMENT, "an option is newer than libsyncnas " SYNCNAS_VERSION "; upgrade the library");
    }
    memcpy(own, given, size < sizeof *own ? size : sizeof *own);
    return 0;
}

static int apply_unit(const syncnas_unit *unit, struct plan_unit *plan, struct failure *failure) {
    if (unit->kind != SYNCNAS_CPU && unit->kind != SYNCNAS_GPU) {
        return fail(failure, FAILURE_ARGUMENT, "a unit's kind is SYNCNAS_CPU or SYNCNAS_GPU, not %d", (int)unit->kind);
    }
    if (unit->threads < 0 || unit->threads > PLAN_THREADS) {
        return fail(failure, FAILURE_ARGUMENT, "a unit has 1 to %d threads, not %d", PLAN_THREADS, (int)unit->threads);
    }
    if (unit->precision != SYNCNAS_FP32 && unit->precision != SYNCNAS_FP16) {
        return fail(failure, FAILURE_ARGUMENT, "a precision is SYNCNAS_FP32 or SYNCNAS_FP16, not %d", (int)unit->precision);
    }
    if (unit->reserved != 0) return fail(failure, FAILURE_ARGUMENT, "a reserved field of a unit is not 0");
    const bool gpu = unit->kind == SYNCNAS_GPU;
    if (gpu ? unit->threads != 0 || unit->cores != 0 : unit->precision != SYNCNAS_FP32) {
        return fail(failure, FAILURE_ARGUMENT, gpu ? "a GPU has no threads and no cores to choose"
                                                   : "a CPU computes in SYNCNAS_FP32");
    }
    plan->kind = gpu ? UNIT_GPU : UNIT_CPU;
    plan->threads = unit->threads == 0 ? 1 : unit->threads;
    plan->fp16 = unit->precision == SYNCNAS_FP16;
    for (int core = 0; core < 64; core++) {
        plan->cores[core] = unit->cores >> core & 1;
        plan->core_count += plan->cores[core];
    }
    return 0;
}

static int spin_us(int wanted) {
    cpu_set_t allowed;
    if (wanted != 0) return wanted < 0 ? 0 : wanted;
    CPU_ZERO(&allowed);
    // Two branches that spin on two cores leave none to the rest of the app.
    return sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) < CORES_TO_SPIN ? 0 : SPIN_US;
}

// LiteRT reads the path of the cache as a quoted text, in which nothing can be escaped.
static bool plain(const char *path) {
    for (const unsigned char *c = (const unsigned char *)path; *c != 0; c++) {
        if (*c < 0x20 || *c == 0x7f || *c == '"' || *c == '\\') return false;
    }
    return true;
}

static int copy_path(const char *what, const char *path, char **copy, struct failure *failure) {
    if (path == NULL) return 0;
    if (*path == 0 || strlen(path) >= PLAN_PATH_BYTES) {
        return fail(failure, FAILURE_ARGUMENT, "the path of the %s has 1 to 1000 bytes", what);
    }
    *copy = strdup(path);
    return *copy != NULL ? 0 : fail(failure, FAILURE_RUN, "out of memory");
}

// The folder of a path, if it has one.
static int copy_folder(const char *path, char **copy, struct failure *failure) {
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    if (slash == NULL) return 0;
    const size_t length = slash == path ? 1 : (size_t)(slash - path);
    *copy = calloc(length + 1, 1);
    if (*copy == NULL) return fail(failure, FAILURE_RUN, "out of memory");
    memcpy(*copy, path, length);
    return 0;
}

int options_apply(const syncnas_options *own, struct plan *plan, struct failure *failure) {
    plan->unit_count = 2;
    for (int u = 0; u < 2; u++) {
        if (apply_unit(&own->units[u], &plan->units[u], failure) != 0) return failure->code;
    }
    if (own->spin_us < -1 || own->spin_us > MAX_SPIN_US || own->reserved != 0) {
        return fail(failure, FAILURE_ARGUMENT, "spin_us is from -1 to %d, and a reserved field 0", MAX_SPIN_US);
    }
    plan->spin_us = spin_us(own->spin_us);
    plan->app = true;
    if (own->cache_folder != NULL && !plain(own->cache_folder)) {
        return fail(failure, FAILURE_ARGUMENT, "the path of the GPU's cache has a quote, a backslash or a control character");
    }
    if (copy_path("runtime", own->runtime != NULL ? own->runtime : RUNTIME, &plan->runtime, failure) != 0 ||
        copy_path("GPU's cache", own->cache_folder, &plan->cache_folder, failure) != 0 ||
        copy_path("accelerators", own->accelerators, &plan->accelerators, failure) != 0) {
        return failure->code;
    }
    return plan->accelerators != NULL ? 0 : copy_folder(own->runtime, &plan->accelerators, failure);
}
