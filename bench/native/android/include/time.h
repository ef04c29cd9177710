#ifndef SYNCNAS_ANDROID_TIME_H
#define SYNCNAS_ANDROID_TIME_H

#include <bionic_types.h>

#define CLOCK_MONOTONIC 1

int clock_gettime(clockid_t clock, struct timespec *time);
int nanosleep(const struct timespec *duration, struct timespec *left);

#endif
