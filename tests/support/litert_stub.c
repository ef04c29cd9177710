// A libLiteRt.so that tells one lie, chosen with -DLIE=..., and is the real library (REAL) in everything else: a symbol
// that is not defined here is found in the library it is linked with.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { HONEST, FALLBACK, CRASH, HANG, NANS, ZEROS, ONE_WRONG };
enum { CPU = 1, GPU = 2, READ = 0 };

typedef int (*function)();

static function real(const char *name) {
    return (function)dlsym(dlopen(REAL, RTLD_NOW | RTLD_NOLOAD), name);
}

static _Thread_local bool asked_for_gpu;  // a unit sets up a model on one thread

// There is no GPU here: what is meant for it goes to the CPU.
int LiteRtSetOptionsHardwareAccelerators(void *options, int accelerators) {
    if (accelerators == GPU && LIE == CRASH) raise(SIGSEGV);
    while (accelerators == GPU && LIE == HANG) pause();
    asked_for_gpu = accelerators == GPU;
    return real("LiteRtSetOptionsHardwareAccelerators")(options, CPU);
}

int LiteRtCompiledModelIsFullyAccelerated(void *model, bool *accelerated) {
    *accelerated = LIE != FALLBACK || !asked_for_gpu;
    return model == NULL;
}

int LiteRtLockTensorBuffer(void *buffer, void **memory, int mode) {
    size_t bytes = 0;
    const int status = real("LiteRtLockTensorBuffer")(buffer, memory, mode);
    if (status != 0 || mode != READ || real("LiteRtGetTensorBufferPackedSize")(buffer, &bytes) != 0) return status;
    float *values = *memory;
    if (LIE == NANS) values[bytes / sizeof *values / 2] = NAN;
    if (LIE == ZEROS) memset(values, 0, bytes);
    if (LIE == ONE_WRONG) values[bytes / sizeof *values - 1] += 1.0f;
    return status;
}
