/* store_claim.c: locks of keys, and watches: what members have in a store while they live. Each is a block LINKED to the store, on
 * a list of its shard (watches: shard 0), and names its owner.
 *
 * Invariants
 *   1. A lock is somebody's while `owner` is the token of a living member. Nobody else changes it then.
 *   2. A lock whose owner has died stays on the list, free and marked, until the next one takes it and is told.
 *
 * Crash table (died after ...)
 *   adding one ("claim.added")       heir of the shard's lock links its block; it is the dead one's
 *   holding one to remove it ("claim.held")  it is on the list: as above
 *   removing one ("claim.removed")   reap frees the block
 *   having a lock                    reap frees and marks it; who waits looks every 25 ms whether its owner lives
 */
#include "store_claim.h"

#include <string.h>

#include "../base/glob.h"
#include "../base/point.h"
#include "../core/members.h"
#include "../os/clock.h"
#include "../os/wait.h"

enum { NAP_NS = 25000000 };

int shm__claim_alloc(struct shm__store *store, u32 kind, const struct shm__key *key, u64 deadline_ns, struct shm__ref *ref) {
  int status = shm__block_alloc(store->space, sizeof(struct shm_claim) + key->length, deadline_ns, ref);
  if (status != SHM_OK) return status;
  struct shm_claim *claim = (struct shm_claim *)(store->space->base + ref->offset);
  *claim = (struct shm_claim){.kind = kind, .key_length = key->length};
  if (key->length) memcpy(claim + 1, key->bytes, key->length);
  return SHM_OK;
}

int shm__claim_wait(struct shm__store *store, u32 owner, u32 value, u64 deadline_ns) {
  if (!shm__token_alive(store->space, owner)) {
    shm__reap(store->space, owner);
    return SHM_OK;
  }
  u64 now_ns = shm__monotonic_ns();
  if (now_ns >= deadline_ns) {
    shm_store_relaxed(&store->space->blocker, owner);
    return SHM_LOCKED;
  }
  u32 place = shm__wait_show(store->space, store->id, SHM__WAITS_LOCK);
  enum shm__wait_result result = shm__futex_wait(store->locks.word, value, shm_min(NAP_NS, deadline_ns - now_ns));
  shm__wait_hide(store->space, place);
  if (shm__store_closed(store)) return SHM_CLOSED;
  return result == SHM__WAIT_SIGNAL ? SHM_INTERRUPTED : SHM_OK;
}

static struct shm_claim *claim_at(const struct shm__drawer *drawer, u64 at) {
  struct shm_claim *claim = at ? shm__at(drawer->store->space, at, sizeof *claim, 16) : NULL;
  return claim && shm__at(drawer->store->space, at, sizeof *claim + claim->key_length, 16) ? claim : NULL;
}

static u64 most_claims(const struct shm__drawer *drawer) { return drawer->store->space->size_bytes / sizeof(struct shm_claim); }

#define EACH_CLAIM(drawer, claim, at)                                                                                  \
  u64 left = most_claims(drawer), at = shm_load_acquire(&(drawer)->shared->claims);                                    \
  for (struct shm_claim *claim; (claim = claim_at(drawer, at)) != NULL && left-- > 0; at = shm_load_acquire(&claim->next))

struct shm_claim *shm__claim_find(const struct shm__drawer *drawer, const struct shm__key *key, u64 *where) {
  EACH_CLAIM(drawer, claim, at) {
    if (claim->kind != SHM_CLAIM_LOCK || claim->key_length != key->length) continue;
    if (memcmp(claim + 1, key->bytes, key->length) != 0) continue;
    *where = at;
    return claim;
  }
  return NULL;
}

u32 shm__claim_blocks(const struct shm__drawer *drawer, const struct shm__key *key, const struct shm__glob *glob, u64 holder) {
  EACH_CLAIM(drawer, claim, at) {
    if (claim->kind != SHM_CLAIM_LOCK || claim->owner == 0) continue;
    if (claim->owner == drawer->store->space->token && claim->holder == holder) continue;
    const u8 *bytes = (const u8 *)(claim + 1);
    if (key && (claim->key_length != key->length || memcmp(bytes, key->bytes, key->length) != 0)) continue;
    if (glob && glob->bytes && !shm__glob_match(glob->bytes, glob->length, bytes, claim->key_length)) continue;
    return claim->owner;
  }
  return 0;
}

void shm__claim_add(struct shm__drawer *drawer, struct shm__ref ref, u64 holder) {
  struct shm_claim *claim = (struct shm_claim *)(drawer->store->space->base + ref.offset);
  shm__claim_take(drawer, claim, holder);
  claim->next = drawer->shared->claims;
  shm_store_release(&drawer->shared->claims, ref.offset);
  SHM_POINT("claim.added");
  shm__block_link(drawer->store->space, ref, drawer->store->id);
}

void shm__claim_take(const struct shm__drawer *drawer, struct shm_claim *claim, u64 holder) {
  claim->holder = holder;
  claim->since_ns = shm__realtime_tick_ns();
  shm_store_release(&claim->owner, drawer->store->space->token);
  claim->died = 0; /* last: who dies before this has not told anybody */
}

struct shm__ref shm__claim_remove(struct shm__drawer *drawer, u64 where) {
  u64 *link = &drawer->shared->claims;
  struct shm__ref ref = shm__block_ref(drawer->store->space, where);
  EACH_CLAIM(drawer, claim, at) {
    if (at == where && shm__block_hold(drawer->store->space, ref, drawer->store->id)) {
      SHM_POINT("claim.held");
      shm_store_release(link, claim->next);
      SHM_POINT("claim.removed");
      return ref;
    }
    link = &claim->next;
  }
  return (struct shm__ref){0, 0};
}

u64 shm__claim_watch(const struct shm__drawer *drawer, u64 holder) {
  EACH_CLAIM(drawer, claim, at) {
    if (claim->kind == SHM_CLAIM_WATCH && claim->owner == drawer->store->space->token && claim->holder == holder) return at;
  }
  return 0;
}

u64 shm__claim_count(const struct shm__drawer *drawer, u32 kind) {
  u64 count = 0;
  EACH_CLAIM(drawer, claim, at) count += claim->kind == kind && shm__token_alive(drawer->store->space, claim->owner);
  return count;
}

u64 shm__claim_list(const struct shm__drawer *drawer, shm_key_lock *locks, u64 room) {
  u64 count = 0;
  EACH_CLAIM(drawer, claim, at) {
    u32 owner = shm_load_acquire(&claim->owner);
    if (claim->kind != SHM_CLAIM_LOCK || !owner || count == room || !shm__token_alive(drawer->store->space, owner)) continue;
    shm_key_lock *lock = &locks[count];
    u32 length = (u32)shm_min(shm_load_stale32(&claim->key_length), sizeof lock->key); /* once: it may be another's by now */
    if (!shm__at(drawer->store->space, at, sizeof *claim + length, 16)) continue;
    *lock = (shm_key_lock){
        .since_ns = shm_load_stale(&claim->since_ns), .token = owner, .structure = drawer->store->id, .key_length = length};
    shm_copy_racing(lock->key, claim + 1, length);
    count++;
  }
  return count;
}

void shm__claim_recover(struct shm__drawer *drawer, u32 dead) {
  struct shm__space *space = drawer->store->space;
  u64 next, left = most_claims(drawer);
  struct shm_claim *claim;
  for (u64 at = drawer->shared->claims; (claim = claim_at(drawer, at)) != NULL && left-- > 0; at = next) {
    next = claim->next;
    if (!shm__token_gone_with(space, claim->owner, dead)) continue;
    if (claim->kind == SHM_CLAIM_LOCK) {
      claim->died = 1;
      shm_store_release(&claim->owner, 0);
      continue;
    }
    struct shm__ref ref = shm__claim_remove(drawer, at);
    if (ref.offset) shm__block_free(space, ref);
  }
}

void shm__claim_repair(struct shm__drawer *drawer) {
  EACH_CLAIM(drawer, claim, at) {
    shm__block_relink(drawer->store->space, shm__block_ref(drawer->store->space, at), drawer->store->id);
  }
}

void shm__claim_teardown(struct shm__drawer *drawer) {
  u64 next, left = most_claims(drawer);
  struct shm_claim *claim;
  for (u64 at = drawer->shared->claims; (claim = claim_at(drawer, at)) != NULL && left-- > 0; at = next) {
    next = claim->next;
    struct shm__ref ref = shm__claim_remove(drawer, at); /* first: the next link of a free block is lost */
    shm__block_free(drawer->store->space, ref);
  }
}
