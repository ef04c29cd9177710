#include "simulated.h"

#include "clock.h"
#include "plan.h"

// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
uint64_t splitmix64(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double uniform(uint64_t *state) { return (double)(splitmix64(state) >> 11) / (double)(UINT64_C(1) << 53); }

// The sum of twelve uniform numbers less six has mean 0, variance 1 and is close to normal.
static double truncated_normal(uint64_t *state) {
    for (;;) {
        double sum = -6;
        for (int i = 0; i < 12; i++) sum += uniform(state);
        if (sum >= -3 && sum <= 3) return sum;
    }
}

// From -1 to 1 and back within a period.
static double swing(int64_t time_ns, double period_s) {
    const double turns = (double)time_ns / 1e9 / period_s;
    const double phase = turns - (double)(int64_t)turns;
    return phase < 0.5 ? 4 * phase - 1 : 3 - 4 * phase;
}

// How much longer than by the law this call takes, other units left aside.
static double stretched(const struct plan_unit *unit, struct simulated *state, int64_t time_ns) {
    double factor = 1 + unit->drift * swing(time_ns, unit->period_s);
    if (unit->noise > 0) factor *= 1 + unit->noise * truncated_normal(&state->noise_state);
    if (unit->tail > 0 && uniform(&state->noise_state) < unit->tail) {
        const double rest = 1 - uniform(&state->noise_state);
        factor /= rest > 0.1 ? rest : 0.1;
    }
    if (state->left_ns != 0) state->heat_s -= (double)(time_ns - state->left_ns) / 1e9;
    if (state->heat_s < 0) state->heat_s = 0;
    return state->heat_s > unit->heat_s ? factor * unit->throttle : factor;
}

void simulated_run(double run_us, double pressure, const struct plan_unit *unit, struct simulated *state,
                   atomic_int *load) {
    const int own = (int)(pressure * 1000 + 0.5);
    const int64_t begin_ns = now_ns();
    int64_t last_ns = begin_ns;
    double left_ns = run_us * 1e3 * stretched(unit, state, begin_ns);
    atomic_fetch_add(load, own);
    while (left_ns > 0) {
        cpu_relax();
        const int64_t time_ns = now_ns();
        const int others = atomic_load(load) - own;
        const double slowness = 1 + (unit->slowdown - 1) * pressure * others / 1000.0;
        left_ns -= (double)(time_ns - last_ns) / slowness;
        last_ns = time_ns;
    }
    atomic_fetch_sub(load, own);
    state->heat_s += (double)(last_ns - begin_ns) / 1e9;
    state->left_ns = last_ns;
}
