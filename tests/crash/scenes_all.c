/* scenes_all.c: what is done with a channel whose messages go to every reader. */
#include <stddef.h>

#include "acts.h"
#include "core/directory.h"
#include "core/lock.h"

enum { ALL = SHM_DELIVERY_ALL };

static void view_and_unpin(struct world *world) {
  shm_view view;
  if (act_view(world, &view)) shm_channel_unpin(world->reader, &view);
}

/* The first message is pinned while it is retired, since everybody has read on: its block is then the pinner's. */
static void view_and_read_on(struct world *world) {
  shm_view view;
  if (!act_view(world, &view)) return;
  act_recv(world, 0);
  shm_channel_unpin(world->reader, &view);
}

/* And it stays pinned. */
static void view_and_hold(struct world *world) {
  shm_view view;
  if (act_view(world, &view)) act_recv(world, 0);
}

static void come_and_go(struct world *world) {
  if (shm_channel_open_reader(world->channel, patience_ns(), &world->reader) != SHM_OK) return;
  act_recv(world, 0);
  shm_channel_free(world->reader);
}

static void go(struct world *world) { shm_channel_free(world->reader); }

/* Somebody has the producer lock and does not go on: here another member in the victim's own process, with whom it dies.
 * Neither the pin nor the reader can go at once: they are marked. */
static void go_unlocked(struct world *world) {
  shm_view view;
  shm_space *stopped;
  const struct shm_entry *entry = shm__directory_look(world->space, SHM_KIND_CHANNEL, "c", 1);
  struct shm_ring *ring = shm__at(world->space, entry->main, sizeof *ring, 16);
  int viewing = act_view(world, &view);
  if (shm_space_open(world->directory, world->name, 0, 0, 0600, 0, patience_ns(), &stopped) != SHM_OK) return;
  if (shm__lock(stopped, &ring->producer_lock, patience_ns(), 0) != SHM_OK) return;
  hurry(1);
  if (viewing) shm_channel_unpin(world->reader, &view);
  shm_channel_free(world->reader);
  hurry(0);
  shm__unlock(&ring->producer_lock);
}

static void discard(struct world *world) { shm_channel_shutdown(world->channel, 1, patience_ns()); }

/* What the survivor pinned must stay what it was until the survivor lets it go, whoever else pinned it. */
static void first_is_intact(struct world *world) {
  if (!world->view.block) return;
  read_message(world, world->view.data, world->view.length_bytes);
  shm_channel_unpin(world->second, &world->view);
  world->view = (shm_view){0};
}

static const struct scene all_send_small = {.name = "all_send_small",
                                            .delivery = ALL,
                                            .size_bytes = SMALL_BYTES,
                                            .sends = 1,
                                            .readers = 2,
                                            .act = send_one},
                          all_send_block = {.name = "all_send_block",
                                            .delivery = ALL,
                                            .size_bytes = BLOCK_BYTES,
                                            .sends = 1,
                                            .readers = 2,
                                            .act = send_one},
                          all_send_read = {.name = "all_send_read",
                                           .delivery = ALL,
                                           .size_bytes = BLOCK_BYTES,
                                           .sends = 1,
                                           .early = 1,
                                           .act = send_one},
                          all_replay = {.name = "all_replay",
                                        .delivery = ALL,
                                        .replay = 4,
                                        .size_bytes = SMALL_BYTES,
                                        .sends = 1,
                                        .early = 1,
                                        .act = send_one},
                          all_replay_block = {.name = "all_replay_block",
                                              .needs = FEW_STARTS,
                                              .delivery = ALL,
                                              .replay = 4,
                                              .size_bytes = BLOCK_BYTES,
                                              .sends = 1,
                                              .early = 1,
                                              .act = send_one},
                          all_drop_small = {.name = "all_drop_small",
                                            .delivery = ALL,
                                            .overflow = SHM_OVERFLOW_OLDEST,
                                            .size_bytes = SMALL_BYTES,
                                            .sends = 1,
                                            .takes = 1,
                                            .readers = 2,
                                            .act = send_one},
                          all_drop_block = {.name = "all_drop_block",
                                            .delivery = ALL,
                                            .overflow = SHM_OVERFLOW_OLDEST,
                                            .size_bytes = BLOCK_BYTES,
                                            .sends = 1,
                                            .takes = 1,
                                            .readers = 2,
                                            .act = send_one},
                          all_recv_small = {.name = "all_recv_small",
                                            .delivery = ALL,
                                            .size_bytes = SMALL_BYTES,
                                            .ready = ready_reader,
                                            .act = recv_one},
                          all_recv_block = {.name = "all_recv_block",
                                            .delivery = ALL,
                                            .size_bytes = BLOCK_BYTES,
                                            .ready = ready_reader,
                                            .act = recv_one},
                          all_recv_last = {.name = "all_recv_last",
                                           .delivery = ALL,
                                           .size_bytes = BLOCK_BYTES,
                                           .early = 1,
                                           .ready = ready_reader,
                                           .act = recv_one},
                          all_view = {.name = "all_view",
                                      .delivery = ALL,
                                      .size_bytes = BLOCK_BYTES,
                                      .ready = ready_reader,
                                      .act = view_and_unpin},
                          all_view_last = {.name = "all_view_last",
                                           .needs = FEW_STARTS,
                                           .delivery = ALL,
                                           .size_bytes = BLOCK_BYTES,
                                           .early = 1,
                                           .ready = ready_reader,
                                           .act = view_and_read_on},
                          all_two_pins = {.name = "all_two_pins",
                                          .needs = FEW_STARTS,
                                          .delivery = ALL,
                                          .size_bytes = BLOCK_BYTES,
                                          .readers = 2,
                                          .early = 1,
                                          .pins = 1,
                                          .ready = ready_reader,
                                          .act = view_and_read_on,
                                          .after = first_is_intact},
                          all_pinned = {.name = "all_pinned",
                                        .delivery = ALL,
                                        .needs = FEW_STARTS,
                                        .size_bytes = BLOCK_BYTES,
                                        .readers = 2,
                                        .early = 1,
                                        .pins = 1,
                                        .ready = ready_reader,
                                        .act = view_and_hold,
                                        .after = first_is_intact},
                          all_reader = {.name = "all_reader",
                                        .needs = FEW_STARTS,
                                        .delivery = ALL,
                                        .replay = 2,
                                        .size_bytes = BLOCK_BYTES,
                                        .act = come_and_go},
                          all_slow_reader = {.name = "all_slow_reader",
                                             .needs = FEW_STARTS,
                                             .delivery = ALL,
                                             .size_bytes = BLOCK_BYTES,
                                             .early = 1,
                                             .ready = ready_reader,
                                             .act = go},
                          all_marked = {.name = "all_marked",
                                        .needs = ONE_START,
                                        .delivery = ALL,
                                        .size_bytes = BLOCK_BYTES,
                                        .early = 1,
                                        .ready = ready_reader,
                                        .act = go_unlocked},
                          all_discard = {.name = "all_discard",
                                         .delivery = ALL,
                                         .size_bytes = BLOCK_BYTES,
                                         .takes = 99,
                                         .shuts = 1,
                                         .act = discard};

const struct scene *const all_delivery_scenes[] = {
    &all_send_small, &all_send_block, &all_send_read,  &all_replay,      &all_replay_block, &all_drop_small,
    &all_drop_block, &all_recv_small, &all_recv_block, &all_recv_last,   &all_view,         &all_view_last,
    &all_two_pins,   &all_pinned,     &all_reader,     &all_slow_reader, &all_marked,       &all_discard,
    NULL};
