/* lock.h: the lock word, see lock.c. */
#ifndef SHM_CORE_LOCK_H
#define SHM_CORE_LOCK_H

#include "space.h"

/* Take the lock. SHM_OK; SHM__REPAIR (taken; the last owner died, repair first); SHM_BUSY (deadline SHM__TRY only);
 * SHM_TIMEOUT; SHM_INTERRUPTED. id is the structure shown as what this member waits for. */
int shm__lock_slow(struct shm__space *space, u32 *word, u64 deadline_ns, u32 id);

/* A lock that people name is waited for by its own rules: the same, but it reports SHM_CLOSED once *life is deleted. */
int shm__lock_watching(struct shm__space *space, u32 *word, u64 deadline_ns, u32 id, const u32 *life);

static inline int shm__lock(struct shm__space *space, u32 *word, u64 deadline_ns, u32 id) {
  u32 found = 0;
  /* SYNC lock: acquire here, release in shm__unlock */
  if (__builtin_expect(shm_cas(word, &found, space->token), 1)) return SHM_OK;
  return shm__lock_slow(space, word, deadline_ns, id);
}

void shm__unlock_wake(u32 *word);

/* Give the lock up. A full fence: what is read afterwards is read after the unlock is visible. */
static inline void shm__unlock(u32 *word) {
  u32 old = shm_exchange(word, 0); /* SYNC lock */
  shm_fence_after_rmw();
  if (__builtin_expect(old & SHM_LOCK_WAITERS, 0)) shm__unlock_wake(word);
}

/* Give it up unrepaired: the next one must try. */
void shm__unlock_broken(u32 *word);

/* Take a lock over from a member that is proved dead; 1 if it was his and is ours now, to be repaired and unlocked. */
int shm__lock_inherit(struct shm__space *space, u32 *word, u32 dead);

#endif
