#include "bound_call.h"

#include <string.h>

#include "clock.h"
#include "simulated.h"
#include "system.h"

static const float SIMULATED_OUTPUT[1] = {0.0f};

static void *allocate(size_t bytes) {
    const size_t unit = LITERT_HOST_ALIGNMENT_BYTES;
    return system_allocate(unit, (bytes + READ_AHEAD_BYTES + unit - 1) / unit * unit);
}

static int tensor_bytes(const litert_tensor_type *type, size_t *bytes) {
    *bytes = sizeof(float);
    if (type->element_type != LITERT_FLOAT32 || type->layout.rank > LITERT_MAX_RANK) return FAILURE_MODEL;
    for (unsigned i = 0; i < type->layout.rank; i++) {
        if (type->layout.dimensions[i] < 1) return FAILURE_MODEL;
        if (__builtin_mul_overflow(*bytes, (size_t)type->layout.dimensions[i], bytes)) return FAILURE_MODEL;
    }
    return *bytes <= (size_t)1 << 32 ? 0 : FAILURE_MODEL;
}

static int describe(const struct bound_call *call, litert_tensor tensor, litert_tensor_type *type,
                    size_t *bytes, struct failure *failure) {
    memset(type, 0, sizeof *type);
    if (call->unit->api->GetRankedTensorType(tensor, type) == 0 && tensor_bytes(type, bytes) == 0) return 0;
    return fail(failure, FAILURE_MODEL, "signature %s has a tensor that is not float32 of a fixed shape",
                call->plan->signature);
}

// Wrap host memory as a buffer, and check that LiteRT did take this memory and not a copy of it.
static int wrap(struct bound_call *call, struct bound_tensor *tensor, const litert_tensor_type *type,
                void *memory, struct failure *failure) {
    const struct litert_api *api = call->unit->api;
    void *taken = NULL;
    if (api->CreateTensorBufferFromHostMemory(type, memory, tensor->bytes, NULL, &tensor->buffer) != 0) {
        return fail(failure, FAILURE_RUN, "LiteRT did not take host memory for %s", call->plan->signature);
    }
    tensor->owns_buffer = true;
    if (api->GetTensorBufferHostMemory(tensor->buffer, &taken) != 0 || taken != memory) {
        return fail(failure, FAILURE_RUN, "LiteRT copied the host memory of %s", call->plan->signature);
    }
    return 0;
}

static int wrap_new(struct bound_call *call, struct bound_tensor *tensor, const litert_tensor_type *type,
                    struct failure *failure) {
    tensor->memory = allocate(tensor->bytes);
    if (tensor->memory == NULL) return fail(failure, FAILURE_RUN, "out of memory for %s", call->plan->signature);
    return wrap(call, tensor, type, tensor->memory, failure);
}

static int manage(struct bound_call *call, struct bound_tensor *tensor, const litert_tensor_type *type,
                  int input_index, struct failure *failure) {
    const struct litert_api *api = call->unit->api;
    litert_requirements requirements = NULL;
    litert_status status = input_index < 0
        ? api->GetCompiledModelOutputBufferRequirements(call->compiled, call->signature, 0, &requirements)
        : api->GetCompiledModelInputBufferRequirements(call->compiled, call->signature,
                                                       (litert_index)input_index, &requirements);
    if (status == 0) {
        status = api->CreateManagedTensorBufferFromRequirements(call->unit->environment, type, requirements,
                                                                &tensor->buffer);
    }
    tensor->owns_buffer = status == 0;
    if (status == 0) return 0;
    const int models = call->unit->model_count;
    return fail(failure, FAILURE_UNIT, "the GPU has no buffer for %s (status %d)%s", call->plan->signature, status,
                models > 1 ? "; several models are on it, and some drivers take one" : "");
}

static int link_bytes(const struct bound_call *call, const struct bound_call *source, size_t bytes,
                      struct failure *failure) {
    if (source->output.bytes == bytes) return 0;
    return fail(failure, FAILURE_MODEL, "signature %s takes an input of %zu bytes where %s gives %zu",
                call->plan->signature, bytes, source->plan->signature, source->output.bytes);
}

static int app_bytes(const struct bound_call *call, const char *what, size_t bytes, size_t given,
                     struct failure *failure) {
    if (bytes == given) return 0;
    return fail(failure, FAILURE_MODEL, "signature %s has an %s of %zu bytes where the network has %zu",
                call->plan->signature, what, bytes, given);
}

static int bind_input(struct bound_call *call, int index, litert_signature signature,
                      const struct bound_call *own, const struct bound_call *partner, struct failure *failure) {
    struct bound_tensor *input = &call->inputs[index];
    const enum input_source source = call->plan->inputs[index];
    const bool gpu = call->unit->plan->kind == UNIT_GPU;
    litert_tensor tensor = NULL;
    litert_tensor_type type;
    if (call->unit->api->GetSignatureInputTensorByIndex(signature, (litert_index)index, &tensor) != 0) {
        return fail(failure, FAILURE_MODEL, "signature %s has an unreadable input", call->plan->signature);
    }
    if (describe(call, tensor, &type, &input->bytes, failure) != 0) return failure->code;
    if (source == INPUT_OWN) {
        input->buffer = own->output.buffer;
        return link_bytes(call, own, input->bytes, failure);
    }
    if (source == INPUT_PARTNER && link_bytes(call, partner, input->bytes, failure) != 0) return failure->code;
    const bool app = source == INPUT_EXTERNAL && call->memory != NULL;
    if (app && app_bytes(call, "input", input->bytes, call->memory->input_bytes, failure) != 0) return failure->code;
    void *memory = app ? call->memory->input : source == INPUT_PARTNER ? partner->output.memory : NULL;
    if (gpu) {
        input->source = memory;
        return manage(call, input, &type, index, failure);
    }
    return memory != NULL ? wrap(call, input, &type, memory, failure) : wrap_new(call, input, &type, failure);
}

static int bind_output(struct bound_call *call, litert_signature signature, struct failure *failure) {
    struct bound_tensor *output = &call->output;
    litert_tensor tensor = NULL;
    litert_tensor_type type;
    if (call->unit->api->GetSignatureOutputTensorByIndex(signature, 0, &tensor) != 0) {
        return fail(failure, FAILURE_MODEL, "signature %s has an unreadable output", call->plan->signature);
    }
    if (describe(call, tensor, &type, &output->bytes, failure) != 0) return failure->code;
    const bool app = call->last && call->memory != NULL;
    if (app && app_bytes(call, "output", output->bytes, call->memory->output_bytes, failure) != 0) {
        return failure->code;
    }
    if (call->unit->plan->kind == UNIT_CPU) {
        return app ? wrap(call, output, &type, call->memory->output, failure) : wrap_new(call, output, &type, failure);
    }
    if (app) output->mirror = call->memory->output;
    if (call->plan->partner_reads) {
        output->mirror = output->memory = allocate(output->bytes);
        if (output->memory == NULL) return fail(failure, FAILURE_RUN, "out of memory");
    }
    return manage(call, output, &type, -1, failure);
}

int bound_call_bind(struct bound_call *call, const char *path, const struct bound_call *own,
                    const struct bound_call *partner, struct failure *failure) {
    if (call->unit->plan->kind == UNIT_SIM) {
        call->output.bytes = sizeof SIMULATED_OUTPUT;
        return 0;
    }
    litert_signature signature = NULL;
    litert_index inputs = 0, outputs = 0;
    const struct litert_api *api = call->unit->api;
    call->compiled = call->unit->models[call->plan->file].compiled;
    if (unit_find_signature(call->unit, call->plan->file, path, call->plan->signature, &call->signature,
                            &signature, failure) != 0) {
        return failure->code;
    }
    if (api->GetNumSignatureInputs(signature, &inputs) != 0 ||
        api->GetNumSignatureOutputs(signature, &outputs) != 0 ||
        inputs != (litert_index)call->plan->input_count || outputs != 1) {
        return fail(failure, FAILURE_MODEL, "signature %s has %zu inputs and %zu outputs; the plan says %d and 1",
                    call->plan->signature, inputs, outputs, call->plan->input_count);
    }
    if (bind_output(call, signature, failure) != 0) return failure->code;
    for (int i = 0; i < call->plan->input_count; i++) {
        if (bind_input(call, i, signature, own, partner, failure) != 0) return failure->code;
        call->input_buffers[i] = call->inputs[i].buffer;
    }
    if (call->unit->buffer_type == 0) api->GetTensorBufferType(call->output.buffer, &call->unit->buffer_type);
    if (call->unit->plan->kind == UNIT_GPU && call->unit->buffer_type == LITERT_HOST_MEMORY) {
        return fail(failure, FAILURE_UNIT, "model %s runs on the CPU although LiteRT calls it fully accelerated: its "
                    "buffers are in host memory", path);
    }
    return 0;
}

static void release(const struct unit *unit, struct bound_tensor *tensor) {
    if (tensor->opened != NULL) unit->api->UnlockTensorBuffer(tensor->buffer);
    if (tensor->owns_buffer) unit->api->DestroyTensorBuffer(tensor->buffer);
    system_free(tensor->memory);
    memset(tensor, 0, sizeof *tensor);
}

void bound_call_release(struct bound_call *call) {
    for (int i = 0; i < call->plan->input_count; i++) release(call->unit, &call->inputs[i]);
    release(call->unit, &call->output);
}

static int open_input(struct bound_call *call, struct bound_tensor *input, struct failure *failure) {
    if (input->opened != NULL) return 0;
    const litert_status status =
        call->unit->api->LockTensorBuffer(input->buffer, &input->opened, LITERT_LOCK_WRITE);
    if (status == 0) return 0;
    input->opened = NULL;
    return fail(failure, FAILURE_RUN, "an input of %s cannot be written (status %d)", call->plan->signature, status);
}

static int copy_in(struct bound_call *call, struct bound_tensor *input, const void *values, struct failure *failure) {
    if (open_input(call, input, failure) != 0) return failure->code;
    memcpy(input->opened, values, input->bytes);
    input->opened = NULL;
    const litert_status status = call->unit->api->UnlockTensorBuffer(input->buffer);
    if (status == 0) return 0;
    return fail(failure, FAILURE_RUN, "an input of %s cannot be written (status %d)", call->plan->signature, status);
}

int bound_call_open(struct bound_call *call, struct failure *failure) {
    if (call->unit->plan->kind == UNIT_SIM) {
        simulated_open(call->plan->spend);
        call->opened = true;
    }
    for (int i = 0; i < call->plan->input_count; i++) {
        struct bound_tensor *input = &call->inputs[i];
        if (input->source != NULL && open_input(call, input, failure) != 0) return failure->code;
    }
    return 0;
}

static int copy_out(struct bound_call *call, void *values, int64_t *ready_ns, struct failure *failure) {
    void *mapped = NULL;
    litert_status status = call->unit->api->LockTensorBuffer(call->output.buffer, &mapped, LITERT_LOCK_READ);
    *ready_ns = now_ns();
    if (status == 0) {
        if (values != NULL) memcpy(values, mapped, call->output.bytes);
        status = call->unit->api->UnlockTensorBuffer(call->output.buffer);
    }
    if (status == 0) return 0;
    return fail(failure, FAILURE_RUN, "the output of %s cannot be read (status %d)", call->plan->signature,
                status);
}

int bound_call_write_input(struct bound_call *call, int index, const void *values, struct failure *failure) {
    return copy_in(call, &call->inputs[index], values, failure);
}

int bound_call_read_output(struct bound_call *call, void *values, struct failure *failure) {
    if (call->unit->plan->kind == UNIT_SIM) {
        memcpy(values, SIMULATED_OUTPUT, sizeof SIMULATED_OUTPUT);
        return 0;
    }
    int64_t ready_ns = 0;
    return copy_out(call, values, &ready_ns, failure);
}

static int run_simulated(struct bound_call *call, struct call_stamps *stamps) {
    if (!call->opened && call->plan->partner_source >= 0) simulated_open(call->plan->spend);
    call->opened = false;
    for (int i = 0; i < call->plan->input_count; i++) {
        if (call->plan->inputs[i] == INPUT_PARTNER) simulated_upload(call->plan->spend);
    }
    stamps->begin_ns = now_ns();
    simulated_run(call->plan->spend, call->unit->plan->law, &call->unit->simulated, call->unit->load);
    stamps->end_ns = now_ns();
    if (call->plan->partner_reads) simulated_download(call->plan->spend);
    return 0;
}

static int prepare(struct bound_call *call, struct failure *failure) {
    for (int i = 0; i < call->plan->input_count; i++) {
        struct bound_tensor *input = &call->inputs[i];
        if (input->source == NULL) continue;
        if (copy_in(call, input, input->source, failure) != 0) return failure->code;
    }
    bool pending = false;
    if (call->unit->plan->kind == UNIT_GPU &&
        call->unit->api->HasTensorBufferEvent(call->output.buffer, &pending) == 0 && pending) {
        call->unit->api->ClearTensorBufferEvent(call->output.buffer);
    }
    return 0;
}

int bound_call_run(struct bound_call *call, struct call_stamps *stamps, struct failure *failure) {
    if (call->unit->plan->kind == UNIT_SIM) return run_simulated(call, stamps);
    if (prepare(call, failure) != 0) return failure->code;
    stamps->begin_ns = now_ns();
    const litert_status status =
        call->unit->api->RunCompiledModel(call->compiled, call->signature, (size_t)call->plan->input_count,
                                          call->input_buffers, 1, &call->output.buffer);
    stamps->end_ns = now_ns();
    // A GPU's run waits for its work (see gpu_options in unit.c) and leaves the output there. It is read back where
    // the partner or the job's reader needs it, and nowhere else.
    const bool read = call->last || call->output.mirror != NULL;
    if (status == 0 && call->unit->plan->kind == UNIT_GPU && read) {
        int64_t ready_ns = 0;
        copy_out(call, call->output.mirror, &ready_ns, failure);
        if (call->last) stamps->end_ns = ready_ns;
    }
    if (status == 0) return failure->code;
    return fail(failure, FAILURE_RUN, "run of %s failed (LiteRT status %d)", call->plan->signature, status);
}
