/* scenes_reap_store.c: one member has died in the middle of something with a store, and the victim dies while it puts that
 * right: by reaping, or by running into the lock that the dead one held. */
#include <stddef.h>

#include "cupboard_scenes.h"

#define ONE .shards = 1, .feed = 64
#define CUT_SHORT(...) .before = {A_FEW}, .other = {__VA_ARGS__}

GOODS(block, ONE, CUT_SHORT(SET(1, LONG_BYTES)))
GOODS(fresh, ONE, CUT_SHORT(SET(4, VALUE_BYTES)))
GOODS(gone, ONE, CUT_SHORT(REMOVE(1)))
GOODS(glob, .shards = 3, .feed = 64, .before = {MANY}, .other = {ALONE(CUP_REMOVE_A)})
GOODS(grown, ONE, .before = {MANY}, .other = {SET(10, FIT_BYTES)})
GOODS(old, .shards = 1, .feed = 4, .before = {A_FEW, REMOVE(1)}, .other = {SET(0, VALUE_BYTES), REMOVE(2), REMOVE(8)})
GOODS(first, ONE, .other = {SET(0, VALUE_BYTES)})
GOODS(expired, .shards = 3, .feed = 64, .before = {A_FEW, EXPIRED(4, VALUE_BYTES), EXPIRED(9, FIT_BYTES)},
      .other = {ALONE(CUP_SWEEP)})
GOODS(locked, ONE, .locks = 1, .before = {A_FEW}, .other = {ALONE(CUP_LOCK)})
GOODS(unlocked, ONE, .locks = 1, .before = {A_FEW}, .other = {ALONE(CUP_LOCK), ALONE(CUP_UNLOCK)})
GOODS(watched, ONE, .before = {A_FEW}, .other = {ALONE(CUP_WATCH), ALONE(CUP_UNWATCH)})
GOODS(set_after, ONE, CUT_SHORT(SET(1, LONG_BYTES)), .steps = {SET(1, VALUE_BYTES), SET(0, FIT_BYTES)})
GOODS(set_anew, ONE, CUT_SHORT(REMOVE(1)), .steps = {SET(1, VALUE_BYTES)})
GOODS(remove_after, ONE, CUT_SHORT(SET(4, VALUE_BYTES)), .steps = {INCR(5, 1), REMOVE(2)})

static void reap(struct world *world) { shm_space_reap_dead(world->space); }

SCENE(reap_k_committed, block, reap, DEATH("k_set_block", "store.committed", 1))
SCENE(reap_k_copied, block, reap, DEATH("k_set_block", "store.copied", 1))
SCENE(reap_k_published, block, reap, DEATH("k_set_block", "store.published", 1))
SCENE(reap_k_inserted, fresh, reap, DEATH("k_insert", "store.inserted", 1))
SCENE(reap_k_ordered, fresh, reap, DEATH("k_insert", "order.changed", 1))
SCENE(reap_k_written, fresh, reap, DEATH("k_insert", "feed.written", 1))
SCENE(reap_k_gone, gone, reap, DEATH("k_remove_one", "feed.written", 1))
SCENE(reap_k_removed, gone, reap, DEATH("k_remove_one", "store.removed", 1))
SCENE(reap_k_held, gone, reap, DEATH("k_remove_one", "table.held", 1))
SCENE(reap_k_glob, glob, reap, DEATH("k_remove_glob", "store.committed", 2))
SCENE(reap_k_rehash, grown, reap, DEATH("k_rehash", "table.rehashed", 1))
SCENE(reap_k_old, old, reap, DEATH("k_feed_overwritten", "feed.released", 2))
SCENE(reap_k_ring, first, reap, DEATH("k_insert", "feed.used", 1))
SCENE(reap_k_expired, expired, reap, DEATH("k_expire", "store.committed", 1))
SCENE(reap_k_lock_added, locked, reap, DEATH("k_lock_key", "claim.added", 1))
SCENE(reap_k_locked, locked, reap, DEATH("k_lock_key", NULL, 0))
SCENE(reap_k_lock_held, unlocked, reap, DEATH("k_lock_key", "claim.held", 1))
SCENE(reap_k_watched, watched, reap, DEATH("k_watch_key", "claim.added", 1))
SCENE(reap_k_unwatched, watched, reap, DEATH("k_watch_key", "claim.removed", 1))
SCENE(inherit_k_set, set_after, cup_steps, DEATH("k_set_block", "store.copied", 1))
SCENE(inherit_k_remove, set_anew, cup_steps, DEATH("k_remove_one", "feed.written", 1))
SCENE(inherit_k_insert, remove_after, cup_steps, DEATH("k_insert", "table.appended", 1))

const struct scene *const reap_store_scenes[] = {&reap_k_committed,
                                                 &reap_k_copied,
                                                 &reap_k_published,
                                                 &reap_k_inserted,
                                                 &reap_k_ordered,
                                                 &reap_k_written,
                                                 &reap_k_gone,
                                                 &reap_k_removed,
                                                 &reap_k_held,
                                                 &reap_k_glob,
                                                 &reap_k_rehash,
                                                 &reap_k_old,
                                                 &reap_k_ring,
                                                 &reap_k_expired,
                                                 &reap_k_lock_added,
                                                 &reap_k_locked,
                                                 &reap_k_lock_held,
                                                 &reap_k_watched,
                                                 &reap_k_unwatched,
                                                 &inherit_k_set,
                                                 &inherit_k_remove,
                                                 &inherit_k_insert,
                                                 NULL};
