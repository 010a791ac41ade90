/* tuples.c: keyed bags of values. Each key with values or waiters is an entry of a table, with a fifo of its own.
 *
 * Who puts has the put lock of the key's shard, who takes the take lock; entries come and go under both.
 *
 * Invariants
 *   1. An entry whose fifo is idle may be removed by whoever has both locks. Until then it is in its shard's list of idle
 *      entries, so that a key that is used all the time is not made anew each time; the list is kept short.
 *   2. put_entry and take_entry name the entry whose fifo may be half changed, before it is.
 *   3. Whoever puts or gives back looks at the line of waiters when the value is visible and his lock is given up.
 *   Lock order: put lock, take lock, then those of core. Who has the take lock may only try the put lock.
 *
 * Crash table (died after ...)
 *   naming an entry ("tuples.named")        heir of that lock repairs its fifo
 */
#include "tuples_shard.h"

#include <string.h>

#include "../base/point.h"
#include "../core/members.h"
#include "../core/recover.h"
#include "../os/clock.h"
#include "../os/wait.h"

enum { PROBE_NS = 10000000 };

/* The value at a key, with a lock of its shard. */
struct spot {
  struct shm__shard shard;
  struct shm__fifo fifo;
  u64 entry; /* 0: the key has none */
};

static void find(struct shm__tuples *tuples, const struct shm__key *key, struct spot *spot) {
  spot->entry = shm__table_find(&spot->shard, key);
  if (spot->entry && !shm__tuples_fifo(tuples, &spot->shard, spot->entry, &spot->fifo)) spot->entry = 0;
}

static int find_to_take(struct shm__tuples *tuples, const struct shm__key *key, u64 deadline_ns, struct spot *spot) {
  spot->shard = shm__tuples_shard_of(tuples, key);
  int status = shm__tuples_lock_take(tuples, &spot->shard, deadline_ns);
  if (status != SHM_OK) return status;
  find(tuples, key, spot);
  spot->shard.shared->take_entry = spot->entry;
  SHM_POINT("tuples.named");
  return SHM_OK;
}

static int find_to_end(struct shm__tuples *tuples, const struct shm__key *key, struct spot *spot) {
  spot->shard = shm__tuples_shard_of(tuples, key);
  int status = shm__tuples_lock_to_end(shm__tuples_lock_take, tuples, &spot->shard);
  if (status != SHM_OK) return status;
  find(tuples, key, spot);
  spot->shard.shared->take_entry = spot->entry;
  return SHM_OK;
}

/* Give up the take lock, then do what needs none. */
static void leave_spot(struct shm__tuples *tuples, struct spot *spot, struct shm__wakes *wakes, struct shm__garbage *garbage) {
  int trim = spot->entry && shm__tuples_left(&spot->shard, spot->entry, &spot->fifo);
  shm__unlock(&spot->shard.shared->take_lock); /* SYNC fifo.waiters */
  if (wakes->count) shm__wakes_send(tuples->space, wakes);
  if (garbage && garbage->count) shm__garbage_free(tuples->space, garbage);
  if (trim) shm__tuples_trim(tuples, &spot->shard);
}

/* ---- the line ------------------------------------------------------------------------------------------------------------ */
/* Something may have become visible: give it to those in line. */
static void serve_line(struct shm__tuples *tuples, const struct shm__key *key) {
  struct shm__wakes wakes = {.count = 0};
  struct spot spot;
  struct shm__garbage garbage = {.count = 0};
  for (int more = 1; more && find_to_end(tuples, key, &spot) == SHM_OK;) {
    more = spot.entry && shm__waiters_settle(&spot.fifo, &wakes);
    /* Whoever shut it down may have died before they heard of it. */
    if (!more && spot.entry && shm__tuples_is_shut(tuples)) more = shm__waiters_close(&spot.fifo, &wakes);
    if (spot.entry && spot.fifo.crossed) shm__fifo_collect(&spot.fifo, &garbage);
    leave_spot(tuples, &spot, &wakes, &garbage);
  }
}

static void probe(struct shm__tuples *tuples, const struct shm__key *key, u64 period_ns) {
  if (!shm__our_turn(&tuples->shared->probed_ns, period_ns, shm__monotonic_ns())) return;
  shm__reap_dead(tuples->space);
  serve_line(tuples, key); /* a dead one may have had no time to */
}

void shm__tuples_probe(struct shm__tuples *tuples, const struct shm__key *key) { probe(tuples, key, PROBE_NS); }

/* Sleep in line. SHM_OK: it is over. Else why not yet: SHM_EMPTY, SHM_INTERRUPTED, SHM_CLOSED. */
static int sleep_in_line(struct shm__tuples *tuples, const struct shm__key *key, struct shm__waiter *wait, u32 what,
                         u64 deadline_ns) {
  for (;;) {
    u32 place = deadline_ns > SHM__SPIN ? shm__wait_show(tuples->space, tuples->id, what) : SHM_WAITS;
    int status = shm__waiter_sleep(tuples->space, wait, deadline_ns);
    shm__wait_hide(tuples->space, place);
    if (status != SHM_EMPTY) return status;
    if (shm__tuples_closed(tuples)) return SHM_CLOSED;
    if (deadline_ns <= SHM__SPIN) return SHM_EMPTY;
    probe(tuples, key, SHM__NAP_NS / 2);
    if (shm__tuples_is_shut(tuples)) serve_line(tuples, key);
    if (shm__monotonic_ns() >= deadline_ns && shm_load_acquire(&wait->shared->state) == SHM_WAIT_WAITING) return SHM_EMPTY;
  }
}

/* Free ours, which has been told something. Who told us may not have taken it out of the line yet. */
static void free_told(struct shm__tuples *tuples, const struct shm__key *key, struct shm__waiter *waiter) {
  if (!shm__waiter_is_out(waiter)) {
    struct shm__shard shard = shm__tuples_shard_of(tuples, key);
    if (shm__tuples_lock_to_end(shm__tuples_lock_take, tuples, &shard) != SHM_OK) {
      waiter->ref.offset = 0; /* he is stopped: the block stays ours until we end */
      return;
    }
    shm__unlock(&shard.shared->take_lock);
  }
  shm__waiter_free(tuples->space, waiter);
}

/* Out of the line, and free. A block that only we looked at goes with it. state: from before we gave up; if it was WAITING,
 * whoever finds the waiter in line may take it out and free it before we do. */
static void drop_waiter(struct shm__tuples *tuples, const struct shm__key *key, u32 state, struct shm__waiter *waiter) {
  if (state == SHM_WAIT_WAITING || (state == SHM_WAIT_SHOWN && waiter->shared->block)) { /* still in line */
    struct shm__wakes wakes = {.count = 0};
    struct spot spot;
    if (find_to_end(tuples, key, &spot) != SHM_OK) {
      if (state == SHM_WAIT_WAITING) waiter->ref.offset = 0;
      return;
    }
    if (spot.entry) shm__block_free(tuples->space, shm__waiters_remove(&spot.fifo, waiter));
    leave_spot(tuples, &spot, &wakes, NULL);
    shm__waiter_free(tuples->space, waiter);
  } else {
    free_told(tuples, key, waiter);
  }
}

/* ---- putting ------------------------------------------------------------------------------------------------------------- */
static int add_segment(struct shm__tuples *tuples, const struct shm__key *key, u32 cells, u64 deadline_ns) {
  struct shm__ref ref;
  struct spot spot = {.shard = shm__tuples_shard_of(tuples, key)};
  int status = shm__tuples_alloc(tuples, shm__segment_bytes(cells), deadline_ns, &ref);
  if (status != SHM_OK) return status;
  status = shm__tuples_lock_put(tuples, &spot.shard, deadline_ns);
  if (status == SHM_OK) {
    find(tuples, key, &spot);
    spot.shard.shared->put_entry = spot.entry;
    if (spot.entry && shm__fifo_is_full(&spot.fifo)) {
      shm__fifo_grow(&spot.fifo, ref, cells);
      ref.offset = 0;
    }
    shm__unlock(&spot.shard.shared->put_lock);
  }
  shm__block_free(tuples->space, ref); /* somebody was quicker */
  return status;
}

/* Put in what there is room for. SHM_FULL: *glance sees when something is taken. SHM_NOT_FOUND: the key needs an entry. */
static int put_some(struct shm__tuples *tuples, const struct shm__key *key, const struct shm__value *values, u64 count,
                    u64 deadline_ns, u64 *done, u32 *cells, struct shm__glance *glance) {
  struct spot spot = {.shard = shm__tuples_shard_of(tuples, key)};
  u64 before = *done;
  int status = shm__tuples_lock_put(tuples, &spot.shard, deadline_ns);
  if (status != SHM_OK) return status;
  if (shm__tuples_closed(tuples) || shm__tuples_is_shut(tuples)) status = SHM_CLOSED;
  if (status == SHM_OK) find(tuples, key, &spot);
  if (status == SHM_OK && !spot.entry) status = SHM_NOT_FOUND;
  int waited = 0;
  if (status == SHM_OK) {
    spot.shard.shared->put_entry = spot.entry;
    SHM_POINT("tuples.named");
    for (u64 room = shm__fifo_room(&spot.fifo); status == SHM_OK && *done < count; room--) {
      status = room == 0 ? SHM_FULL : shm__fifo_put(&spot.fifo, &values[*done]);
      *done += status == SHM_OK;
    }
    if (status == SHM__GROW) *cells = shm__fifo_next_cells(&spot.fifo);
    if (status == SHM_FULL) *glance = (struct shm__glance){&spot.fifo.out->taken, shm_load_stale(&spot.fifo.out->taken)};
    shm__unlock(&spot.shard.shared->put_lock); /* SYNC fifo.waiters */
    /* The entry may be gone, its memory something else: then nobody waits there for what we have put. */
    waited = *done > before && shm_load_stale(&spot.fifo.line->first) != 0;
  } else {
    shm__unlock(&spot.shard.shared->put_lock);
  }
  if (waited) serve_line(tuples, key);
  return status;
}

/* Stand in line for room. SHM_OK: try again. */
static int wait_for_room(struct shm__tuples *tuples, const struct shm__key *key, int bell, struct shm__waiter *wait,
                         u64 deadline_ns, struct shm__glance *glance) {
  if (!wait->ref.offset) {
    struct shm__wakes wakes = {.count = 0};
    struct spot spot;
    if (deadline_ns == SHM__TRY && !bell) return SHM_FULL;
    if (shm__spin(tuples->space, &tuples->patience, shm__glance_again, glance) == SHM_OK) return SHM_OK;
    if (deadline_ns == SHM__SPIN && !bell) return SHM_FULL;
    int status = shm__waiter_make(tuples->space, SHM_WAITER_PUT, bell, deadline_ns, wait);
    if (status == SHM_OK) status = find_to_take(tuples, key, deadline_ns, &spot);
    if (status != SHM_OK) {
      shm__waiter_free(tuples->space, wait);
      return status;
    }
    int full = spot.entry && shm__fifo_length(&spot.fifo) >= tuples->bound && !shm__tuples_closed(tuples) &&
               !shm__tuples_is_shut(tuples);
    if (full) shm__waiters_add(&spot.fifo, wait);
    leave_spot(tuples, &spot, &wakes, NULL);
    if (!full) {
      shm__waiter_free(tuples->space, wait);
      return SHM_OK;
    }
  }
  int status = sleep_in_line(tuples, key, wait, SHM__WAITS_ROOM, deadline_ns);
  if (status == SHM_EMPTY) return SHM_FULL;
  if (status == SHM_OK) free_told(tuples, key, wait);
  return status;
}

int shm__tuples_out(struct shm__tuples *tuples, const struct shm__key *key, const struct shm__value *values, u64 count, int bell,
                    struct shm__waiter *wait, u64 deadline_ns, u64 *done) {
  struct shm__shard shard = shm__tuples_shard_of(tuples, key);
  struct shm__glance glance = {NULL, 0};
  u32 cells = 0;
  *done = 0;
  if (wait->ref.offset) { /* it stands in line already */
    int status = wait_for_room(tuples, key, bell, wait, deadline_ns, &glance);
    if (status != SHM_OK) return status;
  }
  shm__patience_sends(tuples->space, &tuples->patience);
  for (;;) {
    int status = put_some(tuples, key, values, count, deadline_ns, done, &cells, &glance);
    if (status == SHM_NOT_FOUND) status = shm__tuples_add(tuples, &shard, key, deadline_ns);
    else if (status == SHM__GROW) status = add_segment(tuples, key, cells, deadline_ns);
    else if (status == SHM_FULL) status = wait_for_room(tuples, key, bell, wait, deadline_ns, &glance);
    else return status;
    if (status != SHM_OK) return status;
  }
}

/* ---- taking and reading -------------------------------------------------------------------------------------------------- */
/* One attempt under the lock; with a waiter, who finds nothing stands in line. SHM_NOT_FOUND: for that it needs an entry. */
static int take_some(struct shm__tuples *tuples, const struct shm__key *key, u32 flags, u64 deadline_ns, struct shm__value *value,
                     struct shm__place *place, struct shm__glance *glance, struct shm__waiter *waiter) {
  struct shm__wakes wakes;
  struct shm__garbage garbage;
  struct spot spot;
  int status;
  wakes.count = garbage.count = 0;
  glance->word = NULL;
  do {
    status = find_to_take(tuples, key, deadline_ns, &spot);
    if (status != SHM_OK) return status;
    status = shm__tuples_closed(tuples) ? SHM_CLOSED : SHM_EMPTY;
    if (status == SHM_EMPTY && spot.entry) {
      status = shm__fifo_serve(&spot.fifo, flags & SHM_TAKE_HOLD, value, place, &wakes, &garbage);
    }
    if (status == SHM_EMPTY && shm__tuples_is_shut(tuples)) status = SHM_CLOSED;
    if (status == SHM_EMPTY && spot.entry) *glance = shm__fifo_glance(&spot.fifo);
    if (status == SHM_EMPTY && waiter && !spot.entry) status = SHM_NOT_FOUND;
    if (status == SHM_EMPTY && waiter) shm__waiters_add(&spot.fifo, waiter);
    leave_spot(tuples, &spot, &wakes, &garbage);
    /* SYNC fifo.waiters: put in between? The entry stays while we stand in its line. */
    if (status == SHM_EMPTY && waiter && shm_load_stale(&spot.fifo.in->tail) != shm_load_stale(&spot.fifo.out->taken)) {
      serve_line(tuples, key);
    }
  } while (status == SHM_BUSY);
  return status;
}

/* A value is taken at whose key somebody waits: it may be for its block. */
static void finish_shown(struct shm__tuples *tuples, const struct shm__key *key, const struct shm__place *place) {
  struct shm__wakes wakes = {.count = 0};
  struct shm__fifo fifo = {.space = tuples->space, .id = tuples->id};
  struct shm__ref block = {place->cell->block, place->cell->block_gen};
  struct spot spot;
  if (find_to_end(tuples, key, &spot) != SHM_OK) {
    shm__fifo_done(&fifo, place); /* a stopped process has it: the block stays ours until we leave */
    return;
  }
  if (spot.entry) shm__waiters_inherit(&spot.fifo, block);
  block = shm__fifo_done(&fifo, place); /* nothing if somebody has inherited it */
  leave_spot(tuples, &spot, &wakes, NULL);
  shm__block_free(tuples->space, block);
}

void shm__tuples_taken(struct shm__tuples *tuples, const struct shm__key *key, const struct shm__place *place) {
  if (place->cell->block && shm_load_acquire(&place->line->first)) { /* who pins it came before we held it */
    finish_shown(tuples, key, place);
    return;
  }
  struct shm__fifo fifo;
  fifo.space = tuples->space;
  fifo.id = tuples->id;
  shm__block_free(tuples->space, shm__fifo_done(&fifo, place));
}

void shm__tuples_return(struct shm__tuples *tuples, const struct shm__key *key, const struct shm__place *place) {
  struct spot spot;
  struct shm__wakes wakes = {.count = 0};
  if (find_to_end(tuples, key, &spot) != SHM_OK || !spot.entry) return; /* held until we leave */
  shm__fifo_return(&spot.fifo, place);
  leave_spot(tuples, &spot, &wakes, NULL);
  serve_line(tuples, key);
}

/* What the waiter was given; wait has left then. */
static int collect_grant(struct shm__tuples *tuples, const struct shm__key *key, u32 flags, struct shm__waiter *wait,
                         struct shm__value *value, struct shm__place *place) {
  struct shm_waiter *waiter = wait->shared;
  struct shm__fifo fifo = {.space = tuples->space, .id = tuples->id, .cells_most = SHM__TUPLES_CELLS_MOST,
                           .longest_bytes = tuples->space->size_bytes};
  int granted = shm_load_acquire(&waiter->state) == SHM_WAIT_GRANTED; /* SYNC waiter */
  u64 segment = waiter->segment, index = waiter->index;
  fifo.line = shm__at(tuples->space, waiter->line, sizeof *fifo.line, 8);
  free_told(tuples, key, wait);
  if (!granted) return SHM_CLOSED;
  *place = shm__fifo_place(&fifo, segment, index);
  int status = place->cell && place->line ? shm__fifo_read_held(&fifo, place, value) : SHM_CORRUPTED;
  if (status == SHM_OK && !value->block.offset && !(flags & SHM_TAKE_HOLD)) {
    shm__tuples_taken(tuples, key, place);
    place->cell = NULL;
  }
  return status;
}

int shm__tuples_take(struct shm__tuples *tuples, const struct shm__key *key, u32 flags, struct shm__waiter *wait,
                     u64 deadline_ns, struct shm__value *value, struct shm__place *place) {
  struct shm__shard shard = shm__tuples_shard_of(tuples, key);
  struct shm__glance glance;
  int bell = (flags & SHM_WAIT_BELL) != 0;
  place->cell = NULL;
  while (!wait->ref.offset) {
    int status = take_some(tuples, key, flags, deadline_ns, value, place, &glance, NULL);
    if (status != SHM_EMPTY || (deadline_ns == SHM__TRY && !bell)) return status;
    if (glance.word && shm__spin(tuples->space, &tuples->patience, shm__glance_again, &glance) == SHM_OK) continue;
    if (deadline_ns == SHM__SPIN && !bell) return SHM_EMPTY;
    status = shm__waiter_make(tuples->space, SHM_WAITER_TAKE, bell, deadline_ns, wait);
    while (status == SHM_OK &&
           (status = take_some(tuples, key, flags, deadline_ns, value, place, &glance, wait)) == SHM_NOT_FOUND) {
      status = shm__tuples_add(tuples, &shard, key, deadline_ns);
    }
    if (status == SHM_EMPTY) break;
    shm__waiter_free(tuples->space, wait);
    return status;
  }
  u64 start_ns = shm__monotonic_ns();
  int status = sleep_in_line(tuples, key, wait, SHM__WAITS_MESSAGE, deadline_ns);
  if (deadline_ns > SHM__SPIN) shm__learn(&tuples->patience, shm__monotonic_ns() - start_ns);
  return status == SHM_OK ? collect_grant(tuples, key, flags, wait, value, place) : status;
}

u32 shm__tuples_take_more(struct shm__tuples *tuples, const struct shm__key *key, u32 room, struct shm__value *values,
                          struct shm__place *places) {
  struct shm__wakes wakes;
  struct shm__garbage garbage;
  struct spot spot;
  u32 count = 0;
  wakes.count = garbage.count = 0;
  if (find_to_take(tuples, key, SHM__TRY, &spot) != SHM_OK) return 0;
  if (spot.entry && !shm__tuples_closed(tuples)) count = shm__fifo_serve_many(&spot.fifo, room, values, places, &wakes, &garbage);
  int more = wakes.count == SHM__WAKES;
  leave_spot(tuples, &spot, &wakes, &garbage);
  if (more) serve_line(tuples, key);
  return count;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------- */
/* One attempt under the lock. With a waiter, who finds nothing stands in line, and who finds a block pins it. SHM_NOT_FOUND:
 * for standing in line it needs an entry; SHM_SHORT: for a block it needs a waiter. */
static int read_some(struct shm__tuples *tuples, const struct shm__key *key, u64 deadline_ns, struct shm__value *value,
                     struct shm__waiter *waiter) {
  struct shm__wakes wakes = {.count = 0};
  struct spot spot;
  int status = find_to_take(tuples, key, deadline_ns, &spot), more = 0;
  if (status != SHM_OK) return status;
  status = shm__tuples_closed(tuples) ? SHM_CLOSED : SHM_EMPTY;
  if (status == SHM_EMPTY && spot.entry && spot.fifo.line->first) more = shm__waiters_settle(&spot.fifo, &wakes);
  if (status == SHM_EMPTY && spot.entry) status = shm__fifo_peek(&spot.fifo, value);
  if (status == SHM_OK && value->block.offset && !waiter) status = SHM_SHORT;
  if (status == SHM_OK && value->block.offset) shm__waiters_pin(&spot.fifo, waiter, value);
  if (status == SHM_EMPTY && shm__tuples_is_shut(tuples)) status = SHM_CLOSED;
  if (status == SHM_EMPTY && waiter && !spot.entry) status = SHM_NOT_FOUND;
  if (status == SHM_EMPTY && waiter) shm__waiters_add(&spot.fifo, waiter);
  leave_spot(tuples, &spot, &wakes, NULL);
  if (more) serve_line(tuples, key);
  return status;
}

/* What the waiter was shown. */
static int collect_shown(struct shm__tuples *tuples, const struct shm__key *key, struct shm__waiter *wait,
                         struct shm__value *value) {
  struct shm_waiter *waiter = wait->shared;
  int shown = shm_load_acquire(&waiter->state) == SHM_WAIT_SHOWN; /* SYNC waiter */
  value->length_bytes = waiter->length_bytes;
  value->codec = waiter->codec;
  value->block = (struct shm__ref){waiter->block, waiter->block_gen};
  if (shown && value->block.offset) return SHM_OK; /* it pins that until it leaves the line */
  if (shown && value->length_bytes <= SHM_INLINE_BYTES) memcpy(value->data, waiter->data, value->length_bytes);
  free_told(tuples, key, wait);
  return shown ? SHM_OK : SHM_CLOSED;
}

int shm__tuples_read(struct shm__tuples *tuples, const struct shm__key *key, int bell, struct shm__waiter *wait,
                     u64 deadline_ns, struct shm__value *value) {
  struct shm__shard shard = shm__tuples_shard_of(tuples, key);
  if (!wait->ref.offset) {
    int stay = deadline_ns > SHM__SPIN || bell;
    int status = read_some(tuples, key, deadline_ns, value, NULL);
    if (status != SHM_SHORT && !(status == SHM_EMPTY && stay)) return status;
    status = shm__waiter_make(tuples->space, SHM_WAITER_READ, bell, deadline_ns, wait);
    while (status == SHM_OK && (status = read_some(tuples, key, deadline_ns, value, wait)) == SHM_NOT_FOUND) {
      status = shm__tuples_add(tuples, &shard, key, deadline_ns);
    }
    if (status == SHM_OK && value->block.offset) return SHM_OK; /* pinned */
    if (status != SHM_EMPTY) {
      shm__waiter_free(tuples->space, wait);
      return status;
    }
    serve_line(tuples, key); /* SYNC fifo.waiters: put in between */
  }
  int status = sleep_in_line(tuples, key, wait, SHM__WAITS_MESSAGE, deadline_ns);
  return status == SHM_OK ? collect_shown(tuples, key, wait, value) : status;
}

int shm__tuples_leave_line(struct shm__tuples *tuples, const struct shm__key *key, u32 flags, struct shm__waiter *wait,
                           struct shm__value *value, struct shm__place *place) {
  place->cell = NULL;
  if (!wait->ref.offset) return SHM_EMPTY;
  u32 kind = wait->shared->kind, state = shm__waiter_give_up(wait);
  if (kind == SHM_WAITER_TAKE && state == SHM_WAIT_GRANTED) return collect_grant(tuples, key, flags, wait, value, place);
  drop_waiter(tuples, key, state, wait);
  if (kind == SHM_WAITER_PUT && state == SHM_WAIT_GRANTED) { /* the room was for somebody else, then */
    struct shm__wakes wakes = {.count = 0};
    struct spot spot;
    if (find_to_end(tuples, key, &spot) == SHM_OK) {
      if (spot.entry) shm__waiters_admit(&spot.fifo, 1, &wakes);
      leave_spot(tuples, &spot, &wakes, NULL);
    }
  }
  return SHM_EMPTY;
}
