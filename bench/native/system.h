// What systems differ in. The build takes the one file whose name ends in the system: system_linux.c, for Android too,
// or system_darwin.c.
#ifndef SYNCNAS_SYSTEM_H
#define SYNCNAS_SYSTEM_H

#include "failure.h"
#include "plan.h"

// To be called on a unit's own thread: pin it (FAILURE_UNIT). On Linux, threads that LiteRT's CPU kernels start
// later inherit the affinity of the thread that compiles the model. Simulated units stand for hardware
// of their own: number `index` gets a core to itself where there are enough.
// macOS pins no thread: a unit with cores is refused, and any other prefers the performance cores.
int system_pin(const struct plan_unit *plan, int index, struct failure *failure);

// To be loaded before LiteRT, where it exists: GPU accelerators look for what is in it and do not name it as needed.
#if defined(__APPLE__)
#define SYSTEM_LIBRARY "/System/Library/Frameworks/CoreGraphics.framework/CoreGraphics"  // else Metal finds no GPU
#else
#define SYSTEM_LIBRARY "libandroid.so"  // Android's buffers
#endif

// Run one task of a unit on its thread, and free what Metal leaves to the end of a task.
#if defined(__APPLE__)
void system_run_task(void (*task)(void *argument), void *argument);
#else
static inline void system_run_task(void (*task)(void *argument), void *argument) { task(argument); }
#endif

#endif
