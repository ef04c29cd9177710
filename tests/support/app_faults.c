// Whatever of the library takes memory, a thread or a mapping: number APP_FAULT of them fails.
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static int fails(void) {
    static int count = 0;
    const char *wanted = getenv("APP_FAULT");
    return wanted != NULL && __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST) == atoi(wanted);
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
int __real_posix_memalign(void **memory, size_t alignment, size_t bytes);
char *__real_strdup(const char *text);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);
void *__real_mmap(void *address, size_t bytes, int protection, int flags, int descriptor, off_t offset);

void *__wrap_malloc(size_t bytes) { return fails() ? NULL : __real_malloc(bytes); }
void *__wrap_calloc(size_t count, size_t bytes) { return fails() ? NULL : __real_calloc(count, bytes); }
void *__wrap_realloc(void *memory, size_t bytes) { return fails() ? NULL : __real_realloc(memory, bytes); }
int __wrap_posix_memalign(void **memory, size_t alignment, size_t bytes) {
    return fails() ? ENOMEM : __real_posix_memalign(memory, alignment, bytes);
}
char *__wrap_strdup(const char *text) { return fails() ? NULL : __real_strdup(text); }
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
    return fails() ? EAGAIN : __real_pthread_create(thread, attributes, start, argument);
}
void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int descriptor, off_t offset) {
    return fails() ? errno = ENOMEM, MAP_FAILED : __real_mmap(address, bytes, protection, flags, descriptor, offset);
}
