#ifndef SYNCNAS_ANDROID_SYS_STAT_H
#define SYNCNAS_ANDROID_SYS_STAT_H

#include <bionic_types.h>

#ifdef __x86_64__

struct stat {
    unsigned long st_dev;
    unsigned long st_ino;
    unsigned long st_nlink;
    mode_t st_mode;
    unsigned st_uid;
    unsigned st_gid;
    unsigned reserved1;
    unsigned long st_rdev;
    off_t st_size;
    long st_blksize;
    long st_blocks;
    struct timespec st_atim;
    struct timespec st_mtim;
    struct timespec st_ctim;
    long reserved2[3];
};

_Static_assert(sizeof(struct stat) == 144, "stat");
_Static_assert(offsetof(struct stat, st_mode) == 24, "stat.st_mode");

#else

// The kernel's generic layout for 64-bit machines.
struct stat {
    unsigned long st_dev;
    unsigned long st_ino;
    mode_t st_mode;
    unsigned st_nlink;
    unsigned st_uid;
    unsigned st_gid;
    unsigned long st_rdev;
    unsigned long reserved1;
    off_t st_size;
    int st_blksize;
    int reserved2;
    long st_blocks;
    struct timespec st_atim;
    struct timespec st_mtim;
    struct timespec st_ctim;
    unsigned reserved3[2];
};

_Static_assert(sizeof(struct stat) == 128, "stat");
_Static_assert(offsetof(struct stat, st_mode) == 16, "stat.st_mode");

#endif

_Static_assert(offsetof(struct stat, st_size) == 48, "stat.st_size");

#define S_ISREG(mode) (((mode) & 0170000) == 0100000)

int fstat(int descriptor, struct stat *status);

#endif
