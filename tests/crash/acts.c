/* acts.c: see acts.h. */
#include "acts.h"

#include <string.h>

void act_send(struct world *world, uint64_t deadline_ns) {
  static uint8_t bytes[BIG_BYTES];
  struct progress *progress = progress_of(world);
  uint64_t id = MINE(world->me) + progress->sent + 1, size_bytes = size_of_message(world->scene, id);
  fill_message(bytes, id, size_bytes);
  int status = shm_channel_send(world->writer ? world->writer : world->channel, bytes, size_bytes, 0, deadline_ns);
  if (status == SHM_OK) progress->sent++;
}

void act_recv(struct world *world, uint64_t deadline_ns) {
  static uint8_t bytes[BIG_BYTES];
  uint64_t length, before_ns = shm_monotonic_ns();
  uint32_t codec;
  shm_channel *reader = world->reader ? world->reader : world->channel;
  int status = shm_channel_recv(reader, bytes, sizeof bytes, &length, &codec, deadline_ns);
  struct progress *progress = progress_of(world);
  progress->blocked_ns = shm_monotonic_ns() - before_ns;
  progress->status = status;
  if (status != SHM_OK) return;
  progress->taken++;
  read_message(world, bytes, length);
}

int act_view(struct world *world, shm_view *view) {
  *view = (shm_view){0};
  int status = shm_channel_recv_view(world->reader ? world->reader : world->channel, view, 0);
  if (status != SHM_OK || view->block == 0) return 0;
  progress_of(world)->taken++;
  read_message(world, view->data, view->length_bytes);
  return 1;
}

void act_reserve(struct world *world, uint64_t size_bytes, shm_view *view) {
  *view = (shm_view){0};
  if (shm_channel_reserve(world->channel, size_bytes, 0, view) != SHM_OK) *view = (shm_view){0};
}

void act_open_lock(struct world *world) {
  if (shm_lock_open(world->space, "l", 1, patience_ns(), &world->lock) != SHM_OK) blame(world, "%s", shm_error_text());
}

void act_take_lock(struct world *world, uint64_t deadline_ns) {
  int owner_died = 0;
  uint64_t before_ns = shm_monotonic_ns();
  struct progress *progress = progress_of(world);
  progress->status = shm_lock_take(world->lock, deadline_ns, &owner_died);
  progress->blocked_ns = shm_monotonic_ns() - before_ns;
  progress->told = (uint64_t)owner_died;
  if (progress->status == SHM_OK) progress->locked = 1;
}

void act_release_lock(struct world *world) {
  progress_of(world)->locked = 2;
  shm_lock_release(world->lock);
}

void ready_reader(struct world *world) {
  if (shm_channel_open_reader(world->channel, patience_ns(), &world->reader) != SHM_OK)
    blame(world, "%s", shm_error_text());
}

void ready_lock(struct world *world) { act_open_lock(world); }

void ready_held(struct world *world) {
  act_open_lock(world);
  act_take_lock(world, 0);
}

void send_one(struct world *world) { act_send(world, 0); }
void recv_one(struct world *world) { act_recv(world, 0); }
