// An app in C, for tests: each command uses the library as an app would, or as none should.
//   app run LITERT BUNDLE UNITS IMAGE LOGITS RUNS [memory] [own]     UNITS: a letter a branch, c or g
//   app measure LITERT BUNDLE RUNS FILE
//   app cycles LITERT BUNDLE COUNT
//   app threads LITERT BUNDLE
//   app options LITERT BUNDLE
//   app open LITERT BUNDLE UNITS
//   app java LITERT BUNDLE
//   app hostile LITERT BUNDLE COUNT SEED [signed]
// LITERT is a path of libLiteRt.so, or - for the library that is found by name.
#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "library/syncnas.h"
#include "sha256.h"

static const char *const NAMES[] = {"network.txt", "branch0.tflite", "branch1.tflite"};

static syncnas_options options_of(const char *litert, const char *units) {
    syncnas_options options = {.struct_size = sizeof options};
    options.runtime = strcmp(litert, "-") == 0 ? NULL : litert;
    for (int u = 0; u < 2; u++) options.units[u].kind = units[u] == 'g' ? SYNCNAS_GPU : SYNCNAS_CPU;
    return options;
}

static void fail_with(const char *what, const syncnas_error *error) {
    printf("%s: %d %s\n", what, (int)error->status, error->sentence);
    exit(1);
}

// Not at a multiple of more than 4: so assets lie in an APK.
static size_t read_file(const char *folder, const char *name, char **bytes) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) return 0;
    fseek(file, 0, SEEK_END);
    const size_t length = (size_t)ftell(file);
    rewind(file);
    *bytes = (char *)malloc(length + 64) + 20;
    if (fread(*bytes, 1, length, file) != length) exit(2);
    fclose(file);
    return length;
}

static size_t read_bundle(const char *folder, syncnas_file files[3]) {
    size_t count = 0;
    for (int i = 0; i < 3; i++) {
        char *bytes = NULL;
        const size_t length = read_file(folder, NAMES[i], &bytes);
        if (length > 0) files[count++] = (syncnas_file){NAMES[i], bytes, length};
    }
    return count;
}

static void free_bundle(syncnas_file *files, size_t count) {
    for (size_t i = 0; i < count; i++) free((char *)files[i].data - 20);
}

static int has(int count, char **words, const char *word) {
    for (int i = 0; i < count; i++) {
        if (strcmp(words[i], word) == 0) return 1;
    }
    return 0;
}

static int run(int count, char **words) {
    syncnas_options options = options_of(words[0], words[2]);
    syncnas_file files[3];
    syncnas_bundle bundle = {.folder = words[1]};
    syncnas_shape in, out;
    syncnas_error error;
    syncnas_network network;
    const int memory = has(count, words, "memory"), own = has(count, words, "own");
    options.cache_folder = getenv("APP_CACHE");
    options.units[0].precision = options.units[0].kind == SYNCNAS_GPU && getenv("APP_FP16") ? SYNCNAS_FP16 : SYNCNAS_FP32;
    options.units[1].precision = options.units[1].kind == SYNCNAS_GPU && getenv("APP_FP16") ? SYNCNAS_FP16 : SYNCNAS_FP32;
    if (memory) bundle = (syncnas_bundle){.files = files, .file_count = read_bundle(words[1], files)};
    if (syncnas_shapes(&bundle, &in, &out, &error) != SYNCNAS_OK) fail_with("shapes", &error);
    if (own) {
        options.input_bytes = in.count * 4 + SYNCNAS_PADDING_BYTES;
        options.output_bytes = out.count * 4 + SYNCNAS_PADDING_BYTES;
        if (posix_memalign(&options.input, SYNCNAS_ALIGNMENT_BYTES, options.input_bytes)) return 2;
        if (posix_memalign(&options.output, SYNCNAS_ALIGNMENT_BYTES, options.output_bytes)) return 2;
    }
    if (syncnas_open(&bundle, &options, &network, &error) != SYNCNAS_OK) fail_with("open", &error);
    float *input = syncnas_input(network);
    if (own && input != options.input) return 2;
    syncnas_times times = {.struct_size = sizeof times};
    for (int left = atoi(words[5]); left > 0; left--) {
        memset(input, 0, in.count * 4);
        if (syncnas_run(network, NULL, &error) != SYNCNAS_OK) fail_with("run", &error);
        FILE *file = fopen(words[3], "rb");  // the input is read anew at each run
        if (file == NULL || fread(input, 4, in.count, file) != in.count) return 2;
        fclose(file);
        if (syncnas_run(network, &times, &error) != SYNCNAS_OK) fail_with("run", &error);
    }
    FILE *file = fopen(words[4], "wb");
    if (file == NULL || fwrite(syncnas_output(network), 4, out.count, file) != out.count || fclose(file)) return 2;
    printf("%lld %lld %lld %lld %lld\n", (long long)times.total_ns, (long long)times.branch_ns[0],
           (long long)times.branch_ns[1], (long long)times.wait_ns[0], (long long)times.wait_ns[1]);
    syncnas_close(network);
    if (own) {
        free(options.input);
        free(options.output);
    }
    if (memory) free_bundle(files, bundle.file_count);
    return 0;
}

static int measure(char **words) {
    const syncnas_options options = options_of(words[0], "cc");
    const syncnas_bundle bundle = {.folder = words[1]};
    syncnas_network network;
    syncnas_error error;
    if (syncnas_open(&bundle, &options, &network, &error) != SYNCNAS_OK) fail_with("open", &error);
    if (syncnas_measure(network, atoi(words[2]), words[3], &error) != SYNCNAS_OK) fail_with("measure", &error);
    syncnas_close(network);
    return syncnas_measure(network, 1, words[3], NULL) == SYNCNAS_ERROR_CLOSED ? 0 : 2;
}

static int threads_now(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    while (readdir(folder) != NULL) count++;
    closedir(folder);
    return count - 2;
}

static long resident_kb(void) {
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld", &pages, &resident) != 2) exit(2);
    fclose(file);
    return resident * 4;
}

// Threads and memory after a tenth of the cycles and at the end.
static int cycles(char **words) {
    const syncnas_options options = options_of(words[0], "cc");
    const syncnas_bundle bundle = {.folder = words[1]};
    const int count = atoi(words[2]);
    syncnas_error error;
    syncnas_network network;
    for (int i = 1; i <= count; i++) {
        if (syncnas_open(&bundle, &options, &network, &error) != SYNCNAS_OK) fail_with("open", &error);
        if (syncnas_run(network, NULL, &error) != SYNCNAS_OK) fail_with("run", &error);
        syncnas_close(network);
        if (i == count / 10 || i == count) printf("%d %ld\n", threads_now(), resident_kb());
    }
    return 0;
}

struct user {
    syncnas_network network;
    int forever, ok, closed, other;
};

static void *use(void *argument) {
    struct user *user = argument;
    // Until the network is closed, or 200 times.
    while (user->closed == 0 && (user->forever || user->ok < 200) && user->other == 0) {
        syncnas_error error;
        const syncnas_status status = syncnas_run(user->network, NULL, &error);
        if (status == SYNCNAS_OK) user->ok++;
        else if (status == SYNCNAS_ERROR_CLOSED && *error.sentence) user->closed++;
        else user->other++;
        syncnas_output(user->network);
    }
    return NULL;
}

// Two networks; two threads on each; one is closed while it runs, the other one afterwards, twice.
static int use_in_threads(char **words) {
    const syncnas_options options = options_of(words[0], "cc");
    const syncnas_bundle bundle = {.folder = words[1]};
    syncnas_network networks[2];
    syncnas_error error;
    struct user users[4] = {{0}};
    pthread_t threads[4];
    for (int i = 0; i < 2; i++) {
        if (syncnas_open(&bundle, &options, &networks[i], &error) != SYNCNAS_OK) fail_with("open", &error);
    }
    for (int i = 0; i < 4; i++) {
        users[i].network = networks[i / 2];
        users[i].forever = i < 2;
        if (pthread_create(&threads[i], NULL, use, &users[i])) return 2;
    }
    for (int i = 0; i < 20; i++) syncnas_run(networks[0], NULL, NULL);
    syncnas_close(networks[0]);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    syncnas_close(networks[1]);
    syncnas_close(networks[1]);
    const int after = syncnas_run(networks[1], NULL, &error) == SYNCNAS_ERROR_CLOSED &&
                      syncnas_input(networks[1]) == NULL && syncnas_output(networks[1]) == NULL;
    for (int i = 0; i < 4; i++) printf("%d %d %d\n", users[i].closed, users[i].forever ? 0 : users[i].ok, users[i].other);
    printf("%d\n", after);
    return 0;
}

// Each wrong option in turn, and what is said of it.
static int try_options(char **words) {
    static char memory[1 << 22] __attribute__((aligned(64)));
    const syncnas_bundle bundle = {.folder = words[1]};
    struct longer { syncnas_options options; int more; } longer;
    for (int i = 0; i < 20; i++) {
        longer = (struct longer){.options = options_of(words[0], "cc")};
        syncnas_options *o = &longer.options;
        const syncnas_bundle *from = &bundle;
        const syncnas_bundle neither = {0}, both = {.folder = words[1], .files = (syncnas_file[1]){{0}}, .file_count = 1};
        switch (i) {
        case 0: o->struct_size = 0; break;
        case 1: o->struct_size = sizeof longer; longer.more = 1; break;
        case 2: o->units[0].kind = 7; break;
        case 3: o->units[1].threads = 65; break;
        case 4: o->units[1].threads = -1; break;
        case 5: o->units[0].precision = SYNCNAS_FP16; break;
        case 6: o->units[1].kind = SYNCNAS_GPU; o->units[1].threads = 2; break;
        case 7: o->units[0].reserved = 1; break;
        case 8: o->spin_us = 1000001; break;
        case 9: o->cache_folder = "a\nb"; break;
        case 10: o->runtime = ""; break;
        case 11: o->input = memory; o->input_bytes = 64; break;
        case 12: o->output = memory + 4; o->output_bytes = sizeof memory - 4; break;
        case 13: o->input_bytes = 64; break;
        case 14: from = &neither; break;
        case 15: from = &both; break;
        case 16: from = NULL; break;
        case 17: o->units[0].cores = UINT64_C(1) << 63; break;
        case 18: o->runtime = "/absent/libLiteRt.so"; break;
        case 19: o->struct_size = sizeof longer; break;  // what is newer is zero: as good as ours
        }
        syncnas_network network = 1;
        syncnas_error error;
        const syncnas_status status = syncnas_open(from, o, &network, &error);
        if (status != error.status || (status == SYNCNAS_OK) != (network != 0)) return 2;
        printf("%d %s\n", (int)status, error.sentence);
        syncnas_close(network);
    }
    return 0;
}

static int try_open(char **words) {
    const syncnas_options options = options_of(words[0], words[2]);
    const syncnas_bundle bundle = {.folder = words[1]};
    syncnas_network network;
    syncnas_error error;
    const syncnas_status status = syncnas_open(&bundle, &options, &network, &error);
    printf("%d %s\n", (int)status, error.sentence);
    if (status == SYNCNAS_OK) syncnas_run(network, NULL, NULL);
    syncnas_close(network);
    return 0;
}

int32_t Java_org_syncnas_Network_nativeRun(void *env, void *self, int64_t handle, int64_t times, void *sentence);

// Java's run without a Java: of numbers, of what is none, once that failed, and of a network that is closed.
static int run_without_java(char **words) {
    const syncnas_options options = options_of(words[0], "cc");
    const syncnas_bundle bundle = {.folder = words[1]};
    const float inputs[] = {1, 2, NAN, 1, 1};
    syncnas_network network;
    syncnas_error error;
    if (syncnas_open(&bundle, &options, &network, &error) != SYNCNAS_OK) fail_with("open", &error);
    for (int i = 0; i < 5; i++) {
        syncnas_times times = {.total_ns = -1};
        if (i < 4) syncnas_input(network)[0] = inputs[i];
        else syncnas_close(network);
        const int status =
            Java_org_syncnas_Network_nativeRun(NULL, NULL, (int64_t)network, (int64_t)(intptr_t)&times, NULL);
        printf("%d %d\n", status, times.total_ns >= 0);
    }
    return 0;
}

static uint64_t state;

// Source: Vigna, xorshift64*.
static uint64_t draw(uint64_t below) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (state * 0x2545F4914F6CDD1DULL >> 11) % below;
}

static void hex_of(const void *bytes, size_t count, char hex[SHA256_HEX_BYTES]) {
    struct sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, bytes, count);
    sha256_hex(&hash, hex);
}

// Bytes, words, lines and sizes. Memory of exactly that size, so that the sanitizer sees a byte too far.
static syncnas_file spoil(const syncnas_file *good, int text) {
    static const char *const WORDS[] = {"partner", "own", "external", "-1", "0", "64", "99999999999", "%00", "../x", "end",
                                        "call 0 0 x own\n", "lane 1\n", "\n", " ", "file branch0.tflite "};
    size_t length = draw(4) ? good->bytes : (size_t)draw(good->bytes + 1);
    char *bytes = malloc(length + 64);
    memcpy(bytes, good->data, length);
    for (uint64_t left = length ? 1 + draw(3) : 0; left > 0; left--) {
        const size_t at = (size_t)draw(length);
        const char *word = WORDS[draw(sizeof WORDS / sizeof *WORDS)];
        if (!text || draw(2)) bytes[at] ^= (char)(1 << draw(8));
        else if (at + strlen(word) <= length) memcpy(bytes + at, word, strlen(word));
    }
    char *exact = malloc(length ? length : 1);
    memcpy(exact, bytes, length);
    free(bytes);
    return (syncnas_file){good->name, exact, length};
}

// Make a spoiled network.txt say its own sha256, so that what is behind the check is reached.
static void sign(syncnas_file *file) {
    char hex[SHA256_HEX_BYTES];
    if (file->bytes < 70) return;
    char *end = (char *)file->data + file->bytes - 69;
    memcpy(end, "end ", 4);
    end[-1] = '\n';
    hex_of(file->data, file->bytes - 69, hex);
    memcpy(end + 4, hex, 64);
    end[68] = '\n';
}

static int hostile(int count, char **words) {
    const syncnas_options options = options_of(words[0], "cc");
    const int resign = has(count, words, "signed");
    syncnas_file good[3];
    if (read_bundle(words[1], good) != 3) return 2;
    state = strtoull(words[3], NULL, 10) * 2 + 1;
    int opened = 0, refused = 0;
    for (int left = atoi(words[2]); left > 0; left--) {
        syncnas_file files[3] = {good[0], good[1], good[2]};
        size_t file_count = 3;
        const size_t which = resign ? 0 : (size_t)draw(3);
        files[which] = spoil(&good[which], which == 0);
        const void *spoiled = files[which].data;
        if (resign) sign(&files[0]);
        if (files[which].bytes == good[which].bytes && !memcmp(spoiled, good[which].data, good[which].bytes)) {
            file_count = 2;  // nothing was spoiled: a file is missing
        }
        const syncnas_bundle bundle = {.files = files, .file_count = file_count};
        syncnas_network network;
        syncnas_error error;
        const syncnas_status status = syncnas_open(&bundle, &options, &network, &error);
        if (status == SYNCNAS_OK) {
            opened++;
            syncnas_run(network, NULL, NULL);
            syncnas_close(network);
        } else if (*error.sentence && network == 0) {
            refused++;
        }
        free((void *)spoiled);
    }
    printf("%d %d\n", opened, refused);
    free_bundle(good, 3);
    return 0;
}

int main(int count, char **words) {
    const char *command = count > 3 ? words[1] : "";
    if (strcmp(command, "run") == 0) return run(count - 2, words + 2);
    if (strcmp(command, "measure") == 0) return measure(words + 2);
    if (strcmp(command, "cycles") == 0) return cycles(words + 2);
    if (strcmp(command, "threads") == 0) return use_in_threads(words + 2);
    if (strcmp(command, "options") == 0) return try_options(words + 2);
    if (strcmp(command, "open") == 0) return try_open(words + 2);
    if (strcmp(command, "java") == 0) return run_without_java(words + 2);
    if (strcmp(command, "hostile") == 0) return hostile(count - 2, words + 2);
    return 2;
}
