#include "open_networks.h"

#include <stddef.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t left = PTHREAD_COND_INITIALIZER;
static struct open_network *first;
static uint64_t last_number;

uint64_t open_networks_add(struct open_network *network) {
    pthread_mutex_lock(&mutex);
    network->number = ++last_number;
    network->next = first;
    first = network;
    pthread_mutex_unlock(&mutex);
    return network->number;
}

// The place that leads to the network of a number; it holds NULL if there is none. With the mutex held.
static struct open_network **place_of(uint64_t number) {
    struct open_network **place = &first;
    while (*place != NULL && (*place)->number != number) place = &(*place)->next;
    return place;
}

struct open_network *open_networks_enter(uint64_t number) {
    pthread_mutex_lock(&mutex);
    struct open_network *network = *place_of(number);
    if (network != NULL) network->users++;
    pthread_mutex_unlock(&mutex);
    return network;
}

void open_networks_leave(struct open_network *network) {
    pthread_mutex_lock(&mutex);
    if (--network->users == 0) pthread_cond_broadcast(&left);
    pthread_mutex_unlock(&mutex);
}

struct open_network *open_networks_remove(uint64_t number) {
    pthread_mutex_lock(&mutex);
    struct open_network **place = place_of(number);
    struct open_network *network = *place;
    if (network != NULL) *place = network->next;
    while (network != NULL && network->users > 0) pthread_cond_wait(&left, &mutex);
    pthread_mutex_unlock(&mutex);
    return network;
}
