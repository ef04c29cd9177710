// Source: FlatBuffers' binary format (a table starts with the signed distance to its vtable; the vtable
// holds its own size, the table's size, then one 16-bit offset a field) and LiteRT's schema.fbs.
#include "tflite_file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "system.h"

enum { MAX_FIELDS = 13 };

// What a field of a table leads to. Scalars lead nowhere.
enum field_kind { SCALAR, STRING, BYTES, WORDS, LONGS, TABLE, TABLES, OPAQUE };

struct table_kind;
struct field {
    enum field_kind kind;
    const struct table_kind *table;
};
struct table_kind {
    struct field fields[MAX_FIELDS];
};

static const struct table_kind OPERATOR_CODE = {{[1] = {STRING, NULL}}};
static const struct table_kind METADATA = {{[0] = {STRING, NULL}}};
static const struct table_kind BUFFER = {{[0] = {BYTES, NULL}}};
static const struct table_kind TENSOR_MAP = {{[0] = {STRING, NULL}}};
static const struct table_kind SIGNATURE = {
    {[0] = {TABLES, &TENSOR_MAP}, [1] = {TABLES, &TENSOR_MAP}, [2] = {STRING, NULL}, [3] = {STRING, NULL}}};
static const struct table_kind QUANTIZATION = {
    {[0] = {WORDS, NULL}, [1] = {WORDS, NULL}, [2] = {WORDS, NULL}, [3] = {LONGS, NULL}, [5] = {OPAQUE, NULL}}};
static const struct table_kind TENSOR = {
    {[0] = {WORDS, NULL}, [3] = {STRING, NULL}, [4] = {TABLE, &QUANTIZATION}, [6] = {OPAQUE, NULL},
     [7] = {WORDS, NULL}}};
static const struct table_kind OPERATION = {
    {[1] = {WORDS, NULL}, [2] = {WORDS, NULL}, [4] = {OPAQUE, NULL}, [5] = {BYTES, NULL}, [7] = {BYTES, NULL},
     [8] = {WORDS, NULL}, [12] = {OPAQUE, NULL}}};
static const struct table_kind SUBGRAPH = {
    {[0] = {TABLES, &TENSOR}, [1] = {WORDS, NULL}, [2] = {WORDS, NULL}, [3] = {TABLES, &OPERATION},
     [4] = {STRING, NULL}}};
static const struct table_kind MODEL = {
    {[1] = {TABLES, &OPERATOR_CODE}, [2] = {TABLES, &SUBGRAPH}, [3] = {STRING, NULL}, [4] = {TABLES, &BUFFER},
     [5] = {WORDS, NULL}, [6] = {TABLES, &METADATA}, [7] = {TABLES, &SIGNATURE}}};
static const struct table_kind ANY = {{{SCALAR, NULL}}};

struct file {
    const unsigned char *bytes;
    size_t length;
    size_t visits_left;  // a file whose tables share parts could be walked for ever
};

static uint32_t number(const struct file *file, size_t at, int bytes) {
    uint32_t value = 0;
    for (int i = bytes - 1; i >= 0; i--) value = value << 8 | file->bytes[at + (size_t)i];
    return value;
}

static bool inside(const struct file *file, size_t at, size_t bytes) {
    return at <= file->length && bytes <= file->length - at;
}

static bool check_table(struct file *file, size_t at, const struct table_kind *kind);

static bool check_vector(struct file *file, size_t at, size_t item_bytes, const struct table_kind *items) {
    if (!inside(file, at, 4)) return false;
    const size_t count = number(file, at, 4);
    if (!inside(file, at + 4, count * item_bytes)) return false;
    for (size_t i = 0; i < count && items != NULL; i++) {
        const size_t item = at + 4 + 4 * i;
        if (!check_table(file, item + number(file, item, 4), items)) return false;
    }
    return true;
}

// `at` is where the field's offset stands.
static bool check_field(struct file *file, size_t at, const struct field *field) {
    if (field->kind == SCALAR) return true;
    if (!inside(file, at, 4)) return false;
    const size_t target = at + number(file, at, 4);
    switch (field->kind) {
    case SCALAR: return true;
    case STRING:  // a zero byte follows its characters
        return check_vector(file, target, 1, NULL) && inside(file, target + 4 + number(file, target, 4), 1);
    case BYTES: return check_vector(file, target, 1, NULL);
    case WORDS: return check_vector(file, target, 4, NULL);
    case LONGS: return check_vector(file, target, 8, NULL);
    case TABLE: return check_table(file, target, field->table);
    case TABLES: return check_vector(file, target, 4, field->table);
    case OPAQUE: return check_table(file, target, &ANY);
    }
    return false;
}

static bool check_table(struct file *file, size_t at, const struct table_kind *kind) {
    if (file->visits_left == 0 || !inside(file, at, 4)) return false;
    file->visits_left--;
    const int64_t vtable_at = (int64_t)at - (int32_t)number(file, at, 4);
    if (vtable_at < 0 || !inside(file, (size_t)vtable_at, 4)) return false;
    const size_t vtable = (size_t)vtable_at;
    const size_t vtable_bytes = number(file, vtable, 2), table_bytes = number(file, vtable + 2, 2);
    if (vtable_bytes < 4 || table_bytes < 4) return false;
    if (!inside(file, vtable, vtable_bytes) || !inside(file, at, table_bytes)) return false;
    for (size_t i = 0; i < MAX_FIELDS && 4 + 2 * i + 2 <= vtable_bytes; i++) {
        const size_t offset = number(file, vtable + 4 + 2 * i, 2);
        if (offset >= table_bytes) return false;
        if (offset != 0 && !check_field(file, at + offset, &kind->fields[i])) return false;
    }
    return true;
}

static bool is_tflite(const struct file *file) {
    return file->length >= 8 && memcmp(file->bytes + 4, "TFL3", 4) == 0;
}

int tflite_bytes_check(const char *name, const void *bytes, size_t length, struct failure *failure) {
    struct file file = {.bytes = bytes, .length = length, .visits_left = length};
    if (!is_tflite(&file)) return fail(failure, FAILURE_MODEL, "model %s is not a .tflite file", name);
    if (check_table(&file, number(&file, 0, 4), &MODEL)) return 0;
    return fail(failure, FAILURE_MODEL, "model %s is cut short or damaged", name);
}

int tflite_file_check(const char *path, struct failure *failure) {
    struct mapped_file file;
    const char *reason = system_map(path, &file);
    if (reason != NULL) return fail(failure, FAILURE_MODEL, "model %s cannot be read: %s", path, reason);
    const int result = tflite_bytes_check(path, file.data, file.bytes, failure);
    system_unmap(&file);
    return result;
}
