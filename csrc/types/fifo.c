/* fifo.c: values in order. Each lies in a cell of a segment; segments form a chain, and each is a ring of its own: as long as
 * its cells come free in time it is used again and again, else a longer one is added behind it.
 *
 * Value n of a fifo has index n. Those who put serialise on the put lock, those who take on the take lock; the two sides
 * exchange only cells, tail, taken and the chain, so one of each never wait for each other.
 *
 * Invariants
 *   1. A cell's word says it all: the index, and FREE (for the value with that index, to come), READY, HELD by a member, or
 *      RETURNED. READY is published by one store, which makes the value whole.
 *   2. Taking a value is one store: FREE for the index one ring further. Until then it is READY, or HELD by who takes it,
 *      and whoever finds a holder dead makes it READY again: no value is lost, and its place in the order is kept.
 *   3. A cell that is HELD is changed by its holder only, while he lives.
 *   4. Blocks of values that are not FREE are LINKED, but for the moment in which a holder lets go of one.
 *   5. No READY value has an index below head, no HELD or RETURNED one an index of top or above.
 *   6. A segment is let go of when all its cells are FREE, it has a successor, and neither side uses it.
 *
 * Who writes what: cells that are FREE, tail, last, next of the last segment: the put lock's holder. Cells that are READY or
 * RETURNED, all of shm_fifo_out, next of other segments: the take lock's. Cells that are HELD: the holder.
 * Lock order: put lock, take lock, then those of core.
 *
 * Crash table (died after ...)                     survivors see                     who repairs it
 *   filling a cell ("fifo.filled")                 nothing: the cell is FREE         reap frees the block it held
 *   linking the block ("fifo.linked")              nothing                           heir of the put lock drops it
 *   publishing ("fifo.published")                  the value; tail is behind         heir of the put lock moves tail
 *   adding a segment ("fifo.grown")                last is behind                    heir of the put lock moves last, links it
 *   taking an inline value ("fifo.taken")          it is taken; head is behind       heir of the take lock
 *   holding a value ("fifo.held")                  it is held by the dead            reap makes it ready again
 *   letting go of its block ("fifo.detached")      as above                          reap, which links the block again
 *   finishing ("fifo.done")                        it is taken                       reap frees the block
 *   giving it back ("fifo.marked")                 RETURNED                          whoever has the take lock next
 *   making it ready again ("fifo.returned")        it is ready; head may be above    heir of the take lock
 *   holding a used up segment ("fifo.collected")   it is in the chain                heir of the take lock links it again
 *   unlinking it ("fifo.unlinked")                 nothing                           reap frees it
 */
#include "fifo.h"

#include <string.h>

#include "../base/bits.h"
#include "../base/point.h"
#include "../core/members.h"
#include "../os/clock.h"

/* ---- segments ----------------------------------------------------------------------------------------------------------- */
void shm__segment_init(struct shm_segment *segment, u64 base, u32 cells) {
  *segment = (struct shm_segment){.base = base, .cells = cells};
  struct shm_cell *cell = (struct shm_cell *)(segment + 1);
  for (u32 i = 0; i < cells; i++) {
    cell[i].word = shm__cell_word(base + i, SHM_VALUE_FREE, 0);
    cell[i].block = 0;
  }
}

int shm__segment_alloc(struct shm__space *space, u32 cells, u64 deadline_ns, struct shm__ref *ref) {
  return shm__block_alloc(space, shm__segment_bytes(cells), deadline_ns, ref);
}

struct shm_segment *shm__segment_at(const struct shm__fifo *fifo, u64 offset, u32 *cells) {
  struct shm_segment *segment = shm__at(fifo->space, offset, sizeof *segment, 16);
  if (!segment) return NULL;
  *cells = shm_load_relaxed(&segment->cells);
  int sane = *cells > 0 && *cells <= fifo->cells_most && (*cells & (*cells - 1)) == 0;
  return sane && shm__at(fifo->space, offset, shm__segment_bytes(*cells), 16) ? segment : NULL;
}

static int damaged(const struct shm__fifo *fifo) {
  return shm__fail(SHM_CORRUPTED, "%s: the values of structure %u are damaged", fifo->space->path, fifo->id);
}

void shm__fifo_init(struct shm__fifo *fifo, u64 first) {
  *fifo->in = (struct shm_fifo_in){.last = first};
  *fifo->out = (struct shm_fifo_out){.first = first, .current = first};
  *fifo->line = (struct shm_fifo_line){0, 0};
}

struct shm__place shm__fifo_place(struct shm__fifo *fifo, u64 segment, u64 index) {
  struct shm_segment *found = shm__segment(fifo, segment);
  if (!found) return (struct shm__place){0};
  return (struct shm__place){shm__cell_of(found, index), fifo->line, segment, index, found->cells};
}

/* ---- putting ------------------------------------------------------------------------------------------------------------ */
u64 shm__fifo_room(struct shm__fifo *fifo) {
  struct shm_fifo_in *in = fifo->in;
  int64_t bound = (int64_t)shm_min(fifo->bound, (u64)INT64_MAX);
  if (bound == 0) return UINT64_MAX;
  u64 seen = shm_load_acquire(&in->seen_taken);
  int64_t used = (int64_t)(in->tail - seen);
  while (used >= bound) {
    u64 taken = shm_load_acquire(&fifo->out->taken); /* SYNC fifo.room: behind seen */
    used = (int64_t)(in->tail - taken);
    if (shm_cas(&in->seen_taken, &seen, taken)) break; /* else a value has come back meanwhile */
  }
  /* Values that were given back may be more than the bound; one that was taken before tail moved makes it negative. */
  return used < bound ? (u64)(bound - (used < 0 ? 0 : used)) : 0;
}

int shm__fifo_put(struct shm__fifo *fifo, const struct shm__value *value) {
  struct shm_fifo_in *in = fifo->in;
  u64 n = in->tail;
  struct shm_segment *segment = shm__segment(fifo, in->last);
  if (!segment) return damaged(fifo);
  struct shm_cell *cell = shm__cell_of(segment, n);
  __builtin_prefetch((const u8 *)shm__cell_of(segment, n + 2), 1);
  /* SYNC fifo.done: who took the value before has copied it */
  if (shm_load_acquire(&cell->word) != shm__cell_word(n, SHM_VALUE_FREE, 0)) return SHM__GROW;
  cell->block = value->block.offset;
  cell->block_gen = value->block.gen;
  cell->codec = value->codec;
  cell->length_bytes = value->length_bytes;
  cell->deliveries = 0;
  if (value->block.offset == 0) memcpy(cell->data, value->data, value->length_bytes);
  SHM_POINT("fifo.filled");
  if (value->block.offset) shm__block_link(fifo->space, value->block, fifo->id);
  SHM_POINT("fifo.linked");
  shm_store_release(&cell->word, shm__cell_word(n, SHM_VALUE_READY, 0)); /* SYNC fifo.publish */
  SHM_POINT("fifo.published");
  shm_store_release(&in->tail, n + 1);
  return SHM_OK;
}

int shm__fifo_is_full(struct shm__fifo *fifo) {
  struct shm_segment *last = shm__segment(fifo, fifo->in->last);
  u64 n = fifo->in->tail;
  return last && shm_load_acquire(&shm__cell_of(last, n)->word) != shm__cell_word(n, SHM_VALUE_FREE, 0);
}

u32 shm__fifo_next_cells(struct shm__fifo *fifo) {
  struct shm_segment *last = shm__segment(fifo, fifo->in->last);
  u32 cells = last ? last->cells * 4 : 1;
  return cells < fifo->cells_most ? cells : fifo->cells_most;
}

void shm__fifo_grow(struct shm__fifo *fifo, struct shm__ref ref, u32 cells) {
  struct shm_segment *last = shm__segment(fifo, fifo->in->last);
  struct shm_segment *segment = (struct shm_segment *)(fifo->space->base + ref.offset);
  if (!last) return;
  shm__segment_init(segment, fifo->in->tail, cells);
  shm_store_release(&last->next, ref.offset); /* SYNC fifo.segment: publishes it */
  SHM_POINT("fifo.grown");
  shm__block_link(fifo->space, ref, fifo->id);
  shm_store_release(&fifo->in->last, ref.offset);
}

/* ---- taking ------------------------------------------------------------------------------------------------------------- */
/* Move head to the oldest ready value. SHM_OK; SHM_EMPTY; SHM_CORRUPTED. */
static int find_ready(struct shm__fifo *fifo, struct shm_segment **segment, struct shm_cell **cell) {
  struct shm_fifo_out *out = fifo->out;
  u64 left = shm__fifo_most_steps(fifo);
  while (left-- > 0) {
    u64 head = out->head;
    *segment = shm__segment(fifo, out->current);
    if (!*segment) return damaged(fifo);
    *cell = shm__cell_of(*segment, head);
    u64 word = shm_load_acquire(&(*cell)->word); /* SYNC fifo.publish */
    if (word == shm__cell_word(head, SHM_VALUE_READY, 0)) return SHM_OK;
    u64 next = shm_load_acquire(&(*segment)->next); /* SYNC fifo.segment */
    struct shm_segment *after = next ? shm__segment(fifo, next) : NULL;
    if (next && !after) return damaged(fifo);
    if (after && (int64_t)(head - after->base) >= 0) {
      out->current = next;
      fifo->crossed = 1;
      continue;
    }
    int32_t age = shm__cell_age(word, head);
    if (age < 0 || (age == 0 && shm__cell_state(word) == SHM_VALUE_FREE)) {
      if (!after) return SHM_EMPTY;
      /* Whoever linked the successor had put all here that was to come here: what lay between them has been let go of. But
       * the word was read before the link: it may have been put meanwhile. */
      if (shm_load_acquire(&(*cell)->word) == word) out->head = after->base;
      continue;
    }
    out->head = head + 1; /* held by somebody, or taken */
  }
  return damaged(fifo);
}

/* copy 0: what is inline is read where it lies. */
static int read_cell(const struct shm__fifo *fifo, const struct shm_cell *cell, int copy, struct shm__value *value) {
  value->length_bytes = cell->length_bytes;
  value->codec = cell->codec;
  value->block = (struct shm__ref){cell->block, cell->block_gen};
  if (value->length_bytes > (value->block.offset ? fifo->longest_bytes : SHM_INLINE_BYTES)) return damaged(fifo);
  if (value->block.offset == 0 && copy) memcpy(value->data, cell->data, value->length_bytes);
  else if (value->block.offset && !shm__block_payload(fifo->space, value->block, value->length_bytes)) return damaged(fifo);
  return SHM_OK;
}

/* The value at head, which is READY, becomes HELD by this member. */
static void hold(struct shm__fifo *fifo, struct shm_segment *segment, struct shm_cell *cell, u32 token, struct shm__place *place) {
  struct shm_fifo_out *out = fifo->out;
  u64 index = out->head;
  out->top = shm_max(out->top, index + 1); /* first: invariant 5 */
  shm_store_release(&cell->word, shm__cell_word(index, SHM_VALUE_HELD, token));
  SHM_POINT("fifo.held");
  out->head = index + 1;
  shm_store_release(&out->taken, out->taken + 1); /* SYNC fifo.room */
  *place = (struct shm__place){cell, fifo->line, out->current, index, segment->cells};
}

int shm__fifo_take(struct shm__fifo *fifo, int keep, struct shm__value *value, struct shm__place *place) {
  struct shm_fifo_out *out = fifo->out;
  struct shm_segment *segment;
  struct shm_cell *cell;
  place->cell = NULL;
  int status = find_ready(fifo, &segment, &cell);
  if (status == SHM_OK) status = read_cell(fifo, cell, !keep, value);
  if (status != SHM_OK) return status;
  __builtin_prefetch((const u8 *)shm__cell_of(segment, out->head + 2), 1);
  if (keep || value->block.offset) {
    hold(fifo, segment, cell, fifo->space->token, place);
    return SHM_OK;
  }
  shm_store_release(&cell->word, shm__cell_word(out->head + segment->cells, SHM_VALUE_FREE, 0)); /* SYNC fifo.done */
  SHM_POINT("fifo.taken");
  out->head++;
  shm_store_release(&out->taken, out->taken + 1); /* SYNC fifo.room */
  return SHM_OK;
}

/* Hold values from head on, as far as they are ready in this segment: at most so many. */
static u32 hold_run(struct shm__fifo *fifo, struct shm_segment *segment, u32 room, struct shm__value *values,
                    struct shm__place *places) {
  struct shm_fifo_out *out = fifo->out;
  u64 head = out->head;
  u32 count = 0, token = fifo->space->token, cells = segment->cells;
  out->top = shm_max(out->top, head + room); /* first: invariant 5 */
  for (; count < room; count++) {
    u64 index = head + count;
    struct shm_cell *cell = shm__cell_of(segment, index);
    if (shm_load_acquire(&cell->word) != shm__cell_word(index, SHM_VALUE_READY, 0)) break; /* SYNC fifo.publish */
    if (fifo->deliveries_most && cell->deliveries >= fifo->deliveries_most) break;
    if (read_cell(fifo, cell, 0, &values[count]) != SHM_OK) break;
    shm_store_release(&cell->word, shm__cell_word(index, SHM_VALUE_HELD, token));
    SHM_POINT("fifo.held");
    places[count] = (struct shm__place){cell, fifo->line, out->current, index, cells};
  }
  out->head = head + count;
  shm_store_release(&out->taken, out->taken + count); /* SYNC fifo.room */
  return count;
}

u32 shm__fifo_take_many(struct shm__fifo *fifo, u32 room, struct shm__value *values, struct shm__place *places) {
  struct shm_segment *segment;
  struct shm_cell *cell;
  u32 count = 0, more = 1;
  while (count < room && more > 0 && find_ready(fifo, &segment, &cell) == SHM_OK) {
    count += more = hold_run(fifo, segment, room - count, values + count, places + count);
  }
  return count;
}

int shm__fifo_grant(struct shm__fifo *fifo, u32 token, struct shm__place *place) {
  struct shm_segment *segment;
  struct shm_cell *cell;
  int status = find_ready(fifo, &segment, &cell);
  if (status == SHM_OK) hold(fifo, segment, cell, token, place);
  return status;
}

int shm__fifo_peek(struct shm__fifo *fifo, struct shm__value *value) {
  struct shm_segment *segment;
  struct shm_cell *cell;
  int status = find_ready(fifo, &segment, &cell);
  return status == SHM_OK ? read_cell(fifo, cell, 1, value) : status;
}

u32 shm__fifo_deliveries(struct shm__fifo *fifo) {
  struct shm_segment *segment;
  struct shm_cell *cell;
  return find_ready(fifo, &segment, &cell) == SHM_OK ? cell->deliveries : 0;
}

struct shm__glance shm__fifo_glance(struct shm__fifo *fifo) {
  struct shm__place place = shm__fifo_place(fifo, fifo->out->current, fifo->out->head);
  if (!place.cell) return (struct shm__glance){NULL, 0};
  return (struct shm__glance){&place.cell->word, shm_load_relaxed(&place.cell->word)};
}

int shm__glance_again(void *context) {
  const struct shm__glance *glance = context;
  /* relaxed: whoever finds a change takes the lock and looks again */
  return glance->word && shm_load_stale(glance->word) != glance->seen ? SHM_OK : SHM_EMPTY;
}

int shm__fifo_read_held(struct shm__fifo *fifo, const struct shm__place *place, struct shm__value *value) {
  return read_cell(fifo, place->cell, 1, value);
}

struct shm__ref shm__fifo_done(struct shm__fifo *fifo, const struct shm__place *place) {
  struct shm_cell *cell = place->cell;
  struct shm__ref block = {cell->block, cell->block_gen};
  if (block.offset && !shm__block_hold(fifo->space, block, fifo->id)) block.offset = 0; /* inherited */
  SHM_POINT("fifo.detached");
  shm_store_release(&cell->word, shm__cell_word(place->index + place->cells, SHM_VALUE_FREE, 0)); /* SYNC fifo.done */
  SHM_POINT("fifo.done");
  return block;
}

void shm__fifo_forget(struct shm__fifo *fifo, const struct shm__place *place) {
  (void)fifo;
  place->cell->block = 0; /* first: a repair of the put side must not find it here */
  shm_store_release(&place->cell->word, shm__cell_word(place->index + place->cells, SHM_VALUE_FREE, 0)); /* SYNC fifo.done */
}

void shm__fifo_give_back(struct shm__fifo *fifo, const struct shm__place *place) {
  shm_store_release(&place->cell->word, shm__cell_word(place->index, SHM_VALUE_RETURNED, 0));
  SHM_POINT("fifo.marked");
  shm_add(&fifo->out->returned, 1);
}

/* ---- coming back -------------------------------------------------------------------------------------------------------- */
/* A value that is HELD by us or by the dead, or RETURNED, is READY again. */
static void ready_again(struct shm__fifo *fifo, u64 segment, struct shm_cell *cell, u64 index) {
  struct shm_fifo_out *out = fifo->out;
  shm_store_release(&cell->word, shm__cell_word(index, SHM_VALUE_READY, 0));
  SHM_POINT("fifo.returned");
  if (index < out->head) {
    out->head = index;
    out->current = segment;
  }
  shm_store_release(&out->taken, out->taken - 1);
  shm_add(&fifo->in->seen_taken, (u64)-1); /* SYNC fifo.room: it must not be above taken */
}

void shm__fifo_return(struct shm__fifo *fifo, const struct shm__place *place) {
  ready_again(fifo, place->segment, place->cell, place->index);
}

void shm__fifo_walk(struct shm__fifo *fifo, u64 limit, shm__cell_visitor *visit, void *context) {
  u64 left = shm__fifo_most_steps(fifo), head = fifo->out->head, next;
  for (u64 at = fifo->out->first; at && left > 0; at = next) {
    u32 cells;
    struct shm_segment *segment = shm__segment_at(fifo, at, &cells);
    if (!segment || segment->base >= limit) return;
    next = shm_load_acquire(&segment->next); /* SYNC fifo.segment */
    struct shm_cell *cell = (struct shm_cell *)(segment + 1);
    for (u32 i = 0; i < cells && left > 0; i++, left--) {
      u64 word = shm_load_acquire(&cell[i].word);
      visit(fifo, at, &cell[i], head + (u64)(int64_t)shm__cell_age(word, head), context);
    }
  }
}

struct return_visit {
  u32 dead; /* 0: only what was given back */
  u64 count;
};

static void return_one(struct shm__fifo *fifo, u64 segment, struct shm_cell *cell, u64 index, void *context) {
  struct return_visit *visit = context;
  u64 word = shm_load_acquire(&cell->word);
  u32 state = shm__cell_state(word);
  int dead = state == SHM_VALUE_HELD && visit->dead && shm__token_gone_with(fifo->space, shm__cell_token(word), visit->dead);
  if (state == SHM_VALUE_RETURNED || dead) {
    if (cell->block) shm__block_relink(fifo->space, (struct shm__ref){cell->block, cell->block_gen}, fifo->id);
    ready_again(fifo, segment, cell, index);
    visit->count++;
  }
}

static u64 return_all(struct shm__fifo *fifo, u32 dead) {
  struct return_visit visit = {.dead = dead};
  shm__fifo_walk(fifo, fifo->out->top, return_one, &visit);
  return visit.count;
}

int shm__fifo_regain(struct shm__fifo *fifo) {
  u32 returned = shm_load_acquire(&fifo->out->returned);
  if (returned == fifo->out->returned_seen) return 0;
  return_all(fifo, 0);
  fifo->out->returned_seen = returned;
  return 1;
}

u64 shm__fifo_recover(struct shm__fifo *fifo, u32 dead) { return return_all(fifo, dead); }

/* ---- segments that are used up ------------------------------------------------------------------------------------------- */
static int is_used_up(const struct shm_segment *segment) {
  const struct shm_cell *cell = (const struct shm_cell *)(segment + 1);
  for (u32 i = 0; i < segment->cells; i++) {
    if (shm__cell_state(shm_load_acquire(&cell[i].word)) != SHM_VALUE_FREE) return 0;
  }
  return 1;
}

void shm__fifo_collect(struct shm__fifo *fifo, struct shm__garbage *garbage) {
  struct shm_fifo_out *out = fifo->out;
  u64 *link = &out->first, left = shm__fifo_most_steps(fifo);
  fifo->crossed = 0;
  while (*link != out->current && left-- > 0 && garbage->count < SHM__GARBAGE) {
    u64 at = *link;
    struct shm_segment *segment = shm__segment(fifo, at);
    if (!segment) return;
    /* The put side may not have moved on yet: last is read behind next, which was read as "there is a successor". */
    if (!is_used_up(segment) || at == shm_load_acquire(&fifo->in->last)) {
      link = &segment->next;
      continue;
    }
    if (at != fifo->embedded) {
      struct shm__ref ref = shm__block_ref(fifo->space, at);
      if (shm__block_hold(fifo->space, ref, fifo->id)) garbage->segment[garbage->count++] = ref;
      SHM_POINT("fifo.collected");
    }
    shm_store_release(link, segment->next);
    SHM_POINT("fifo.unlinked");
  }
}

void shm__garbage_free(struct shm__space *space, struct shm__garbage *garbage) {
  while (garbage->count > 0) shm__block_free(space, garbage->segment[--garbage->count]);
}
