#ifndef SYNCNAS_ANDROID_PTHREAD_H
#define SYNCNAS_ANDROID_PTHREAD_H

#include <bionic_types.h>

typedef long pthread_t;
typedef struct pthread_attributes pthread_attr_t;  // never made: threads and mutexes have the default ones
typedef struct pthread_mutex_attributes pthread_mutexattr_t;
typedef struct pthread_cond_attributes pthread_condattr_t;

typedef struct {
    int32_t opaque[10];
} pthread_mutex_t;

typedef struct {
    int32_t opaque[12];
} pthread_cond_t;

_Static_assert(sizeof(pthread_mutex_t) == 40 && _Alignof(pthread_mutex_t) == 4, "pthread_mutex_t");
_Static_assert(sizeof(pthread_cond_t) == 48 && _Alignof(pthread_cond_t) == 4, "pthread_cond_t");

#define PTHREAD_MUTEX_INITIALIZER {{0}}
#define PTHREAD_COND_INITIALIZER {{0}}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);
int pthread_join(pthread_t thread, void **result);
int pthread_detach(pthread_t thread);

int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int pthread_mutex_destroy(pthread_mutex_t *mutex);
int pthread_mutex_lock(pthread_mutex_t *mutex);
int pthread_mutex_unlock(pthread_mutex_t *mutex);

int pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes);
int pthread_cond_destroy(pthread_cond_t *condition);
int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int pthread_cond_signal(pthread_cond_t *condition);
int pthread_cond_broadcast(pthread_cond_t *condition);

#endif
