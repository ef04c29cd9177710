#ifndef SYNCNAS_ANDROID_SYS_MMAN_H
#define SYNCNAS_ANDROID_SYS_MMAN_H

#include <bionic_types.h>

#define PROT_READ 1
#define MAP_PRIVATE 2
#define MAP_FAILED ((void *)-1)

void *mmap(void *address, size_t bytes, int protection, int flags, int descriptor, off_t offset);
int munmap(void *address, size_t bytes);

#endif
