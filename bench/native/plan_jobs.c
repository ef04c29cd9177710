#include "plan_jobs.h"

#include <string.h>

#include "plan_check.h"
#include "simulated.h"

static struct plan_step *last_step(struct parser *parser) {
    return parser->plan->step_count > 0 ? &parser->plan->steps[parser->plan->step_count - 1] : NULL;
}

static struct plan_job *last_job(struct parser *parser) {
    struct plan_step *step = last_step(parser);
    return step != NULL && step->job_count > 0 ? &step->jobs[step->job_count - 1] : NULL;
}

static struct plan_lane *last_lane(struct parser *parser) {
    struct plan_job *job = last_job(parser);
    return job != NULL && job->lane_count > 0 ? &job->lanes[job->lane_count - 1] : NULL;
}

static int close_job(struct parser *parser) {
    struct plan_job *job = last_job(parser);
    const char *reason = job != NULL ? plan_check_job(job) : NULL;
    return reason != NULL ? plan_refuse(parser, reason) : 0;
}

int plan_close_step(struct parser *parser) {
    struct plan_step *step = last_step(parser);
    if (step == NULL) return 0;
    if (close_job(parser) != 0) return FAILURE_PLAN;
    return step->job_count > 0 ? 0 : plan_refuse(parser, "the step above has no job");
}

int plan_on_step(struct parser *parser) {
    if (plan_close_step(parser) != 0) return FAILURE_PLAN;
    if (parser->plan->step_count == PLAN_STEPS) return plan_refuse(parser, "there are more than 65536 steps");
    struct plan_step *grown = plan_append(parser->plan->steps, &parser->plan->step_count, sizeof *grown);
    if (grown == NULL) return plan_refuse(parser, "out of memory");
    parser->plan->steps = grown;
    struct plan_step *step = last_step(parser);
    if (plan_name(parser, parser->words[1], step->name) != 0) return FAILURE_PLAN;
    if (plan_int(parser, parser->words[2], 1, PLAN_MAX_COUNT, &step->rounds) != 0) return FAILURE_PLAN;
    if (plan_int(parser, parser->words[3], 0, 1000, &step->discard) != 0) return FAILURE_PLAN;
    if (plan_int(parser, parser->words[4], 1, 1000, &step->repeats) != 0) return FAILURE_PLAN;
    if (step->rounds > PLAN_MAX_COUNT / step->repeats) return plan_refuse(parser, "a step has more than 1000000 recorded runs");
    return plan_int(parser, parser->words[5], 0, 10000000, &step->gap_us);
}

int plan_on_job(struct parser *parser) {
    static const char *const turns[] = {"concurrent", "serial"};
    struct plan_step *step = last_step(parser);
    if (step == NULL) return plan_refuse(parser, "a job stands before the first step");
    if (close_job(parser) != 0) return FAILURE_PLAN;
    if (step->job_count == PLAN_JOBS) return plan_refuse(parser, "a step has more than 65536 jobs");
    struct plan_job *grown = plan_append(step->jobs, &step->job_count, sizeof *grown);
    if (grown == NULL) return plan_refuse(parser, "out of memory");
    step->jobs = grown;
    struct plan_job *job = last_job(parser);
    const int turn = plan_choice(parser->words[2], 2, turns);
    if (turn < 0) return plan_refuse(parser, "a job is concurrent or serial");
    job->serial = turn == 1;
    job->unread = parser->word_count == 6;
    if (job->unread && strcmp(parser->words[5], "unread") != 0) return plan_refuse(parser, "a job ends with: unread");
    if (plan_name(parser, parser->words[1], job->name) != 0) return FAILURE_PLAN;
    if (plan_path(parser, parser->words[3], true, &job->input) != 0) return FAILURE_PLAN;
    return plan_path(parser, parser->words[4], true, &job->output);
}

int plan_on_lane(struct parser *parser) {
    struct plan_job *job = last_job(parser);
    if (job == NULL) return plan_refuse(parser, "a lane stands before the step's first job");
    if (job->lane_count == 2) return plan_refuse(parser, "a job has more than two lanes");
    struct plan_lane *lane = &job->lanes[job->lane_count++];
    return plan_int(parser, parser->words[1], 0, parser->plan->unit_count - 1, &lane->unit);
}

static int read_inputs(struct parser *parser, char *word, struct plan_call *call) {
    static const char *const sources[] = {"external", "own", "partner"};
    char *rest = word;
    while (rest != NULL) {
        char *comma = strchr(rest, ',');
        if (comma != NULL) *comma = 0;
        const int source = plan_choice(rest, 3, sources);
        if (source < 0) return plan_refuse(parser, "an input is external, own or partner");
        if (call->input_count == PLAN_INPUTS) return plan_refuse(parser, "a call has more than 8 inputs");
        call->inputs[call->input_count++] = (enum input_source)source;
        rest = comma != NULL ? comma + 1 : NULL;
    }
    return 0;
}

int plan_on_call(struct parser *parser) {
    struct plan_lane *lane = last_lane(parser);
    if (lane == NULL) return plan_refuse(parser, "a call stands before the job's first lane");
    const bool simulated = parser->plan->units[lane->unit].kind == UNIT_SIM;
    if (lane->call_count == PLAN_PHASES) return plan_refuse(parser, "a lane has more than 64 calls");
    const int last_file = simulated ? PLAN_FILES - 1 : parser->plan->file_count - 1;
    struct plan_call *grown = plan_append(lane->calls, &lane->call_count, sizeof *grown);
    if (grown == NULL) return plan_refuse(parser, "out of memory");
    lane->calls = grown;
    struct plan_call *call = &lane->calls[lane->call_count - 1];
    const char *reason = "a call of a real unit has words behind its inputs";
    if (plan_int(parser, parser->words[1], 0, PLAN_PHASES - 1, &call->phase) != 0) return FAILURE_PLAN;
    if (plan_int(parser, parser->words[2], 0, last_file, &call->file) != 0) return FAILURE_PLAN;
    if (plan_name(parser, parser->words[3], call->signature) != 0) return FAILURE_PLAN;
    if (read_inputs(parser, parser->words[4], call) != 0) return FAILURE_PLAN;
    if (!simulated) return parser->word_count > 5 ? plan_refuse(parser, reason) : 0;
    call->spend = simulated_read_spend(parser->word_count - 5, parser->words + 5, &reason);
    return call->spend == NULL ? plan_refuse(parser, reason) : 0;
}
