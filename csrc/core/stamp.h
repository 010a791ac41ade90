/* stamp.h: the clock of a space, and time stamps that strictly increase over all its processes. */
#ifndef SHM_CORE_STAMP_H
#define SHM_CORE_STAMP_H

#include "space.h"

/* The clock of all members, ns: never steps, whatever is done to the time of day. */
u64 shm__space_clock(const struct shm__space *space);

/* What that clock lacks now to the time since the epoch. */
u64 shm__clock_offset(u64 shift_ns);

/* The next stamp: now, ns since the epoch, UTC, or one more than the last one when the clock stands or steps back. */
u64 shm__stamp(struct shm__space *space);

/* The same for one of several parts (a power of two, up to SHM__STAMP_PARTS), each with a lock that guards *last, its last
 * stamp: parts do not share a cache line. It is larger than all that were had before it began. */
enum { SHM__STAMP_PARTS = 32 };
u64 shm__stamp_apart(struct shm__space *space, u64 *last, u32 part, u32 parts);

#endif
