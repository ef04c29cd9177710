// The files of a bundle: out of a folder, which they are mapped from, or from memory of the app's.
#ifndef SYNCNAS_BUNDLE_FILES_H
#define SYNCNAS_BUNDLE_FILES_H

#include "network.h"

// Find network.txt and read it into `network`.
int bundle_read_network(const syncnas_bundle *bundle, struct network *network, struct failure *failure);

// Find every file that the network names, and compare its sha256: afterwards plan->contents has them all.
int bundle_find_files(const syncnas_bundle *bundle, struct plan *plan, struct failure *failure);

// Unmap the files of a bundle that is a folder.
void bundle_unmap_files(const struct plan *plan);

#endif
