#include "json_lines.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool json_lines_init(struct json_lines *json, int descriptor) {
    memset(json, 0, sizeof *json);
    sha256_init(&json->hash);
    json->descriptor = descriptor;
    return descriptor >= 0;
}

void json_lines_free(struct json_lines *json) {
    free(json->line);
    if (json->descriptor >= 0) close(json->descriptor);
}

static bool reserve(struct json_lines *json, size_t more) {
    size_t wanted = json->capacity == 0 ? 4096 : json->capacity;
    while (wanted < json->length + more) wanted *= 2;
    if (wanted == json->capacity) return true;
    char *grown = realloc(json->line, wanted);
    if (grown == NULL) {
        json->broken = true;
        return false;
    }
    json->line = grown;
    json->capacity = wanted;
    return true;
}

void json_text(struct json_lines *json, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof text) {
        json->broken = true;
        return;
    }
    if (!reserve(json, (size_t)length)) return;
    memcpy(json->line + json->length, text, (size_t)length);
    json->length += (size_t)length;
}

void json_string(struct json_lines *json, const char *string) {
    json_text(json, "\"");
    for (const unsigned char *c = (const unsigned char *)string; *c != 0; c++) {
        const bool plain = *c >= 0x20 && *c < 0x7f && *c != '"' && *c != '\\';
        json_text(json, plain ? "%c" : "\\u%04x", *c);
    }
    json_text(json, "\"");
}

static bool write_all(int descriptor, const char *bytes, size_t length) {
    while (length > 0) {
        const ssize_t written = write(descriptor, bytes, length);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

bool json_end_line(struct json_lines *json) {
    json_text(json, "\n");
    if (json->broken) return false;
    sha256_update(&json->hash, json->line, json->length);
    json->broken = !write_all(json->descriptor, json->line, json->length);
    json->length = 0;
    return !json->broken;
}
