/* scenes_reap_values.c: one member has died in the middle of something with a queue or a tuple space, and the victim dies
 * while it puts that right: by reaping, or by running into the lock that the dead one held. */
#include <stddef.h>

#include "shelf_scenes.h"

#define QUEUE .kind = SHM_KIND_QUEUE
#define TUPLES .kind = SHM_KIND_TUPLES, .keys = 1

STOCK(q, QUEUE, .values = 3, .size_bytes = BLOCK_BYTES, .puts = 1, .takes = 2)
STOCK(q_last, QUEUE, .values = 16, .size_bytes = BLOCK_BYTES, .puts = 1)
STOCK(q_segments, QUEUE, .values = 82, .size_bytes = SMALL_BYTES, .takes = 1)
STOCK(q_letters, QUEUE, .values = 4, .size_bytes = MIXED_BYTES, .max_deliveries = 1, .takes = 2)
STOCK(q_discard, QUEUE, .values = 3, .size_bytes = MIXED_BYTES, .takes = 3, .shuts = 1)
STOCK(q_none, QUEUE, .size_bytes = BLOCK_BYTES, .puts = 1, .takes = 1)
STOCK(t_none, TUPLES, .size_bytes = BLOCK_BYTES, .puts = 1, .takes = 1)
STOCK(t, TUPLES, .values = 2, .size_bytes = BLOCK_BYTES, .puts = 1, .takes = 2)
STOCK(t_keys, .kind = SHM_KIND_TUPLES, .keys = 8, .values = 1, .size_bytes = SMALL_BYTES, .puts = 1)
STOCK(t_idle, .kind = SHM_KIND_TUPLES, .keys = 12, .values = 3, .size_bytes = MIXED_BYTES, .takes = 1)

/* The survivor stands in line, and what comes is given to it by whoever recovers. */
static void make_q_waited(struct world *world) {
  make_q_none(world);
  shelf_stand(world, SHM_TAKE_HOLD);
}

static void make_t_waited(struct world *world) {
  make_t_none(world);
  shelf_stand(world, SHM_TAKE_HOLD);
}

static void make_t_pinned(struct world *world) {
  make_t(world);
  if (shelf_look(world, 0, patience_ns(), &shelf.pin, &shelf.pinned) != SHM_OK) blame(world, "the survivor cannot look");
  shelf.pinned_id = 1;
}

static void reap(struct world *world) { shm_space_reap_dead(world->space); }
static void put(struct world *world) { shelf_put(world, 0, patience_ns()); }
static void put_key(struct world *world) { shelf_put(world, 8, patience_ns()); }
static void take(struct world *world) { shelf_take(world, 0, SHM_TAKE_HOLD, patience_ns()); }
static void take_last(struct world *world) { shelf_take(world, 10, SHM_TAKE_HOLD, patience_ns()); }

SCENE(reap_q_put, q, reap, DEATH("q_put_block", "fifo.linked", 1))
SCENE(reap_q_grow, q_last, reap, DEATH("q_grow", "fifo.grown", 1))
SCENE(reap_q_take, q, reap, DEATH("q_take_block", "fifo.detached", 1))
SCENE(reap_q_leased, q, reap, DEATH("q_leased", NULL, 0))
SCENE(reap_q_marked, q, reap, DEATH("q_nack_unlocked", "fifo.marked", 1))
SCENE(reap_q_ack, q, reap, DEATH("q_lease_ack", "queue.counted", 1))
SCENE(reap_q_bury, q_letters, reap, DEATH("q_bury", "fifo.published", 1))
SCENE(reap_q_collect, q_segments, reap, DEATH("q_collect", "fifo.collected", 1))
SCENE(reap_q_discard, q_discard, reap, DEATH("q_discard", "queue.shut", 1))
SCENE(reap_q_waited, q_waited, reap, DEATH("q_put", "fifo.published", 1))
SCENE(reap_t_waited, t_waited, reap, DEATH("t_new", "fifo.published", 1))
SCENE(reap_t_new, t_keys, reap, DEATH("t_rehash", "table.appended", 1))
SCENE(reap_t_rehash, t_keys, reap, DEATH("t_rehash", "table.rehashed", 1))
SCENE(reap_t_remove, t_idle, reap, DEATH("t_remove", "table.held", 1))
SCENE(reap_t_removed, t_idle, reap, DEATH("t_remove", "table.unlinked", 1))
SCENE(reap_t_looking, t, reap, DEATH("t_looking", NULL, 0))
SCENE(reap_t_pinned, t_pinned, reap, DEATH("t_take_pinned", "waiters.inherited", 1))
SCENE(inherit_q_put, q, put, DEATH("q_put_block", "fifo.published", 1))
SCENE(inherit_q_take, q, take, DEATH("q_take_block", "fifo.held", 1))
SCENE(inherit_q_bury, q_letters, take, DEATH("q_bury", "lane.buried", 1))
SCENE(inherit_t_put, t_keys, put_key, DEATH("t_rehash", "table.appended", 1))
SCENE(inherit_t_take, t_idle, take_last, DEATH("t_remove", "table.held", 1))

const struct scene *const reap_value_scenes[] = {&reap_q_put,
                                                 &reap_q_grow,
                                                 &reap_q_take,
                                                 &reap_q_leased,
                                                 &reap_q_marked,
                                                 &reap_q_ack,
                                                 &reap_q_bury,
                                                 &reap_q_collect,
                                                 &reap_q_discard,
                                                 &reap_q_waited,
                                                 &reap_t_waited,
                                                 &reap_t_new,
                                                 &reap_t_rehash,
                                                 &reap_t_remove,
                                                 &reap_t_removed,
                                                 &reap_t_looking,
                                                 &reap_t_pinned,
                                                 &inherit_q_put,
                                                 &inherit_q_take,
                                                 &inherit_q_bury,
                                                 &inherit_t_put,
                                                 &inherit_t_take,
                                                 NULL};
