/* store_end.c: what becomes of a store when members die, and when it ends. Invariants stand in store_shard.c. */
#include "../core/members.h"
#include "store_claim.h"
#include "store_feed.h"

static int recover(struct shm__space *space, u64 main, u32 dead) {
  struct shm__store store;
  int status = SHM_OK;
  if (shm__store_bind(space, main, &store) != SHM_OK) return SHM_OK; /* damaged: check() reports it, reap goes on */
  for (u32 n = 0; n < store.shard_count; n++) {
    struct shm__drawer drawer = shm__drawer(&store, n);
    int one = shm__drawer_lock_to_end(&drawer); /* whatever the dead was about to do is finished */
    if (one == SHM_OK) {
      shm__claim_recover(&drawer, dead);
      shm__expires(&drawer, drawer.shared->soonest_ns); /* who dies while he sweeps leaves the store's own unset */
      shm__drawer_unlock(&drawer);
    } else {
      status = one; /* a stopped process is in the way: come again */
    }
  }
  shm__event_notify(space, store.locks, UINT32_MAX); /* SYNC wake: an unlock was the fence */
  shm__event_notify(space, store.watch, UINT32_MAX);
  return status;
}

static void release_item(struct shm__shard *shard, u64 at) {
  const struct shm_item *item = (const struct shm_item *)shm__table_entry(shard, at);
  if (item && item->block) shm__block_drop(shard->space, (struct shm__ref){item->block, item->block_gen}, shard->id);
}

static void teardown(struct shm__space *space, u64 main) {
  struct shm__store store;
  if (shm__store_bind(space, main, &store) != SHM_OK) return;
  for (u32 n = 0; n < store.shard_count; n++) {
    struct shm__drawer drawer = shm__drawer(&store, n);
    shm__feed_teardown(&drawer);
    shm__claim_teardown(&drawer);
    shm__table_teardown(&drawer.table, release_item);
  }
}

void shm__store_wake(struct shm__store *store) {
  shm_fence_full(); /* SYNC wake */
  shm__event_notify(store->space, store->watch, UINT32_MAX);
  shm__event_notify(store->space, store->locks, UINT32_MAX);
}

static void wake(struct shm__space *space, u64 main) {
  struct shm__store store;
  if (shm__store_bind(space, main, &store) == SHM_OK) shm__store_wake(&store);
}

static void retire(struct shm__space *space, u64 main) {
  struct shm__store store;
  if (shm__store_bind(space, main, &store) != SHM_OK) return;
  shm_store_release(&store.shared->life, SHM_LIFE_DELETED);
  shm__store_wake(&store);
}

const struct shm__type shm__store_type = {SHM_KIND_STORE, recover, teardown, retire, wake, NULL};
