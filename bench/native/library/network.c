#include "network.h"

#include <stddef.h>
#include <string.h>

#include "../plan_jobs.h"
#include "../sha256.h"

enum { HEX = SHA256_HEX_BYTES - 1, END_BYTES = 4 + HEX + 1, MAX_VALUES = 1 << 28 };

static struct network *network_of(struct parser *parser) {
    return (struct network *)((char *)parser->plan - offsetof(struct network, plan));
}

static int on_version(struct parser *parser) {
    int version = 0;
    if (plan_int(parser, parser->words[1], 1, 1000000, &version) != 0) return FAILURE_PLAN;
    parser->versioned = true;
    if (version == NETWORK_VERSION) return 0;
    return fail(parser->failure, FAILURE_PLAN, "network.txt is of version %d and this library reads version %d; upgrade "
                "the library", version, NETWORK_VERSION);
}

static int read_shape(struct parser *parser, syncnas_shape *shape) {
    if (shape->rank > 0) return plan_refuse(parser, "a shape is told twice");
    shape->rank = (size_t)parser->word_count - 1;
    shape->count = 1;
    for (size_t i = 0; i < shape->rank; i++) {
        int size = 0;
        if (plan_int(parser, parser->words[i + 1], 1, MAX_VALUES, &size) != 0) return FAILURE_PLAN;
        shape->sizes[i] = size;
        shape->count *= (size_t)size;
        if (shape->count > MAX_VALUES) return plan_refuse(parser, "a shape has too many values");
    }
    return 0;
}

static int on_input(struct parser *parser) { return read_shape(parser, &network_of(parser)->input); }
static int on_output(struct parser *parser) { return read_shape(parser, &network_of(parser)->output); }

static int on_file(struct parser *parser) {
    struct plan *plan = parser->plan;
    const char *name = parser->words[1], *digest = parser->words[2];
    if (plan->file_count == PLAN_FILES) return plan_refuse(parser, "there are more than 64 files");
    if (*name == '.' || strpbrk(name, "/\\") != NULL) return plan_refuse(parser, "a file is not a plain name");
    if (strlen(digest) != HEX) return plan_refuse(parser, "a sha256 has 64 digits");
    memcpy(plan->contents[plan->file_count].sha256, digest, HEX + 1);
    return plan_path(parser, name, false, &plan->files[plan->file_count++]);
}

static int on_end(struct parser *parser) {
    parser->ended = true;
    return plan_close_step(parser);
}

static int read_statement(struct parser *parser) {
    static const struct plan_keyword keywords[] = {
        {"syncnas-network", 2, 2, on_version}, {"input", 2, 9, on_input},  {"output", 2, 9, on_output},
        {"file", 3, 3, on_file},               {"step", 6, 6, plan_on_step}, {"job", 5, 5, plan_on_job},
        {"lane", 2, 2, plan_on_lane},          {"call", 5, 5, plan_on_call}, {"end", 2, 2, on_end},
    };
    return plan_dispatch(parser, keywords, sizeof keywords / sizeof *keywords,
                         "the first line must be: syncnas-network 1");
}

// Each branch is a lane on the unit of its number, and one call of the last phase has the output.
static const char *check(const struct network *network) {
    const struct plan *plan = &network->plan;
    if (network->input.rank == 0 || network->output.rank == 0) return "has no shape of its input or its output";
    if (plan->step_count != 1 || plan->steps[0].job_count != 1) return "has not one step with one job";
    const struct plan_job *job = &plan->steps[0].jobs[0];
    int externals = 0, outputs = 0;
    for (int l = 0; l < job->lane_count; l++) {
        const struct plan_lane *lane = &job->lanes[l];
        if (lane->unit != l) return "has a lane on another unit than its own";
        outputs += lane->calls[lane->call_count - 1].phase + 1 == job->phases;
        for (int c = 0; c < lane->call_count; c++) {
            for (int i = 0; i < lane->calls[c].input_count; i++) externals += lane->calls[c].inputs[i] == INPUT_EXTERNAL;
        }
    }
    if (job->serial) return "has lanes that take turns";
    return externals == 0 ? "has no input" : outputs != 1 ? "has not one output" : NULL;
}

static bool digest_fits(const char *text, size_t bytes) {
    struct sha256 hash;
    char hex[SHA256_HEX_BYTES];
    const char *end = text + bytes - END_BYTES;
    if (bytes <= END_BYTES || end[-1] != '\n' || memcmp(end, "end ", 4) != 0) return false;
    sha256_init(&hash);
    sha256_update(&hash, text, bytes - END_BYTES);
    sha256_hex(&hash, hex);
    return memcmp(end + 4, hex, HEX) == 0;
}

int network_read(const char *text, size_t bytes, struct network *network, struct failure *failure) {
    static const char first[] = "syncnas-network ";
    struct parser parser = {.what = "network.txt", .plan = &network->plan, .failure = failure};
    if (bytes < sizeof first || memcmp(text, first, sizeof first - 1) != 0) {
        return fail(failure, FAILURE_PLAN, "network.txt does not begin with: syncnas-network 1; export the bundle again");
    }
    const bool damaged = bytes > NETWORK_MAX_BYTES || !digest_fits(text, bytes);
    // A newer file may end in another way: its version is told first.
    const char *line = memchr(text, '\n', bytes < 64 ? bytes : 64);
    const bool known = line != NULL && line - text == sizeof first && text[sizeof first - 1] == '0' + NETWORK_VERSION;
    if (damaged && known) {
        return fail(failure, FAILURE_PLAN, "network.txt is cut short or damaged; export the bundle again");
    }
    if (plan_lines(&parser, (struct plan_source){.text = text, .left = bytes}, read_statement) != 0) return FAILURE_PLAN;
    const char *reason = check(network);
    return reason == NULL ? 0 : fail(failure, FAILURE_PLAN, "network.txt %s; export the bundle again", reason);
}
