/* scenes_wait.c: waiting for each other: locks that change hands, sleepers that the dead should have woken. */
#include <stddef.h>

#include "acts.h"

enum { BELL_NAP_NS = 100000000 };

static void send_patiently(struct world *world) { act_send(world, patience_ns()); }
static void recv_patiently(struct world *world) { act_recv(world, patience_ns()); }

/* ---- sleepers: each comes free by itself, whatever became of the victim ---------------------------------------------- */
static void sleep_for_room(struct world *world) {
  uint64_t before_ns = shm_monotonic_ns();
  uint8_t bytes[SMALL_BYTES];
  fill_message(bytes, MINE(world->me) + 1, sizeof bytes);
  struct progress *progress = progress_of(world);
  progress->status = shm_channel_send(world->channel, bytes, sizeof bytes, 0, patience_ns());
  progress->blocked_ns = shm_monotonic_ns() - before_ns;
  progress->sent += progress->status == SHM_OK;
}

/* What an event loop does: arm, look, wait for the bell, look again. */
static void sleep_at_bell(struct world *world) {
  struct progress *progress = progress_of(world);
  uint64_t before_ns = shm_monotonic_ns(), until_ns = patience_ns();
  uint32_t seen = 0;
  while (shm_channel_look(world->channel) == SHM_EMPTY && shm_monotonic_ns() < until_ns) {
    shm_channel_arm(world->channel, 0);
    if (shm_channel_look(world->channel) != SHM_EMPTY) break;
    seen = shm_bell_wait(world->space, seen, BELL_NAP_NS);
  }
  act_recv(world, 0);
  progress->blocked_ns = shm_monotonic_ns() - before_ns;
}

static void sleep_for_lock(struct world *world) {
  act_take_lock(world, patience_ns());
  if (progress_of(world)->status == SHM_OK) act_release_lock(world);
}

/* ---- victims ------------------------------------------------------------------------------------------------------------- */
static void release(struct world *world) { act_release_lock(world); }

static void take_and_release(struct world *world) {
  act_take_lock(world, patience_ns());
  act_release_lock(world);
}

/* ---- the survivor's part ------------------------------------------------------------------------------------------------- */
static void hold_lock(struct world *world) { ready_held(world); }

static void release_when_awaited(struct world *world) {
  await_asleep(world, VICTIM);
  shm_lock_release(world->lock);
}

/* The message comes when the victim sleeps. */
static void send_when_awaited(struct world *world) {
  await_asleep(world, VICTIM);
  relieve(world);
}

static const struct scene
    reader_asleep = {.name = "reader_asleep", .size_bytes = SMALL_BYTES, .takes = 1, .act = recv_patiently},
    reader_asleep_all = {.name = "reader_asleep_all",
                         .delivery = SHM_DELIVERY_ALL,
                         .size_bytes = SMALL_BYTES,
                         .ready = ready_reader,
                         .act = recv_patiently},
    writer_asleep = {.name = "writer_asleep", .size_bytes = SMALL_BYTES, .sends = 1, .act = sleep_for_room},
    loop_asleep = {.name = "loop_asleep", .size_bytes = SMALL_BYTES, .takes = 1, .act = sleep_at_bell},
    taker_asleep = {.name = "taker_asleep", .size_bytes = SMALL_BYTES, .ready = ready_lock, .act = sleep_for_lock};

static const struct scene wake_reader = {.name = "wake_reader",
                                         .needs = EMPTY_START,
                                         .size_bytes = SMALL_BYTES,
                                         .sends = 1,
                                         .other_role = SLEEPS,
                                         .other = "reader_asleep",
                                         .act = send_one},
                          wake_readers = {.name = "wake_readers",
                                          .needs = EMPTY_START,
                                          .delivery = SHM_DELIVERY_ALL,
                                          .size_bytes = SMALL_BYTES,
                                          .sends = 1,
                                          .other_role = SLEEPS,
                                          .other = "reader_asleep_all",
                                          .act = send_one},
                          wake_writer = {.name = "wake_writer",
                                         .needs = FULL_START,
                                         .size_bytes = SMALL_BYTES,
                                         .takes = 1,
                                         .other_role = SLEEPS,
                                         .other = "writer_asleep",
                                         .act = recv_one},
                          ring_bell = {.name = "ring_bell",
                                       .needs = EMPTY_START,
                                       .size_bytes = SMALL_BYTES,
                                       .sends = 1,
                                       .other_role = SLEEPS,
                                       .other = "loop_asleep",
                                       .act = send_one},
                          lock_handed = {.name = "lock_handed",
                                         .needs = ONE_START,
                                         .size_bytes = SMALL_BYTES,
                                         .locks = 1,
                                         .other_role = SLEEPS,
                                         .other = "taker_asleep",
                                         .ready = ready_held,
                                         .act = release},
                          lock_awaited = {.name = "lock_awaited",
                                          .needs = ONE_START,
                                          .size_bytes = SMALL_BYTES,
                                          .locks = 1,
                                          .before = hold_lock,
                                          .ready = ready_lock,
                                          .act = take_and_release,
                                          .meanwhile = release_when_awaited},
                          recv_awaited = {.name = "recv_awaited",
                                          .needs = EMPTY_START,
                                          .size_bytes = SMALL_BYTES,
                                          .takes = 1,
                                          .act = recv_patiently,
                                          .meanwhile = send_when_awaited},
                          send_awaited = {.name = "send_awaited",
                                          .needs = ROOM_START,
                                          .size_bytes = SMALL_BYTES,
                                          .sends = 1,
                                          .act = send_patiently};

const struct scene *const wait_scenes[] = {
    &wake_reader,  &wake_readers,  &wake_writer,       &ring_bell,     &lock_handed, &lock_awaited, &recv_awaited,
    &send_awaited, &reader_asleep, &reader_asleep_all, &writer_asleep, &loop_asleep, &taker_asleep, NULL};
