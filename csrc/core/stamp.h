/* stamp.h: time stamps that strictly increase over all processes of a space. */
#ifndef SHM_CORE_STAMP_H
#define SHM_CORE_STAMP_H

#include "space.h"

/* The next stamp: now, ns since the epoch, UTC, or one more than the last one when the clock stands or steps back. */
u64 shm__stamp(struct shm__space *space);

#endif
