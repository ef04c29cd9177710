#include "plan.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan_check.h"
#include "plan_jobs.h"
#include "simulated.h"
#include "system.h"

static int on_version(struct parser *parser) {
    int version = 0;
    if (plan_int(parser, parser->words[1], 0, INT_MAX, &version) != 0) return FAILURE_PLAN;
    if (version != PLAN_VERSION) return plan_refuse(parser, "this runner reads plans of version 5 only");
    parser->versioned = true;
    return 0;
}

static int on_seed(struct parser *parser) {
    return plan_integer(parser, parser->words[1], 0, INT64_MAX, &parser->plan->seed);
}

static int on_spin(struct parser *parser) {
    return plan_integer(parser, parser->words[1], 0, PLAN_MAX_COUNT, &parser->plan->spin_us);
}

static int on_ack(struct parser *parser) {
    int ack = 0;
    const int status = plan_int(parser, parser->words[1], 0, 1, &ack);
    parser->plan->ack = ack == 1;
    return status;
}

static int on_runtime(struct parser *parser) {
    return plan_path(parser, parser->words[1], false, &parser->plan->runtime);
}

static int on_accelerators(struct parser *parser) {
    return plan_path(parser, parser->words[1], false, &parser->plan->accelerators);
}

static int on_power(struct parser *parser) {
    struct plan_power *power = &parser->plan->power;
    if (power->file_count > 0) return plan_refuse(parser, "the power is told twice");
    if (plan_real(parser, parser->words[1], 1e-12, 1e12, &power->microwatts_per_reading) != 0) return FAILURE_PLAN;
    for (int i = 2; i < parser->word_count; i++) {
        if (plan_path(parser, parser->words[i], false, &power->files[power->file_count++]) != 0) return FAILURE_PLAN;
    }
    return 0;
}

static int read_cores(struct parser *parser, char *word, struct plan_unit *unit) {
    if (strcmp(word, "-") == 0) return 0;
    char *rest = word;
    while (rest != NULL) {
        char *comma = strchr(rest, ',');
        if (comma != NULL) *comma = 0;
        int core = 0;
        if (plan_int(parser, rest, 0, PLAN_CORES - 1, &core) != 0) return FAILURE_PLAN;
        if (unit->cores[core]) return plan_refuse(parser, "a core is named twice");
        unit->cores[core] = true;
        unit->core_count++;
        rest = comma != NULL ? comma + 1 : NULL;
    }
    return 0;
}

static int read_law(struct parser *parser, struct plan_unit *unit) {
    char name[PLAN_NAME_BYTES];
    const char *reason = NULL;
    if (plan_name(parser, parser->words[2], name) != 0) return FAILURE_PLAN;
    unit->law = simulated_read_law(parser->word_count - 3, parser->words + 3, &reason);
    return unit->law == NULL ? plan_refuse(parser, reason) : 0;
}

static int on_unit(struct parser *parser) {
    static const char *const kinds[] = {"cpu", "gpu", "sim"};
    static const char *const precisions[] = {"fp32", "fp16"};
    static const char *const drivers[] = {"hardware", "software"};
    const int kind = plan_choice(parser->words[1], 3, kinds);
    if (kind < 0 || (kind != UNIT_SIM && parser->word_count != 4)) {
        return plan_refuse(parser, "a unit is: cpu THREADS CORES, gpu PRECISION DRIVER, or sim NAME and words");
    }
    if (parser->plan->unit_count == PLAN_UNITS) return plan_refuse(parser, "there are more than 8 units");
    struct plan_unit *unit = &parser->plan->units[parser->plan->unit_count++];
    unit->kind = (enum unit_kind)kind;
    if (kind == UNIT_SIM) return read_law(parser, unit);
    if (kind == UNIT_CPU) {
        const int status = plan_int(parser, parser->words[2], 1, PLAN_THREADS, &unit->threads);
        return status != 0 ? status : read_cores(parser, parser->words[3], unit);
    }
    const int precision = plan_choice(parser->words[2], 2, precisions);
    unit->fp16 = precision == 1;
    if (precision < 0) return plan_refuse(parser, "a precision is fp32 or fp16");
    return plan_choice(parser->words[3], 2, drivers) < 0 ? plan_refuse(parser, "a driver is hardware or software") : 0;
}

static int on_file(struct parser *parser) {
    if (parser->plan->file_count == PLAN_FILES) return plan_refuse(parser, "there are more than 64 files");
    return plan_path(parser, parser->words[1], false, &parser->plan->files[parser->plan->file_count++]);
}

static int on_end(struct parser *parser) {
    if (parser->plan->step_count == 0) return plan_refuse(parser, "the plan has no step");
    if (plan_close_step(parser) != 0) return FAILURE_PLAN;
    const char *reason = plan_check(parser->plan);
    parser->ended = true;
    return reason != NULL ? plan_refuse(parser, reason) : 0;
}

static int read_statement(struct parser *parser) {
    static const struct plan_keyword keywords[] = {
        {"syncnas-plan", 2, 2, on_version}, {"seed", 2, 2, on_seed},
        {"spin_us", 2, 2, on_spin},         {"ack", 2, 2, on_ack},
        {"runtime", 2, 2, on_runtime},      {"accelerators", 2, 2, on_accelerators},
        {"power", 3, 4, on_power},          {"unit", 3, PLAN_WORDS, on_unit},
        {"file", 2, 2, on_file},            {"step", 6, 6, plan_on_step},
        {"job", 5, 6, plan_on_job},         {"lane", 2, 2, plan_on_lane},
        {"call", 5, PLAN_WORDS, plan_on_call}, {"end", 1, 1, on_end},
    };
    return plan_dispatch(parser, keywords, sizeof keywords / sizeof *keywords, "the first line must be: syncnas-plan 5");
}

int plan_read(const char *path, struct plan *plan, struct failure *failure) {
    memset(plan, 0, sizeof *plan);
    plan->spin_us = 200;
    FILE *file = system_open(path, "r");
    if (file == NULL) return fail(failure, FAILURE_PLAN, "plan %s cannot be read: %s", path, strerror(errno));
    struct parser parser = {.what = "plan", .plan = plan, .failure = failure};
    const int status = plan_lines(&parser, (struct plan_source){.file = file}, read_statement);
    fclose(file);
    if (status != 0) plan_free(plan);
    return status;
}

static void free_job(struct plan_job *job) {
    for (int l = 0; l < 2; l++) {
        for (int c = 0; c < job->lanes[l].call_count; c++) free(job->lanes[l].calls[c].spend);
        free(job->lanes[l].calls);
    }
    free(job->input);
    free(job->output);
}

void plan_free(struct plan *plan) {
    for (int s = 0; s < plan->step_count; s++) {
        for (int j = 0; j < plan->steps[s].job_count; j++) free_job(&plan->steps[s].jobs[j]);
        free(plan->steps[s].jobs);
    }
    for (int u = 0; u < plan->unit_count; u++) free(plan->units[u].law);
    for (int i = 0; i < plan->file_count; i++) free(plan->files[i]);
    free(plan->steps);
    free(plan->runtime);
    free(plan->accelerators);
    free(plan->cache_folder);
    for (int i = 0; i < plan->power.file_count; i++) free(plan->power.files[i]);
    memset(plan, 0, sizeof *plan);
}
