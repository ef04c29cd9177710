#include "host_link.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <unistd.h>

#include "failure.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int received;

static void *watch_stdin(void *argument) {
    (void)argument;
    for (;;) {
        char byte;
        const ssize_t length = read(STDIN_FILENO, &byte, 1);
        if (length < 0 && errno == EINTR) continue;
        if (length <= 0) _exit(FAILURE_RUN);
        pthread_mutex_lock(&mutex);
        received++;
        pthread_cond_signal(&changed);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

int host_link_start(void) {
    pthread_t thread;
    const int status = pthread_create(&thread, NULL, watch_stdin, NULL);
    return status != 0 ? status : pthread_detach(thread);
}

void host_link_wait(void) {
    pthread_mutex_lock(&mutex);
    while (received == 0) pthread_cond_wait(&changed, &mutex);
    received--;
    pthread_mutex_unlock(&mutex);
}
