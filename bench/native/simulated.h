// A simulated unit: it spends a known time, so that the measuring itself can be measured.
#ifndef SYNCNAS_SIMULATED_H
#define SYNCNAS_SIMULATED_H

#include <stdatomic.h>

#include "plan.h"

// Busy for run_us * (1 + noise * g), g normal and within 3 standard deviations. While another unit is
// in a call too (`running` above 1), progress is made at 1 / slowdown of the normal rate.
void simulated_run(double run_us, const struct plan_unit *unit, uint64_t *state, const atomic_int *running);

// The next number of the splitmix64 sequence.
uint64_t splitmix64(uint64_t *state);

#endif
