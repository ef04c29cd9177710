// An app's options: checked, and put into a plan.
#ifndef SYNCNAS_OPTIONS_H
#define SYNCNAS_OPTIONS_H

#include "network.h"

// `own` is what the library knows of the options that the app gave; what the app's header did not have is zero
// (FAILURE_ARGUMENT).
int options_read(const syncnas_options *given, syncnas_options *own, struct failure *failure);

// Units, paths and spinning, as the plan of a network that is not read yet wants them.
int options_apply(const syncnas_options *own, struct plan *plan, struct failure *failure);

#endif
