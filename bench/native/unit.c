#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tflite_file.h"

static int add_option(struct unit *unit, litert_options options, const char *identifier, const char *toml,
                      struct failure *failure) {
    litert_opaque_options opaque = NULL;
    char *payload = strdup(toml);
    if (payload == NULL) return fail(failure, FAILURE_RUN, "out of memory");
    if (unit->api->CreateOpaqueOptions(identifier, payload, free, &opaque) != 0) {
        free(payload);
        return fail(failure, FAILURE_RUNTIME, "LiteRT refused the options %s", identifier);
    }
    const litert_status status = unit->api->AddOpaqueOptions(options, opaque);
    return status == 0 ? 0 : fail(failure, FAILURE_RUNTIME, "LiteRT refused %s (status %d)", identifier, status);
}

// The GPU's options, as TOML. The cache of one model's kernels is known by the sha256 of its file.
static int gpu_options(const struct unit *unit, const struct plan *plan, int file, char *toml, size_t bytes,
                       struct failure *failure) {
    // precision: 1 is fp16, 2 is fp32; the default depends on the driver. wait_type: 2 is that a run polls until its
    // work is done; by default it returns before that, and only a read of the output waits.
    int length = snprintf(toml, bytes, "precision = %d\nwait_type = 2\n", unit->plan->fp16 ? 1 : 2);
    if (plan->cache_folder == NULL) return 0;
    length += snprintf(toml + length, bytes - (size_t)length, "serialization_dir = \"%s\"\nmodel_cache_key = \"%s\"\n",
                       plan->cache_folder, plan->contents[file].sha256);
    return (size_t)length < bytes ? 0 : fail(failure, FAILURE_RUN, "the path of the GPU's cache is too long");
}

static int create_options(struct unit *unit, const struct plan *plan, int file, litert_options *options,
                          struct failure *failure) {
    const bool gpu = unit->plan->kind == UNIT_GPU;
    if (unit->api->CreateOptions(options) != 0) return fail(failure, FAILURE_RUNTIME, "LiteRT made no options");
    const int accelerator = gpu ? LITERT_ACCELERATOR_GPU : LITERT_ACCELERATOR_CPU;
    const litert_status status = unit->api->SetOptionsHardwareAccelerators(*options, accelerator);
    if (status != 0) return fail(failure, FAILURE_RUNTIME, "LiteRT refused the accelerator (status %d)", status);
    char toml[PLAN_PATH_BYTES + 256];
    if (!gpu) {
        snprintf(toml, sizeof toml, "num_threads = %d\n", unit->plan->threads);
    } else if (gpu_options(unit, plan, file, toml, sizeof toml, failure) != 0) {
        return failure->code;
    }
    return add_option(unit, *options, gpu ? "gpu_options" : "xnnpack", toml, failure);
}

static int compile(struct unit *unit, struct compiled *model, const char *path, struct failure *failure) {
    const bool gpu = unit->plan->kind == UNIT_GPU;
    litert_status status =
        unit->api->CreateCompiledModel(unit->environment, model->model, model->options, &model->compiled);
    if (status != 0) {
        model->compiled = NULL;
        return fail(failure, gpu ? FAILURE_UNIT : FAILURE_MODEL,
                    gpu ? "the GPU cannot take model %s (status %d): no adapter, no accelerator library, or an "
                          "operation it lacks"
                        : "model %s cannot be compiled for the CPU (status %d)",
                    path, status);
    }
    bool accelerated = false;
    status = unit->api->CompiledModelIsFullyAccelerated(model->compiled, &accelerated);
    if (status != 0 || !accelerated) {
        return fail(failure, FAILURE_UNIT, "model %s is not fully accelerated on the %s", path, gpu ? "GPU" : "CPU");
    }
    return 0;
}

static int load(struct unit *unit, const char *path, const struct plan_content *content, litert_model *model,
                struct failure *failure) {
    litert_status status = 0;
    if (content->data == NULL) {
        if (tflite_file_check(path, failure) != 0) return failure->code;
        status = unit->api->CreateModelFromFile(unit->environment, path, model);
    } else {
        if (tflite_bytes_check(path, content->data, content->bytes, failure) != 0) return failure->code;
        status = unit->api->CreateModelFromBuffer(unit->environment, content->data, content->bytes, model);
    }
    if (status == 0) return 0;
    *model = NULL;
    return fail(failure, FAILURE_MODEL, "model %s cannot be loaded (LiteRT status %d)", path, status);
}

int unit_compile(struct unit *unit, const struct plan *plan, int file, struct failure *failure) {
    const char *path = plan->files[file];
    struct compiled *model = &unit->models[file];
    if (load(unit, path, &plan->contents[file], &model->model, failure) != 0) return failure->code;
    if (create_options(unit, plan, file, &model->options, failure) != 0) return failure->code;
    if (compile(unit, model, path, failure) != 0) return failure->code;
    if (unit->api->GetNumModelSignatures(model->model, &model->signature_count) != 0) {
        return fail(failure, FAILURE_MODEL, "model %s has no readable signatures", path);
    }
    unit->model_count++;
    return 0;
}

void unit_release_models(struct unit *unit) {
    for (int file = 0; file < PLAN_FILES; file++) {
        struct compiled *model = &unit->models[file];
        if (model->compiled != NULL) unit->api->DestroyCompiledModel(model->compiled);
        if (model->options != NULL) unit->api->DestroyOptions(model->options);
        if (model->model != NULL) unit->api->DestroyModel(model->model);
        memset(model, 0, sizeof *model);
    }
}

int unit_find_signature(const struct unit *unit, int file, const char *path, const char *name,
                        litert_index *index, litert_signature *signature, struct failure *failure) {
    const struct compiled *model = &unit->models[file];
    for (litert_index i = 0; i < model->signature_count; i++) {
        const char *key = NULL;
        if (unit->api->GetModelSignature(model->model, i, signature) != 0) continue;
        if (unit->api->GetSignatureKey(*signature, &key) != 0 || strcmp(key, name) != 0) continue;
        *index = i;
        return 0;
    }
    return fail(failure, FAILURE_MODEL, "model %s has no signature %s", path, name);
}
