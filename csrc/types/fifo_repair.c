/* fifo_repair.c: what a fifo looks like as a whole: repaired for the heirs of its locks, counted, and given back. Invariants and
 * crash table stand in fifo.c.
 */
#include "../base/bits.h"
#include "../core/members.h"
#include "fifo.h"

/* ---- repair -------------------------------------------------------------------------------------------------------------- */
/* Was the value that comes next, at tail, put already? Then tail will follow. Its place, without a cell if that is damaged. */
static int was_put(struct shm__fifo *fifo, u64 tail, struct shm__place *place) {
  *place = shm__fifo_place(fifo, shm_load_acquire(&fifo->in->last), tail);
  u64 word = place->cell ? shm_load_acquire(&place->cell->word) : 0;
  int32_t age = shm__cell_age(word, tail);
  return place->cell && (age > 0 || (age == 0 && shm__cell_state(word) != SHM_VALUE_FREE));
}

int shm__fifo_was_put(struct shm__fifo *fifo, u64 index) {
  struct shm__place place;
  if (fifo->in->tail != index || was_put(fifo, index, &place)) return 1;
  if (place.cell && shm__cell_age(shm_load_acquire(&place.cell->word), place.index) == 0) place.cell->block = 0;
  return 0;
}

void shm__fifo_repair_in(struct shm__fifo *fifo) {
  struct shm_fifo_in *in = fifo->in;
  u64 left = shm__fifo_most_steps(fifo);
  struct shm_segment *segment = shm__segment(fifo, in->last);
  while (segment && segment->next && left-- > 0) {
    shm__block_relink(fifo->space, shm__block_ref(fifo->space, segment->next), fifo->id);
    shm_store_release(&in->last, segment->next);
    segment = shm__segment(fifo, in->last);
  }
  if (!segment) return;
  struct shm__place place;
  while (was_put(fifo, in->tail, &place) && left-- > 0) shm_store_release(&in->tail, in->tail + 1);
  struct shm_cell *cell = place.cell;
  /* The value that was being put; a block that was taken from here is not LINKED with this generation any more. */
  if (cell && cell->block && shm__cell_state(shm_load_acquire(&cell->word)) == SHM_VALUE_FREE) {
    shm__block_drop(fifo->space, (struct shm__ref){cell->block, cell->block_gen}, fifo->id);
  }
  shm_store_release(&in->seen_taken, 0);
}

struct census {
  u64 tail, ready, held, first; /* first: index of the first ready value, or tail */
  int repair;
};

static void count_cell(struct shm__fifo *fifo, u64 segment, struct shm_cell *cell, u64 index, void *context) {
  struct census *census = context;
  u64 word = shm_load_acquire(&cell->word);
  u32 state = shm__cell_state(word);
  (void)segment;
  census->ready += state == SHM_VALUE_READY && (int64_t)(index - census->tail) < 0;
  census->held += state == SHM_VALUE_HELD || state == SHM_VALUE_RETURNED;
  if (state == SHM_VALUE_READY) census->first = shm_min(census->first, index);
  if (!census->repair || state != SHM_VALUE_HELD || !cell->block) return;
  /* Whoever died while a waiter inherited the block: it is the value's again, before the waiter lets go of it. */
  if (!shm__token_alive(fifo->space, shm__cell_token(word))) {
    shm__block_relink(fifo->space, (struct shm__ref){cell->block, cell->block_gen}, fifo->id);
  }
}

void shm__fifo_repair_out(struct shm__fifo *fifo) {
  struct shm_fifo_out *out = fifo->out;
  u64 left = shm__fifo_most_steps(fifo), tail = shm_load_acquire(&fifo->in->tail);
  struct shm__place next;
  tail += (u64)was_put(fifo, tail, &next); /* it may have been taken before tail followed; last may move on meanwhile */
  struct census census = {.tail = tail, .first = tail, .repair = 1};
  shm__fifo_walk(fifo, UINT64_MAX, count_cell, &census);
  shm_store_release(&out->taken, tail - census.ready);
  shm_add(&fifo->in->seen_taken, (u64)-1); /* as in ready_again, which the dead may not have got through */
  out->head = census.first;
  for (u64 at = out->first; at && left > 0; left--) {
    struct shm_segment *segment = shm__segment(fifo, at);
    if (!segment) return;
    if (at != fifo->embedded) shm__block_relink(fifo->space, shm__block_ref(fifo->space, at), fifo->id);
    if (segment->base <= out->head) out->current = at;
    at = shm_load_acquire(&segment->next);
  }
}

static void count_facts(struct shm__fifo *fifo, u64 segment, struct shm_cell *cell, u64 index, void *context) {
  struct shm__fifo_facts *facts = context;
  u32 state = shm__cell_state(shm_load_acquire(&cell->word));
  (void)fifo, (void)segment, (void)index;
  facts->held += state == SHM_VALUE_HELD;
  facts->leased += state == SHM_VALUE_HELD && shm_load_relaxed(&cell->leased); /* relaxed: for people */
  if (state == SHM_VALUE_READY) facts->size_bytes += cell->length_bytes;
  facts->ready += state == SHM_VALUE_READY;
}

void shm__fifo_stat(struct shm__fifo *fifo, struct shm__fifo_facts *facts) {
  *facts = (struct shm__fifo_facts){0};
  shm__fifo_walk(fifo, UINT64_MAX, count_facts, facts);
}

/* ---- the end ------------------------------------------------------------------------------------------------------------- */
int shm__fifo_is_idle(struct shm__fifo *fifo) {
  if (fifo->line->first || shm__fifo_length(fifo) > 0) return 0;
  struct census census = {.tail = fifo->in->tail};
  shm__fifo_walk(fifo, UINT64_MAX, count_cell, &census);
  return census.ready == 0 && census.held == 0;
}

static void drop_block(struct shm__fifo *fifo, u64 segment, struct shm_cell *cell, u64 index, void *context) {
  (void)segment, (void)index, (void)context;
  if (cell->block) shm__block_drop(fifo->space, (struct shm__ref){cell->block, cell->block_gen}, fifo->id);
}

void shm__fifo_teardown(struct shm__fifo *fifo) {
  u64 left = shm__fifo_most_steps(fifo), next;
  shm__fifo_walk(fifo, UINT64_MAX, drop_block, NULL);
  for (u64 at = fifo->out->first; at && left-- > 0; at = next) {
    struct shm_segment *segment = shm__segment(fifo, at);
    if (!segment) return;
    next = segment->next;
    if (at != fifo->embedded) shm__block_drop(fifo->space, shm__block_ref(fifo->space, at), fifo->id);
  }
}
