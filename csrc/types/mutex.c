/* mutex.c: a lock that people name.
 *
 * The word is that of core/lock.c. Here its repair bit means: the last holder died without releasing it. reap leaves the
 * word free with that bit set, and the next holder is told.
 *
 * Invariants
 *   1. Whoever holds the word holds the lock; since_ns is for people.
 *   2. The repair bit is cleared by the holder who was told, before he uses the lock.
 *   3. A mutex that nobody has open, nobody holds, and whose repair bit is clear may vanish.
 *
 * Crash table (died after ...)
 *   taking it ("lock.taken", "lock.inherited")   heir or reap: free, repair bit set
 *   clearing the repair bit ("mutex.told")       reap sets it again
 *   releasing it ("lock.released")               a sleeper's nap ends after at most 25 ms
 */
#include "mutex.h"

#include <string.h>

#include "../base/point.h"
#include "../core/lock.h"
#include "../os/clock.h"
#include "../os/wait.h"

int shm__mutex_make(struct shm__space *space, u32 id, u64 deadline_ns, struct shm__ref *main) {
  int status = shm__block_alloc(space, sizeof(struct shm_mutex), deadline_ns, main);
  if (status != SHM_OK) return status;
  struct shm_mutex *mutex = (struct shm_mutex *)(space->base + main->offset);
  memset(mutex, 0, sizeof *mutex);
  mutex->life = SHM_LIFE_LIVE;
  mutex->id = id;
  return SHM_OK;
}

int shm__mutex_bind(struct shm__space *space, u64 main, struct shm_mutex **mutex) {
  *mutex = shm__block_header(space, main) ? shm__at(space, main, sizeof **mutex, 16) : NULL;
  return *mutex ? SHM_OK : shm__fail(SHM_CORRUPTED, "%s: a lock's directory entry is damaged", space->path);
}

int shm__mutex_take(struct shm__space *space, struct shm_mutex *mutex, u64 deadline_ns, int *owner_died) {
  u32 nobody = 0;
  int status = SHM_OK, died = 0;
  if (shm_load_acquire(&mutex->life) != SHM_LIFE_LIVE || shm_load_relaxed(&space->closing)) return SHM_CLOSED;
  if (!shm_cas(&mutex->word, &nobody, space->token)) {
    status = shm__lock_watching(space, &mutex->word, deadline_ns, mutex->id, &mutex->life);
  }
  if (status == SHM__REPAIR) {
    died = 1;
    shm_and(&mutex->word, ~(u32)SHM_LOCK_REPAIR);
    SHM_POINT("mutex.told");
    status = SHM_OK;
  }
  if (status == SHM_OK) {
    *owner_died = died; /* written only now: a caller that is interrupted can tell whether he has the lock */
    shm_store_relaxed(&mutex->since_ns, shm__realtime_ns()); /* relaxed: for people */
  }
  return status == SHM_TIMEOUT || status == SHM_BUSY ? SHM_LOCKED : status;
}

int shm__mutex_release(struct shm__space *space, struct shm_mutex *mutex) {
  if ((shm_load_relaxed(&mutex->word) & SHM_TOKEN_MASK) != space->token) return SHM_CLOSED; /* a fork's child, say */
  shm__unlock(&mutex->word);
  return SHM_OK;
}

static int recover(struct shm__space *space, u64 main, u32 dead) {
  struct shm_mutex *mutex;
  if (shm__mutex_bind(space, main, &mutex) == SHM_OK && shm__lock_inherit(space, &mutex->word, dead)) {
    shm__unlock_broken(&mutex->word);
  }
  return SHM_OK;
}

static void teardown(struct shm__space *space, u64 main) { (void)space, (void)main; }

static void wake(struct shm__space *space, u64 main) {
  struct shm_mutex *mutex;
  if (shm__mutex_bind(space, main, &mutex) == SHM_OK) shm__futex_wake(&mutex->word, UINT32_MAX);
}

static void retire(struct shm__space *space, u64 main) {
  struct shm_mutex *mutex;
  if (shm__mutex_bind(space, main, &mutex) != SHM_OK) return;
  shm_store_release(&mutex->life, SHM_LIFE_DELETED);
  wake(space, main);
}

static int idle(struct shm__space *space, u64 main) {
  struct shm_mutex *mutex;
  return shm__mutex_bind(space, main, &mutex) == SHM_OK && shm_load_acquire(&mutex->word) == 0;
}

const struct shm__type shm__mutex_type = {SHM_KIND_LOCK, recover, teardown, retire, wake, idle};
