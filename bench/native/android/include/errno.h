#ifndef SYNCNAS_ANDROID_ERRNO_H
#define SYNCNAS_ANDROID_ERRNO_H

#define EINTR 4

int *__errno(void) __attribute__((const));
#define errno (*__errno())

#endif
