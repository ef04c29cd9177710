#include "system.h"

#include <dlfcn.h>
#include <pthread.h>
#include <pthread/qos.h>
#include <string.h>

static struct {
    pthread_once_t once;
    void *(*push)(void);
    void (*pop)(void *pool);
} pools = {.once = PTHREAD_ONCE_INIT};

int system_pin(const struct plan_unit *plan, int index, struct failure *failure) {
    (void)index;
    if (plan->core_count > 0) {
        return fail(failure, FAILURE_UNIT, "macOS pins no thread to a core; ask for cpu:%d without cores", plan->threads);
    }
    if (pthread_set_qos_class_self_np(QOS_CLASS_USER_INTERACTIVE, 0) == 0) return 0;
    return fail(failure, FAILURE_UNIT, "macOS refused a unit's thread its quality of service");
}

// By name, since there is nothing to link with outside of macOS.
static void find_pools(void) {
    void *library = dlopen("/usr/lib/libobjc.A.dylib", RTLD_NOW);
    void *push = library != NULL ? dlsym(library, "objc_autoreleasePoolPush") : NULL;
    void *pop = library != NULL ? dlsym(library, "objc_autoreleasePoolPop") : NULL;
    if (push == NULL || pop == NULL) return;
    memcpy(&pools.push, &push, sizeof push);
    memcpy(&pools.pop, &pop, sizeof pop);
}

void system_run_task(void (*task)(void *argument), void *argument) {
    pthread_once(&pools.once, find_pools);
    void *pool = pools.push != NULL ? pools.push() : NULL;
    task(argument);
    if (pools.pop != NULL) pools.pop(pool);
}
