// The statements that say what is run: step, job, lane, call. A plan and an app's network.txt share them.
#ifndef SYNCNAS_PLAN_JOBS_H
#define SYNCNAS_PLAN_JOBS_H

#include "plan_words.h"

enum { PLAN_MAX_COUNT = 1000000 };

plan_statement plan_on_step, plan_on_job, plan_on_lane, plan_on_call;

// The last step is whole: it has jobs, and each of them keeps the rules.
int plan_close_step(struct parser *parser);

#endif
