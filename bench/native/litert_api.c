#include "litert_api.h"

#include <dlfcn.h>
#include <string.h>

static int bind_symbol(void *library, const char *path, const char *symbol, void *function, struct failure *failure) {
    // ISO C has no cast from an object pointer to a function pointer; POSIX promises equal representation.
    void *found = dlsym(library, symbol);
    memcpy(function, &found, sizeof found);
    if (found != NULL) return 0;
    return fail(failure, FAILURE_SYMBOL, "LiteRT library %s has no function %s; use release 2.3", path, symbol);
}

int litert_load(const char *path, struct litert_api *api, struct failure *failure) {
    memset(api, 0, sizeof *api);
    // Android's own, where it exists: GPU accelerators look for its buffers and do not name it as needed.
    dlopen("libandroid.so", RTLD_NOW | RTLD_GLOBAL);
    // Global: the accelerator library that LiteRT loads later resolves LiteRT's own symbols.
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (library == NULL) return fail(failure, FAILURE_RUNTIME, "LiteRT library cannot be loaded: %s", dlerror());
#define LITERT_BIND(result, name, parameters)                                                                \
    if (bind_symbol(library, path, "LiteRt" #name, &api->name, failure) != 0) return FAILURE_SYMBOL;
    LITERT_FUNCTIONS(LITERT_BIND)
#undef LITERT_BIND
    api->library = library;
    return 0;
}
