/* recover.c: reap(member), the one function that repairs what a death left.
 *
 * Called at attach, by a blocked peer that finds a dead owner, at detach by the member itself, and by a supervisor.
 *
 * Invariants
 *   1. Idempotent: every step compares and swaps an exact word that carries the dead one's token (slot and generation),
 *      or repairs under a lock. Any number of reapers may work at once, be killed, and start again.
 *   2. The order is fixed: locks before blocks (a repair links the blocks that are reachable; only then are those that
 *      the dead still holds garbage), blocks before the slot. The slot becomes FREE last.
 *   3. Nothing waits for ever: where a stopped process is in the way, the slot stays DEAD and the next reaper goes on.
 *
 * Crash table (died after ...)
 *   marking it dead ("reap.marked")        any later reaper finds the slot DEAD and starts again
 *   the locks of core ("reap.locks")       as above
 *   the structures ("reap.structures")     as above
 *   its user bits ("reap.evicted")         as above
 *   its blocks ("reap.blocks")             as above; blocks taken over by the reaper are reaped with the reaper
 *   freeing the slot ("reap.freed")        done
 *
 * Lock order: directory, then class, then pool; a structure's locks are taken with none of these held, except that
 * burying a structure frees its blocks under the directory lock.
 */
#include "recover.h"

#include <stdlib.h>

#include "../base/point.h"
#include "../os/clock.h"
#include "blocks.h"
#include "directory.h"
#include "lock.h"
#include "members.h"
#include "pages.h"

enum { PATIENCE_NS = 100000000 };

static void inherit_core_locks(struct shm__space *space, u32 dead) {
  if (shm__lock_inherit(space, &space->directory->lock, dead)) {
    shm__directory_repair(space);
    shm__unlock(&space->directory->lock);
  }
  if (shm__lock_inherit(space, &space->pool->lock, dead)) {
    shm__pages_repair(space);
    shm__unlock(&space->pool->lock);
  }
  for (u32 c = 0; c < SHM_CLASSES; c++) {
    if (shm__lock_inherit(space, &space->classes[c].lock, dead)) {
      shm__unlock_broken(&space->classes[c].lock); /* whoever takes it next rebuilds the list */
    }
  }
}

static int recover_structures(struct shm__space *space, u32 dead, u64 deadline_ns) {
  struct shm__structure **structures;
  u64 count;
  int status = shm__directory_open_all(space, deadline_ns, &structures, &count);
  if (status != SHM_OK) return status;
  for (u64 i = 0; i < count; i++) {
    for (u32 t = 0; space->types[t]; t++) {
      if (space->types[t]->kind != structures[i]->kind) continue;
      int one = space->types[t]->recover(space, structures[i]->main, dead);
      if (one != SHM_OK) status = one;
    }
    shm__directory_release(space, structures[i]);
  }
  free(structures);
  return status;
}

int shm__reap(struct shm__space *space, u32 token) {
  if (token == 0 || shm__token_slot(token) >= space->member_count) return SHM_OK;
  struct shm_member *member = &space->members[shm__token_slot(token)];
  u32 word = shm__member_word(SHM_MEMBER_ACTIVE, token);
  u32 reaped = shm__member_word(token == space->token ? SHM_MEMBER_ACTIVE : SHM_MEMBER_DEAD, token); /* who leaves is not dead */
  if (token != space->token && shm__token_alive(space, token)) return SHM_OK;
  if (!shm_cas(&member->word, &word, reaped) && word != reaped) return SHM_OK; /* reaped by somebody else */
  SHM_POINT("reap.marked");
  u64 deadline_ns = shm__monotonic_ns() + PATIENCE_NS;
  inherit_core_locks(space, token);
  SHM_POINT("reap.locks");
  int status = recover_structures(space, token, deadline_ns);
  SHM_POINT("reap.structures");
  if (status == SHM_OK) status = shm__directory_evict(space, token, deadline_ns);
  if (status != SHM_OK) return status;
  SHM_POINT("reap.evicted");
  status = shm__blocks_reap(space, token);
  if (status != SHM_OK) return status;
  SHM_POINT("reap.blocks");
  word = reaped;
  if (shm_cas(&member->word, &word, shm__member_word(SHM_MEMBER_FREE, token)) && token != space->token) {
    shm_add(&space->header->recoveries, 1);
  }
  SHM_POINT("reap.freed");
  return SHM_OK;
}

void shm__reap_dead(struct shm__space *space) {
  for (u32 slot = 0; slot < space->member_count; slot++) {
    u32 token = shm__slot_token(space, slot);
    if (token && token != space->token && !shm__token_alive(space, token)) shm__reap(space, token);
  }
}

void shm__reap_suspect(struct shm__space *space) {
  u32 suspect = shm_load_relaxed(&space->suspect);
  if (suspect == 0) return;
  shm_store_relaxed(&space->suspect, 0);
  shm__reap(space, suspect);
}
