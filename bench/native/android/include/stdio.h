#ifndef SYNCNAS_ANDROID_STDIO_H
#define SYNCNAS_ANDROID_STDIO_H

#include <stdarg.h>
#include <bionic_types.h>

typedef struct __sFILE FILE;
extern FILE *stderr;  // an exported pointer since API level 23

int printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
int fprintf(FILE *file, const char *format, ...) __attribute__((format(printf, 2, 3)));
int snprintf(char *text, size_t bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));
int vsnprintf(char *text, size_t bytes, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

FILE *fopen(const char *path, const char *mode);
int fclose(FILE *file);
char *fgets(char *line, int bytes, FILE *file);
size_t fread(void *items, size_t item_bytes, size_t count, FILE *file);
size_t fwrite(const void *items, size_t item_bytes, size_t count, FILE *file);

#endif
