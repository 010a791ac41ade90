/* scenes_one.c: what is done with a channel whose messages go to one reader each. */
#include <stddef.h>

#include "acts.h"

static void send_many(struct world *world) {
  enum { COUNT = 3 };
  uint8_t bytes[COUNT][BLOCK_BYTES];
  shm_piece pieces[COUNT];
  uint64_t done, next = MINE(world->me) + 1;
  for (int i = 0; i < COUNT; i++) {
    uint64_t size_bytes = size_of_message(world->scene, next + (uint64_t)i);
    fill_message(bytes[i], next + (uint64_t)i, size_bytes);
    pieces[i] = (shm_piece){.data = bytes[i], .length_bytes = size_bytes};
  }
  shm_channel_send_many(world->channel, pieces, COUNT, 0, &done);
  progress_of(world)->sent += done;
}

static void recv_many(struct world *world) {
  enum { COUNT = 3 };
  shm_small messages[COUNT];
  uint64_t done;
  shm_channel_recv_many(world->channel, messages, COUNT, 0, &done);
  progress_of(world)->taken += done;
}

static void view_and_unpin(struct world *world) {
  shm_view view;
  if (act_view(world, &view)) shm_channel_unpin(world->channel, &view);
}

static void reserve_and_commit(struct world *world) {
  shm_view view;
  act_reserve(world, BLOCK_BYTES, &view);
  if (!view.data) return;
  fill_message(view.data, MINE(world->me) + 1, BLOCK_BYTES);
  if (shm_channel_commit(world->channel, &view, 0) == SHM_OK) progress_of(world)->sent++;
  else shm_channel_abort(world->channel, &view);
}

static void reserve_and_abort(struct world *world) {
  shm_view view;
  act_reserve(world, BLOCK_BYTES, &view);
  if (view.data) shm_channel_abort(world->channel, &view);
}

static void write_and_close(struct world *world) {
  if (shm_channel_open_writer(world->channel, patience_ns(), &world->writer) != SHM_OK) return;
  progress_of(world)->opened = 1;
  act_send(world, 0);
  shm_channel_free(world->writer);
}

static void read_and_close(struct world *world) {
  if (shm_channel_open_reader(world->channel, patience_ns(), &world->reader) != SHM_OK) return;
  act_recv(world, 0);
  shm_channel_free(world->reader);
}

static void shut(struct world *world) { shm_channel_shutdown(world->channel, 0, patience_ns()); }

static void discard(struct world *world) { shm_channel_shutdown(world->channel, 1, patience_ns()); }

/* A channel that had a writer, the only one, which is dead or gone: whoever waits for a message hears of the end. */
static void stream_has_ended(struct world *world) {
  uint8_t byte;
  uint64_t length;
  uint32_t codec;
  if (!world->progress[VICTIM].opened && !world->progress[OTHER].opened) return;
  int status = TIMED(world, shm_channel_recv(world->channel, &byte, 1, &length, &codec, patience_ns()));
  if (status != SHM_END) blame(world, "the last writer is gone, and its reader gets %s", shm_error_name(status));
}

static const struct scene
    send_small = {.name = "send_small", .size_bytes = SMALL_BYTES, .sends = 1, .act = send_one},
    send_block = {.name = "send_block", .size_bytes = BLOCK_BYTES, .sends = 1, .act = send_one},
    send_big = {.name = "send_big", .size_bytes = BIG_BYTES, .sends = 1, .act = send_one},
    send_mixed = {.name = "send_mixed", .needs = FEW_STARTS, .size_bytes = MIXED_BYTES, .sends = 3, .act = send_many},
    drop_small = {.name = "drop_small",
                  .overflow = SHM_OVERFLOW_OLDEST,
                  .size_bytes = SMALL_BYTES,
                  .sends = 1,
                  .takes = 1,
                  .act = send_one},
    drop_block = {.name = "drop_block",
                  .overflow = SHM_OVERFLOW_OLDEST,
                  .size_bytes = BLOCK_BYTES,
                  .sends = 1,
                  .takes = 1,
                  .act = send_one},
    recv_small = {.name = "recv_small", .size_bytes = SMALL_BYTES, .takes = 1, .act = recv_one},
    recv_block = {.name = "recv_block", .size_bytes = BLOCK_BYTES, .takes = 1, .act = recv_one},
    recv_mixed = {.name = "recv_mixed", .size_bytes = MIXED_BYTES, .takes = 3, .act = recv_many},
    view_block = {.name = "view_block", .size_bytes = BLOCK_BYTES, .takes = 1, .act = view_and_unpin},
    commit_block = {.name = "commit_block",
                    .needs = FEW_STARTS,
                    .size_bytes = BLOCK_BYTES,
                    .sends = 1,
                    .act = reserve_and_commit},
    abort_block = {.name = "abort_block", .needs = FEW_STARTS, .size_bytes = BLOCK_BYTES, .act = reserve_and_abort},
    writer = {.name = "writer",
              .needs = FEW_STARTS,
              .size_bytes = SMALL_BYTES,
              .sends = 1,
              .act = write_and_close,
              .drained = stream_has_ended},
    reader = {.name = "reader", .needs = FEW_STARTS, .size_bytes = SMALL_BYTES, .takes = 1, .act = read_and_close},
    shut_down = {.name = "shut_down", .needs = FEW_STARTS, .size_bytes = BLOCK_BYTES, .shuts = 1, .act = shut},
    shut_discard = {.name = "shut_discard", .size_bytes = BLOCK_BYTES, .takes = 99, .shuts = 1, .act = discard};

const struct scene *const channel_scenes[] = {&send_small,   &send_block,  &send_big,   &send_mixed, &drop_small,
                                              &drop_block,   &recv_small,  &recv_block, &recv_mixed, &view_block,
                                              &commit_block, &abort_block, &writer,     &reader,     &shut_down,
                                              &shut_discard, NULL};
