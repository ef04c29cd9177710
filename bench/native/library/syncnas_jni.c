// The native methods of org.syncnas.Network. They throw nothing: each gives back a status, and Java throws.
#include <stdlib.h>
#include <string.h>

#include "jni_table.h"
#include "syncnas.h"

#define NATIVE(result, name) SYNCNAS_API result Java_org_syncnas_Network_##name

enum { MAX_FILES = 8, TEXTS = MAX_FILES + 4 };

// Texts that live as long as a call.
struct texts {
    char *items[TEXTS];
    int count;
    int out_of_memory;
};

// Java ends each with a zero byte.
static const char *text_of(JNIEnv *env, struct texts *texts, jbyteArray bytes) {
    if (bytes == NULL || texts->count == TEXTS) return NULL;
    const jsize length = (*env)->GetArrayLength(env, bytes);
    char *text = calloc((size_t)length + 1, 1);
    if (text == NULL) {
        texts->out_of_memory = 1;
        return NULL;
    }
    (*env)->GetByteArrayRegion(env, bytes, 0, length, (jbyte *)text);
    texts->items[texts->count++] = text;
    return text;
}

static void free_texts(struct texts *texts) {
    for (int i = 0; i < texts->count; i++) free(texts->items[i]);
}

static void *address_of(JNIEnv *env, jobject buffer, size_t *bytes) {
    *bytes = (size_t)(*env)->GetDirectBufferCapacity(env, buffer);
    return (*env)->GetDirectBufferAddress(env, buffer);
}

static syncnas_bundle bundle_of(JNIEnv *env, struct texts *texts, jbyteArray folder, jobjectArray names,
                                jobjectArray buffers, syncnas_file files[MAX_FILES]) {
    syncnas_bundle bundle = {.folder = text_of(env, texts, folder)};
    if (folder != NULL) return bundle;
    const jsize count = (*env)->GetArrayLength(env, names);
    for (jsize i = 0; i < count && i < MAX_FILES; i++) {
        syncnas_file *file = &files[bundle.file_count++];
        file->name = text_of(env, texts, (*env)->GetObjectArrayElement(env, names, i));
        file->data = address_of(env, (*env)->GetObjectArrayElement(env, buffers, i), &file->bytes);
    }
    bundle.files = files;
    return bundle;
}

static jint done(JNIEnv *env, const struct texts *texts, syncnas_error *error, jbyteArray sentence) {
    if (texts->out_of_memory) *error = (syncnas_error){SYNCNAS_ERROR_RUN, "out of memory"};
    if (error->status != SYNCNAS_OK) {
        (*env)->SetByteArrayRegion(env, sentence, 0, sizeof error->sentence, (const jbyte *)error->sentence);
    }
    return (jint)error->status;
}

static void set_shape(JNIEnv *env, jintArray shapes, jsize at, const syncnas_shape *shape) {
    const jint rank = (jint)shape->rank;
    (*env)->SetIntArrayRegion(env, shapes, at, 1, &rank);
    (*env)->SetIntArrayRegion(env, shapes, at + 1, 8, shape->sizes);
}

NATIVE(jint, nativeShapes)(JNIEnv *env, jclass type, jbyteArray folder, jobjectArray names, jobjectArray buffers,
                           jintArray shapes, jbyteArray sentence) {
    (void)type;
    struct texts texts = {0};
    syncnas_file files[MAX_FILES];
    syncnas_shape input = {0}, output = {0};
    syncnas_error error;
    const syncnas_bundle bundle = bundle_of(env, &texts, folder, names, buffers, files);
    if (syncnas_shapes(&bundle, &input, &output, &error) == SYNCNAS_OK) {
        set_shape(env, shapes, 0, &input);
        set_shape(env, shapes, 9, &output);
    }
    const jint status = done(env, &texts, &error, sentence);
    free_texts(&texts);
    return status;
}

NATIVE(jint, nativeOpen)(JNIEnv *env, jclass type, jbyteArray folder, jobjectArray names, jobjectArray buffers,
                         jintArray units, jlongArray cores, jint spin_us, jbyteArray runtime, jbyteArray accelerators,
                         jbyteArray cache_folder, jobject input, jobject output, jlongArray opened,
                         jbyteArray sentence) {
    (void)type;
    struct texts texts = {0};
    syncnas_file files[MAX_FILES];
    syncnas_options options = {.struct_size = sizeof options, .spin_us = spin_us};
    syncnas_error error;
    jint values[6];
    jlong masks[2];
    syncnas_network network = 0;
    (*env)->GetIntArrayRegion(env, units, 0, 6, values);
    (*env)->GetLongArrayRegion(env, cores, 0, 2, masks);
    for (int u = 0; u < 2; u++) {
        options.units[u] = (syncnas_unit){.kind = values[3 * u], .threads = values[3 * u + 1],
                                          .precision = values[3 * u + 2], .cores = (uint64_t)masks[u]};
    }
    options.input = address_of(env, input, &options.input_bytes);
    options.output = address_of(env, output, &options.output_bytes);
    options.runtime = text_of(env, &texts, runtime);
    options.accelerators = text_of(env, &texts, accelerators);
    options.cache_folder = text_of(env, &texts, cache_folder);
    const syncnas_bundle bundle = bundle_of(env, &texts, folder, names, buffers, files);
    if (!texts.out_of_memory && syncnas_open(&bundle, &options, &network, &error) == SYNCNAS_OK) {
        const jlong number = (jlong)network;
        (*env)->SetLongArrayRegion(env, opened, 0, 1, &number);
    }
    const jint status = done(env, &texts, &error, sentence);
    free_texts(&texts);
    return status;
}

// A run that goes well calls nothing of Java's: by then the network has driven its code out of the caches.
NATIVE(jint, nativeRun)(JNIEnv *env, jobject self, jlong handle, jlong address, jbyteArray sentence) {
    (void)self;
    syncnas_times *times = (syncnas_times *)(intptr_t)address;
    syncnas_error error;
    times->struct_size = sizeof *times;
    const syncnas_status status = syncnas_run((syncnas_network)handle, times, &error);
    if (status == SYNCNAS_OK || sentence == NULL) return (jint)status;
    return done(env, &(struct texts){.count = 0}, &error, sentence);
}

NATIVE(jint, nativeMeasure)(JNIEnv *env, jobject self, jlong handle, jint runs, jbyteArray path, jbyteArray sentence) {
    (void)self;
    struct texts texts = {0};
    syncnas_error error;
    syncnas_measure((syncnas_network)handle, runs, text_of(env, &texts, path), &error);
    const jint status = done(env, &texts, &error, sentence);
    free_texts(&texts);
    return status;
}

NATIVE(void, nativeClose)(JNIEnv *env, jclass type, jlong handle) {
    (void)env, (void)type;
    syncnas_close((syncnas_network)handle);
}

NATIVE(jlong, nativeAddress)(JNIEnv *env, jclass type, jobject memory) {
    (void)type;
    return (jlong)(intptr_t)(*env)->GetDirectBufferAddress(env, memory);
}
