/* lock.c: a lock word whose owner can be proved dead.
 *
 * Invariants
 *   1. The low 30 bits are the owner's token, 0 when free. They change by one compare-and-swap only: 0 -> me by whoever
 *      takes it, me -> 0 by the owner, dead -> me by whoever has proof from the kernel that the owner is dead.
 *   2. SHM_LOCK_REPAIR is set from the moment a dead owner's lock is taken over until its guarded data is repaired. A
 *      repairer that dies leaves it set, so the next one repairs again: repair functions are idempotent.
 *   3. SHM_LOCK_WAITERS is set before anybody sleeps and stays set while somebody may sleep: who wakes up takes the lock
 *      with the bit, not knowing whether he was the last one.
 *   4. Nobody is robbed: a stopped owner's file byte stays locked. Waiters give up at their own deadline.
 *
 * Crash table (died after ...)
 *   take, anywhere in the guarded section ("lock.taken")   a waiter looks before its first nap and after each (2 to 25 ms),
 *                                                          or reap takes it over
 *   unlock, before its wake-up ("lock.released")           the sleeper's nap ends after at most 25 ms and it takes it
 *   set the waiters bit, before sleeping ("lock.announced") one useless wake-up
 *   taking over, before or in repair ("lock.inherited")    as in the first row; the repair bit is still set
 *
 * Model: tests/model/lock.pml.
 */
#include "lock.h"

#include "../base/point.h"
#include "../os/clock.h"
#include "../os/wait.h"
#include "members.h"

enum { SPIN_ROUNDS = 100, NAP_LEAST_NS = 2000000, NAP_MOST_NS = 25000000 };

/* One attempt on a word found free. */
static int take_free(struct shm__space *space, u32 *word, u32 found, u32 bits) {
  u32 desired = space->token | (found & (SHM_LOCK_REPAIR | SHM_LOCK_WAITERS)) | bits;
  if (!shm_cas(word, &found, desired)) return SHM_BUSY; /* SYNC lock */
  SHM_POINT("lock.taken");
  return found & SHM_LOCK_REPAIR ? SHM__REPAIR : SHM_OK;
}

/* The owner found in the word is proved dead: take it over. */
static int take_dead(struct shm__space *space, u32 *word, u32 found) {
  if (!shm_cas(word, &found, space->token | SHM_LOCK_REPAIR | SHM_LOCK_WAITERS)) return SHM_BUSY;
  SHM_POINT("lock.inherited");
  shm_store_relaxed(&space->suspect, found & SHM_TOKEN_MASK); /* only a note to ourselves */
  return SHM__REPAIR;
}

/* For those who only ever try: they never come to the probe of those who wait. */
static int try_dead(struct shm__space *space, u32 *word) {
  u32 found = shm_load_relaxed(word), owner = found & SHM_TOKEN_MASK;
  return owner != 0 && !shm__token_alive(space, owner) ? take_dead(space, word, found) : SHM_BUSY;
}

static int spin(struct shm__space *space, u32 *word) {
  for (int round = 0; round < SPIN_ROUNDS; round++) {
    u32 found = shm_load_relaxed(word); /* relaxed: the compare-and-swap decides */
    if ((found & SHM_TOKEN_MASK) == 0) {
      int status = take_free(space, word, found, 0);
      if (status != SHM_BUSY) return status;
    }
    if (space->cpus < 2) return SHM_BUSY;
    shm_pause();
  }
  return SHM_BUSY;
}

int shm__lock_watching(struct shm__space *space, u32 *word, u64 deadline_ns, u32 id, const u32 *life) {
  int status = spin(space, word);
  if (status != SHM_BUSY) return status;
  if (deadline_ns == SHM__TRY) return life ? try_dead(space, word) : status;
  u64 nap_ns = NAP_LEAST_NS;
  u32 bits = 0, shown = SHM_WAITS;
  for (;;) {
    u32 found = shm_load_relaxed(word);
    if (life && (shm_load_acquire(life) != SHM_LIFE_LIVE || shm_load_acquire(&space->closing))) {
      status = SHM_CLOSED;
      break;
    }
    if ((found & SHM_TOKEN_MASK) == 0) {
      status = take_free(space, word, found, bits);
      if (status != SHM_BUSY) break;
      continue;
    }
    if (!(found & SHM_LOCK_WAITERS)) {
      if (!shm_cas(word, &found, found | SHM_LOCK_WAITERS)) continue;
      found |= SHM_LOCK_WAITERS;
      SHM_POINT("lock.announced");
    }
    u64 now_ns = shm__monotonic_ns();
    if (now_ns >= deadline_ns) {
      status = shm__token_alive(space, found & SHM_TOKEN_MASK) ? SHM_TIMEOUT : take_dead(space, word, found);
      if (status == SHM_BUSY) continue;
      if (status == SHM_TIMEOUT) shm_store_relaxed(&space->blocker, found & SHM_TOKEN_MASK);
      break;
    }
    if (shown == SHM_WAITS) { /* the first time: whoever died with many locks is found out at each of them at once */
      shown = shm__wait_show(space, id, SHM__WAITS_LOCK);
      status = shm__token_alive(space, found & SHM_TOKEN_MASK) ? SHM_BUSY : take_dead(space, word, found);
      if (status != SHM_BUSY) break;
    }
    u64 left_ns = deadline_ns - now_ns;
    enum shm__wait_result result = shm__futex_wait(word, found, left_ns < nap_ns ? left_ns : nap_ns);
    bits = SHM_LOCK_WAITERS;
    if (result == SHM__WAIT_SIGNAL) {
      status = SHM_INTERRUPTED;
      break;
    }
    if (result == SHM__WAIT_WOKEN) continue;
    nap_ns = nap_ns * 2 < NAP_MOST_NS ? nap_ns * 2 : NAP_MOST_NS;
    found = shm_load_relaxed(word);
    if ((found & SHM_TOKEN_MASK) != 0 && !shm__token_alive(space, found & SHM_TOKEN_MASK)) {
      status = take_dead(space, word, found);
      if (status != SHM_BUSY) break;
    }
  }
  shm__wait_hide(space, shown);
  return status;
}

int shm__lock_slow(struct shm__space *space, u32 *word, u64 deadline_ns, u32 id) {
  return shm__lock_watching(space, word, deadline_ns, id, NULL);
}

void shm__unlock_wake(u32 *word) {
  SHM_POINT("lock.released");
  shm__futex_wake(word, 1);
}

void shm__unlock_broken(u32 *word) {
  u32 old = shm_exchange(word, SHM_LOCK_REPAIR);
  if (old & SHM_LOCK_WAITERS) shm__futex_wake(word, 1);
}

int shm__lock_inherit(struct shm__space *space, u32 *word, u32 dead) {
  u32 found = shm_load_acquire(word);
  while (shm__token_gone_with(space, found & SHM_TOKEN_MASK, dead)) {
    if (shm_cas(word, &found, space->token | SHM_LOCK_REPAIR | SHM_LOCK_WAITERS)) {
      SHM_POINT("lock.inherited");
      return 1;
    }
  }
  return 0;
}
