#include "plan.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan_check.h"
#include "simulated.h"

enum { MAX_WORDS = 12, MAX_LINE_BYTES = 8192, MAX_COUNT = 1000000 };

struct parser {
    struct plan *plan;
    struct failure *failure;
    int line;
    bool versioned, ended;
    char *words[MAX_WORDS];
    int word_count;
};

static int refuse(struct parser *parser, const char *reason) {
    return fail(parser->failure, FAILURE_PLAN, "plan line %d: %s", parser->line, reason);
}

static int read_integer(struct parser *parser, const char *word, int64_t low, int64_t high, int64_t *value) {
    char *end = NULL;
    errno = 0;
    const long long number = strtoll(word, &end, 10);
    if (errno != 0 || end == word || *end != 0 || isspace((unsigned char)*word)) {
        return refuse(parser, "a whole number is expected");
    }
    if (number < low || number > high) return refuse(parser, "a number is out of range");
    *value = number;
    return 0;
}

static int read_int(struct parser *parser, const char *word, int low, int high, int *value) {
    int64_t wide = 0;
    const int status = read_integer(parser, word, low, high, &wide);
    *value = (int)wide;
    return status;
}

static int read_real(struct parser *parser, const char *word, double low, double high, double *value) {
    char *end = NULL;
    const double number = strtod(word, &end);
    if (end == word || *end != 0) return refuse(parser, "a number is expected");
    if (!(number >= low && number <= high)) return refuse(parser, "a number is out of range");
    *value = number;
    return 0;
}

static int read_name(struct parser *parser, const char *word, char name[PLAN_NAME_BYTES]) {
    const size_t length = strlen(word);
    if (length >= PLAN_NAME_BYTES) return refuse(parser, "a name is longer than 95 characters");
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)word[i]) && strchr("_.:@-", word[i]) == NULL) {
            return refuse(parser, "a name holds a character other than letters, digits and _.:@-");
        }
    }
    memcpy(name, word, length + 1);
    return 0;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

// Undo the percent-encoding; "-" is no path, for the statements where one may be left out.
static int read_path(struct parser *parser, const char *word, bool optional, char **path) {
    if (strcmp(word, "-") == 0) return optional ? 0 : refuse(parser, "a path is missing");
    char *out = malloc(strlen(word) + 1);
    if (out == NULL) return refuse(parser, "out of memory");
    free(*path);
    *path = out;
    size_t length = 0;
    for (const char *in = word; *in != 0; in++) {
        if (*in != '%') {
            out[length++] = *in;
            continue;
        }
        const int high = hex_digit(in[1]);
        const int low = high < 0 ? -1 : hex_digit(in[2]);
        if (low < 0 || high * 16 + low == 0) {
            out[length] = 0;
            return refuse(parser, "a path has a bad percent escape");
        }
        out[length++] = (char)(high * 16 + low);
        in += 2;
    }
    out[length] = 0;
    return length < PLAN_PATH_BYTES ? 0 : refuse(parser, "a path is longer than 1000 bytes");
}

// Which of `count` words this is, or -1.
static int choice(const char *word, int count, const char *const options[]) {
    for (int i = 0; i < count; i++) {
        if (strcmp(word, options[i]) == 0) return i;
    }
    return -1;
}

static void *append(void *items, int *count, size_t item_bytes) {
    // Grows at powers of two, so that an array of n items was copied at most 2n times.
    if ((*count & (*count - 1)) == 0) {
        void *grown = realloc(items, item_bytes * (size_t)(*count == 0 ? 1 : 2 * *count));
        if (grown == NULL) return NULL;
        items = grown;
    }
    memset((char *)items + item_bytes * (size_t)*count, 0, item_bytes);
    *count += 1;
    return items;
}

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
    return reason != NULL ? refuse(parser, reason) : 0;
}

static int close_step(struct parser *parser) {
    struct plan_step *step = last_step(parser);
    if (step == NULL) return 0;
    if (close_job(parser) != 0) return FAILURE_PLAN;
    return step->job_count > 0 ? 0 : refuse(parser, "the step above has no job");
}

static int on_version(struct parser *parser) {
    int version = 0;
    if (read_int(parser, parser->words[1], 0, INT_MAX, &version) != 0) return FAILURE_PLAN;
    if (version != PLAN_VERSION) return refuse(parser, "this runner reads plans of version 5 only");
    parser->versioned = true;
    return 0;
}

static int on_seed(struct parser *parser) {
    return read_integer(parser, parser->words[1], 0, INT64_MAX, &parser->plan->seed);
}

static int on_spin(struct parser *parser) {
    return read_integer(parser, parser->words[1], 0, MAX_COUNT, &parser->plan->spin_us);
}

static int on_ack(struct parser *parser) {
    int ack = 0;
    const int status = read_int(parser, parser->words[1], 0, 1, &ack);
    parser->plan->ack = ack == 1;
    return status;
}

static int on_runtime(struct parser *parser) {
    return read_path(parser, parser->words[1], false, &parser->plan->runtime);
}

static int on_accelerators(struct parser *parser) {
    return read_path(parser, parser->words[1], false, &parser->plan->accelerators);
}

static int on_power(struct parser *parser) {
    struct plan_power *power = &parser->plan->power;
    if (power->file_count > 0) return refuse(parser, "the power is told twice");
    if (read_real(parser, parser->words[1], 1e-12, 1e12, &power->microwatts_per_reading) != 0) return FAILURE_PLAN;
    for (int i = 2; i < parser->word_count; i++) {
        if (read_path(parser, parser->words[i], false, &power->files[power->file_count++]) != 0) return FAILURE_PLAN;
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
        if (read_int(parser, rest, 0, PLAN_CORES - 1, &core) != 0) return FAILURE_PLAN;
        if (unit->cores[core]) return refuse(parser, "a core is named twice");
        unit->cores[core] = true;
        unit->core_count++;
        rest = comma != NULL ? comma + 1 : NULL;
    }
    return 0;
}

static int read_law(struct parser *parser, struct plan_unit *unit) {
    char name[PLAN_NAME_BYTES];
    const char *reason = NULL;
    if (read_name(parser, parser->words[2], name) != 0) return FAILURE_PLAN;
    unit->law = simulated_read_law(parser->word_count - 3, parser->words + 3, &reason);
    return unit->law == NULL ? refuse(parser, reason) : 0;
}

static int on_unit(struct parser *parser) {
    static const char *const kinds[] = {"cpu", "gpu", "sim"};
    static const char *const precisions[] = {"fp32", "fp16"};
    static const char *const drivers[] = {"hardware", "software"};
    const int kind = choice(parser->words[1], 3, kinds);
    if (kind < 0 || (kind != UNIT_SIM && parser->word_count != 4)) {
        return refuse(parser, "a unit is: cpu THREADS CORES, gpu PRECISION DRIVER, or sim NAME and words");
    }
    if (parser->plan->unit_count == PLAN_UNITS) return refuse(parser, "there are more than 8 units");
    struct plan_unit *unit = &parser->plan->units[parser->plan->unit_count++];
    unit->kind = (enum unit_kind)kind;
    if (kind == UNIT_SIM) return read_law(parser, unit);
    if (kind == UNIT_CPU) {
        const int status = read_int(parser, parser->words[2], 1, PLAN_THREADS, &unit->threads);
        return status != 0 ? status : read_cores(parser, parser->words[3], unit);
    }
    const int precision = choice(parser->words[2], 2, precisions);
    unit->fp16 = precision == 1;
    if (precision < 0) return refuse(parser, "a precision is fp32 or fp16");
    return choice(parser->words[3], 2, drivers) < 0 ? refuse(parser, "a driver is hardware or software") : 0;
}

static int on_file(struct parser *parser) {
    if (parser->plan->file_count == PLAN_FILES) return refuse(parser, "there are more than 64 files");
    return read_path(parser, parser->words[1], false, &parser->plan->files[parser->plan->file_count++]);
}

static int on_step(struct parser *parser) {
    if (close_step(parser) != 0) return FAILURE_PLAN;
    if (parser->plan->step_count == PLAN_STEPS) return refuse(parser, "there are more than 65536 steps");
    struct plan_step *grown = append(parser->plan->steps, &parser->plan->step_count, sizeof *grown);
    if (grown == NULL) return refuse(parser, "out of memory");
    parser->plan->steps = grown;
    struct plan_step *step = last_step(parser);
    if (read_name(parser, parser->words[1], step->name) != 0) return FAILURE_PLAN;
    if (read_int(parser, parser->words[2], 1, MAX_COUNT, &step->rounds) != 0) return FAILURE_PLAN;
    if (read_int(parser, parser->words[3], 0, 1000, &step->discard) != 0) return FAILURE_PLAN;
    if (read_int(parser, parser->words[4], 1, 1000, &step->repeats) != 0) return FAILURE_PLAN;
    if (step->rounds > MAX_COUNT / step->repeats) return refuse(parser, "a step has more than 1000000 recorded runs");
    return read_int(parser, parser->words[5], 0, 10000000, &step->gap_us);
}

static int on_job(struct parser *parser) {
    static const char *const turns[] = {"concurrent", "serial"};
    struct plan_step *step = last_step(parser);
    if (step == NULL) return refuse(parser, "a job stands before the first step");
    if (close_job(parser) != 0) return FAILURE_PLAN;
    if (step->job_count == PLAN_JOBS) return refuse(parser, "a step has more than 65536 jobs");
    struct plan_job *grown = append(step->jobs, &step->job_count, sizeof *grown);
    if (grown == NULL) return refuse(parser, "out of memory");
    step->jobs = grown;
    struct plan_job *job = last_job(parser);
    const int turn = choice(parser->words[2], 2, turns);
    if (turn < 0) return refuse(parser, "a job is concurrent or serial");
    job->serial = turn == 1;
    if (read_name(parser, parser->words[1], job->name) != 0) return FAILURE_PLAN;
    if (read_path(parser, parser->words[3], true, &job->input) != 0) return FAILURE_PLAN;
    return read_path(parser, parser->words[4], true, &job->output);
}

static int on_lane(struct parser *parser) {
    struct plan_job *job = last_job(parser);
    if (job == NULL) return refuse(parser, "a lane stands before the step's first job");
    if (job->lane_count == 2) return refuse(parser, "a job has more than two lanes");
    struct plan_lane *lane = &job->lanes[job->lane_count++];
    return read_int(parser, parser->words[1], 0, parser->plan->unit_count - 1, &lane->unit);
}

static int read_inputs(struct parser *parser, char *word, struct plan_call *call) {
    static const char *const sources[] = {"external", "own", "partner"};
    char *rest = word;
    while (rest != NULL) {
        char *comma = strchr(rest, ',');
        if (comma != NULL) *comma = 0;
        const int source = choice(rest, 3, sources);
        if (source < 0) return refuse(parser, "an input is external, own or partner");
        if (call->input_count == PLAN_INPUTS) return refuse(parser, "a call has more than 8 inputs");
        call->inputs[call->input_count++] = (enum input_source)source;
        rest = comma != NULL ? comma + 1 : NULL;
    }
    return 0;
}

static int on_call(struct parser *parser) {
    struct plan_lane *lane = last_lane(parser);
    if (lane == NULL) return refuse(parser, "a call stands before the job's first lane");
    const bool simulated = parser->plan->units[lane->unit].kind == UNIT_SIM;
    if (lane->call_count == PLAN_PHASES) return refuse(parser, "a lane has more than 64 calls");
    const int last_file = simulated ? PLAN_FILES - 1 : parser->plan->file_count - 1;
    struct plan_call *grown = append(lane->calls, &lane->call_count, sizeof *grown);
    if (grown == NULL) return refuse(parser, "out of memory");
    lane->calls = grown;
    struct plan_call *call = &lane->calls[lane->call_count - 1];
    const char *reason = "a call of a real unit has words behind its inputs";
    if (read_int(parser, parser->words[1], 0, PLAN_PHASES - 1, &call->phase) != 0) return FAILURE_PLAN;
    if (read_int(parser, parser->words[2], 0, last_file, &call->file) != 0) return FAILURE_PLAN;
    if (read_name(parser, parser->words[3], call->signature) != 0) return FAILURE_PLAN;
    if (read_inputs(parser, parser->words[4], call) != 0) return FAILURE_PLAN;
    if (!simulated) return parser->word_count > 5 ? refuse(parser, reason) : 0;
    call->spend = simulated_read_spend(parser->word_count - 5, parser->words + 5, &reason);
    return call->spend == NULL ? refuse(parser, reason) : 0;
}

static int on_end(struct parser *parser) {
    if (parser->plan->step_count == 0) return refuse(parser, "the plan has no step");
    if (close_step(parser) != 0) return FAILURE_PLAN;
    const char *reason = plan_check(parser->plan);
    parser->ended = true;
    return reason != NULL ? refuse(parser, reason) : 0;
}

static int read_statement(struct parser *parser) {
    static const struct {
        const char *keyword;
        int min_words, max_words;
        int (*handle)(struct parser *parser);
    } statements[] = {
        {"syncnas-plan", 2, 2, on_version}, {"seed", 2, 2, on_seed},
        {"spin_us", 2, 2, on_spin},         {"ack", 2, 2, on_ack},
        {"runtime", 2, 2, on_runtime},      {"accelerators", 2, 2, on_accelerators},
        {"power", 3, 4, on_power},          {"unit", 3, MAX_WORDS, on_unit},
        {"file", 2, 2, on_file},
        {"step", 6, 6, on_step},            {"job", 5, 5, on_job},
        {"lane", 2, 2, on_lane},            {"call", 5, MAX_WORDS, on_call},
        {"end", 1, 1, on_end},
    };
    if (parser->ended) return refuse(parser, "there is more after the end");
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        if (strcmp(parser->words[0], statements[i].keyword) != 0) continue;
        if (!parser->versioned && i != 0) return refuse(parser, "the first line must be: syncnas-plan 5");
        if (parser->word_count < statements[i].min_words || parser->word_count > statements[i].max_words) {
            return refuse(parser, "the statement has the wrong number of words");
        }
        return statements[i].handle(parser);
    }
    return refuse(parser, "the statement is not known");
}

static int read_line(struct parser *parser, char *line) {
    parser->word_count = 0;
    char *state = NULL;
    for (char *word = strtok_r(line, " ", &state); word != NULL; word = strtok_r(NULL, " ", &state)) {
        if (parser->word_count == MAX_WORDS) return refuse(parser, "the line has too many words");
        parser->words[parser->word_count++] = word;
    }
    return parser->word_count == 0 ? refuse(parser, "the line is empty") : read_statement(parser);
}

static int read_all(struct parser *parser, FILE *file) {
    static const char *unfinished = "the plan does not finish with a whole line: end";
    char line[MAX_LINE_BYTES];
    while (fgets(line, sizeof line, file) != NULL) {
        parser->line++;
        const size_t length = strlen(line);
        if (length == 0 || line[length - 1] != '\n') {
            return refuse(parser, length == sizeof line - 1 ? "the line is too long" : unfinished);
        }
        line[length - 1] = 0;
        if (read_line(parser, line) != 0) return FAILURE_PLAN;
    }
    return parser->ended ? 0 : refuse(parser, unfinished);
}

int plan_read(const char *path, struct plan *plan, struct failure *failure) {
    memset(plan, 0, sizeof *plan);
    plan->spin_us = 200;
    FILE *file = fopen(path, "re");
    if (file == NULL) return fail(failure, FAILURE_PLAN, "plan %s cannot be read: %s", path, strerror(errno));
    struct parser parser = {.plan = plan, .failure = failure};
    const int status = read_all(&parser, file);
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
    for (int i = 0; i < plan->power.file_count; i++) free(plan->power.files[i]);
    memset(plan, 0, sizeof *plan);
}
