#ifndef SYNCNAS_ANDROID_UNISTD_H
#define SYNCNAS_ANDROID_UNISTD_H

#include <bionic_types.h>

#define STDIN_FILENO 0
#define STDOUT_FILENO 1
#define STDERR_FILENO 2

ssize_t read(int descriptor, void *into, size_t bytes);
ssize_t write(int descriptor, const void *from, size_t bytes);
int close(int descriptor);
int dup(int descriptor);
int dup2(int descriptor, int wanted);
_Noreturn void _exit(int code);

#endif
