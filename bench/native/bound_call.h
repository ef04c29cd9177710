// One call of a job with its buffers: how features get in, what runs, and when the work is really done.
//
// On the CPU every buffer is our own memory, wrapped. "own" inputs are the very output buffer of the
// lane's earlier call on any unit. A partner's output is read in place by a CPU; a GPU copies it in.
#ifndef SYNCNAS_BOUND_CALL_H
#define SYNCNAS_BOUND_CALL_H

#include "unit.h"

struct call_stamps {
    int64_t begin_ns;  // inputs are visible on the unit; absolute until executor_run returns
    int64_t end_ns;    // its work is done; of the last phase: its output is readable by the host, too
    int64_t arrive_ns; // what the partner reads has been downloaded
    int64_t wait_ns;   // from then on, until what the lane's next call reads of the partner was there
    bool slept;        // in that time
};

struct bound_tensor {
    litert_buffer buffer;
    bool owns_buffer;
    void *memory;        // our host memory behind the buffer, or the host mirror of a GPU's output
    const void *source;  // GPU: host memory of the partner, or an app's, to upload before each run
    void *mirror;        // GPU: host memory to download the output to after each run
    void *opened;        // GPU: where an input that is locked for writing is written, else NULL
    size_t bytes;        // of the float32 values
};

// Where an app writes what a job reads, and finds what it wrote.
struct app_memory {
    void *input, *output;  // aligned as LiteRT wants it, with READ_AHEAD_BYTES behind the values
    size_t input_bytes, output_bytes;
};

// XNNPACK reads up to 128 bytes past the end of a tensor.
enum { READ_AHEAD_BYTES = 128 };

struct bound_call {
    const struct plan_call *plan;
    struct unit *unit;
    litert_compiled_model compiled;
    litert_index signature;
    const struct app_memory *memory;  // NULL: there is no app, and the call has buffers of its own
    bool last;                        // its output is the job's, and is read in each run
    bool opened;                      // sim: see bound_call_open
    struct bound_tensor inputs[PLAN_INPUTS];
    struct bound_tensor output;
    litert_buffer input_buffers[PLAN_INPUTS];
};

// All of these are to be called on the unit's own thread. `own` and `partner` are the calls whose
// outputs this one reads, or NULL.
int bound_call_bind(struct bound_call *call, const char *path, const struct bound_call *own,
                    const struct bound_call *partner, struct failure *failure);
void bound_call_release(struct bound_call *call);
int bound_call_write_input(struct bound_call *call, int index, const void *values, struct failure *failure);
int bound_call_read_output(struct bound_call *call, void *values, struct failure *failure);

// Ahead of a run, do what needs nothing of the partner: lock the inputs that are to be written.
int bound_call_open(struct bound_call *call, struct failure *failure);

// Upload, run, wait for the work, download what is read. Stamps begin and end.
int bound_call_run(struct bound_call *call, struct call_stamps *stamps, struct failure *failure);

#endif
