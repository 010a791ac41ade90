/* scenes_reap.c: one member has died at a named point, and the victim dies while it puts that right: by reaping, or by
 * running into the lock that the dead one held. */
#include <stddef.h>

#include "acts.h"

static void reap(struct world *world) { shm_space_reap_dead(world->space); }
static void send_patiently(struct world *world) { act_send(world, patience_ns()); }
static void recv_patiently(struct world *world) { act_recv(world, patience_ns()); }
static void lock_patiently(struct world *world) {
  act_take_lock(world, patience_ns());
  act_release_lock(world);
}

/* reap_NAME: what the other one did when it died is the scene NAME. */
#define DEATH(NAME, POINT, PASSAGES)                                                                                   \
  .other_role = DIES_BEFORE, .other = NAME, .other_point = POINT, .other_passages = PASSAGES
#define REAP(NAME, POINT, PASSAGES) .name = "reap_" NAME, DEATH(NAME, POINT, PASSAGES), .act = reap

static const struct scene scenes[] = {
    {REAP("send_block", "ring.linked", 1), .needs = ONE_START, .size_bytes = BLOCK_BYTES},
    {REAP("send_small", "ring.published", 1), .needs = ONE_START, .size_bytes = SMALL_BYTES},
    {REAP("recv_block", "ring.held", 1), .needs = ONE_START, .size_bytes = BLOCK_BYTES},
    {REAP("drop_block", "ring.dropped", 1), .needs = ONE_FULL_START, .size_bytes = BLOCK_BYTES,
     .overflow = SHM_OVERFLOW_OLDEST},
    {REAP("writer", "port.ended", 1), .needs = ONE_START, .size_bytes = SMALL_BYTES},
    {REAP("send_big", "pages.split", 1), .needs = ONE_START, .size_bytes = BIG_BYTES},
    {REAP("all_send_block", "ring.linked", 1), .needs = ONE_START, .delivery = SHM_DELIVERY_ALL,
     .size_bytes = BLOCK_BYTES, .readers = 2},
    {REAP("all_recv_last", "ring.unpublished", 1), .needs = ONE_START, .delivery = SHM_DELIVERY_ALL,
     .size_bytes = BLOCK_BYTES, .early = 1},
    {REAP("all_two_pins", "port.handed", 1), .needs = ONE_START, .delivery = SHM_DELIVERY_ALL,
     .size_bytes = BLOCK_BYTES, .readers = 2, .early = 1, .pins = 1},
    {REAP("all_pinned", NULL, 0), .needs = ONE_START, .delivery = SHM_DELIVERY_ALL, .size_bytes = BLOCK_BYTES,
     .readers = 2, .early = 1, .pins = 1},
    {REAP("all_marked", "port.marked", 1), .needs = ONE_START, .delivery = SHM_DELIVERY_ALL, .size_bytes = BLOCK_BYTES,
     .early = 1},
    {REAP("huge_held", NULL, 0), .needs = ONE_START, .size_bytes = SMALL_BYTES, .space_bytes = 2 << 20},
    {REAP("all_view", "port.pinned", 1), .needs = ONE_START, .delivery = SHM_DELIVERY_ALL, .size_bytes = BLOCK_BYTES},
    {REAP("make_channel", "directory.published", 1), .needs = ONE_START, .size_bytes = SMALL_BYTES},
    {REAP("delete_unused", "directory.held", 1), .needs = ONE_START, .empty_handed = 1, .size_bytes = BLOCK_BYTES,
     .deletes = 1, .absent = 1},
    {REAP("hold_all", NULL, 0), .needs = ONE_START, .size_bytes = BLOCK_BYTES, .locks = 1},
    {REAP("reclaim", "blocks.emptied", 3), .needs = ONE_START, .size_bytes = SMALL_BYTES},
    {.name = "inherit_send",
     .needs = ONE_START,
     DEATH("send_block", "ring.linked", 1),
     .size_bytes = BLOCK_BYTES,
     .sends = 1,
     .act = send_patiently},
    {.name = "inherit_recv",
     .needs = ONE_START,
     DEATH("recv_block", "ring.held", 1),
     .size_bytes = BLOCK_BYTES,
     .takes = 1,
     .act = recv_patiently},
    {.name = "inherit_lock",
     .needs = ONE_START,
     DEATH("lock_held", NULL, 0),
     .size_bytes = SMALL_BYTES,
     .locks = 1,
     .ready = ready_lock,
     .act = lock_patiently},
    {.name = "inherit_class",
     .needs = ONE_START,
     DEATH("send_block", "blocks.popped", 1),
     .size_bytes = BLOCK_BYTES,
     .sends = 1,
     .act = send_patiently},
};

#define AT(I) &scenes[I]
const struct scene *const reap_scenes[] = {AT(0),  AT(1),  AT(2),  AT(3),  AT(4),  AT(5),  AT(6),
                                           AT(7),  AT(8),  AT(9),  AT(10), AT(11), AT(12), AT(13),
                                           AT(14), AT(15), AT(16), AT(17), AT(18), AT(19), AT(20), NULL};
