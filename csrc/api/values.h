/* values.h: how values, and calls that wait for them, go through the C interface, for the files of this directory. */
#ifndef SHM_API_VALUES_H
#define SHM_API_VALUES_H

#include <string.h>

#include "../include/shmspace.h"
#include "../base/bits.h"
#include "../types/fifo_wait.h"
#include "handle.h"

_Static_assert(sizeof(shm_small) == sizeof(struct shm__value), "shm_small is a value");

static inline struct shm__waiter shm__waiter_of(const shm_wait *wait) {
  return (struct shm__waiter){{wait->block, wait->block_gen}, wait->waiter};
}

static inline void shm__keep_waiter(shm_wait *wait, const struct shm__waiter *waiter) {
  *wait = (shm_wait){.block = waiter->ref.offset, .block_gen = waiter->ref.gen, .waiter = waiter->shared};
}

/* Make a value: short ones inline, longer ones in a block of ours. */
static inline int shm__prepare(struct shm__space *space, const shm_piece *piece, u64 deadline_ns, struct shm__value *value) {
  value->length_bytes = piece->length_bytes;
  value->codec = piece->codec;
  value->block = (struct shm__ref){0, 0};
  if (piece->length_bytes <= SHM_INLINE_BYTES) {
    if (piece->length_bytes) memcpy(value->data, piece->data, piece->length_bytes);
    return SHM_OK;
  }
  int status = shm__block_alloc(space, piece->length_bytes, deadline_ns, &value->block);
  if (status == SHM_OK) memcpy(shm__block_payload(space, value->block, piece->length_bytes), piece->data, piece->length_bytes);
  return status;
}

static inline struct shm__place shm__place_of(const shm_taken *taken) {
  return (struct shm__place){taken->held ? taken->cell : NULL, taken->line, taken->segment, taken->index, taken->cells};
}

static inline void shm__tell_taken(struct shm__space *space, const struct shm__value *value, const struct shm__place *place,
                                   shm_taken *taken) {
  taken->length_bytes = value->length_bytes;
  taken->codec = value->codec;
  taken->held = place->cell != NULL;
  taken->data = NULL;
  if (value->block.offset) taken->data = shm__block_payload(space, value->block, value->length_bytes);
  else if (place->cell) taken->data = place->cell->data;
  else memcpy(taken->small, value->data, value->length_bytes);
  if (!place->cell) return;
  taken->deliveries = place->cell->deliveries;
  taken->cell = place->cell;
  taken->line = place->line;
  taken->segment = place->segment, taken->index = place->index, taken->cells = place->cells;
}

/* What is held for the length of a call keeps its handle entered, so that closing waits until it is let go of; a lease does
 * not. 1: it is inside now. */
enum { SHM__HELD = 1, SHM__HELD_INSIDE = 2 };

static inline int shm__stay_inside(u32 flags, int status, shm_taken *taken) {
  if (status != SHM_OK || !taken->held || !(flags & SHM_TAKE_HOLD)) return 0;
  taken->held = SHM__HELD_INSIDE;
  return 1;
}

/* Values taken at once, for shm__tell_more. */
enum { SHM__MORE = 32 };
struct shm__more {
  struct shm__value values[SHM__MORE];
  struct shm__place places[SHM__MORE];
};

/* Whoever asks for more is inside already, and stays. */
static inline u32 shm__tell_more(struct shm__space *space, const struct shm__more *more, u32 count, shm_taken *taken) {
  for (u32 i = 0; i < count; i++) shm__tell_taken(space, &more->values[i], &more->places[i], &taken[i]);
  return count;
}

/* Else it is let go also when the handle was closed meanwhile; in a child of a fork it is the parent's. */
static inline int shm__enter_to_let_go(struct shm__handle *handle, const shm_taken *taken) {
  if (taken->held == SHM__HELD_INSIDE) return SHM_OK;
  return taken->held && handle->epoch == shm__fork_epoch ? shm__enter(handle->space) : SHM_FORKED;
}

static inline void shm__leave_let_go(struct shm__handle *handle, const shm_taken *taken) {
  if (taken->held == SHM__HELD_INSIDE) shm__handle_leave(handle);
  else shm__leave(handle->space);
}

#endif
