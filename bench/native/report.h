// The runner's output: a header, one row a step, a trailer; or an error.
#ifndef SYNCNAS_REPORT_H
#define SYNCNAS_REPORT_H

#include "json_lines.h"
#include "power.h"
#include "samples.h"

#define RUNNER_VERSION "1.0.0"

bool report_header(struct json_lines *json, const struct executor *executor);

// Also reads the jobs' outputs, writes those that have an output file, and hashes all.
int report_row(struct json_lines *json, int row, const struct plan_step *step, const struct samples *samples,
               const struct power_log *power, struct failure *failure);
bool report_trailer(struct json_lines *json, int rows);
bool report_error(struct json_lines *json, const struct failure *failure);

#endif
