#include "simulated.h"

#include "clock.h"

// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
uint64_t splitmix64(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

// The sum of twelve uniform numbers less six has mean 0, variance 1 and is close to normal.
static double truncated_normal(uint64_t *state) {
    for (;;) {
        double sum = -6;
        for (int i = 0; i < 12; i++) sum += (double)(splitmix64(state) >> 11) / (double)(UINT64_C(1) << 53);
        if (sum >= -3 && sum <= 3) return sum;
    }
}

void simulated_run(double run_us, const struct plan_unit *unit, uint64_t *state, const atomic_int *running) {
    double left_ns = run_us * 1e3;
    if (unit->noise > 0) left_ns *= 1 + unit->noise * truncated_normal(state);
    int64_t last_ns = now_ns();
    while (left_ns > 0) {
        cpu_relax();
        const int64_t time_ns = now_ns();
        const double passed_ns = (double)(time_ns - last_ns);
        left_ns -= atomic_load(running) > 1 ? passed_ns / unit->slowdown : passed_ns;
        last_ns = time_ns;
    }
}
