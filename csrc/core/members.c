/* members.c: who is attached, and the proof that he lives.
 *
 * A member holds an open-file-description lock on byte SHM_MEMBER_LOCK + slot of the region file, through a descriptor
 * that nothing else uses. The kernel gives it up when the process ends, however it ends; a stopped process keeps it.
 *
 * Invariants
 *   1. word = state << 30 | token. It becomes ACTIVE only while its byte is locked by the member itself.
 *   2. A token is never given out twice within 2^18 attachments of a slot: the generation rises with every claim.
 *   3. A slot goes DEAD -> FREE only when everything of its token has been handed back (recover.c).
 *   4. The last slot is a spare: held only for the moment in which an attacher that found all others taken reaps the dead.
 *      It is taken over from one that died in that moment without being reaped first: reaping a token hands back the
 *      things of earlier ones of its slot too.
 *   5. Rows (pid, command, ...) are for people; nothing is decided by them.
 *
 * Crash table (died after ...)
 *   locking the byte ("member.locked")       the kernel unlocked it; the word is still FREE
 *   writing the row ("member.written")       as above
 *   becoming ACTIVE ("member.active")        found dead by the next probe, reaped
 *   becoming FREE again ("member.freed")     the kernel unlocks the byte
 */
#include "members.h"

#include <errno.h>
#include <string.h>

#include "../base/point.h"
#include "../os/clock.h"
#include "../os/file.h"
#include "../os/proc.h"
#include "../os/wait.h"
#include "recover.h"

enum { PATIENCE_NS = 1000000000, NAP_NS = 1000000 };

static u32 next_token(u32 word, u32 slot) {
  u32 generation = ((word & SHM_TOKEN_MASK) >> SHM_SLOT_BITS) + 1;
  if (generation >= 1u << (SHM_MEMBER_STATE_BIT - SHM_SLOT_BITS)) generation = 1; /* 0 would make the token of slot 0 "nobody" */
  return generation << SHM_SLOT_BITS | slot;
}

static void write_row(struct shm_member *member) {
  member->pid = shm__pid();
  member->start_ticks = shm__start_ticks();
  member->since_ns = shm__realtime_ns();
  member->pid_namespace = shm__pid_namespace();
  member->uid = shm__uid();
  shm_store_relaxed(&member->bell_armed, 0); /* relaxed: somebody may still ring the one before us */
  for (int i = 0; i < SHM_WAITS; i++) shm_store_relaxed(&member->wait_structure[i], 0);
  shm__command((char *)member->command, sizeof member->command);
}

/* over: whatever its word says, if the kernel says that nobody has it. */
static int claim_slot(struct shm__space *space, u32 slot, int over) {
  struct shm_member *member = &space->members[slot];
  u32 word = shm_load_acquire(&member->word);
  if (shm__member_state(word) != SHM_MEMBER_FREE && !over) return SHM_BUSY;
  int error = shm__byte_lock(space->member_fd, SHM_MEMBER_LOCK + slot);
  if (error) return error == EAGAIN ? SHM_BUSY : shm__fail_os(SHM_OS, error, "cannot lock a byte of %s", space->path);
  SHM_POINT("member.locked");
  word = shm_load_acquire(&member->word); /* the byte is ours: only reapers may still move the word */
  if (shm__member_state(word) != SHM_MEMBER_FREE && !over) {
    shm__byte_unlock(space->member_fd, SHM_MEMBER_LOCK + slot);
    return SHM_BUSY;
  }
  write_row(member);
  SHM_POINT("member.written");
  u32 token = next_token(word, slot);
  if (!shm_cas(&member->word, &word, shm__member_word(SHM_MEMBER_ACTIVE, token))) { /* SYNC member: publishes the row */
    shm__byte_unlock(space->member_fd, SHM_MEMBER_LOCK + slot);
    return SHM_BUSY;
  }
  SHM_POINT("member.active");
  space->slot = slot;
  space->token = token;
  return SHM_OK;
}

/* Is any slot but the spare one not a living member's? */
static int any_to_be_had(const struct shm__space *space) {
  for (u32 slot = 0; slot < space->member_count - 1; slot++) {
    u32 token = shm__slot_token(space, slot);
    if (token == 0 || !shm__token_alive(space, token)) return 1;
  }
  return 0;
}

int shm__member_claim(struct shm__space *space) {
  u32 spare = space->member_count - 1;
  u64 deadline_ns = shm__monotonic_ns() + PATIENCE_NS;
  do {
    for (u32 slot = 0; slot < spare; slot++) {
      int status = claim_slot(space, slot, 0);
      if (status != SHM_BUSY) return status;
    }
    if (!any_to_be_had(space)) break;
    /* Full of the dead: the spare slot gives us the token that reaping them takes. */
    int status = claim_slot(space, spare, 1);
    if (status == SHM_OK) {
      shm__reap_dead(space);
      shm__reap(space, space->token);
      shm__member_leave(space);
    } else if (status != SHM_BUSY) {
      return status;
    } else {
      shm__nap_ns(NAP_NS); /* somebody else is at it */
    }
  } while (shm__monotonic_ns() < deadline_ns);
  return shm__fail(SHM_TOO_MANY_MEMBERS,
                   "all %u member slots of %s are taken by living processes; close some, or make the space with a "
                   "larger members=",
                   spare, space->path);
}

void shm__member_leave(struct shm__space *space) {
  SHM_POINT("member.freed");
  shm__byte_unlock(space->member_fd, SHM_MEMBER_LOCK + space->slot);
  space->token = 0;
}

int shm__token_alive(const struct shm__space *space, u32 token) {
  u32 slot = shm__token_slot(token);
  if (slot >= space->member_count) return 0; /* no such member ever: damaged bytes count as dead */
  u32 word = shm_load_acquire(&space->members[slot].word);
  if (word != shm__member_word(SHM_MEMBER_ACTIVE, token)) return 0;
  if (token == space->token) return 1;
  return shm__byte_locked(space->region_fd, SHM_MEMBER_LOCK + slot) != 0; /* cannot tell: alive */
}

int shm__token_gone_with(const struct shm__space *space, u32 token, u32 dead) {
  u32 slot = shm__token_slot(dead);
  if (token == dead) return 1;
  if (token == 0 || shm__token_slot(token) != slot || slot >= space->member_count) return 0;
  u32 word = shm_load_acquire(&space->members[slot].word); /* what shows the token was written after it became ACTIVE */
  return word != shm__member_word(SHM_MEMBER_ACTIVE, token);
}

u32 shm__slot_token(const struct shm__space *space, u32 slot) {
  u32 word = shm_load_acquire(&space->members[slot].word); /* SYNC member */
  return shm__member_state(word) == SHM_MEMBER_FREE ? 0 : word & SHM_TOKEN_MASK;
}

void shm__member_ring(struct shm__space *space, u32 slot) {
  if (slot >= space->member_count) return;
  struct shm_member *member = &space->members[slot];
  shm_add(&member->bell, 1);
  shm_fence_after_rmw();
  if (shm_load_relaxed(&member->bell_armed)) shm__futex_wake(&member->bell, UINT32_MAX);
}

u32 shm__wait_show(struct shm__space *space, u32 id, u32 what) {
  struct shm_member *member = &space->members[space->slot];
  for (u32 place = 0; place < SHM_WAITS && id != 0; place++) {
    u32 nobody = 0;
    if (!shm_cas(&member->wait_structure[place], &nobody, id)) continue;
    shm_store_relaxed(&member->wait_what[place], what); /* relaxed: for people only */
    shm_store_relaxed(&member->wait_since_ns[place], shm__realtime_ns());
    return place;
  }
  return SHM_WAITS;
}

void shm__wait_hide(struct shm__space *space, u32 place) {
  if (place < SHM_WAITS) shm_store_release(&space->members[space->slot].wait_structure[place], 0);
}
