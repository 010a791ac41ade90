/* scenes_tuples.c: what is done with a tuple space; what must hold of it is in shelf_judge.c. */
#include <stddef.h>

#include "shelf_scenes.h"

enum { KEYS = 12 };

#define TUPLES .kind = SHM_KIND_TUPLES, .keys = 1

STOCK(t_put, TUPLES, .values = 1, .size_bytes = MIXED_BYTES, .puts = 1)
STOCK(t_put_many, TUPLES, .values = 1, .size_bytes = MIXED_BYTES, .puts = 9)
STOCK(t_new, TUPLES, .size_bytes = SMALL_BYTES, .puts = 1)
STOCK(t_many_keys, .kind = SHM_KIND_TUPLES, .keys = 8, .values = 1, .size_bytes = SMALL_BYTES, .puts = 1)
STOCK(t_take, TUPLES, .values = 2, .size_bytes = SMALL_BYTES, .takes = 1)
STOCK(t_take_block, TUPLES, .values = 2, .size_bytes = BLOCK_BYTES, .takes = 1)
STOCK(t_take_one, TUPLES, .values = 1, .size_bytes = BLOCK_BYTES, .takes = 1)
STOCK(t_kept, TUPLES, .values = 2, .size_bytes = BLOCK_BYTES, .holds = 1)
STOCK(t_take_many, TUPLES, .values = 7, .size_bytes = MIXED_BYTES, .takes = 7)
STOCK(t_collect, TUPLES, .values = 22, .size_bytes = SMALL_BYTES, .takes = 1)
STOCK(t_take_keys, .kind = SHM_KIND_TUPLES, .keys = KEYS, .values = 3, .size_bytes = MIXED_BYTES, .takes = 1)
STOCK(t_none, TUPLES, .size_bytes = SMALL_BYTES, .puts = 1, .takes = 1)
STOCK(t_none_block, TUPLES, .size_bytes = BLOCK_BYTES, .puts = 1, .takes = 1)
STOCK(t_full, TUPLES, .bound = 1, .values = 1, .size_bytes = SMALL_BYTES, .puts = 1, .takes = 1)
STOCK(t_shut, TUPLES, .values = 3, .size_bytes = MIXED_BYTES, .shuts = 1)
STOCK(t_discard, TUPLES, .values = 3, .size_bytes = MIXED_BYTES, .takes = 3, .shuts = 1)
STOCK(t_discard_block, TUPLES, .values = 2, .size_bytes = BLOCK_BYTES, .takes = 2, .shuts = 1)
STOCK(t_deleted, .kind = SHM_KIND_TUPLES, .keys = 10, .values = 2, .size_bytes = BLOCK_BYTES, .deletes = 1)

/* ---- putting ------------------------------------------------------------------------------------------------------------- */
static void put_one(struct world *world) { shelf_put(world, 0, 0); }
static void take_many(struct world *world) { shelf_take_many(world, 0); }
static void put_patiently(struct world *world) { shelf_put(world, 0, patience_ns()); }
static void put_nine(struct world *world) { shelf_put_many(world, 0, 9); }

static void put_three(struct world *world) {
  for (int n = 0; n < 3; n++) shelf_put(world, 0, 0);
}

static void put_keys(struct world *world) {
  for (uint64_t key = 0; key < KEYS; key++) shelf_put(world, key, patience_ns());
}

static void put_ninth(struct world *world) { shelf_put(world, 8, patience_ns()); }

/* ---- taking -------------------------------------------------------------------------------------------------------------- */
static void take_one(struct world *world) { shelf_take(world, 0, 0, 0); }
static void take_held(struct world *world) { shelf_take(world, 0, SHM_TAKE_HOLD, 0); }
static void take_patiently(struct world *world) { shelf_take(world, 0, 0, patience_ns()); }
static void hold_patiently(struct world *world) { shelf_take(world, 0, SHM_TAKE_HOLD, patience_ns()); }

static void take_two(struct world *world) {
  for (int n = 0; n < 2; n++) take_held(world);
}

static void take_keys(struct world *world) {
  for (uint64_t key = 0; key < KEYS; key++) {
    for (int n = 0; n < 3; n++) shelf_take(world, key, SHM_TAKE_HOLD, 0);
  }
}

/* The last value of a key that makes the idle ones too many: entries are removed. */
static void ready_emptied(struct world *world) {
  open_shelf(world);
  for (uint64_t key = 0; key < 9; key++) {
    for (int n = 0; n < 3; n++) shelf_take(world, key, SHM_TAKE_HOLD, 0);
  }
  for (int n = 0; n < 2; n++) shelf_take(world, 9, SHM_TAKE_HOLD, 0);
}

static void take_last(struct world *world) { shelf_take(world, 9, SHM_TAKE_HOLD, 0); }

/* What is left of the second segment is taken by the act, which goes on in the third: the first two are let go of. */
static void ready_taken(struct world *world) {
  open_shelf(world);
  for (int n = 0; n < 20; n++) take_held(world);
}

static void take_and_return(struct world *world) {
  shm_taken taken;
  if (shelf_hold(world, 0, 0, SHM_TAKE_HOLD, 0, &taken) != SHM_OK) return;
  shm_tuples_return(shelf.tuples, shelf.keys[0], shelf_key_length(0), &taken);
}

static shm_taken held;
static void ready_held_value(struct world *world) {
  open_shelf(world);
  if (shelf_hold(world, 0, 0, SHM_TAKE_HOLD, 0, &held) != SHM_OK) blame(world, "no value");
}

static void give_back(struct world *world) {
  (void)world;
  shm_tuples_return(shelf.tuples, shelf.keys[0], shelf_key_length(0), &held);
}

static void stand_and_leave(struct world *world) {
  shm_taken taken;
  if (shelf_hold(world, 0, 0, SHM_TAKE_HOLD | SHM_WAIT_BELL, 0, &taken) == SHM_OK) shelf_taken(world, 0, 0, &taken);
}

/* ---- reading ------------------------------------------------------------------------------------------------------------- */
static void look_until(struct world *world, uint64_t deadline_ns) {
  shm_wait wait = {0};
  shm_taken taken;
  if (shelf_look(world, 0, deadline_ns, &wait, &taken) == SHM_OK && wait.block) shelf_look_away(0, &wait);
}

static void look(struct world *world) { look_until(world, 0); }
static void look_patiently(struct world *world) { look_until(world, patience_ns()); }

static shm_wait pin;
static void look_and_hold(struct world *world) {
  shm_taken taken;
  if (shelf_look(world, 0, 0, &pin, &taken) != SHM_OK || !pin.block) blame(world, "the value is not pinned");
}

static void ready_looking(struct world *world) {
  open_shelf(world);
  look_and_hold(world);
}

static void look_away(struct world *world) {
  (void)world;
  shelf_look_away(0, &pin);
}

/* It stands in line already, and has been given what it waits for. */
static void ready_standing(struct world *world) {
  open_shelf(world);
  shelf_stand(world, SHM_TAKE_HOLD);
}

static void ready_standing_to_look(struct world *world) {
  open_shelf(world);
  shelf_stand(world, SHM_TAKE_READ);
}

static void ready_standing_to_put(struct world *world) {
  open_shelf(world);
  shelf_stand_to_put(world);
}

static void take_given(struct world *world) {
  shm_taken taken;
  if (shelf_is_served(world, SHM_TAKE_HOLD, 0, &taken)) shelf_taken(world, 0, 0, &taken);
}

static void look_shown(struct world *world) {
  shm_taken taken;
  if (shelf_is_served(world, SHM_TAKE_READ, 0, &taken) && shelf.line.block) shelf_look_away(0, &shelf.line);
}

static void leave_given(struct world *world) { shelf_leave_line(world, SHM_TAKE_HOLD); }
static void leave_shown(struct world *world) {
  (void)world;
  shelf_look_away(0, &shelf.line);
}

static void leave_room(struct world *world) { shelf_leave_line(world, 0); }
static void put_given(struct world *world) { shelf_put_standing(world); }
static void leave_space(struct world *world) { shm_space_close(world->space); }

/* The block is left to one of those who look at it: it itself, or the survivor. */
static void take_and_look_away(struct world *world) {
  take_held(world);
  look_away(world);
}

static void ready_taken_looking(struct world *world) {
  ready_looking(world);
  take_held(world);
}

/* The survivor looks at the first value, and goes on looking. */
static void make_t_pinned(struct world *world) {
  make_t_take_block(world);
  if (shelf_look(world, 0, patience_ns(), &shelf.pin, &shelf.pinned) != SHM_OK) blame(world, "the survivor cannot look");
  shelf.pinned_id = 1;
}

static void make_t_discard_pinned(struct world *world) {
  make_t_discard_block(world);
  if (shelf_look(world, 0, patience_ns(), &shelf.pin, &shelf.pinned) != SHM_OK) blame(world, "the survivor cannot look");
  shelf.pinned_id = 1;
}

/* ---- the end ------------------------------------------------------------------------------------------------------------- */
static void shut(struct world *world) {
  (void)world;
  shm_tuples_shutdown(shelf.tuples, 0, patience_ns());
}

static void discard(struct world *world) {
  (void)world;
  shm_tuples_shutdown(shelf.tuples, 1, patience_ns());
}

static void delete_tuples(struct world *world) {
  close_shelf();
  shm_space_delete(world->space, SHM_KIND_TUPLES, "t", 1, patience_ns());
}

static void make_t_left(struct world *world) {
  make_t_deleted(world);
  close_shelf();
}

/* ---- sleepers ------------------------------------------------------------------------------------------------------------ */
static void sleep_until_shut(struct world *world) {
  take_patiently(world);
  struct progress *progress = progress_of(world);
  if (progress->status == SHM_CLOSED) progress->status = SHM_OK;
}

static void put_when_awaited(struct world *world) {
  await_asleep(world, VICTIM);
  help_with_a_value(world);
}

static void take_when_awaited(struct world *world) {
  await_asleep(world, VICTIM);
  help_with_room(world);
}

SCENE(t_taker_asleep, t_none, take_patiently, .in_vain = nothing_to_take, .help = help_with_a_value)
SCENE(t_reader_asleep, t_none_block, look_patiently, .in_vain = nothing_to_take, .help = help_with_a_value)
SCENE(t_putter_asleep, t_full, put_patiently, .in_vain = no_room, .help = help_with_room)
SCENE(t_last_asleep, t_none, sleep_until_shut, .in_vain = not_shut, .help = help_to_shut)

SCENE(t_put, t_put, put_three)
SCENE(t_put_many, t_put_many, put_nine)
SCENE(t_new, t_new, put_one)
SCENE(t_new_keys, t_new, put_keys)
SCENE(t_rehash, t_many_keys, put_ninth)
SCENE(t_take, t_take, take_one)
SCENE(t_take_held, t_take, take_held)
SCENE(t_take_block, t_take_block, take_one)
SCENE(t_take_keys, t_take_keys, take_keys)
SCENE(t_remove, t_take_keys, take_last, .ready = ready_emptied)
SCENE(t_take_many, t_take_many, take_many)
SCENE(t_collect, t_collect, take_two, .ready = ready_taken)
SCENE(t_return, t_take_block, take_and_return)
SCENE(t_stand, t_none, stand_and_leave)
SCENE(t_look, t_take, look)
SCENE(t_look_block, t_take_block, look)
SCENE(t_looking, t_take_block, look_and_hold)
SCENE(t_given, t_none_block, take_given, .ready = ready_standing, AFTER_ACT("t_new"))
SCENE(t_given_late, t_none_block, leave_given, .ready = ready_standing, AFTER_ACT("t_new"))
SCENE(t_shown, t_none_block, look_shown, .ready = ready_standing_to_look, AFTER_ACT("t_new"))
SCENE(t_shown_late, t_none_block, leave_shown, .ready = ready_standing_to_look, AFTER_ACT("t_new"))
SCENE(t_room_given, t_full, put_given, .ready = ready_standing_to_put, AFTER_ACT("t_take"))
SCENE(t_room_late, t_full, leave_room, .ready = ready_standing_to_put, AFTER_ACT("t_take"))
SCENE(t_leave_held, t_kept, leave_space, .ready = ready_held_value)
SCENE(t_leave_looking, t_kept, leave_space, .ready = ready_looking)
SCENE(t_leave_line, t_none, leave_space, .ready = ready_standing)
SCENE(t_take_pinned, t_pinned, take_held)
SCENE(t_two_pins, t_pinned, take_and_look_away, .ready = ready_looking)
SCENE(t_own_pin, t_take_block, take_and_look_away, .ready = ready_looking)
SCENE(t_look_away, t_pinned, look_away, .ready = ready_taken_looking)
SCENE(t_shut, t_shut, shut)
SCENE(t_discard, t_discard, discard)
SCENE(t_discard_pinned, t_discard_pinned, discard)
SCENE(t_delete_used, t_deleted, delete_tuples)
SCENE(t_delete, t_left, delete_tuples)
SCENE(t_wake_taker, t_none, put_one, SLEEPER("t_taker_asleep"))
SCENE(t_wake_reader, t_none_block, put_one, SLEEPER("t_reader_asleep"))
SCENE(t_wake_putter, t_full, take_held, SLEEPER("t_putter_asleep"))
SCENE(t_return_waited, t_take_one, give_back, .ready = ready_held_value, SLEEPER("t_taker_asleep"))
SCENE(t_shut_waited, t_none, shut, SLEEPER("t_last_asleep"))
SCENE(t_take_awaited, t_none, take_patiently, .meanwhile = put_when_awaited)
SCENE(t_hold_awaited, t_none_block, hold_patiently, .meanwhile = put_when_awaited)
SCENE(t_look_awaited, t_none_block, look_patiently, .meanwhile = put_when_awaited)
SCENE(t_put_awaited, t_full, put_patiently, .meanwhile = take_when_awaited)

const struct scene *const tuples_scenes[] = {
    &t_taker_asleep, &t_reader_asleep, &t_putter_asleep, &t_last_asleep,
    &t_put, &t_put_many, &t_new, &t_new_keys, &t_rehash, &t_take, &t_take_held, &t_take_block, &t_take_keys, &t_remove,
    &t_given, &t_given_late, &t_shown, &t_shown_late, &t_room_given, &t_room_late, &t_leave_held, &t_leave_looking, &t_leave_line,
    &t_take_many, &t_collect, &t_return, &t_stand, &t_look, &t_look_block, &t_looking, &t_take_pinned, &t_two_pins, &t_own_pin,
    &t_look_away, &t_shut, &t_discard, &t_discard_pinned, &t_delete_used, &t_delete, &t_wake_taker, &t_wake_reader,
    &t_wake_putter, &t_return_waited, &t_shut_waited, &t_take_awaited, &t_hold_awaited, &t_look_awaited, &t_put_awaited, NULL};
