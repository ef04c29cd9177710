#include "simulated.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

struct simulated_law {
    double noise, slowdown, tail, drift, period_s, throttle, heat_s;
};

struct simulated_spend {
    double run_us, download_us, upload_us, open_us, shared;
};

struct number {
    const char *name;
    double low, high, *into;
    bool named;
};

// The number that a word NAME=NUMBER names, or NULL.
static struct number *find(struct number numbers[], int known, const char *word) {
    const char *sign = strchr(word, '=');
    const size_t length = sign != NULL ? (size_t)(sign - word) : 0;
    for (int i = 0; i < known; i++) {
        if (strlen(numbers[i].name) == length && memcmp(numbers[i].name, word, length) == 0) return &numbers[i];
    }
    return NULL;
}

// Read words of the form NAME=NUMBER. Returns why they cannot be read, or NULL.
static const char *read_numbers(struct number numbers[], int known, int count, char *const words[]) {
    for (int w = 0; w < count; w++) {
        struct number *number = find(numbers, known, words[w]);
        if (number == NULL) return "a word for the simulator is not NAME=NUMBER of a name that it knows";
        if (number->named) return "a word for the simulator stands twice";
        const char *text = words[w] + strlen(number->name) + 1;
        char *end = NULL;
        const double value = strtod(text, &end);
        if (end == text || *end != 0) return "a number is expected";
        if (!(value >= number->low && value <= number->high)) return "a number is out of range";
        *number->into = value;
        number->named = true;
    }
    return NULL;
}

struct simulated_law *simulated_read_law(int count, char *const words[], const char **reason) {
    struct simulated_law law = {.slowdown = 1, .period_s = 60, .throttle = 1, .heat_s = 1e6};
    struct number numbers[] = {
        {"noise", 0, 0.3, &law.noise, false},          {"slowdown", 1, 100, &law.slowdown, false},
        {"tail", 0, 1, &law.tail, false},              {"drift", 0, 0.5, &law.drift, false},
        {"period_s", 0.01, 1e6, &law.period_s, false}, {"throttle", 1, 100, &law.throttle, false},
        {"heat_s", 0.01, 1e6, &law.heat_s, false},
    };
    *reason = read_numbers(numbers, (int)(sizeof numbers / sizeof *numbers), count, words);
    if (*reason != NULL) return NULL;
    struct simulated_law *kept = malloc(sizeof *kept);
    if (kept != NULL) *kept = law;
    *reason = "out of memory";
    return kept;
}

struct simulated_spend *simulated_read_spend(int count, char *const words[], const char **reason) {
    struct simulated_spend spend = {.shared = 1};
    struct number numbers[] = {
        {"run_us", 0, 1e9, &spend.run_us, false},
        {"download_us", 0, 1e9, &spend.download_us, false},
        {"upload_us", 0, 1e9, &spend.upload_us, false},
        {"open_us", 0, 1e9, &spend.open_us, false},
        {"shared", 0, 1, &spend.shared, false},
    };
    *reason = read_numbers(numbers, (int)(sizeof numbers / sizeof *numbers), count, words);
    if (*reason != NULL) return NULL;
    struct simulated_spend *kept = malloc(sizeof *kept);
    if (kept != NULL) *kept = spend;
    *reason = "out of memory";
    return kept;
}

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
static double stretched(const struct simulated_law *law, struct simulated_state *state, int64_t time_ns) {
    double factor = 1 + law->drift * swing(time_ns, law->period_s);
    if (law->noise > 0) factor *= 1 + law->noise * truncated_normal(&state->noise_state);
    if (law->tail > 0 && uniform(&state->noise_state) < law->tail) {
        const double rest = 1 - uniform(&state->noise_state);
        factor /= rest > 0.1 ? rest : 0.1;
    }
    if (state->left_ns != 0) state->heat_s -= (double)(time_ns - state->left_ns) / 1e9;
    if (state->heat_s < 0) state->heat_s = 0;
    return state->heat_s > law->heat_s ? factor * law->throttle : factor;
}

void simulated_run(const struct simulated_spend *spend, const struct simulated_law *law,
                   struct simulated_state *state, atomic_int *load) {
    const int own = (int)(spend->shared * 1000 + 0.5);
    const int64_t begin_ns = now_ns();
    int64_t last_ns = begin_ns;
    double left_ns = spend->run_us * 1e3 * stretched(law, state, begin_ns);
    atomic_fetch_add(load, own);
    while (left_ns > 0) {
        cpu_relax();
        const int64_t time_ns = now_ns();
        const int others = atomic_load(load) - own;
        const double slowness = 1 + (law->slowdown - 1) * spend->shared * others / 1000.0;
        left_ns -= (double)(time_ns - last_ns) / slowness;
        last_ns = time_ns;
    }
    atomic_fetch_sub(load, own);
    state->heat_s += (double)(last_ns - begin_ns) / 1e9;
    state->left_ns = last_ns;
}

void simulated_open(const struct simulated_spend *spend) { spin_for_ns((int64_t)(spend->open_us * 1e3)); }

void simulated_upload(const struct simulated_spend *spend) { spin_for_ns((int64_t)(spend->upload_us * 1e3)); }

void simulated_download(const struct simulated_spend *spend) { spin_for_ns((int64_t)(spend->download_us * 1e3)); }
