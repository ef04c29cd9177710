// An app without a line of Java: Android's NativeActivity loads it and calls ANativeActivity_onCreate. It opens the network
// among its assets, measures it, writes app.json into the app's files, and tells how that went in Android's log (tag
// syncnas): first with branch 1 on the GPU, and on the CPU where that fails.
//
// Source of the declarations: Android's documentation of native_activity.h, asset_manager.h and log.h.
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../library/syncnas.h"

enum { ASSET_MODE_BUFFER = 3, LOG_INFO = 4, LOG_ERROR = 6, FILES = 3, RUNS = 200, PATH_BYTES = 1024 };

typedef struct AAsset AAsset;
typedef struct AAssetManager AAssetManager;

typedef struct ANativeActivity {
    void *callbacks, *vm, *env, *object;
    const char *internal_path, *external_path;
    int32_t sdk_version;
    void *instance;
    AAssetManager *assets;
    const char *obb_path;
} ANativeActivity;

AAsset *AAssetManager_open(AAssetManager *assets, const char *path, int mode);
const void *AAsset_getBuffer(AAsset *asset);
int64_t AAsset_getLength64(AAsset *asset);
int __android_log_print(int priority, const char *tag, const char *format, ...) __attribute__((format(printf, 3, 4)));

struct work {
    AAssetManager *assets;
    char path[PATH_BYTES];
};

static int find(const struct work *work, syncnas_file files[FILES]) {
    static const char *const names[FILES] = {"network.txt", "branch0.tflite", "branch1.tflite"};
    int count = 0;
    for (int i = 0; i < FILES; i++) {
        char path[64];
        snprintf(path, sizeof path, "network/%s", names[i]);
        AAsset *asset = AAssetManager_open(work->assets, path, ASSET_MODE_BUFFER);  // stays open: it is used in place
        if (asset != NULL) files[count++] = (syncnas_file){names[i], AAsset_getBuffer(asset), (size_t)AAsset_getLength64(asset)};
    }
    return count;
}

static void *measure(void *argument) {
    struct work *work = argument;
    syncnas_file files[FILES];
    const syncnas_bundle bundle = {.files = files, .file_count = (size_t)find(work, files)};
    syncnas_options options = {.struct_size = sizeof options};
    syncnas_network network;
    syncnas_error error;
    options.units[1].kind = SYNCNAS_GPU;
    options.units[1].precision = SYNCNAS_FP16;
    syncnas_status status = syncnas_open(&bundle, &options, &network, &error);
    if (status == SYNCNAS_ERROR_UNIT) {
        __android_log_print(LOG_ERROR, "syncnas", "both branches on the CPU: %s", error.sentence);
        options.units[1] = (syncnas_unit){.kind = SYNCNAS_CPU};
        status = syncnas_open(&bundle, &options, &network, &error);
    }
    if (status == SYNCNAS_OK) status = syncnas_measure(network, RUNS, work->path, &error);
    if (status == SYNCNAS_OK) {
        __android_log_print(LOG_INFO, "syncnas", "done: %s", work->path);
    } else {
        __android_log_print(LOG_ERROR, "syncnas", "failed: %s", error.sentence);
    }
    syncnas_close(network);
    free(work);
    return NULL;
}

SYNCNAS_API void ANativeActivity_onCreate(ANativeActivity *activity, void *state, size_t bytes) {
    (void)state, (void)bytes;
    struct work *work = calloc(1, sizeof *work);
    pthread_t thread;
    if (work == NULL) return;
    work->assets = activity->assets;
    const char *folder = activity->external_path != NULL ? activity->external_path : activity->internal_path;
    snprintf(work->path, sizeof work->path, "%s/app.json", folder);
    if (pthread_create(&thread, NULL, measure, work) != 0) {
        free(work);
        return;
    }
    pthread_detach(thread);
}
