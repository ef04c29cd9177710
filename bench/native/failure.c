#include "failure.h"

#include <stdarg.h>
#include <stdio.h>

int fail(struct failure *failure, enum failure_code code, const char *format, ...) {
    if (failure->code == FAILURE_NONE) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(failure->text, sizeof failure->text, format, arguments);
        va_end(arguments);
        failure->code = code;
    }
    return code;
}

const char *failure_kind(enum failure_code code) {
    switch (code) {
    case FAILURE_NONE: return "none";
    case FAILURE_ARGUMENT: return "argument";
    case FAILURE_PLAN: return "plan";
    case FAILURE_RUNTIME: return "runtime";
    case FAILURE_MODEL: return "model";
    case FAILURE_UNIT: return "unit";
    case FAILURE_RUN: return "run";
    case FAILURE_SYMBOL: return "symbol";
    }
    return "unknown";
}

int failure_exit_code(enum failure_code code) {
    return code == FAILURE_SYMBOL ? FAILURE_RUNTIME : (int)code;
}
