#include "report.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system.h"

// A plan's author knows the units; of an app nobody does but the app: "cpu:2@0,1", "gpu:fp16".
static void report_choice(struct json_lines *json, const struct plan *plan) {
    json_text(json, ",\"app\":[");
    for (int u = 0; u < plan->unit_count; u++) {
        const struct plan_unit *unit = &plan->units[u];
        if (unit->kind == UNIT_GPU) {
            json_text(json, "%s\"gpu%s\"", u > 0 ? "," : "", unit->fp16 ? ":fp16" : "");
            continue;
        }
        json_text(json, "%s\"cpu:%d", u > 0 ? "," : "", unit->threads);
        const char *before = "@";
        for (int core = 0; core < PLAN_CORES; core++) {
            if (!unit->cores[core]) continue;
            json_text(json, "%s%d", before, core);
            before = ",";
        }
        json_text(json, "\"");
    }
    json_text(json, "]");
}

bool report_header(struct json_lines *json, const struct executor *executor) {
    const struct plan *plan = executor->plan;
    json_text(json, "{\"header\":{\"runner\":\"" RUNNER_VERSION "\",\"plan\":%d,\"litert\":", PLAN_VERSION);
    if (plan->runtime != NULL) {
        json_string(json, plan->runtime);
    } else {
        json_text(json, "null");
    }
    json_text(json, ",\"units\":[");
    for (int u = 0; u < plan->unit_count; u++) {
        const struct unit *unit = &executor->units[u];
        static const char *const accelerated[] = {"true", "true", "null"};  // a unit that is not was refused
        json_text(json, "%s{\"unit\":%d,\"setup_ms\":%.3f,\"models\":%d,\"fully_accelerated\":%s}",
                  u > 0 ? "," : "", u, (double)unit->setup_ns / 1e6, unit->model_count,
                  accelerated[unit->plan->kind]);
    }
    json_text(json, "]");
    if (plan->app) report_choice(json, plan);
    json_text(json, "}}");
    return json_end_line(json);
}

typedef int64_t (*member)(const struct samples *samples, int run, int lane, int call);

static int64_t t0_of(const struct samples *samples, int run, int lane, int call) {
    (void)lane, (void)call;
    return samples->t0_ns[run];
}

static int64_t begin_of(const struct samples *samples, int run, int lane, int call) {
    return samples_at(samples, run, lane, call)->begin_ns;
}

static int64_t end_of(const struct samples *samples, int run, int lane, int call) {
    return samples_at(samples, run, lane, call)->end_ns;
}

static int64_t arrive_of(const struct samples *samples, int run, int lane, int call) {
    return samples_at(samples, run, lane, call)->arrive_ns;
}

static int64_t wait_of(const struct samples *samples, int run, int lane, int call) {
    return samples_at(samples, run, lane, call)->wait_ns;
}

static int64_t makespan_of(const struct samples *samples, int run, int lane, int call) {
    (void)lane, (void)call;
    int64_t last_ns = 0;
    for (int l = 0; l < samples->job->plan->lane_count; l++) {
        const int64_t end_ns = end_of(samples, run, l, samples->job->plan->lanes[l].call_count - 1);
        if (end_ns > last_ns) last_ns = end_ns;
    }
    return last_ns;
}

static void report_array(struct json_lines *json, const char *name, member value, const struct samples *samples,
                         int lane, int call) {
    json_text(json, "\"%s\":[", name);
    for (int run = 0; run < samples->runs; run++) {
        json_text(json, run > 0 ? ",%lld" : "%lld", (long long)value(samples, run, lane, call));
    }
    json_text(json, "]");
}

// In how many runs the lane slept after the call.
static int sleeps_of(const struct samples *samples, int lane, int call) {
    int count = 0;
    for (int run = 0; run < samples->runs; run++) count += samples_at(samples, run, lane, call)->slept;
    return count;
}

static void report_lane(struct json_lines *json, const struct samples *samples, int lane) {
    const struct plan_lane *plan = &samples->job->plan->lanes[lane];
    json_text(json, "%s{\"unit\":%d,\"buffer_type\":%d,\"phases\":[", lane > 0 ? "," : "", plan->unit,
              samples->job->executor->units[plan->unit].buffer_type);
    for (int c = 0; c < plan->call_count; c++) {
        json_text(json, "%s{\"phase\":%d,", c > 0 ? "," : "", plan->calls[c].phase);
        report_array(json, "begin_ns", begin_of, samples, lane, c);
        json_text(json, ",");
        report_array(json, "end_ns", end_of, samples, lane, c);
        json_text(json, ",");
        report_array(json, "arrive_ns", arrive_of, samples, lane, c);
        json_text(json, ",");
        report_array(json, "wait_ns", wait_of, samples, lane, c);
        json_text(json, ",\"sleeps\":%d}", sleeps_of(samples, lane, c));
    }
    json_text(json, "]}");
}

static int save(const char *path, const void *values, size_t bytes, struct failure *failure) {
    FILE *file = system_open(path, "wb");
    const bool written = file != NULL && fwrite(values, 1, bytes, file) == bytes;
    if (file != NULL && fclose(file) == 0 && written) return 0;
    return fail(failure, FAILURE_RUN, "output %s cannot be written: %s", path, strerror(errno));
}

static int report_output(struct json_lines *json, const struct samples *samples, struct failure *failure) {
    const size_t bytes = executor_output_bytes(samples->job);
    float *values = malloc(bytes);
    if (values == NULL) return fail(failure, FAILURE_RUN, "out of memory for the output");
    int status = executor_outputs(samples->job, values, failure);
    if (status == 0 && samples->job->plan->output != NULL) {
        status = save(samples->job->plan->output, values, bytes, failure);
    }
    if (status == 0) {
        struct sha256 hash;
        char hex[SHA256_HEX_BYTES];
        bool finite = true;
        sha256_init(&hash);
        sha256_update(&hash, values, bytes);
        sha256_hex(&hash, hex);
        for (size_t i = 0; i < bytes / sizeof *values; i++) finite = finite && isfinite(values[i]);
        json_text(json, "],\"output\":{\"bytes\":%zu,\"sha256\":\"%s\",\"finite\":%s}}", bytes, hex,
                  finite ? "true" : "false");
    }
    free(values);
    return status;
}

static void report_power(struct json_lines *json, const struct power_log *power) {
    if (power->readings == NULL) return;
    json_text(json, ",\"power\":{\"time_ns\":[");
    for (int i = 0; i < power->count; i++) {
        json_text(json, i > 0 ? ",%lld" : "%lld", (long long)power->readings[i].time_ns);
    }
    json_text(json, "],\"microwatts\":[");
    for (int i = 0; i < power->count; i++) {
        json_text(json, i > 0 ? ",%lld" : "%lld", (long long)power->readings[i].microwatts);
    }
    json_text(json, "]}");
}

int report_row(struct json_lines *json, int row, const struct plan_step *step, const struct samples *samples,
               const struct power_log *power, struct failure *failure) {
    json_text(json, "{\"row\":%d,\"step\":\"%s\",\"jobs\":[", row, step->name);
    for (int j = 0; j < step->job_count; j++) {
        json_text(json, "%s{\"job\":\"%s\",", j > 0 ? "," : "", step->jobs[j].name);
        report_array(json, "t0_ns", t0_of, &samples[j], 0, 0);
        json_text(json, ",");
        report_array(json, "makespan_ns", makespan_of, &samples[j], 0, 0);
        json_text(json, ",\"lanes\":[");
        for (int l = 0; l < step->jobs[j].lane_count; l++) report_lane(json, &samples[j], l);
        if (report_output(json, &samples[j], failure) != 0) return failure->code;
    }
    json_text(json, "]");
    report_power(json, power);
    json_text(json, "}");
    return json_end_line(json) ? 0 : fail(failure, FAILURE_RUN, "a row cannot be written: %s", strerror(errno));
}

bool report_trailer(struct json_lines *json, int rows) {
    char hex[SHA256_HEX_BYTES];
    sha256_hex(&json->hash, hex);
    json_text(json, "{\"trailer\":{\"rows\":%d,\"sha256\":\"%s\"}}", rows, hex);
    return json_end_line(json);
}

bool report_error(struct json_lines *json, const struct failure *failure) {
    json->length = 0;  // drop a row that was under way
    json_text(json, "{\"error\":{\"kind\":\"%s\",\"message\":", failure_kind(failure->code));
    json_string(json, failure->text);
    json_text(json, "}}");
    return json_end_line(json);
}
