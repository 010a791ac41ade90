/* clock.h: time in nanoseconds. */
#ifndef SHM_OS_CLOCK_H
#define SHM_OS_CLOCK_H

#include "../include/shmspace_layout.h"

/* For deadlines: never steps. */
u64 shm__monotonic_ns(void);

/* For people: ns since the epoch, UTC; may step. */
u64 shm__realtime_ns(void);

/* As the first, but it runs on while the machine is suspended. */
u64 shm__boottime_ns(void);

/* How far that clock is set forward in our time namespace (time_namespaces(7)). */
u64 shm__boottime_shift_ns(void);

/* The same at the last tick, some milliseconds ago: a quarter of the price. */
u64 shm__monotonic_tick_ns(void);
u64 shm__realtime_tick_ns(void);

#endif
