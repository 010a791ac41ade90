/* queue_lane.c: the two lanes of a queue: how they are made, locked, repaired, and how a value gets from one to the other.
 * What else holds of queues stands in queue.c.
 *
 * Invariants
 *   1. A value is buried by putting it, with its block, into lane 1, and letting go of it in lane 0, under lane 0's take lock
 *      and lane 1's put lock, behind intents in both: lane 0's names the value, lane 1's its place to be.
 *   2. Lane 1's intent tells whether it was published there, from its place alone; it is there as long as lane 0's is.
 *
 * Crash table (died after ...)
 *   declaring a burial ("lane.intended")        heir of lane 1's put lock finds nothing published; the value stays in lane 0
 *   publishing the dead letter ("lane.buried")  heir of lane 1's put lock notes it, heir of lane 0's take lock lets go of it
 *   counting it ("lane.counted")                heir of lane 0's take lock counts again, from what finished was before
 *   finishing a burial ("lane.inherited")       the next heir does the same again
 */
#include "queue_lane.h"

#include <string.h>

#include "../base/point.h"
#include "../os/clock.h"

enum { PATIENCE_NS = 100000000, CELLS_MOST = 256 };

/* ---- making: the header, the lanes, and the first segment of each, in one block ------------------------------------------ */
static const u32 first_cells[SHM__LANES] = {16, 1};

static u64 lane_offset(u32 lane) { return sizeof(struct shm_queue_main) + lane * sizeof(struct shm_lane); }

static u64 segment_offset(u32 lane) {
  u64 offset = lane_offset(SHM__LANES);
  for (u32 n = 0; n < lane; n++) offset += shm__segment_bytes(first_cells[n]);
  return offset;
}

static void bind_lane(struct shm__queue *queue, u64 main, u32 n) {
  struct shm_lane *shared = (struct shm_lane *)(queue->space->base + main + lane_offset(n));
  queue->lane[n] = (struct shm__lane){
      .shared = shared,
      .fifo = {.space = queue->space, .in = (struct shm_fifo_in *)shared->in, .out = (struct shm_fifo_out *)shared->out,
               .line = (struct shm_fifo_line *)shared->line,
               .bound = n == 0 ? queue->maxsize : 0, .embedded = main + segment_offset(n), .id = queue->id,
               .longest_bytes = queue->space->size_bytes, .cells_most = CELLS_MOST,
               .deliveries_most = n == 0 ? queue->max_deliveries : 0},
      .join = {&shared->join_event, shared->join_bells}};
}

int shm__queue_bind(struct shm__space *space, u64 main, struct shm__queue *queue) {
  u64 size_bytes = segment_offset(SHM__LANES);
  struct shm_queue_main *shared = shm__block_header(space, main) ? shm__at(space, main, size_bytes, 16) : NULL;
  if (!shared || !shm__block_payload(space, shm__block_ref(space, main), size_bytes) || shared->id == 0) {
    return shm__fail(SHM_CORRUPTED, "%s: the queue at offset %llu is damaged", space->path, (unsigned long long)main);
  }
  *queue = (struct shm__queue){.space = space, .shared = shared, .maxsize = shared->maxsize, .id = shared->id,
                               .max_deliveries = shared->max_deliveries};
  for (u32 n = 0; n < SHM__LANES; n++) bind_lane(queue, main, n);
  return SHM_OK;
}

int shm__queue_make(struct shm__space *space, u32 id, const struct shm__queue_options *options, u64 deadline_ns,
                    struct shm__ref *main) {
  int status = shm__block_alloc(space, segment_offset(SHM__LANES), deadline_ns, main);
  if (status != SHM_OK) return status;
  struct shm__queue queue = {.space = space, .shared = (struct shm_queue_main *)(space->base + main->offset), .id = id};
  memset(queue.shared, 0, segment_offset(SHM__LANES));
  queue.shared->life = SHM_LIFE_LIVE;
  queue.shared->id = id;
  queue.shared->maxsize = options->maxsize;
  queue.shared->max_deliveries = options->max_deliveries;
  memcpy(queue.shared->codec, options->codec, sizeof queue.shared->codec);
  for (u32 n = 0; n < SHM__LANES; n++) {
    bind_lane(&queue, main->offset, n);
    shm__segment_init((struct shm_segment *)(space->base + queue.lane[n].fifo.embedded), 0, first_cells[n]);
    shm__fifo_init(&queue.lane[n].fifo, queue.lane[n].fifo.embedded);
  }
  return SHM_OK;
}

/* ---- locks --------------------------------------------------------------------------------------------------------------- */

/* What the last holder of the take lock meant to do. SHM_OK, or lane 1 is locked by a stopped process. */
static int finish_intent(struct shm__queue *queue, u32 n) {
  struct shm__lane *lane = &queue->lane[n];
  struct shm_lane *shared = lane->shared;
  struct shm__place place = shm__fifo_place(&lane->fifo, shared->intent_segment, shared->intent_index);
  u32 state = place.cell ? shm__cell_state(shm_load_acquire(&place.cell->word)) : SHM_VALUE_FREE;
  int there = state != SHM_VALUE_FREE && shm__cell_age(shm_load_acquire(&place.cell->word), place.index) == 0;
  if (shared->intent == SHM_INTENT_BURY) {
    int status = shm__lane_lock_to_end(shm__lane_lock_put, queue, 1);
    if (status != SHM_OK) return status;
    int published = queue->lane[1].shared->buried == 2; /* lane 1's heir has found out */
    if (published && there) shm__fifo_forget(&lane->fifo, &place);
    if (published) shared->finished = shared->intent_finished + 1;
    SHM_POINT("lane.inherited");
    shm_store_release(&shared->intent, SHM_INTENT_NONE); /* first: the next heir, too, must learn that it was published */
    queue->lane[1].shared->buried = 0;
    shm__unlock(&queue->lane[1].shared->put_lock);
  } else if (shared->intent == SHM_INTENT_FINISH) {
    shared->finished = shared->intent_finished + 1;
    if (there) { /* its holder is dead */
      if (place.cell->block) {
        shm__block_relink(queue->space, (struct shm__ref){place.cell->block, place.cell->block_gen}, queue->id);
      }
      shm__block_free(queue->space, shm__fifo_done(&lane->fifo, &place));
    }
  }
  shm_store_release(&shared->intent, SHM_INTENT_NONE);
  return SHM_OK;
}

int shm__lane_lock_take(struct shm__queue *queue, u32 n, u64 deadline_ns) {
  struct shm__lane *lane = &queue->lane[n];
  int status = shm__lock(queue->space, &lane->shared->take_lock, deadline_ns, queue->id);
  if (__builtin_expect(status != SHM__REPAIR, 1)) return status;
  if (lane->shared->intent && (status = finish_intent(queue, n)) != SHM_OK) {
    shm__unlock_broken(&lane->shared->take_lock); /* the next one tries */
    return status;
  }
  shm__fifo_repair_out(&lane->fifo);
  shm__waiters_repair(&lane->fifo);
  return SHM_OK;
}

int shm__lane_lock_put(struct shm__queue *queue, u32 n, u64 deadline_ns) {
  struct shm__lane *lane = &queue->lane[n];
  int status = shm__lock(queue->space, &lane->shared->put_lock, deadline_ns, queue->id);
  if (__builtin_expect(status != SHM__REPAIR, 1)) return status;
  if (lane->shared->buried == 1) {
    int published = shm__fifo_was_put(&lane->fifo, lane->shared->buried_index);
    lane->shared->buried = published ? 2 : 0; /* not published: the block is lane 0's, and stays its */
  }
  shm__fifo_repair_in(&lane->fifo);
  return SHM_OK;
}

/* A lock for what no signal may stop; a stopped process that has it may. */
int shm__lane_lock_to_end(int (*lock)(struct shm__queue *, u32, u64), struct shm__queue *queue, u32 n) {
  u64 deadline_ns = shm__monotonic_ns() + PATIENCE_NS;
  int status;
  do {
    status = lock(queue, n, deadline_ns);
  } while (status == SHM_INTERRUPTED);
  return status;
}

void shm__lane_unlock_take(struct shm__queue *queue, u32 n, struct shm__wakes *wakes) {
  shm__unlock(&queue->lane[n].shared->take_lock);
  if (wakes->count) shm__wakes_send(queue->space, wakes);
}

int shm__lane_add_segment(struct shm__queue *queue, u32 n, u32 cells, u64 deadline_ns) {
  struct shm__fifo *fifo = &queue->lane[n].fifo;
  struct shm__ref ref;
  int status = shm__segment_alloc(queue->space, cells, deadline_ns, &ref);
  if (status != SHM_OK) return status;
  status = shm__lane_lock_put(queue, n, deadline_ns);
  if (status == SHM_OK) {
    if (shm__fifo_is_full(fifo)) {
      shm__fifo_grow(fifo, ref, cells);
      ref.offset = 0;
    }
    shm__unlock(&queue->lane[n].shared->put_lock);
  }
  shm__block_free(queue->space, ref); /* somebody was quicker */
  return status;
}

/* ---- dead letters -------------------------------------------------------------------------------------------------------- */
/* Move the value at place, held by us, into lane 1. Lane 0's take lock is held. SHM__GROW: lane 1 needs a segment of *cells. */
static int bury(struct shm__queue *queue, const struct shm__place *place, const struct shm__value *value, u32 *cells) {
  struct shm_lane *shared = queue->lane[0].shared, *dead = queue->lane[1].shared;
  int status = shm__lane_lock_to_end(shm__lane_lock_put, queue, 1);
  if (status != SHM_OK) return status;
  shared->intent_segment = place->segment;
  shared->intent_index = place->index;
  shared->intent_finished = shared->finished;
  dead->buried_index = queue->lane[1].fifo.in->tail;
  shm_store_release(&dead->buried, 1);
  shm_store_release(&shared->intent, SHM_INTENT_BURY);
  SHM_POINT("lane.intended");
  status = shm__fifo_put(&queue->lane[1].fifo, value);
  SHM_POINT("lane.buried");
  if (status == SHM_OK) {
    shm_store_release(&dead->buried, 2);
    shm__fifo_forget(&queue->lane[0].fifo, place);
    shared->finished++;
    SHM_POINT("lane.counted");
  }
  if (status == SHM__GROW) *cells = shm__fifo_next_cells(&queue->lane[1].fifo);
  shm_store_release(&shared->intent, SHM_INTENT_NONE);
  dead->buried = 0;
  shm__unlock(&dead->put_lock);
  return status;
}

/* Bury what was delivered too often and is next. Lane 0's take lock is held. */
static int bury_overdue(struct shm__queue *queue, u32 *cells) {
  struct shm__fifo *fifo = &queue->lane[0].fifo;
  while (shm__fifo_deliveries(fifo) >= queue->max_deliveries) {
    struct shm__value value;
    struct shm__place place;
    int status = shm__fifo_take(fifo, 1, &value, &place);
    if (status == SHM_OK) status = shm__fifo_read_held(fifo, &place, &value);
    if (status == SHM_OK) status = bury(queue, &place, &value, cells);
    if (status != SHM_OK && place.cell) shm__fifo_return(fifo, &place);
    if (status != SHM_OK) return status;
  }
  return SHM_OK;
}

/* Lane n's take lock, and nothing that is next was delivered too often: unless there is no memory for dead letters. */
int shm__lane_lock_to_take(struct shm__queue *queue, u32 n, u64 deadline_ns) {
  u32 cells = 1;
  for (int grown = 1;;) {
    int status = shm__lane_lock_take(queue, n, deadline_ns);
    if (status != SHM_OK || n != 0 || queue->max_deliveries == 0) return status;
    u64 buried = queue->lane[1].fifo.in->tail;
    status = bury_overdue(queue, &cells);
    int some = queue->lane[1].fifo.in->tail != buried;
    if (status != SHM__GROW && !some) return SHM_OK;
    if (status == SHM__GROW && !grown) return SHM_OK;
    shm__unlock(&queue->lane[0].shared->take_lock);
    if (some) shm__lane_serve_if_waited(queue, 1);
    if (status == SHM__GROW) grown = shm__lane_add_segment(queue, 1, cells, shm__monotonic_ns() + PATIENCE_NS) == SHM_OK;
  }
}

/* ---- the line ------------------------------------------------------------------------------------------------------------ */
/* Something may have become visible: give it to those in line. */
void shm__lane_serve_line(struct shm__queue *queue, u32 n) {
  struct shm__wakes wakes = {.count = 0};
  struct shm__garbage garbage = {.count = 0};
  struct shm__fifo *fifo = &queue->lane[n].fifo;
  for (int more = 1; more && shm__lane_lock_to_end(shm__lane_lock_to_take, queue, n) == SHM_OK;) {
    more = shm__waiters_settle(fifo, &wakes);
    /* Whoever shut it down may have died before they heard of it. */
    if (!more && n == 0 && shm__queue_is_shut(queue)) more = shm__waiters_close(fifo, &wakes);
    if (fifo->crossed) shm__fifo_collect(fifo, &garbage);
    shm__lane_unlock_take(queue, n, &wakes);
    shm__garbage_free(queue->space, &garbage);
  }
}

void shm__lane_serve_if_waited(struct shm__queue *queue, u32 n) {
  const struct shm_fifo_line *line = queue->lane[n].fifo.line;
  /* SYNC fifo.waiters: behind the fence of an unlock; the partner links itself, unlocks, looks for values */
  if (__builtin_expect(shm_load_relaxed(&line->first) != 0, 0)) shm__lane_serve_line(queue, n);
}
