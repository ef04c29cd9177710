// A simulated unit: it spends a known time, so that the measuring itself can be measured. Everything that
// only simulated units have is here: the words behind them in a plan, their vices and what a call spends.
#ifndef SYNCNAS_SIMULATED_H
#define SYNCNAS_SIMULATED_H

#include <stdatomic.h>
#include <stdint.h>

struct simulated_law;    // how a unit departs from what its calls spend
struct simulated_spend;  // what a call spends

struct simulated_state {
    uint64_t noise_state;
    int64_t left_ns;  // when the last call ended
    double heat_s;    // time at work less time at rest, not below 0
};

// The words behind a unit, each NAME=NUMBER; what is not named has the value that does nothing.
//   noise       times 1 + noise * g, g normal and within 3 standard deviations
//   tail        a share of the calls takes 1 / (1 - u) times as long, u uniform, at most 10 times
//   drift       speed swings by this much, to and fro within `period_s`
//   throttle    once a unit has worked `heat_s` longer than it rested, it is slower by this factor until it has cooled
//   slowdown    while other units are in a call, this unit's progress is divided by
//               1 + (slowdown - 1) * shared * the sum of what their calls share
// Returns memory to be freed, or NULL and why.
struct simulated_law *simulated_read_law(int count, char *const words[], const char **reason);

// The words behind a call: run_us, download_us, upload_us, open_us, and `shared`, 0 to 1. As above.
struct simulated_spend *simulated_read_spend(int count, char *const words[], const char **reason);

// Spend the time of a call. `load` is what the calls under way share, of all units, in thousandths.
void simulated_run(const struct simulated_spend *spend, const struct simulated_law *law,
                   struct simulated_state *state, atomic_int *load);
void simulated_open(const struct simulated_spend *spend);
void simulated_upload(const struct simulated_spend *spend);
void simulated_download(const struct simulated_spend *spend);

// The next number of the splitmix64 sequence.
uint64_t splitmix64(uint64_t *state);

#endif
