/* mutex.h: a lock that people name; see mutex.c. */
#ifndef SHM_TYPES_MUTEX_H
#define SHM_TYPES_MUTEX_H

#include "../core/space.h"
#include "../core/blocks.h"

extern const struct shm__type shm__mutex_type;

int shm__mutex_make(struct shm__space *space, u32 id, u64 deadline_ns, struct shm__ref *main);

/* SHM_CORRUPTED when the bytes at payload offset main cannot be a mutex. */
int shm__mutex_bind(struct shm__space *space, u64 main, struct shm_mutex **mutex);

/* Take it: *owner_died says whether the last holder died without releasing it. SHM_LOCKED at the deadline. */
int shm__mutex_take(struct shm__space *space, struct shm_mutex *mutex, u64 deadline_ns, int *owner_died);

/* Release it, if this member holds it; SHM_CLOSED if not. */
int shm__mutex_release(struct shm__space *space, struct shm_mutex *mutex);

#endif
