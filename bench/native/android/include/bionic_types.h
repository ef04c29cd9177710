// The types that several of bionic's headers share, on arm64 and x86_64.
//
// These headers stand in for the NDK's where there is none. They declare what the runner uses and nothing
// else, so a new function in it does not compile until it has been declared here and listed in
// libc.symbols. Sizes are asserted, since a wrong one would corrupt memory without a word.
//
// Source: bionic's documentation and its binary interface on 64-bit machines (LP64), API level 24.
#ifndef SYNCNAS_ANDROID_BIONIC_TYPES_H
#define SYNCNAS_ANDROID_BIONIC_TYPES_H

#include <stddef.h>
#include <stdint.h>

typedef long ssize_t;
typedef long off_t;
typedef long time_t;
typedef int pid_t;
typedef int clockid_t;
typedef unsigned mode_t;

struct timespec {
    time_t tv_sec;
    long tv_nsec;
};

_Static_assert(sizeof(void *) == 8 && sizeof(long) == 8, "64-bit Android is LP64");
_Static_assert(sizeof(struct timespec) == 16, "timespec");

#endif
