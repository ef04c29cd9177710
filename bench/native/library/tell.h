// How the public functions say how they ended.
#ifndef SYNCNAS_TELL_H
#define SYNCNAS_TELL_H

#include "../failure.h"
#include "syncnas.h"

// `error` may be NULL.
syncnas_status tell(const struct failure *failure, syncnas_error *error);
syncnas_status tell_closed(syncnas_error *error);

#endif
