// libsyncnas: run an exported network of two branches in an app, both branches at once, each on its unit.
//
// Any thread may call any function at any time; runs of one network take turns. A call that fails says why and changes
// nothing; none ends the process. A network that was closed, or never opened, is an error as well, not a crash.
//
//     syncnas_bundle bundle = {.folder = "/path/of/bundle"};
//     syncnas_options options = {.struct_size = sizeof options};  // zero is the default of every field
//     options.units[1].kind = SYNCNAS_GPU;
//     syncnas_network network;
//     syncnas_error error;
//     if (syncnas_open(&bundle, &options, &network, &error) != SYNCNAS_OK) puts(error.sentence);
#ifndef SYNCNAS_H
#define SYNCNAS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SYNCNAS_VERSION "1.0.0"
#define SYNCNAS_API __attribute__((visibility("default")))

typedef enum {
    SYNCNAS_OK = 0,
    SYNCNAS_ERROR_ARGUMENT = 1,  // an option or memory is not as this file says
    SYNCNAS_ERROR_BUNDLE = 2,    // a file of the bundle is missing, damaged, of another export, or newer than this library
    SYNCNAS_ERROR_RUNTIME = 3,   // LiteRT cannot be loaded, or is another version
    SYNCNAS_ERROR_MODEL = 4,     // LiteRT does not take a model, or it is not what network.txt says
    SYNCNAS_ERROR_UNIT = 5,      // a unit cannot run here, such as a GPU that is not there: the app decides what then
    SYNCNAS_ERROR_RUN = 6,       // memory, threads or a run; a network whose run failed is to be closed
    SYNCNAS_ERROR_CLOSED = 7,    // the network is not open
} syncnas_status;

typedef struct {
    syncnas_status status;
    char sentence[768];  // empty if nothing failed
} syncnas_error;

// A network that is open. A number is never used twice, and never 0.
typedef uint64_t syncnas_network;

typedef struct {
    const char *name;  // as in the bundle: "network.txt", "branch0.tflite", "branch1.tflite"
    const void *data;  // at a multiple of 4; not copied, so it must stay until the network is closed
    size_t bytes;
} syncnas_file;

// Where the network is: a folder, or files in memory, such as assets that are mapped.
typedef struct {
    const char *folder;         // or NULL
    const syncnas_file *files;
    size_t file_count;
} syncnas_bundle;

enum { SYNCNAS_CPU = 0, SYNCNAS_GPU = 1 };
enum { SYNCNAS_FP32 = 0, SYNCNAS_FP16 = 1 };

typedef struct {
    int32_t kind;
    int32_t threads;    // of a CPU, up to 64; 0: one
    int32_t precision;  // of a GPU
    int32_t reserved;   // 0
    uint64_t cores;     // of a CPU: bit i allows core i; 0: all cores
} syncnas_unit;

enum { SYNCNAS_ALIGNMENT_BYTES = 64, SYNCNAS_PADDING_BYTES = 128 };

// Zero is the default of every field, so an app that was compiled against an older header gets what it got then.
typedef struct {
    size_t struct_size;         // sizeof(syncnas_options)
    syncnas_unit units[2];      // of branch 0 and of branch 1
    int32_t spin_us;            // how long a branch polls for the other before it sleeps. 0: 200, or not at all where
                                // fewer than 3 cores are allowed. -1: not at all
    int32_t reserved;           // 0
    const char *runtime;        // path of libLiteRt.so; NULL: it is found by name, as an app's libraries are
    const char *accelerators;   // folder of the GPU's LiteRT library; NULL: beside the runtime, or by name
    const char *cache_folder;   // where the GPU keeps the kernels it compiled; NULL: they are compiled at each opening
    void *input, *output;       // memory of the app's, at multiples of SYNCNAS_ALIGNMENT_BYTES; NULL: of the library's
    size_t input_bytes, output_bytes;  // of that memory: 4 for each value, and SYNCNAS_PADDING_BYTES more
} syncnas_options;

// float32 values, such as [1, height, width, channels].
typedef struct {
    size_t rank;
    int32_t sizes[8];
    size_t count;  // of values: the product of the sizes
} syncnas_shape;

typedef struct {
    size_t struct_size;    // sizeof(syncnas_times), to be set by the caller
    int64_t total_ns;      // from the beginning until the output is there
    int64_t branch_ns[2];  // what each branch computed
    int64_t wait_ns[2];    // what each branch waited for the other
} syncnas_times;

// What goes in and what comes out. Reads network.txt alone; needs no LiteRT.
SYNCNAS_API syncnas_status syncnas_shapes(const syncnas_bundle *bundle, syncnas_shape *input, syncnas_shape *output,
                                          syncnas_error *error);

// Compile the network for its units. Takes 0.1 s on a CPU and seconds on a GPU that compiles its kernels.
//   options, error  may be NULL
SYNCNAS_API syncnas_status syncnas_open(const syncnas_bundle *bundle, const syncnas_options *options,
                                        syncnas_network *network, syncnas_error *error);

// Where the input is to be written and the output to be read, until the network is closed. NULL if it is not open.
SYNCNAS_API float *syncnas_input(syncnas_network network);
SYNCNAS_API const float *syncnas_output(syncnas_network network);

// Compute the output of the input, on both units, and return when it is there.
//   times, error  may be NULL
SYNCNAS_API syncnas_status syncnas_run(syncnas_network network, syncnas_times *times, syncnas_error *error);

// Run the network on the input that is there, `runs` times after a few unrecorded ones, and write all times into a file, as
// the runner of `syncnas-deploy bench` does. `syncnas-deploy bench --from FILE` lays them beside its own.
SYNCNAS_API syncnas_status syncnas_measure(syncnas_network network, int32_t runs, const char *path,
                                           syncnas_error *error);

// Wait for runs under way, then free the network. Does nothing if it is not open.
SYNCNAS_API void syncnas_close(syncnas_network network);

// SYNCNAS_VERSION of the library.
SYNCNAS_API const char *syncnas_version(void);

#ifdef __cplusplus
}
#endif

#endif
