// The part of LiteRT's C API that the executor uses, declared by hand and bound at run time.
//
// Source: google-ai-edge/LiteRT, litert/c/*.h at release 2.3. LiteRT ships no headers with its library,
// so every symbol is looked up by name when the library is loaded and a missing one is refused by name.
#ifndef SYNCNAS_LITERT_API_H
#define SYNCNAS_LITERT_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

typedef int litert_status;  // 0 is kLiteRtStatusOk
typedef size_t litert_index;

typedef struct litert_environment_t *litert_environment;
typedef struct litert_model_t *litert_model;
typedef struct litert_signature_t *litert_signature;
typedef struct litert_tensor_t *litert_tensor;
typedef struct litert_options_t *litert_options;
typedef struct litert_opaque_options_t *litert_opaque_options;
typedef struct litert_compiled_model_t *litert_compiled_model;
typedef struct litert_requirements_t *litert_requirements;
typedef struct litert_buffer_t *litert_buffer;

enum { LITERT_ACCELERATOR_CPU = 1, LITERT_ACCELERATOR_GPU = 2 };
enum { LITERT_LOCK_READ = 0, LITERT_LOCK_WRITE = 1 };
enum { LITERT_FLOAT32 = 1, LITERT_MAX_RANK = 8 };
enum { LITERT_HOST_MEMORY = 1, LITERT_HOST_ALIGNMENT_BYTES = 64 };
enum { LITERT_ANY_INT = 2, LITERT_ANY_STRING = 8 };
enum {
    LITERT_OPTION_RUNTIME_LIBRARY_DIR = 22,
    LITERT_OPTION_AUTO_REGISTER_ACCELERATORS = 24,
    LITERT_OPTION_MIN_LOGGER_SEVERITY = 25,
};
enum { LITERT_SEVERITY_ERROR = 3 };

typedef struct {
    int type;
    union {
        bool bool_value;
        int64_t int_value;
        double real_value;
        const char *string_value;
        const void *pointer_value;
    };
} litert_any;

typedef struct {
    int tag;
    litert_any value;
} litert_environment_option;

typedef struct {
    unsigned rank : 7, has_strides : 1;
    int32_t dimensions[LITERT_MAX_RANK];
    uint32_t strides[LITERT_MAX_RANK];
} litert_layout;

typedef struct {
    int element_type;
    litert_layout layout;
} litert_tensor_type;

_Static_assert(sizeof(void *) == 8, "LiteRT is used on 64-bit systems only");
_Static_assert(sizeof(litert_any) == 16, "LiteRtAny");
_Static_assert(sizeof(litert_environment_option) == 24, "LiteRtEnvOption");
_Static_assert(sizeof(litert_layout) == 68, "LiteRtLayout");
_Static_assert(offsetof(litert_layout, strides) == 36, "LiteRtLayout.strides");
_Static_assert(sizeof(litert_tensor_type) == 72, "LiteRtRankedTensorType");

// X(result, member and symbol name after "LiteRt", parameters)
#define LITERT_FUNCTIONS(X)                                                                                  \
    X(litert_status, CreateEnvironment, (int, const litert_environment_option *, litert_environment *))      \
    X(void, DestroyEnvironment, (litert_environment))                                                        \
    X(litert_status, CreateModelFromFile, (litert_environment, const char *, litert_model *))                \
    X(litert_status, CreateModelFromBuffer, (litert_environment, const void *, size_t, litert_model *))      \
    X(void, DestroyModel, (litert_model))                                                                    \
    X(litert_status, GetNumModelSignatures, (litert_model, litert_index *))                                  \
    X(litert_status, GetModelSignature, (litert_model, litert_index, litert_signature *))                    \
    X(litert_status, GetSignatureKey, (litert_signature, const char **))                                     \
    X(litert_status, GetNumSignatureInputs, (litert_signature, litert_index *))                              \
    X(litert_status, GetNumSignatureOutputs, (litert_signature, litert_index *))                             \
    X(litert_status, GetSignatureInputTensorByIndex, (litert_signature, litert_index, litert_tensor *))      \
    X(litert_status, GetSignatureOutputTensorByIndex, (litert_signature, litert_index, litert_tensor *))     \
    X(litert_status, GetRankedTensorType, (litert_tensor, litert_tensor_type *))                             \
    X(litert_status, CreateOptions, (litert_options *))                                                      \
    X(void, DestroyOptions, (litert_options))                                                                \
    X(litert_status, SetOptionsHardwareAccelerators, (litert_options, int))                                  \
    X(litert_status, CreateOpaqueOptions,                                                                    \
      (const char *, void *, void (*)(void *), litert_opaque_options *))                                     \
    X(litert_status, AddOpaqueOptions, (litert_options, litert_opaque_options))                              \
    X(litert_status, CreateCompiledModel,                                                                    \
      (litert_environment, litert_model, litert_options, litert_compiled_model *))                           \
    X(void, DestroyCompiledModel, (litert_compiled_model))                                                   \
    X(litert_status, CompiledModelIsFullyAccelerated, (litert_compiled_model, bool *))                       \
    X(litert_status, GetCompiledModelInputBufferRequirements,                                                \
      (litert_compiled_model, litert_index, litert_index, litert_requirements *))                            \
    X(litert_status, GetCompiledModelOutputBufferRequirements,                                               \
      (litert_compiled_model, litert_index, litert_index, litert_requirements *))                            \
    X(litert_status, CreateManagedTensorBufferFromRequirements,                                              \
      (litert_environment, const litert_tensor_type *, litert_requirements, litert_buffer *))                \
    X(litert_status, CreateTensorBufferFromHostMemory,                                                       \
      (const litert_tensor_type *, void *, size_t, void (*)(void *), litert_buffer *))                       \
    X(litert_status, GetTensorBufferType, (litert_buffer, int *))                                            \
    X(litert_status, GetTensorBufferHostMemory, (litert_buffer, void **))                                    \
    X(litert_status, LockTensorBuffer, (litert_buffer, void **, int))                                        \
    X(litert_status, UnlockTensorBuffer, (litert_buffer))                                                    \
    X(litert_status, HasTensorBufferEvent, (litert_buffer, bool *))                                          \
    X(litert_status, ClearTensorBufferEvent, (litert_buffer))                                                \
    X(void, DestroyTensorBuffer, (litert_buffer))                                                            \
    X(litert_status, RunCompiledModel,                                                                       \
      (litert_compiled_model, litert_index, size_t, litert_buffer *, size_t, litert_buffer *))

struct litert_api {
#define LITERT_MEMBER(result, name, parameters) result(*name) parameters;
    LITERT_FUNCTIONS(LITERT_MEMBER)
#undef LITERT_MEMBER
};

// The LiteRT of this process: all executors that are open share one library and one environment.
struct litert {
    struct litert_api api;
    litert_environment environment;
};

// Load libLiteRt.so, bind every function above (FAILURE_SYMBOL names one that is missing) and make the environment,
// or take what another executor has made. The library stays loaded for the life of the process: it starts threads
// that cannot be stopped.
//   path          of the library, or its name where the system finds it by name
//   accelerators  the folder of the GPU's library; NULL: it is found by name
//   units         LITERT_ACCELERATOR_* that models may be compiled for
int litert_open(const char *path, const char *accelerators, int units, struct litert *litert,
                struct failure *failure);

// The last one that closes destroys the environment, unless it is kept for the next one: each that was made leaves
// 17 KB behind.
void litert_close(struct litert *litert, bool keep);

#endif
