// The rules a plan keeps beyond its grammar. Each returns what is wrong, or NULL.
#ifndef SYNCNAS_PLAN_CHECK_H
#define SYNCNAS_PLAN_CHECK_H

#include "plan.h"

// Also fills in phases, own_source, partner_source and partner_reads.
const char *plan_check_job(struct plan_job *job);
const char *plan_check(const struct plan *plan);

#endif
