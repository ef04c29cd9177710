// A unit at work: its thread, and the models compiled on it.
#ifndef SYNCNAS_UNIT_H
#define SYNCNAS_UNIT_H

#include <stdatomic.h>

#include "litert_api.h"
#include "plan.h"
#include "simulated.h"
#include "unit_thread.h"

struct compiled {
    litert_model model;
    litert_options options;
    litert_compiled_model compiled;
    litert_index signature_count;
};

struct unit {
    const struct plan_unit *plan;
    const struct litert_api *api;
    litert_environment environment;
    atomic_int *load;  // sim: see simulated_run
    struct unit_thread thread;
    struct compiled models[PLAN_FILES];  // `compiled` is NULL for files this unit does not use
    struct simulated_state simulated;
    int64_t setup_ns;
    int model_count;
    int buffer_type;  // LiteRT's type of the buffers in use, 0 before the first
};

// To be called on the unit's own thread: load and compile one file. A model that is not fully
// accelerated is refused (FAILURE_UNIT): parts of it would silently run on the CPU, or on the CPU without
// XNNPACK, which takes several times as long.
int unit_compile(struct unit *unit, const struct plan *plan, int file, struct failure *failure);
void unit_release_models(struct unit *unit);

// Index and handle of a signature (FAILURE_MODEL).
int unit_find_signature(const struct unit *unit, int file, const char *path, const char *name,
                        litert_index *index, litert_signature *signature, struct failure *failure);

#endif
