// The words of a plan's lines, and how each is read. All that can fail is refused with the line's number.
#ifndef SYNCNAS_PLAN_WORDS_H
#define SYNCNAS_PLAN_WORDS_H

#include <stdio.h>

#include "plan.h"

enum { PLAN_WORDS = 12 };

struct parser {
    const char *what;  // is read: "plan", or an app's file
    struct plan *plan;
    struct failure *failure;
    int line;
    bool versioned, ended;
    char *words[PLAN_WORDS];
    int word_count;
};

struct plan_source {
    FILE *file;  // or, where it is NULL, a text
    const char *text;
    size_t left;
};

typedef int plan_statement(struct parser *parser);

int plan_refuse(struct parser *parser, const char *reason);
int plan_integer(struct parser *parser, const char *word, int64_t low, int64_t high, int64_t *value);
int plan_int(struct parser *parser, const char *word, int low, int high, int *value);
int plan_real(struct parser *parser, const char *word, double low, double high, double *value);
int plan_name(struct parser *parser, const char *word, char name[PLAN_NAME_BYTES]);

// Undo the percent-encoding; "-" is no path, for the statements where one may be left out.
int plan_path(struct parser *parser, const char *word, bool optional, char **path);

// Which of `count` words this is, or -1.
int plan_choice(const char *word, int count, const char *const options[]);

// A zeroed item more, or NULL. Grows the array.
void *plan_append(void *items, int *count, size_t item_bytes);

struct plan_keyword {
    const char *keyword;
    int min_words, max_words;
    plan_statement *handle;
};

// Handle the statement by its first word. The first keyword is the version's and stands on the first line.
int plan_dispatch(struct parser *parser, const struct plan_keyword *keywords, size_t count, const char *first_line);

// Give each line's words to `statement`, up to the end of the text.
int plan_lines(struct parser *parser, struct plan_source source, plan_statement *statement);

#endif
