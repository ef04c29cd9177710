// A LiteRT of ours for the tests of the library: it takes the models of `tests.support.app_cases` and computes their sums
// exactly. It knows a signature by its letter, so it needs no reader of .tflite files.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 4, CHANNELS = 4, VALUES = SIDE * SIDE * CHANNELS, ALIGNMENT = 64 };

struct layout {
    unsigned rank : 7, has_strides : 1;
    int32_t sizes[8];
    uint32_t strides[8];
};
struct tensor_type {
    int element_type;
    struct layout layout;
};
struct model {
    char keys[3][2];  // the signatures that are in its file
    size_t count;
};
struct buffer {
    float *memory;
};

#define LITERT(name) __attribute__((visibility("default"))) int LiteRt##name
#define LITERT_DESTROY(name) __attribute__((visibility("default"))) void LiteRtDestroy##name

static int made(void *thing, void **into) {
    *into = thing;
    return thing == NULL;
}

LITERT(CreateEnvironment)(int count, const void *options, void **environment) {
    (void)count, (void)options;
    return made(malloc(1), environment);
}
LITERT_DESTROY(Environment)(void *environment) { free(environment); }

static bool contains(const char *bytes, size_t count, const char *word) {
    const size_t length = strlen(word);
    for (size_t i = 0; i + length <= count; i++) {
        if (memcmp(bytes + i, word, length) == 0) return true;
    }
    return false;
}

LITERT(CreateModelFromBuffer)(void *environment, const void *bytes, size_t count, void **into) {
    (void)environment;
    struct model *model = calloc(1, sizeof *model);
    if (made(model, into)) return 1;
    for (const char *key = "abc"; *key != 0; key++) {
        const char word[] = {'k', 'e', 'y', '_', *key, 0};
        if (contains(bytes, count, word)) model->keys[model->count++][0] = *key;
    }
    return 0;
}
LITERT(CreateModelFromFile)(void *environment, const char *path, void **into) {
    static char bytes[1 << 16];
    FILE *file = fopen(path, "rb");
    if (file == NULL) return 1;
    const size_t count = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    return LiteRtCreateModelFromBuffer(environment, bytes, count, into);
}
LITERT_DESTROY(Model)(void *model) { free(model); }

LITERT(GetNumModelSignatures)(struct model *model, size_t *count) { return *count = model->count, 0; }
LITERT(GetModelSignature)(struct model *model, size_t index, const char **key) { return *key = model->keys[index], 0; }
LITERT(GetSignatureKey)(const char *key, const char **name) {
    static const char *const NAMES[] = {"key_a", "key_b", "key_c"};
    return *name = NAMES[*key - 'a'], 0;
}
LITERT(GetNumSignatureInputs)(const char *key, size_t *count) { return *count = *key == 'b' ? 2 : 1, 0; }
LITERT(GetNumSignatureOutputs)(const char *key, size_t *count) { return (void)key, *count = 1, 0; }
LITERT(GetSignatureInputTensorByIndex)(char *key, size_t index, void **tensor) { return (void)index, *tensor = key, 0; }
LITERT(GetSignatureOutputTensorByIndex)(char *key, size_t index, void **tensor) { return (void)index, *tensor = key, 0; }
LITERT(GetRankedTensorType)(void *tensor, struct tensor_type *type) {
    (void)tensor;
    *type = (struct tensor_type){1, {.rank = 4, .sizes = {1, SIDE, SIDE, CHANNELS}}};
    return 0;
}

LITERT(CreateOptions)(void **options) { return made(malloc(1), options); }
LITERT_DESTROY(Options)(void *options) { free(options); }
LITERT(SetOptionsHardwareAccelerators)(void *options, int accelerators) { return (void)options, accelerators != 1; }
LITERT(CreateOpaqueOptions)(const char *name, void *payload, void (*destroy)(void *), void **options) {
    (void)name, (void)options;
    destroy(payload);
    return 0;
}
LITERT(AddOpaqueOptions)(void *options, void *more) { return (void)options, (void)more, 0; }

LITERT(CreateCompiledModel)(void *environment, void *model, void *options, void **compiled) {
    (void)environment, (void)options;
    return *compiled = model, 0;
}
LITERT_DESTROY(CompiledModel)(void *compiled) { (void)compiled; }
LITERT(CompiledModelIsFullyAccelerated)(void *compiled, bool *accelerated) { return (void)compiled, *accelerated = true, 0; }

// There is no GPU: buffers of one cannot be made.
LITERT(GetCompiledModelInputBufferRequirements)(void *c, size_t s, size_t i, void **r) { return (void)c, (void)s, (void)i, (void)r, 1; }
LITERT(GetCompiledModelOutputBufferRequirements)(void *c, size_t s, size_t i, void **r) { return (void)c, (void)s, (void)i, (void)r, 1; }
LITERT(CreateManagedTensorBufferFromRequirements)(void *e, const void *t, void *r, void **b) { return (void)e, (void)t, (void)r, (void)b, 1; }

LITERT(CreateTensorBufferFromHostMemory)(const void *type, void *memory, size_t bytes, void (*destroy)(void *), void **into) {
    (void)type, (void)bytes, (void)destroy;
    if ((uintptr_t)memory % ALIGNMENT != 0) return 1;
    struct buffer *buffer = malloc(sizeof *buffer);
    if (buffer != NULL) buffer->memory = memory;
    return made(buffer, into);
}
LITERT(GetTensorBufferType)(void *buffer, int *type) { return (void)buffer, *type = 1, 0; }
LITERT(GetTensorBufferHostMemory)(struct buffer *buffer, void **memory) { return *memory = buffer->memory, 0; }
LITERT(LockTensorBuffer)(struct buffer *buffer, void **memory, int mode) { return (void)mode, *memory = buffer->memory, 0; }
LITERT(UnlockTensorBuffer)(void *buffer) { return (void)buffer, 0; }
LITERT(HasTensorBufferEvent)(void *buffer, bool *event) { return (void)buffer, *event = false, 0; }
LITERT(ClearTensorBufferEvent)(void *buffer) { return (void)buffer, 0; }
LITERT_DESTROY(TensorBuffer)(void *buffer) { free(buffer); }

// a doubles, c adds 1, b adds its inputs. A first value that is not a number fails.
LITERT(RunCompiledModel)(struct model *model, size_t signature, size_t ins, struct buffer **in, size_t outs, struct buffer **out) {
    (void)outs;
    const char key = model->keys[signature][0];
    if (in[0]->memory[0] != in[0]->memory[0]) return 7;
    for (int i = 0; i < VALUES; i++) {
        const float x = in[0]->memory[i];
        out[0]->memory[i] = key == 'a' ? 2 * x : key == 'c' ? x + 1 : x + (ins == 2 ? in[1]->memory[i] : 0);
    }
    return 0;
}
