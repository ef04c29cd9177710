#include "plan_check.h"

#include <stddef.h>

static int latest_before(const struct plan_lane *lane, int phase) {
    int found = -1;
    for (int i = 0; i < lane->call_count && lane->calls[i].phase < phase; i++) found = i;
    return found;
}

static const char *check_phases(struct plan_job *job) {
    bool used[PLAN_PHASES] = {false};
    job->phases = 0;
    for (int l = 0; l < job->lane_count; l++) {
        const struct plan_lane *lane = &job->lanes[l];
        if (lane->call_count == 0) return "the job above has a lane without calls";
        for (int c = 0; c < lane->call_count; c++) {
            const int phase = lane->calls[c].phase;
            if (c > 0 && phase <= lane->calls[c - 1].phase) return "the job above has phases that do not ascend";
            used[phase] = true;
            if (phase >= job->phases) job->phases = phase + 1;
        }
    }
    for (int phase = 0; phase < job->phases; phase++) {
        if (!used[phase]) return "the job above has a phase without a call";
    }
    return NULL;
}

static const char *link_call(struct plan_job *job, int l, struct plan_call *call) {
    struct plan_lane *own = &job->lanes[l], *partner = job->lane_count == 2 ? &job->lanes[1 - l] : NULL;
    call->own_source = call->partner_source = -1;
    for (int i = 0; i < call->input_count; i++) {
        if (call->inputs[i] == INPUT_OWN) {
            call->own_source = latest_before(own, call->phase);
            if (call->own_source < 0) return "the job above has an own input without an earlier output";
        }
        if (call->inputs[i] == INPUT_PARTNER) {
            call->partner_source = partner != NULL ? latest_before(partner, call->phase) : -1;
            if (call->partner_source < 0) return "the job above has a partner input without an earlier output";
            partner->calls[call->partner_source].partner_reads = true;
        }
    }
    return NULL;
}

const char *plan_check_job(struct plan_job *job) {
    if (job->lane_count == 0) return "the job above has no lane";
    if (job->lane_count == 2 && job->lanes[0].unit == job->lanes[1].unit) {
        return "the job above has both lanes on one unit";
    }
    const char *reason = check_phases(job);
    for (int l = 0; l < job->lane_count; l++) {
        for (int c = 0; c < job->lanes[l].call_count && reason == NULL; c++) {
            reason = link_call(job, l, &job->lanes[l].calls[c]);
        }
    }
    return reason;
}

const char *plan_check(const struct plan *plan) {
    for (int u = 0; u < plan->unit_count; u++) {
        if (plan->units[u].kind != UNIT_SIM && plan->runtime == NULL) return "the plan has no runtime";
        if (plan->units[u].kind == UNIT_GPU && plan->accelerators == NULL) return "the plan has no accelerators";
    }
    return NULL;
}
