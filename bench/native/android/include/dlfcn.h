#ifndef SYNCNAS_ANDROID_DLFCN_H
#define SYNCNAS_ANDROID_DLFCN_H

#define RTLD_NOW 2
#define RTLD_GLOBAL 0x100  // as on glibc, but only on 64-bit bionic

void *dlopen(const char *path, int flags);
void *dlsym(void *library, const char *symbol);
char *dlerror(void);

#endif
