/* scenes_store.c: a store; no channel. */
#include <stddef.h>

#include "cupboard_scenes.h"

#define ONE .shards = 1, .feed = 64
#define SMALL_FEED .shards = 1, .feed = 4
#define THREE .shards = 3, .feed = 64

GOODS(k_empty, ONE, .steps = {SET(0, FIT_BYTES), SET(1, VALUE_BYTES), SET(CUP_LONG, FIT_BYTES)})
GOODS(k_inline, ONE, .before = {A_FEW}, .steps = {SET(0, FIT_BYTES + 8)})
GOODS(k_item, ONE, .before = {A_FEW}, .steps = {SET(2, ITEM_BYTES)})
GOODS(k_blocks, ONE, .before = {A_FEW}, .steps = {SET(1, VALUE_BYTES), SET(1, LONG_BYTES)})
GOODS(k_to_block, ONE, .before = {A_FEW}, .steps = {SET(2, VALUE_BYTES), SET(2, LONG_BYTES)})
GOODS(k_to_inline, ONE, .before = {A_FEW}, .steps = {SET(2, VALUE_BYTES), SET(2, FIT_BYTES)})
GOODS(k_outgrown, ONE, .before = {A_FEW, INCR(3, 1)}, .steps = {SET(3, ITEM_BYTES), SET(1, ITEM_BYTES)})
GOODS(k_silent, ONE, .before = {A_FEW}, .steps = {SILENT(0, VALUE_BYTES), SILENT(3, FIT_BYTES), REMOVE_SILENTLY(1)})
GOODS(k_expired, ONE, .before = {A_FEW, EXPIRED(4, VALUE_BYTES)}, .steps = {SET(4, FIT_BYTES)})
GOODS(k_expired_kept, ONE, .before = {A_FEW, EXPIRED(4, FIT_BYTES)}, .steps = {INCR(4, 5)})
GOODS(k_incr, ONE, .before = {A_FEW, INCR(3, 100)}, .steps = {INCR(3, 100), INCR(4, 7), INCR(3, 1 << 20)})
GOODS(k_incr_long, ONE, .before = {A_FEW, INCR(CUP_LONG, 1)}, .steps = {INCR(CUP_LONG, 1)})
GOODS(k_remove, ONE, .before = {A_FEW}, .steps = {REMOVE(0), REMOVE(1)})
GOODS(k_remove_last, ONE, .before = {SET(0, VALUE_BYTES)}, .steps = {REMOVE(0), SET(0, FIT_BYTES)})
GOODS(k_remove_all, THREE, .before = {MANY}, .steps = {ALONE(CUP_REMOVE_A)})
GOODS(k_clear, THREE, .before = {MANY}, .steps = {ALONE(CUP_CLEAR)})
GOODS(k_overwritten, SMALL_FEED, .before = {A_FEW, REMOVE(1)}, .steps = {SET(0, VALUE_BYTES), REMOVE(2), REMOVE(8)})
GOODS(k_overwrites, .shards = 1, .feed = 2, .forgetful = 1, .before = {A_FEW, REMOVE(1)},
      .steps = {SET(0, LONG_BYTES), REMOVE(2), REMOVE(0), SET(5, FIT_BYTES)})
GOODS(k_no_feed, .shards = 2, .forgetful = 1, .before = {A_FEW}, .steps = {SET(0, LONG_BYTES), REMOVE(2), SET(5, FIT_BYTES)})
GOODS(k_full, ONE, .forgetful = 1, .full = 1, .before = {A_FEW, SET(4, VALUE_BYTES), REMOVE(4)}, .steps = {SET(0, VALUE_BYTES)})
GOODS(k_grow, ONE, .before = {MANY}, .steps = {SET(10, FIT_BYTES), SET(4, VALUE_BYTES)})
GOODS(k_sweep, THREE, .before = {A_FEW, EXPIRED(4, VALUE_BYTES), EXPIRED(5, FIT_BYTES), EXPIRED(9, FIT_BYTES)},
      .steps = {ALONE(CUP_SWEEP)})
GOODS(k_lock, ONE, .locks = 1, .before = {A_FEW}, .steps = {ALONE(CUP_LOCK), SET(0, FIT_BYTES), ALONE(CUP_UNLOCK)})
GOODS(k_locked, ONE, .locks = 1, .before = {A_FEW}, .steps = {SET(0, VALUE_BYTES)})
GOODS(k_unlock, ONE, .locks = 1, .before = {A_FEW}, .steps = {ALONE(CUP_UNLOCK)})
GOODS(k_inherit, ONE, .locks = 1, .told = 1, .before = {A_FEW}, .steps = {ALONE(CUP_LOCK)}, .other = {ALONE(CUP_LOCK)})
GOODS(k_watch, THREE, .before = {A_FEW},
      .steps = {ALONE(CUP_WATCH), SET(0, FIT_BYTES), ALONE(CUP_FOLLOW), ALONE(CUP_UNWATCH)})
GOODS(k_drop, .shards = 1, .feed = 8, .drops = 1, .before = {MANY, REMOVE(0), REMOVE(2)},
      .steps = {ALONE(CUP_LOCK), ALONE(CUP_WATCH), ALONE(CUP_DROP)})
GOODS(k_wake, ONE, .before = {A_FEW}, .steps = {SET(0, FIT_BYTES)})

/* Whoever deletes it is the last one who had it. */
static void make_k_left(struct world *world) {
  make_k_drop(world);
  close_cupboard();
}

SCENE(k_lock_asleep, k_unlock, cup_wait_for_lock, .in_vain = cup_never)
SCENE(k_event_asleep, k_wake, cup_wait_for_event, .in_vain = cup_no_event, .help = cup_help_with_event)

SCENE(k_insert, k_empty, cup_steps)
SCENE(k_set_inline, k_inline, cup_steps)
SCENE(k_set_item, k_item, cup_steps)
SCENE(k_set_block, k_blocks, cup_steps)
SCENE(k_set_to_block, k_to_block, cup_steps)
SCENE(k_set_to_inline, k_to_inline, cup_steps)
SCENE(k_set_outgrown, k_outgrown, cup_steps)
SCENE(k_set_silent, k_silent, cup_steps)
SCENE(k_set_expired, k_expired, cup_steps)
SCENE(k_incr_expired, k_expired_kept, cup_steps)
SCENE(k_add, k_incr, cup_steps)
SCENE(k_add_long, k_incr_long, cup_steps)
SCENE(k_remove_one, k_remove, cup_steps)
SCENE(k_remove_only, k_remove_last, cup_steps)
SCENE(k_remove_glob, k_remove_all, cup_steps)
SCENE(k_remove_each, k_clear, cup_steps)
SCENE(k_feed_overwritten, k_overwritten, cup_steps)
SCENE(k_feed_small, k_overwrites, cup_steps)
SCENE(k_feed_none, k_no_feed, cup_steps)
SCENE(k_forget, k_full, cup_steps)
SCENE(k_rehash, k_grow, cup_steps)
SCENE(k_expire, k_sweep, cup_steps)
SCENE(k_lock_key, k_lock, cup_steps)
SCENE(k_set_locked, k_locked, cup_steps, .ready = cup_lock_first)
SCENE(k_unlock_key, k_unlock, cup_steps, .ready = cup_lock_first)
SCENE(k_unlock_waited, k_unlock, cup_steps, .ready = cup_lock_first, SLEEPER("k_lock_asleep"), .meanwhile = look_on)
SCENE(k_lock_inherited, k_inherit, cup_steps, DEATH("k_lock_key", NULL, 0))
SCENE(k_watch_key, k_watch, cup_steps)
SCENE(k_wake_watcher, k_wake, cup_steps, SLEEPER("k_event_asleep"), .meanwhile = look_on)
SCENE(k_delete_used, k_drop, cup_steps)
SCENE(k_delete, k_left, cup_steps)

const struct scene *const store_scenes[] = {
    &k_lock_asleep,    &k_event_asleep, &k_insert,       &k_set_inline,  &k_set_item,         &k_set_block,  &k_set_to_block,
    &k_set_to_inline,  &k_set_outgrown, &k_set_silent,   &k_set_expired, &k_incr_expired,     &k_add,        &k_add_long,
    &k_remove_one,     &k_remove_only,  &k_remove_glob,  &k_remove_each, &k_feed_overwritten, &k_feed_small, &k_feed_none,
    &k_forget,         &k_rehash,       &k_expire,       &k_lock_key,    &k_set_locked,       &k_unlock_key, &k_unlock_waited,
    &k_lock_inherited, &k_watch_key,    &k_wake_watcher, &k_delete_used, &k_delete,           NULL};
