#include "plan_words.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE_BYTES = 8192 };

int plan_refuse(struct parser *parser, const char *reason) {
    return fail(parser->failure, FAILURE_PLAN, "%s line %d: %s", parser->what, parser->line, reason);
}

int plan_integer(struct parser *parser, const char *word, int64_t low, int64_t high, int64_t *value) {
    char *end = NULL;
    errno = 0;
    const long long number = strtoll(word, &end, 10);
    if (errno != 0 || end == word || *end != 0 || isspace((unsigned char)*word)) {
        return plan_refuse(parser, "a whole number is expected");
    }
    if (number < low || number > high) return plan_refuse(parser, "a number is out of range");
    *value = number;
    return 0;
}

int plan_int(struct parser *parser, const char *word, int low, int high, int *value) {
    int64_t wide = 0;
    const int status = plan_integer(parser, word, low, high, &wide);
    *value = (int)wide;
    return status;
}

int plan_real(struct parser *parser, const char *word, double low, double high, double *value) {
    char *end = NULL;
    const double number = strtod(word, &end);
    if (end == word || *end != 0) return plan_refuse(parser, "a number is expected");
    if (!(number >= low && number <= high)) return plan_refuse(parser, "a number is out of range");
    *value = number;
    return 0;
}

int plan_name(struct parser *parser, const char *word, char name[PLAN_NAME_BYTES]) {
    const size_t length = strlen(word);
    if (length >= PLAN_NAME_BYTES) return plan_refuse(parser, "a name is longer than 95 characters");
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)word[i]) && strchr("_.:@-", word[i]) == NULL) {
            return plan_refuse(parser, "a name holds a character other than letters, digits and _.:@-");
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

int plan_path(struct parser *parser, const char *word, bool optional, char **path) {
    if (strcmp(word, "-") == 0) return optional ? 0 : plan_refuse(parser, "a path is missing");
    char *out = malloc(strlen(word) + 1);
    if (out == NULL) return plan_refuse(parser, "out of memory");
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
            return plan_refuse(parser, "a path has a bad percent escape");
        }
        out[length++] = (char)(high * 16 + low);
        in += 2;
    }
    out[length] = 0;
    return length < PLAN_PATH_BYTES ? 0 : plan_refuse(parser, "a path is longer than 1000 bytes");
}

int plan_choice(const char *word, int count, const char *const options[]) {
    for (int i = 0; i < count; i++) {
        if (strcmp(word, options[i]) == 0) return i;
    }
    return -1;
}

void *plan_append(void *items, int *count, size_t item_bytes) {
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

// Lines from a file, or from a text in memory.
static char *next_line(struct plan_source *source, char *line, size_t bytes) {
    if (source->file != NULL) return fgets(line, (int)bytes, source->file);
    size_t length = 0;
    while (length + 1 < bytes && length < source->left) {
        line[length] = source->text[length];
        if (line[length++] == '\n') break;
    }
    line[length] = 0;
    source->text += length;
    source->left -= length;
    return length > 0 ? line : NULL;
}

static int read_line(struct parser *parser, char *line, plan_statement *statement) {
    parser->word_count = 0;
    char *state = NULL;
    for (char *word = strtok_r(line, " ", &state); word != NULL; word = strtok_r(NULL, " ", &state)) {
        if (parser->word_count == PLAN_WORDS) return plan_refuse(parser, "the line has too many words");
        parser->words[parser->word_count++] = word;
    }
    return parser->word_count == 0 ? plan_refuse(parser, "the line is empty") : statement(parser);
}

int plan_lines(struct parser *parser, struct plan_source source, plan_statement *statement) {
    static const char *unfinished = "the plan does not finish with a whole line: end";
    char line[MAX_LINE_BYTES];
    while (next_line(&source, line, sizeof line) != NULL) {
        parser->line++;
        const size_t length = strlen(line);
        if (length == 0 || line[length - 1] != '\n') {
            return plan_refuse(parser, length == sizeof line - 1 ? "the line is too long" : unfinished);
        }
        line[length - 1] = 0;
        if (read_line(parser, line, statement) != 0) return FAILURE_PLAN;
    }
    return parser->ended ? 0 : plan_refuse(parser, unfinished);
}

int plan_dispatch(struct parser *parser, const struct plan_keyword *keywords, size_t count, const char *first_line) {
    if (parser->ended) return plan_refuse(parser, "there is more after the end");
    for (size_t i = 0; i < count; i++) {
        if (strcmp(parser->words[0], keywords[i].keyword) != 0) continue;
        if (!parser->versioned && i != 0) return plan_refuse(parser, first_line);
        if (parser->word_count < keywords[i].min_words || parser->word_count > keywords[i].max_words) {
            return plan_refuse(parser, "the statement has the wrong number of words");
        }
        return keywords[i].handle(parser);
    }
    return plan_refuse(parser, "the statement is not known");
}
