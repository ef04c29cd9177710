// A simulated unit: it spends a known time, so that the measuring itself can be measured.
#ifndef SYNCNAS_SIMULATED_H
#define SYNCNAS_SIMULATED_H

#include <stdatomic.h>
#include <stdint.h>

struct plan_unit;

struct simulated {
    uint64_t noise_state;
    int64_t left_ns;  // when the last call ended
    double heat_s;    // time at work less time at rest, not below 0
};

// Busy for run_us, with the vices of real units:
//   noise      times 1 + noise * g, g normal and within 3 standard deviations
//   tail       a share of the calls takes 1 / (1 - u) times as long, u uniform, at most 10 times
//   drift      speed swings by this much, to and fro within period_s
//   throttle   once a unit has worked heat_s longer than it rested, it is slower by this factor until it has cooled
//   slowdown   while other units are in a call, this unit's progress is divided by
//              1 + (slowdown - 1) * pressure * the sum of their calls' pressures
void simulated_run(double run_us, double pressure, const struct plan_unit *unit, struct simulated *state,
                   atomic_int *load);

// The next number of the splitmix64 sequence.
uint64_t splitmix64(uint64_t *state);

#endif
