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

// Write to an open descriptor, which is closed by json_lines_free. Returns false if it is negative: not open.
bool json_lines_init(struct json_lines *json, int descriptor);
void json_lines_free(struct json_lines *json);

// Append literal JSON text, formatted.
void json_text(struct json_lines *json, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Append a quoted and escaped string. Bytes above 127 are written as escapes of their value.
void json_string(struct json_lines *json, const char *string);

// Write the line out with a line feed. Returns false if the reader is gone.
bool json_end_line(struct json_lines *json);

#endif
