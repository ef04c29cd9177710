#ifndef SYNCNAS_ANDROID_STDLIB_H
#define SYNCNAS_ANDROID_STDLIB_H

#include <stddef.h>

void *malloc(size_t bytes);
void *calloc(size_t count, size_t item_bytes);
void *realloc(void *memory, size_t bytes);
void free(void *memory);
int posix_memalign(void **memory, size_t alignment, size_t bytes);

long long strtoll(const char *text, char **end, int base);
double strtod(const char *text, char **end);

#endif
