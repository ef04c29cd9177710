// What systems differ in. The build takes the files whose names end in the system: system_linux.c, for Android too,
// system_darwin.c, system_posix.c, for all of these, or system_windows.c. Paths are UTF-8.
#ifndef SYNCNAS_SYSTEM_H
#define SYNCNAS_SYSTEM_H

#include <stddef.h>
#include <stdio.h>

#include "failure.h"
#include "plan.h"

// To be called first by a program: its bytes go in and out as they are, and a reader that is gone is a failed write.
// Its arguments, after that, are UTF-8.
#if defined(_WIN32)
void system_start(int count, char **arguments);
#else
#include <signal.h>
static inline void system_start(int count, char **arguments) {
    (void)count, (void)arguments;
    signal(SIGPIPE, SIG_IGN);
}
#endif

// To be called on a unit's own thread: pin it (FAILURE_UNIT). On Linux, threads that LiteRT's CPU kernels start
// later inherit the affinity of the thread that compiles the model. Simulated units stand for hardware
// of their own: number `index` gets a core to itself where there are enough.
// macOS pins no thread: a unit with cores is refused, and any other prefers the performance cores.
// On Windows those threads inherit nothing: a unit with cores and more than one thread is refused.
int system_pin(const struct plan_unit *plan, int index, struct failure *failure);

// Load LiteRT's library, and find a function of it: NULL if it has none of that name.
// Returns NULL with the system's reason (FAILURE_RUNTIME).
void *system_load_litert(const char *path, struct failure *failure);
void *system_find(void *library, const char *symbol);

// Zeroed memory at a multiple of `alignment` bytes, for system_free; NULL where there is none.
void *system_allocate(size_t alignment, size_t bytes);
void system_free(void *memory);

// fopen, of a path in UTF-8.
#if defined(_WIN32)
FILE *system_open(const char *path, const char *mode);
#else
static inline FILE *system_open(const char *path, const char *mode) { return fopen(path, mode); }
#endif

struct mapped_file {
    const void *data;  // NULL if it is empty
    size_t bytes;
};

// Map a whole file, to be read alone. Returns NULL, or why it cannot be read; its bytes are known if only mapping fails.
const char *system_map(const char *path, struct mapped_file *file);
void system_unmap(const struct mapped_file *file);

// Run one task of a unit on its thread, and free what Metal leaves to the end of a task.
#if defined(__APPLE__)
void system_run_task(void (*task)(void *argument), void *argument);
#else
static inline void system_run_task(void (*task)(void *argument), void *argument) { task(argument); }
#endif

#endif
