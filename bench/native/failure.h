// How a call says that it failed: an exit code, a kind and one sentence.
#ifndef SYNCNAS_FAILURE_H
#define SYNCNAS_FAILURE_H

enum failure_code {
    FAILURE_NONE = 0,
    FAILURE_ARGUMENT = 1, // an app's options or memory are wrong
    FAILURE_PLAN = 2,     // the plan contradicts itself or cannot be read
    FAILURE_RUNTIME = 3,  // LiteRT cannot be loaded or set up
    FAILURE_MODEL = 4,    // a file or signature is not what the plan says
    FAILURE_UNIT = 5,     // a unit cannot run here, or a model is not fully accelerated on it
    FAILURE_RUN = 6,      // a run, an allocation or a write went wrong
    FAILURE_SYMBOL = 7,   // LiteRT is another version: the text names the symbol it lacks
};

struct failure {
    enum failure_code code;
    char text[768];
};

// Record the first failure and keep it; returns `code`, so that `return fail(...)` reads well.
int fail(struct failure *failure, enum failure_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// "none", "argument", "plan", "runtime", "model", "unit", "run" or "symbol".
const char *failure_kind(enum failure_code code);

// The runner's exit code: the number of the failure, with both about LiteRT itself as 3.
int failure_exit_code(enum failure_code code);

#endif
