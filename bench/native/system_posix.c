// What Linux, Android and macOS have in common.
#include "system.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// To be loaded before LiteRT, where it exists: GPU accelerators look for what is in it and do not name it as needed.
#if defined(__APPLE__)
#define SYSTEM_LIBRARY "/System/Library/Frameworks/CoreGraphics.framework/CoreGraphics"  // else Metal finds no GPU
#else
#define SYSTEM_LIBRARY "libandroid.so"  // Android's buffers
#endif

void *system_load_litert(const char *path, struct failure *failure) {
    dlopen(SYSTEM_LIBRARY, RTLD_NOW | RTLD_GLOBAL);
    // Global: the accelerator library that LiteRT loads later resolves LiteRT's own symbols.
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (library == NULL) fail(failure, FAILURE_RUNTIME, "LiteRT library cannot be loaded: %s", dlerror());
    return library;
}

void *system_find(void *library, const char *symbol) { return dlsym(library, symbol); }

void *system_allocate(size_t alignment, size_t bytes) {
    void *memory = NULL;
    return posix_memalign(&memory, alignment, bytes) == 0 ? memset(memory, 0, bytes) : NULL;
}

void system_free(void *memory) { free(memory); }

const char *system_map(const char *path, struct mapped_file *file) {
    struct stat status;
    *file = (struct mapped_file){0};
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return strerror(errno);
    const bool regular = fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    if (regular) file->bytes = (size_t)status.st_size;
    void *data = file->bytes > 0 ? mmap(NULL, file->bytes, PROT_READ, MAP_PRIVATE, descriptor, 0) : NULL;
    const char *reason = data == MAP_FAILED ? strerror(errno) : regular ? NULL : "it is not a file";
    if (reason == NULL) file->data = data;
    close(descriptor);
    return reason;
}

void system_unmap(const struct mapped_file *file) {
    if (file->data != NULL) munmap((void *)file->data, file->bytes);
}
