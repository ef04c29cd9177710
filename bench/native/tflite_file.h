// Check a .tflite file before LiteRT follows its offsets: LiteRT 2.3 does not, and crashes on a cut file.
#ifndef SYNCNAS_TFLITE_FILE_H
#define SYNCNAS_TFLITE_FILE_H

#include <stddef.h>

#include "failure.h"

// Every table, vector and string that the file's root leads to lies inside the file, except below the
// options of an operation (FAILURE_MODEL).
int tflite_file_check(const char *path, struct failure *failure);

// The same for a file in memory.
int tflite_bytes_check(const char *name, const void *bytes, size_t length, struct failure *failure);

#endif
