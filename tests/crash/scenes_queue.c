/* scenes_queue.c: what is done with a queue; what must hold of it is in shelf_judge.c. */
#include <stddef.h>

#include "core/lock.h"
#include "shelf_scenes.h"
#include "types/queue.h"

#define QUEUE .kind = SHM_KIND_QUEUE

STOCK(q_put, QUEUE, .values = 2, .size_bytes = SMALL_BYTES, .puts = 1)
STOCK(q_put_block, QUEUE, .values = 2, .size_bytes = BLOCK_BYTES, .puts = 1)
STOCK(q_put_many, QUEUE, .values = 10, .size_bytes = MIXED_BYTES, .puts = 9)
STOCK(q_grow, QUEUE, .values = 16, .size_bytes = BLOCK_BYTES, .puts = 1)
STOCK(q_take, QUEUE, .values = 3, .size_bytes = SMALL_BYTES, .takes = 1)
STOCK(q_take_block, QUEUE, .values = 3, .size_bytes = BLOCK_BYTES, .takes = 1)
STOCK(q_collect, QUEUE, .values = 82, .size_bytes = SMALL_BYTES, .takes = 1)
STOCK(q_take_many, QUEUE, .values = 20, .size_bytes = MIXED_BYTES, .takes = 20)
STOCK(q_lease, QUEUE, .values = 2, .size_bytes = MIXED_BYTES, .takes = 1)
STOCK(q_lease_kept, QUEUE, .values = 2, .size_bytes = BLOCK_BYTES, .holds = 1)
STOCK(q_bury, QUEUE, .values = 4, .size_bytes = MIXED_BYTES, .max_deliveries = 1, .takes = 1)
STOCK(q_one, QUEUE, .values = 1, .size_bytes = BLOCK_BYTES, .takes = 1)
STOCK(q_none, QUEUE, .size_bytes = SMALL_BYTES, .puts = 1, .takes = 1)
STOCK(q_none_block, QUEUE, .size_bytes = BLOCK_BYTES, .puts = 1, .takes = 1)
STOCK(q_full, QUEUE, .bound = 2, .values = 2, .size_bytes = SMALL_BYTES, .puts = 1, .takes = 1)
STOCK(q_full_many, QUEUE, .bound = 2, .values = 2, .size_bytes = SMALL_BYTES, .puts = 1, .takes = 3)
STOCK(q_shut, QUEUE, .values = 3, .size_bytes = MIXED_BYTES, .shuts = 1)
STOCK(q_discard, QUEUE, .values = 3, .size_bytes = MIXED_BYTES, .takes = 3, .shuts = 1)
STOCK(q_deleted, QUEUE, .values = 18, .size_bytes = BLOCK_BYTES, .deletes = 1)

/* ---- putting, taking --------------------------------------------------------------------------------------------------- */
static void put_one(struct world *world) { shelf_put(world, 0, 0); }
static void put_patiently(struct world *world) { shelf_put(world, 0, patience_ns()); }
static void put_nine(struct world *world) { shelf_put_many(world, 0, 9); }
static void take_one(struct world *world) { shelf_take(world, 0, 0, 0); }
static void take_held(struct world *world) { shelf_take(world, 0, SHM_TAKE_HOLD, 0); }
static void take_many(struct world *world) { shelf_take_many(world, 0); }
static void take_patiently(struct world *world) { shelf_take(world, 0, 0, patience_ns()); }
static void hold_patiently(struct world *world) { shelf_take(world, 0, SHM_TAKE_HOLD, patience_ns()); }

/* What is left of the second segment is taken by the act, which goes on in the third: the second is let go of then. */
static void ready_taken(struct world *world) {
  open_shelf(world);
  for (int n = 0; n < 79; n++) shelf_take(world, 0, 0, 0);
}

static void take_two(struct world *world) {
  for (int n = 0; n < 2; n++) shelf_take(world, 0, 0, 0);
}

/* With a bell: it stands in line across calls, as an event loop does, and leaves. */
static void stand_and_leave(struct world *world) {
  shm_taken taken;
  if (shelf_hold(world, 0, 0, SHM_TAKE_HOLD | SHM_WAIT_BELL, 0, &taken) == SHM_OK) shelf_taken(world, 0, 0, &taken);
}

/* It stands in line already, and has been given what it waits for. */
static void ready_standing(struct world *world) {
  open_shelf(world);
  shelf_stand(world, SHM_TAKE_HOLD);
}

static void ready_standing_to_put(struct world *world) {
  open_shelf(world);
  shelf_stand_to_put(world);
}

static void take_given(struct world *world) {
  shm_taken taken;
  if (shelf_is_served(world, SHM_TAKE_HOLD, 0, &taken)) shelf_taken(world, 0, 0, &taken);
}

static void leave_given(struct world *world) { shelf_leave_line(world, SHM_TAKE_HOLD); }
static void leave_room(struct world *world) { shelf_leave_line(world, 0); }
static void put_given(struct world *world) { shelf_put_standing(world); }

/* ---- leases -------------------------------------------------------------------------------------------------------------- */
static int lease(struct world *world, shm_taken *taken) {
  return shelf_hold(world, 0, 0, SHM_TAKE_LEASE, 0, taken) == SHM_OK;
}

static void lease_and_ack(struct world *world) {
  shm_taken taken;
  for (int n = 0; n < 2; n++) {
    if (lease(world, &taken)) shelf_ack(world, &taken);
  }
}

static void lease_and_nack(struct world *world) {
  shm_taken taken;
  for (int n = 0; n < 3; n++) {
    if (lease(world, &taken)) shm_queue_nack(shelf.queue, 0, &taken);
  }
}

static void lease_one(struct world *world) {
  shm_taken taken;
  lease(world, &taken);
}

static shm_taken leased;
static void ready_leased(struct world *world) {
  open_shelf(world);
  if (!lease(world, &leased)) blame(world, "no lease");
}

static void nack(struct world *world) {
  (void)world;
  shm_queue_nack(shelf.queue, 0, &leased);
}

static void ack(struct world *world) { shelf_ack(world, &leased); }

/* Somebody has the take lock and does not go on: here another member in the victim's own process, with whom it dies. */
static shm_space *stopped;
static uint32_t *take_lock;
static void ready_locked(struct world *world) {
  struct shm__queue queue;
  ready_leased(world);
  if (shm_space_open(world->directory, world->name, 0, 0, 0600, 0, patience_ns(), &stopped) != SHM_OK) return;
  shm__queue_bind(stopped, shm__directory_look(stopped, SHM_KIND_QUEUE, "q", 1)->main, &queue);
  take_lock = &queue.lane[0].shared->take_lock;
  if (shm__lock(stopped, take_lock, patience_ns(), 0) != SHM_OK) blame(world, "no lock");
}

static void nack_unlocked(struct world *world) {
  hurry(1);
  nack(world);
  hurry(0);
  shm__unlock(take_lock);
  take_one(world);
}

static void take_and_finish(struct world *world) {
  take_held(world);
  if (shm_queue_task_done(shelf.queue, 0, patience_ns()) == SHM_OK) progress_of(world)->finished++;
}

static void leave_space(struct world *world) { shm_space_close(world->space); }

/* ---- the end ------------------------------------------------------------------------------------------------------------- */
static void shut(struct world *world) {
  (void)world;
  shm_queue_shutdown(shelf.queue, 0, patience_ns());
}

static void discard(struct world *world) {
  (void)world;
  shm_queue_shutdown(shelf.queue, 1, patience_ns());
}

static void delete_queue(struct world *world) {
  close_shelf();
  shm_space_delete(world->space, SHM_KIND_QUEUE, "q", 1, patience_ns());
}

static void make_q_left(struct world *world) {
  make_q_deleted(world);
  close_shelf();
}

/* ---- sleepers ------------------------------------------------------------------------------------------------------------ */
static void sleep_for_the_end(struct world *world) {
  struct progress *progress = progress_of(world);
  uint64_t before_ns = shm_monotonic_ns();
  progress->status = shm_queue_join(shelf.queue, 0, patience_ns());
  progress->blocked_ns = shm_monotonic_ns() - before_ns;
}

static void sleep_until_shut(struct world *world) {
  take_patiently(world);
  struct progress *progress = progress_of(world);
  if (progress->status == SHM_CLOSED) progress->status = SHM_OK;
}

SCENE(q_taker_asleep, q_none, take_patiently, .in_vain = nothing_to_take, .help = help_with_a_value)
SCENE(q_holder_asleep, q_none_block, hold_patiently, .in_vain = nothing_to_take, .help = help_with_a_value)
SCENE(q_putter_asleep, q_full, put_patiently, .in_vain = no_room, .help = help_with_room)
SCENE(q_joiner_asleep, q_one, sleep_for_the_end, .in_vain = not_finished, .help = help_to_finish)
SCENE(q_last_asleep, q_none, sleep_until_shut, .in_vain = not_shut, .help = help_to_shut)

static void put_when_awaited(struct world *world) {
  await_asleep(world, VICTIM);
  help_with_a_value(world);
}

static void take_when_awaited(struct world *world) {
  await_asleep(world, VICTIM);
  help_with_room(world);
}

SCENE(q_put, q_put, put_one)
SCENE(q_put_block, q_put_block, put_one)
SCENE(q_put_many, q_put_many, put_nine)
SCENE(q_grow, q_grow, put_one)
SCENE(q_take, q_take, take_one)
SCENE(q_take_held, q_take, take_held)
SCENE(q_take_block, q_take_block, take_one)
SCENE(q_take_many, q_take_many, take_many)
SCENE(q_many_waited, q_full_many, take_many, SLEEPER("q_putter_asleep"), .meanwhile = look_on)
SCENE(q_collect, q_collect, take_two, .ready = ready_taken)
SCENE(q_stand, q_none, stand_and_leave)
SCENE(q_given, q_none_block, take_given, .ready = ready_standing, AFTER_ACT("q_put_block"))
SCENE(q_given_late, q_none_block, leave_given, .ready = ready_standing, AFTER_ACT("q_put_block"))
SCENE(q_room_given, q_full, put_given, .ready = ready_standing_to_put, AFTER_ACT("q_take"))
SCENE(q_room_late, q_full, leave_room, .ready = ready_standing_to_put, AFTER_ACT("q_take"))
SCENE(q_leave_leased, q_lease_kept, leave_space, .ready = ready_leased)
SCENE(q_leave_line, q_none, leave_space, .ready = ready_standing)
SCENE(q_lease_ack, q_lease, lease_and_ack)
SCENE(q_lease_nack, q_lease, lease_and_nack)
SCENE(q_leased, q_lease, lease_one)
SCENE(q_nack_unlocked, q_lease, nack_unlocked, .ready = ready_locked)
SCENE(q_bury, q_bury, nack, .ready = ready_leased)
SCENE(q_bury_more, q_bury, lease_and_nack)
SCENE(q_task_done, q_take, take_and_finish)
SCENE(q_shut, q_shut, shut)
SCENE(q_discard, q_discard, discard)
SCENE(q_discard_leased, q_discard, discard, .ready = ready_leased)
SCENE(q_delete_used, q_deleted, delete_queue)
SCENE(q_delete, q_left, delete_queue)
SCENE(q_wake_taker, q_none, put_one, SLEEPER("q_taker_asleep"))
SCENE(q_wake_holder, q_none_block, put_one, SLEEPER("q_holder_asleep"))
SCENE(q_wake_putter, q_full, take_one, SLEEPER("q_putter_asleep"))
SCENE(q_wake_joiner, q_one, ack, .ready = ready_leased, SLEEPER("q_joiner_asleep"))
SCENE(q_nack_waited, q_one, nack, .ready = ready_leased, SLEEPER("q_taker_asleep"))
SCENE(q_shut_waited, q_none, shut, SLEEPER("q_last_asleep"))
SCENE(q_take_awaited, q_none, take_patiently, .meanwhile = put_when_awaited)
SCENE(q_hold_awaited, q_none_block, hold_patiently, .meanwhile = put_when_awaited)
SCENE(q_put_awaited, q_full, put_patiently, .meanwhile = take_when_awaited)

const struct scene *const queue_scenes[] = {&q_taker_asleep, &q_holder_asleep, &q_putter_asleep, &q_joiner_asleep,
                                            &q_last_asleep,  &q_put,           &q_put_block,     &q_put_many,
                                            &q_grow,         &q_take,          &q_take_held,     &q_take_block,
                                            &q_take_many,    &q_many_waited,   &q_collect,       &q_stand,
                                            &q_given,        &q_given_late,    &q_room_given,    &q_room_late,
                                            &q_leave_leased, &q_leave_line,    &q_lease_ack,     &q_lease_nack,
                                            &q_leased,       &q_nack_unlocked, &q_bury,          &q_bury_more,
                                            &q_task_done,    &q_shut,          &q_discard,       &q_discard_leased,
                                            &q_delete_used,  &q_delete,        &q_wake_taker,    &q_wake_holder,
                                            &q_wake_putter,  &q_wake_joiner,   &q_nack_waited,   &q_shut_waited,
                                            &q_take_awaited, &q_hold_awaited,  &q_put_awaited,   NULL};
