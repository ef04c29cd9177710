// One JSON value a line, with a running SHA-256 of every byte written.
#ifndef SYNCNAS_JSON_LINES_H
#define SYNCNAS_JSON_LINES_H

#include <stdbool.h>
#include <stdint.h>

#include "sha256.h"

struct json_lines {
    int descriptor;
    struct sha256 hash;
    char *line;
    size_t length, capacity;
    bool broken;  // out of memory, or the reader is gone
};

// Write to what was standard output, which from then on leads to standard error: GPU libraries print there.
// Returns false if the descriptors cannot be moved.
bool json_lines_init(struct json_lines *json);

// Write to a new file, in the place of one that may be there. Returns false, with errno, if it cannot be opened.
bool json_lines_create(struct json_lines *json, const char *path);
void json_lines_free(struct json_lines *json);

// Append literal JSON text, formatted.
void json_text(struct json_lines *json, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Append a quoted and escaped string. Bytes above 127 are written as escapes of their value.
void json_string(struct json_lines *json, const char *string);

// Write the line out with a line feed. Returns false if the reader is gone.
bool json_end_line(struct json_lines *json);

#endif
