// A libLiteRt.so that tells one lie, chosen with -DLIE=..., and is the real library (REAL) in everything else: a symbol
// that is not defined here is found in the library it is linked with.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    HONEST, FALLBACK, CRASH, HANG, NANS, ZEROS, ONE_WRONG,
    SECOND_MODEL, SILENT_CPU, NO_REASON, FP16_NANS, READ_HANGS, SECOND_WRONG, KERNEL, RESTART, COUNTS
};
enum { CPU = 1, GPU = 2, READ = 0, OPEN_CL = 10, BAD = 3, MOST = 4096 };

typedef int (*function)();

static void *gpu_options[MOST], *gpu_buffers[MOST];
static int gpu_options_count, gpu_buffers_count, gpu_models;
static bool halves;

static function real(const char *name) {
    return (function)dlsym(dlopen(REAL, RTLD_NOW | RTLD_NOLOAD), name);
}

static bool is_in(void *const list[], int count, const void *wanted) {
    for (int i = 0; i < count; i++) {
        if (list[i] == wanted) return true;
    }
    return false;
}

// Append to a file beside this library, with this suffix.
static void tell(const char *suffix, const char *text) {
    Dl_info self;
    char path[4096];
    if (dladdr((void *)tell, &self) == 0) return;
    snprintf(path, sizeof path, "%s%s", self.dli_fname, suffix);
    const int file = open(path, O_CREAT | O_WRONLY | O_APPEND, 0644);
    if (write(file, text, strlen(text)) < 0) abort();
    close(file);
}

// The file says to the test's phone that its GPU hangs and its watchdog restarts it.
static void restart_phone(void) {
    tell(".restart", "");
    for (;;) pause();
}

static _Thread_local bool asked_for_gpu;  // a unit sets up a model on one thread

// There is no GPU here: what is meant for it goes to the CPU.
int LiteRtSetOptionsHardwareAccelerators(void *options, int accelerators) {
    if (accelerators == GPU && LIE == CRASH) raise(SIGSEGV);
    while (accelerators == GPU && LIE == HANG) pause();
    asked_for_gpu = accelerators == GPU;
    if (accelerators == GPU && gpu_options_count < MOST) gpu_options[gpu_options_count++] = options;
    return real("LiteRtSetOptionsHardwareAccelerators")(options, CPU);
}

int LiteRtCreateOpaqueOptions(const char *identifier, void *payload, void (*release)(void *), void **options) {
    halves = halves || (strcmp(identifier, "gpu_options") == 0 && strstr(payload, "precision = 1") != NULL);
    return real("LiteRtCreateOpaqueOptions")(identifier, payload, release, options);
}

int LiteRtCreateCompiledModel(void *environment, void *model, void *options, void **compiled) {
    const bool gpu = is_in(gpu_options, gpu_options_count, options);
    gpu_models += gpu;
    if (gpu && LIE == NO_REASON) return BAD;
    if (gpu && LIE == KERNEL) {
        fputs("clBuildProgram failed (-11): <source>:37:9: error: expected ';' after expression\n", stderr);
        return BAD;
    }
    if (gpu && LIE == RESTART) restart_phone();
    return real("LiteRtCreateCompiledModel")(environment, model, options, compiled);
}

int LiteRtCompiledModelIsFullyAccelerated(void *model, bool *accelerated) {
    *accelerated = LIE != FALLBACK || !asked_for_gpu;
    return model == NULL;
}

int LiteRtCreateManagedTensorBufferFromRequirements(void *environment, void *type, void *requirements, void **buffer) {
    if (LIE == SECOND_MODEL && gpu_models > 1) return BAD;
    const int status =
        real("LiteRtCreateManagedTensorBufferFromRequirements")(environment, type, requirements, buffer);
    if (status == 0 && gpu_buffers_count < MOST) gpu_buffers[gpu_buffers_count++] = *buffer;
    return status;
}

int LiteRtGetTensorBufferType(void *buffer, int *type) {
    const int status = real("LiteRtGetTensorBufferType")(buffer, type);
    if (LIE != SILENT_CPU && is_in(gpu_buffers, gpu_buffers_count, buffer)) *type = OPEN_CL;
    return status;
}

static _Thread_local bool running;  // this CPU locks buffers to compute; a GPU does not

int LiteRtRunCompiledModel(void *model, size_t signature, size_t ins, void **in, size_t outs, void **out) {
    running = true;
    const int status = real("LiteRtRunCompiledModel")(model, signature, ins, in, outs, out);
    running = false;
    return status;
}

int LiteRtLockTensorBuffer(void *buffer, void **memory, int mode) {
    static void *first;
    const bool gpu = is_in(gpu_buffers, gpu_buffers_count, buffer);
    size_t bytes = 0;
    while (gpu && mode == READ && LIE == READ_HANGS) pause();
    if (gpu && !running && LIE == COUNTS) tell(".locks", mode == READ ? "r" : "w");
    const int status = real("LiteRtLockTensorBuffer")(buffer, memory, mode);
    if (status != 0 || mode != READ || real("LiteRtGetTensorBufferPackedSize")(buffer, &bytes) != 0) return status;
    float *values = *memory;
    if (first == NULL) first = buffer;
    if (LIE == NANS || (LIE == FP16_NANS && halves && gpu)) values[bytes / sizeof *values / 2] = NAN;
    if (LIE == ZEROS) memset(values, 0, bytes);
    if (LIE == ONE_WRONG || (LIE == SECOND_WRONG && buffer != first)) values[bytes / sizeof *values - 1] += 1.0f;
    return status;
}
