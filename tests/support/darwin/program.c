// Does with system_darwin.c what a unit's thread does, and prints what macOS was asked; macOS is played here.
#include <stdio.h>
#include <string.h>

#include "system.h"

static int pools, popped;

static void *push(void) {
    pools++;
    return &pools;
}

static void pop(void *pool) { popped += pool == &pools; }

void *dlopen(const char *path, int flags) {
    (void)flags;
    return OBJC && strcmp(path, "/usr/lib/libobjc.A.dylib") == 0 ? &pools : NULL;
}

void *dlsym(void *library, const char *name) {
    (void)library;
    void *(*begin)(void) = push;
    void (*end)(void *) = pop;
    void *found = NULL;
    if (strcmp(name, "objc_autoreleasePoolPush") == 0) memcpy(&found, &begin, sizeof found);
    if (strcmp(name, "objc_autoreleasePoolPop") == 0) memcpy(&found, &end, sizeof found);
    return found;
}

int pthread_set_qos_class_self_np(int quality, int priority) {
    printf("quality %#x %d\n", (unsigned)quality, priority);
    return REFUSED;
}

static void task(void *argument) { printf("%s: pools %d, popped %d\n", (const char *)argument, pools, popped); }

int main(void) {
    struct plan_unit plain = {.kind = UNIT_CPU, .threads = 4}, pinned = plain;
    struct failure failure = {0}, other = {0};
    pinned.cores[3] = true;
    pinned.core_count = 1;
    printf("plain %d %s\n", system_pin(&plain, 0, &failure), failure.text);
    printf("pinned %d %s\n", system_pin(&pinned, 1, &other) == FAILURE_UNIT, other.text);
    system_run_task(task, "one");
    system_run_task(task, "two");
    task("end");
    return 0;
}
