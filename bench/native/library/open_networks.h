// The networks that are open, by number. A number that was closed is never given again, so using it is an error that
// can be told, not memory that is gone.
#ifndef SYNCNAS_OPEN_NETWORKS_H
#define SYNCNAS_OPEN_NETWORKS_H

#include <pthread.h>

#include "../executor.h"
#include "network.h"

struct open_network {
    struct open_network *next;
    uint64_t number;
    int users;              // calls under way
    pthread_mutex_t turn;   // held by the one that runs
    struct network network;
    bool mapped;            // the files were mapped from a folder
    struct app_memory memory;
    void *owned[2];         // input and output, where the app gave none
    struct executor *executor;
    struct bound_job *job;
    struct job_stamps stamps;
    struct failure failure;  // of a run, for good
};

// Returns the network's number.
uint64_t open_networks_add(struct open_network *network);

// The network of a number, or NULL; it stays until it is left.
struct open_network *open_networks_enter(uint64_t number);
void open_networks_leave(struct open_network *network);

// Take a network out and wait until it is left by all. NULL if the number is not open.
struct open_network *open_networks_remove(uint64_t number);

#endif
