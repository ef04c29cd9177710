#include "litert_api.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "system.h"

static struct {
    pthread_mutex_t mutex;
    int users;
    int units;
    char *path, *accelerators;
    struct litert litert;
} process = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static int bind_symbol(void *library, const char *path, const char *symbol, void *function, struct failure *failure) {
    // ISO C has no cast from an object pointer to a function pointer; POSIX and Windows promise equal representation.
    void *found = system_find(library, symbol);
    memcpy(function, &found, sizeof found);
    if (found != NULL) return 0;
    return fail(failure, FAILURE_SYMBOL, "LiteRT library %s has no function %s; use release 2.3", path, symbol);
}

static int load(const char *path, struct litert_api *api, struct failure *failure) {
    void *library = system_load_litert(path, failure);
    if (library == NULL) return failure->code;
#define LITERT_BIND(result, name, parameters)                                                                \
    if (bind_symbol(library, path, "LiteRt" #name, &api->name, failure) != 0) return FAILURE_SYMBOL;
    LITERT_FUNCTIONS(LITERT_BIND)
#undef LITERT_BIND
    return 0;
}

static int create(const char *path, const char *accelerators, int units, struct litert *litert,
                  struct failure *failure) {
    if (load(path, &litert->api, failure) != 0) return failure->code;
    const litert_environment_option options[] = {
        {LITERT_OPTION_MIN_LOGGER_SEVERITY, {.type = LITERT_ANY_INT, .int_value = LITERT_SEVERITY_ERROR}},
        {LITERT_OPTION_AUTO_REGISTER_ACCELERATORS, {.type = LITERT_ANY_INT, .int_value = units}},
        {LITERT_OPTION_RUNTIME_LIBRARY_DIR, {.type = LITERT_ANY_STRING, .string_value = accelerators}},
    };
    const litert_status status = litert->api.CreateEnvironment(accelerators != NULL ? 3 : 2, options,
                                                               &litert->environment);
    if (status == 0) return 0;
    litert->environment = NULL;
    return fail(failure, FAILURE_RUNTIME, "LiteRT made no environment (status %d)", status);
}

static bool same(const char *one, const char *other) {
    return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

// With the mutex held.
static void forget(void) {
    if (process.litert.environment != NULL) process.litert.api.DestroyEnvironment(process.litert.environment);
    free(process.path);
    free(process.accelerators);
    process.path = process.accelerators = NULL;
    memset(&process.litert, 0, sizeof process.litert);
}

static int start(const char *path, const char *accelerators, int units, struct failure *failure) {
    process.path = strdup(path);
    process.accelerators = accelerators != NULL ? strdup(accelerators) : NULL;
    process.units = units;
    if (process.path == NULL || !same(process.accelerators, accelerators)) {
        fail(failure, FAILURE_RUN, "out of memory");
    } else {
        create(path, accelerators, units, &process.litert, failure);
    }
    if (failure->code != FAILURE_NONE) forget();
    return failure->code;
}

int litert_open(const char *path, const char *accelerators, int units, struct litert *litert,
                struct failure *failure) {
    int status = 0;
    pthread_mutex_lock(&process.mutex);
    const bool fits = process.path != NULL && same(process.path, path) && same(process.accelerators, accelerators) &&
                      (process.units & units) == units;
    if (!fits && process.users == 0) {
        forget();
        status = start(path, accelerators, units, failure);
    } else if (!fits) {
        status = fail(failure, FAILURE_RUNTIME, "this process uses LiteRT %s already, in another way; close what uses it",
                      process.path);
    }
    if (status == 0) {
        process.users++;
        *litert = process.litert;
    }
    pthread_mutex_unlock(&process.mutex);
    return status;
}

void litert_close(struct litert *litert, bool keep) {
    if (litert->environment == NULL) return;
    litert->environment = NULL;
    pthread_mutex_lock(&process.mutex);
    if (--process.users == 0 && !keep) forget();
    pthread_mutex_unlock(&process.mutex);
}
