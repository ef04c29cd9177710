#include "bundle_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../sha256.h"
#include "../system.h"

static const char NAME[] = "network.txt";
static const char AGAIN[] = "export the bundle again with a newer syncnas-deploy";

// Map the whole file. An empty one is no model either.
static int map_file(const char *folder, const char *name, struct mapped_file *view, struct failure *failure) {
    const size_t length = strlen(folder) + strlen(name) + 2;
    char *path = malloc(length);
    if (path == NULL) return fail(failure, FAILURE_RUN, "out of memory");
    snprintf(path, length, "%s/%s", folder, name);
    const char *reason = system_map(path, view);
    if (reason != NULL && view->bytes > 0) {
        fail(failure, FAILURE_RUN, "%s cannot be mapped: %s", path, reason);
    } else if (reason != NULL) {
        const char *more = strcmp(name, NAME) == 0 ? AGAIN : "export the bundle again";
        fail(failure, FAILURE_PLAN, "%s cannot be read: %s; %s", path, reason, more);
    } else if (view->bytes == 0) {
        fail(failure, FAILURE_PLAN, "%s is empty; export the bundle again", path);
    }
    free(path);
    return failure->code;
}

static int find_in_memory(const syncnas_bundle *bundle, const char *name, struct mapped_file *view,
                          struct failure *failure) {
    for (size_t i = 0; i < bundle->file_count; i++) {
        const syncnas_file *file = &bundle->files[i];
        if (file->name == NULL || strcmp(file->name, name) != 0) continue;
        if (file->data == NULL || file->bytes == 0) {
            return fail(failure, FAILURE_PLAN, "%s is empty; export the bundle again", name);
        }
        if ((uintptr_t)file->data % 4 != 0) {
            return fail(failure, FAILURE_ARGUMENT, "%s does not lie at a multiple of 4 bytes", name);
        }
        *view = (struct mapped_file){file->data, file->bytes};
        return 0;
    }
    return fail(failure, FAILURE_PLAN, "%s is not among the files; %s", name, strcmp(name, NAME) == 0 ? AGAIN : "add it");
}

static int find(const syncnas_bundle *bundle, const char *name, struct mapped_file *view, struct failure *failure) {
    if (bundle->folder != NULL) return map_file(bundle->folder, name, view, failure);
    return find_in_memory(bundle, name, view, failure);
}

int bundle_read_network(const syncnas_bundle *bundle, struct network *network, struct failure *failure) {
    struct mapped_file view = {0};
    if (find(bundle, NAME, &view, failure) != 0) return failure->code;
    network_read(view.data, view.bytes, network, failure);
    if (bundle->folder != NULL) system_unmap(&view);
    return failure->code;
}

static int check_digest(const char *name, const struct plan_content *content, struct failure *failure) {
    struct sha256 hash;
    char hex[SHA256_HEX_BYTES];
    sha256_init(&hash);
    sha256_update(&hash, content->data, content->bytes);
    sha256_hex(&hash, hex);
    if (strcmp(hex, content->sha256) == 0) return 0;
    return fail(failure, FAILURE_PLAN, "%s is damaged or of another export: its sha256 is not that in %s; export the "
                "bundle again", name, NAME);
}

int bundle_find_files(const syncnas_bundle *bundle, struct plan *plan, struct failure *failure) {
    for (int f = 0; f < plan->file_count; f++) {
        struct plan_content *content = &plan->contents[f];
        struct mapped_file view = {0};
        if (find(bundle, plan->files[f], &view, failure) != 0) return failure->code;
        content->data = view.data;
        content->bytes = view.bytes;
        if (check_digest(plan->files[f], content, failure) != 0) return failure->code;
    }
    return 0;
}

void bundle_unmap_files(const struct plan *plan) {
    for (int f = 0; f < plan->file_count; f++) {
        system_unmap(&(struct mapped_file){plan->contents[f].data, plan->contents[f].bytes});
    }
}
