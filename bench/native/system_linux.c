#include "system.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

static int pin_simulated(int index, struct failure *failure) {
    cpu_set_t allowed, wanted;
    CPU_ZERO(&allowed);
    CPU_ZERO(&wanted);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) <= index) return 0;
    int core = -1;
    for (int left = index; left >= 0; left--) {
        do core++;
        while (!CPU_ISSET(core, &allowed));
    }
    CPU_SET(core, &wanted);
    if (sched_setaffinity(0, sizeof wanted, &wanted) == 0) return 0;
    return fail(failure, FAILURE_UNIT, "a simulated unit cannot be pinned: %s", strerror(errno));
}

int system_pin(const struct plan_unit *plan, int index, struct failure *failure) {
    if (plan->kind == UNIT_SIM) return pin_simulated(index, failure);
    if (plan->core_count == 0) return 0;
    cpu_set_t wanted, granted;
    CPU_ZERO(&wanted);
    CPU_ZERO(&granted);
    for (int core = 0; core < PLAN_CORES; core++) {
        if (plan->cores[core]) CPU_SET(core, &wanted);
    }
    if (sched_setaffinity(0, sizeof wanted, &wanted) != 0) {
        return fail(failure, FAILURE_UNIT, "a CPU unit cannot be pinned to its cores: %s", strerror(errno));
    }
    // The kernel silently leaves out cores that the process may not use.
    if (sched_getaffinity(0, sizeof granted, &granted) != 0 || !CPU_EQUAL(&wanted, &granted)) {
        return fail(failure, FAILURE_UNIT, "a CPU unit is pinned to cores that this process may not all use");
    }
    return 0;
}
