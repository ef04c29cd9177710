#ifndef SYNCNAS_ANDROID_STRING_H
#define SYNCNAS_ANDROID_STRING_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *memory, int byte, size_t bytes);
void *memchr(const void *memory, int byte, size_t bytes);
int memcmp(const void *one, const void *other, size_t bytes);
size_t strlen(const char *text);
int strcmp(const char *one, const char *other);
char *strchr(const char *text, int character);
char *strrchr(const char *text, int character);
char *strpbrk(const char *text, const char *characters);
char *strdup(const char *text);
char *strtok_r(char *text, const char *separators, char **state);
char *strerror(int code);

#endif
