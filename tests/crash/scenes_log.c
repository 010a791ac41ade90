/* scenes_log.c: a log, or a shard of a sharded one; no channel. */
#include <stddef.h>

#include "records.h"

#define VOLUME(NAME, ...)                                                                                              \
  static const struct volume volume_##NAME = {__VA_ARGS__};                                                            \
  static void make_##NAME(struct world *world) { make_ledger(world, &volume_##NAME); }

/* A scene without the channel: the victim opens the log, and acts. Later fields win. */
#define SCENE(NAME, VOLUME, ACT, ...)                                                                                  \
  _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Woverride-init\"")                                 \
  static const struct scene NAME = {.name = #NAME, .needs = ONE_START, .size_bytes = SMALL_BYTES, .empty_handed = 1,   \
                                    .before = make_##VOLUME, .ready = open_ledger, .act = ACT, .after = judge_ledger,  \
                                    __VA_ARGS__};                                                                      \
  _Pragma("GCC diagnostic pop")

#define SLEEPER(NAME) .other_role = SLEEPS, .other = NAME
#define DEATH(NAME, POINT, PASSAGES)                                                                                   \
  .other_role = DIES_BEFORE, .other = NAME, .other_point = POINT, .other_passages = PASSAGES

#define DELETES .deletes = 4, .deleted = {2, 0, 4, 1}

VOLUME(append, .segment = 4, .records = 3, .size_bytes = SMALL_BYTES, .batch = 1, .other_batch = 1)
VOLUME(blocks, .segment = 4, .records = 3, .size_bytes = BLOCK_BYTES, .batch = 1, .other_batch = 1)
VOLUME(keyed, .segment = 4, .records = 5, .size_bytes = MIXED_BYTES, .keyed = 1, .batch = 1, .other_batch = 1)
VOLUME(purge, .segment = 4, .records = 8, .size_bytes = MIXED_BYTES, .keyed = 1, .batch = 1, .other_batch = 1)
VOLUME(publish, .segment = 5, .records = 8, .size_bytes = MIXED_BYTES, .keyed = 1, .batch = 5, .other_batch = 5)
VOLUME(long, .segment = 3, .records = 5, .size_bytes = MIXED_BYTES, .keyed = 1, .batch = 10, .other_batch = 10)
VOLUME(none, .segment = 3, .size_bytes = MIXED_BYTES, .keyed = 1, .batch = 10)
VOLUME(delete, .segment = 4, .records = 7, .size_bytes = MIXED_BYTES, .keyed = 1, DELETES)
VOLUME(shards, .shards = 4, .shard = 2, .segment = 4, .size_bytes = MIXED_BYTES, .keyed = 1, .batch = 3, .other_batch = 3)
VOLUME(drop, .segment = 4, .records = 7, .size_bytes = MIXED_BYTES, .drops = 1)
VOLUME(drop_shard, .shards = 3, .shard = 1, .segment = 4, .records = 3, .size_bytes = MIXED_BYTES, .drops = 1)

static void append_one(struct world *world) { ledger_append(world, 1, patience_ns()); }
static void append_three(struct world *world) {
  for (int n = 0; n < 3; n++) append_one(world);
}

static void publish(struct world *world) { ledger_append(world, ledger.volume->batch, patience_ns()); }
static void publish_twice(struct world *world) {
  publish(world);
  publish(world);
}

static void drop(struct world *world) {
  uint32_t kind = ledger_kind();
  close_ledger();
  shm_space_delete(world->space, kind, "r", 1, patience_ns());
}

/* Whoever deletes it is the last one who had it. */
static void make_left(struct world *world) {
  make_drop(world);
  close_ledger();
}

static void make_left_shard(struct world *world) {
  make_drop_shard(world);
  close_ledger();
}

static void reap(struct world *world) { shm_space_reap_dead(world->space); }

SCENE(l_reader_asleep, append, ledger_wait, .in_vain = nothing_to_read, .help = help_with_a_record)

SCENE(l_append, append, append_three)
SCENE(l_append_block, blocks, append_three)
SCENE(l_keyed, keyed, append_three)
SCENE(l_purge, purge, append_one)
SCENE(l_publish, publish, publish)
SCENE(l_publish_twice, publish, publish_twice)
SCENE(l_publish_long, long, publish)
SCENE(l_publish_first, none, publish)
SCENE(l_delete, delete, ledger_delete)
SCENE(l_shard, shards, publish_twice)
SCENE(l_drop_used, drop, drop)
SCENE(l_drop, left, drop)
SCENE(l_drop_shard, left_shard, drop)
SCENE(l_wake_reader, append, append_one, SLEEPER("l_reader_asleep"))
SCENE(l_delete_mixed, delete, ledger_delete, DEATH("l_delete", "log.deleted", 2))

SCENE(reap_l_block, blocks, reap, DEATH("l_append_block", "log.joined", 2))
SCENE(reap_l_keyed, keyed, reap, DEATH("l_keyed", "log.indexed", 1))
SCENE(reap_l_purge, purge, reap, DEATH("l_purge", "log.floored", 1))
SCENE(reap_l_publish, publish, reap, DEATH("l_publish", "log.indexed", 5))
SCENE(reap_l_long, long, reap, DEATH("l_publish_long", "log.emptied", 1))
SCENE(reap_l_delete, delete, reap, DEATH("l_delete", "log.deleted", 3))
SCENE(reap_l_shard, shards, reap, DEATH("l_shard", "log.linked", 1))
SCENE(inherit_l_publish, publish, publish, DEATH("l_publish", "log.indexed", 4))
SCENE(inherit_l_shard, shards, publish, DEATH("l_shard", "log.linked", 1))

const struct scene *const log_scenes[] = {
    &l_reader_asleep, &l_append, &l_append_block, &l_keyed, &l_purge, &l_publish, &l_publish_twice, &l_publish_long,
    &l_publish_first, &l_delete, &l_shard, &l_drop_used, &l_drop, &l_drop_shard, &l_wake_reader, &l_delete_mixed,
    &reap_l_block, &reap_l_keyed, &reap_l_purge, &reap_l_publish, &reap_l_long, &reap_l_delete, &reap_l_shard,
    &inherit_l_publish, &inherit_l_shard, NULL};
