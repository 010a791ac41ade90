/* fifo_wait.c: blocked calls on a fifo, in the order they came. A value is not waited for in a race: whoever has the take lock
 * gives it to the first in line, and nobody who comes later is served before.
 *
 * A waiter is a block HELD by its owner, linked into the fifo's line. Its owner sleeps on state.
 *
 * Invariants
 *   1. state leaves WAITING by one compare-and-swap: to GRANTED, SHOWN or CLOSED by the take lock's holder, to GONE by the
 *      owner, who needs no lock to give up.
 *   2. A taker is GRANTED a value after that is HELD by its owner: if the owner dies, it is ready again.
 *   3. The line holds those that are WAITING, those SHOWN a block (it pins the block until its owner has copied it), and
 *      for a moment others, which whoever has the lock takes out. next is 1 in a waiter that is out of the line: it is its
 *      owner's alone then, who must not free it before; one that is GONE is freed by who takes it out.
 *   4. All who wait to read have been shown a value before it is given to a taker.
 *   5. A block that is pinned belongs to the fifo as long as its value is in it, then to one of those who pin it.
 *   6. Whenever the take lock is given up, either nothing is ready, or nobody in line waits to take; save for what was put
 *      or given back after its holder had looked. Who did that looks at the line afterwards. The same of room.
 *
 * Crash table (died after ...)
 *   linking a waiter ("waiters.linked")      last is behind: heir of the take lock; the dead one's waiter: reap
 *   choosing a value ("waiters.chosen")      the value is ready: nothing
 *   holding it for a waiter ("waiters.held") heir of the take lock tells the waiter, or makes the value ready again
 *   telling it ("waiters.told")              still in line: heir takes it out
 *   taking it out ("waiters.out")            not woken: its nap ends within 100 ms
 *   handing a pinned block on ("waiters.handed")  it belongs to the other one
 *   leaving the block of a value that is taken to who pins it ("waiters.inherited")
 *                                            the value is held by the dead: heir of the take lock links its block again
 */
#include "fifo_wait.h"

#include <limits.h>
#include <string.h>

#include "../base/bits.h"
#include "../base/point.h"
#include "../core/members.h"
#include "../core/patience.h"
#include "../os/clock.h"
#include "../os/wait.h"

enum { IN_NO_LINE = 1 };

int shm__waiter_make(struct shm__space *space, u32 kind, int bell, u64 deadline_ns, struct shm__waiter *waiter) {
  int status = shm__block_alloc(space, sizeof(struct shm_waiter), deadline_ns, &waiter->ref);
  if (status != SHM_OK) return status;
  waiter->shared = (struct shm_waiter *)(space->base + waiter->ref.offset);
  memset(waiter->shared, 0, sizeof *waiter->shared);
  waiter->shared->next = IN_NO_LINE;
  waiter->shared->kind = kind;
  waiter->shared->owner = space->token;
  waiter->shared->bell = bell != 0;
  waiter->shared->since_ns = shm__realtime_ns();
  return SHM_OK;
}

int shm__waiter_is_out(const struct shm__waiter *waiter) {
  return shm_load_acquire(&waiter->shared->next) == IN_NO_LINE; /* SYNC waiter.out */
}

void shm__waiter_free(struct shm__space *space, struct shm__waiter *waiter) {
  shm__block_free(space, waiter->ref);
  waiter->ref = (struct shm__ref){0, 0};
}

u32 shm__waiter_give_up(const struct shm__waiter *waiter) {
  u32 state = SHM_WAIT_WAITING;
  shm_cas(&waiter->shared->state, &state, SHM_WAIT_GONE);
  return state;
}

/* ---- the line: readers, then all others in the order they came ----------------------------------------------------------- */
struct spot {
  u64 *link;  /* what leads to the waiter */
  u64 before; /* the waiter that link is part of; 0: none */
};

static struct shm_waiter *waiter_at(const struct shm__fifo *fifo, u64 offset) {
  if (offset == 0 || !shm__block_header(fifo->space, offset)) return NULL;
  return shm__at(fifo->space, offset, sizeof(struct shm_waiter), 16);
}

static u64 most_waiters(const struct shm__fifo *fifo) { return fifo->space->size_bytes / sizeof(struct shm_waiter); }

static struct spot start_of(struct shm__fifo *fifo) { return (struct spot){&fifo->line->first, 0}; }

static void step(struct spot *spot, struct shm_waiter *waiter) { *spot = (struct spot){&waiter->next, *spot->link}; }

void shm__waiters_add(struct shm__fifo *fifo, const struct shm__waiter *waiter) {
  struct shm_fifo_line *line = fifo->line;
  u64 *link = &line->first, left = most_waiters(fifo);
  waiter->shared->line = shm__offset_of(fifo->space, line);
  if (waiter->shared->kind == SHM_WAITER_READ) {
    shm_store_relaxed(&waiter->shared->next, line->first);
    if (!line->first) line->last = waiter->ref.offset;
  } else {
    shm_store_relaxed(&waiter->shared->next, 0); /* relaxed: the store below publishes it */
    struct shm_waiter *last = line->first ? waiter_at(fifo, line->last) : NULL;
    if (last) link = &last->next;
    while ((last = waiter_at(fifo, *link)) != NULL && left-- > 0) link = &last->next;
    line->last = waiter->ref.offset;
  }
  shm_store_release(link, waiter->ref.offset); /* SYNC fifo.waiters: then the caller unlocks, which is a fence, and looks again */
  SHM_POINT("waiters.linked");
}

static void take_out(struct shm__fifo *fifo, const struct spot *spot, struct shm_waiter *waiter) {
  u64 at = *spot->link;
  u32 gone = shm_load_acquire(&waiter->state) == SHM_WAIT_GONE, owner = waiter->owner;
  if (fifo->line->last == at) fifo->line->last = spot->before;
  shm_store_release(spot->link, waiter->next);
  SHM_POINT("waiters.out");
  struct shm__ref ref = shm__block_ref(fifo->space, at);
  shm_store_release(&waiter->next, IN_NO_LINE); /* SYNC waiter.out: the last that we do to it, unless it is gone */
  if (gone && shm__block_pass(fifo->space, ref, owner, fifo->space->token)) shm__block_free(fifo->space, ref);
}

/* Nothing is to be done for it here any more. */
static int is_over(struct shm_waiter *waiter) {
  u32 state = shm_load_acquire(&waiter->state);
  return state != SHM_WAIT_WAITING && !(state == SHM_WAIT_SHOWN && waiter->block);
}

/* The first of a kind that is waiting; those that are over are taken out on the way. */
static struct shm_waiter *find_waiting(struct shm__fifo *fifo, u32 kind, struct spot *spot) {
  struct shm_waiter *waiter;
  u64 left = most_waiters(fifo);
  *spot = start_of(fifo);
  while ((waiter = waiter_at(fifo, *spot->link)) != NULL && left-- > 0) {
    if (is_over(waiter)) {
      take_out(fifo, spot, waiter);
      continue;
    }
    if (waiter->kind == kind && shm_load_acquire(&waiter->state) == SHM_WAIT_WAITING) return waiter;
    if (kind == SHM_WAITER_READ && waiter->kind != kind) return NULL;
    step(spot, waiter);
  }
  return NULL;
}

static struct shm_waiter *find(struct shm__fifo *fifo, u64 offset, struct spot *spot) {
  struct shm_waiter *waiter;
  u64 left = most_waiters(fifo);
  *spot = start_of(fifo);
  while ((waiter = waiter_at(fifo, *spot->link)) != NULL && left-- > 0) {
    if (*spot->link == offset) return waiter;
    step(spot, waiter);
  }
  return NULL;
}

u64 shm__waiters_count(struct shm__fifo *fifo) {
  struct shm_waiter *waiter;
  u64 left = most_waiters(fifo), count = 0;
  for (u64 at = shm_load_acquire(&fifo->line->first); (waiter = waiter_at(fifo, at)) != NULL && left-- > 0;) {
    count += waiter->kind != SHM_WAITER_PUT && shm_load_acquire(&waiter->state) == SHM_WAIT_WAITING;
    at = shm_load_acquire(&waiter->next);
  }
  return count;
}

/* ---- telling ------------------------------------------------------------------------------------------------------------- */
/* 1 if it was waiting, and knows now. */
static int tell(struct shm__fifo *fifo, struct shm_waiter *waiter, u32 state, struct shm__wakes *wakes) {
  u32 waiting = SHM_WAIT_WAITING;
  int told = shm_cas(&waiter->state, &waiting, state); /* SYNC waiter: publishes what it was given */
  SHM_POINT("waiters.told");
  if (!told) return 0;
  wakes->waiter[wakes->count] = shm__offset_of(fifo->space, waiter);
  wakes->slot[wakes->count++] = waiter->bell ? shm__token_slot(waiter->owner) : SHM__NO_BELL;
  return 1;
}

void shm__wakes_send(struct shm__space *space, struct shm__wakes *wakes) {
  for (u32 i = 0; i < wakes->count; i++) {
    struct shm_waiter *waiter = (struct shm_waiter *)(space->base + wakes->waiter[i]);
    if (wakes->slot[i] != SHM__NO_BELL) shm__member_ring(space, wakes->slot[i]);
    else shm__futex_wake(&waiter->state, INT_MAX); /* the block may be something else by now: a needless wake-up */
  }
  wakes->count = 0;
}

/* Hold the oldest value, which is ready, for this waiter. */
static void give(struct shm__fifo *fifo, struct shm_waiter *waiter, struct shm__wakes *wakes) {
  struct shm__place place;
  waiter->segment = fifo->out->current;
  waiter->index = fifo->out->head;
  SHM_POINT("waiters.chosen");
  if (shm__fifo_grant(fifo, waiter->owner, &place) != SHM_OK) return;
  SHM_POINT("waiters.held");
  if (!tell(fifo, waiter, SHM_WAIT_GRANTED, wakes)) shm__fifo_return(fifo, &place); /* it has just given up */
}

static void show(struct shm__fifo *fifo, const struct shm__value *value, struct shm_waiter *waiter, struct shm__wakes *wakes) {
  waiter->codec = value->codec;
  waiter->length_bytes = value->length_bytes;
  waiter->block = value->block.offset;
  waiter->block_gen = value->block.gen;
  if (!value->block.offset) memcpy(waiter->data, value->data, value->length_bytes);
  tell(fifo, waiter, SHM_WAIT_SHOWN, wakes);
}

void shm__waiters_pin(struct shm__fifo *fifo, const struct shm__waiter *waiter, const struct shm__value *value) {
  waiter->shared->block = value->block.offset;
  waiter->shared->block_gen = value->block.gen;
  shm_store_release(&waiter->shared->state, SHM_WAIT_SHOWN);
  shm__waiters_add(fifo, waiter);
}

static int is_overdue(struct shm__fifo *fifo) {
  return fifo->deliveries_most && shm__fifo_deliveries(fifo) >= fifo->deliveries_most;
}

/* Nobody waits for room that is there. */
static int admit_all(struct shm__fifo *fifo, struct shm__wakes *wakes) {
  u64 length = fifo->bound && fifo->line->first ? shm__fifo_length(fifo) : fifo->bound;
  return length < fifo->bound && shm__waiters_admit(fifo, fifo->bound - length, wakes);
}

int shm__waiters_settle(struct shm__fifo *fifo, struct shm__wakes *wakes) {
  struct shm__value value;
  struct shm_waiter *waiter;
  struct spot spot;
  int moved = shm__fifo_regain(fifo); /* another value is next than the caller knows: was it delivered too often? */
  while (fifo->line->first && shm__fifo_peek(fifo, &value) == SHM_OK) {
    if (wakes->count == SHM__WAKES || (moved && is_overdue(fifo))) return 1;
    if ((waiter = find_waiting(fifo, SHM_WAITER_READ, &spot)) != NULL) {
      show(fifo, &value, waiter, wakes);
    } else if ((waiter = find_waiting(fifo, SHM_WAITER_TAKE, &spot)) != NULL) {
      give(fifo, waiter, wakes);
      moved = 1;
    } else {
      break;
    }
    if (is_over(waiter)) take_out(fifo, &spot, waiter);
  }
  return admit_all(fifo, wakes) || (moved && is_overdue(fifo));
}

int shm__waiters_admit(struct shm__fifo *fifo, u64 room, struct shm__wakes *wakes) {
  struct shm_waiter *waiter;
  struct spot spot;
  for (; room > 0 && (waiter = find_waiting(fifo, SHM_WAITER_PUT, &spot)) != NULL; room--) {
    if (wakes->count == SHM__WAKES) return 1;
    tell(fifo, waiter, SHM_WAIT_GRANTED, wakes);
    take_out(fifo, &spot, waiter);
  }
  return 0;
}

int shm__waiters_close(struct shm__fifo *fifo, struct shm__wakes *wakes) {
  static const u32 kinds[] = {SHM_WAITER_READ, SHM_WAITER_TAKE, SHM_WAITER_PUT};
  struct shm_waiter *waiter;
  struct spot spot;
  for (u32 k = 0; k < 3; k++) {
    while ((waiter = find_waiting(fifo, kinds[k], &spot)) != NULL) {
      if (wakes->count == SHM__WAKES) return 1;
      tell(fifo, waiter, SHM_WAIT_CLOSED, wakes);
      take_out(fifo, &spot, waiter);
    }
  }
  return 0;
}

/* Those in line come first. SHM_OK: they have what there is for them; SHM_EMPTY: what comes next is for them; SHM_BUSY. */
static int serve_others(struct shm__fifo *fifo, struct shm__wakes *wakes) {
  struct shm_fifo_out *out = fifo->out;
  struct spot spot;
  if (__builtin_expect(out->returned == out->returned_seen && !fifo->line->first, 1)) return SHM_OK;
  if (shm__waiters_settle(fifo, wakes)) return SHM_BUSY;
  /* A value that comes only now is for those who wait: who puts it looks at the line. */
  return find_waiting(fifo, SHM_WAITER_READ, &spot) || find_waiting(fifo, SHM_WAITER_TAKE, &spot) ? SHM_EMPTY : SHM_OK;
}

int shm__fifo_serve(struct shm__fifo *fifo, int keep, struct shm__value *value, struct shm__place *place, struct shm__wakes *wakes,
                    struct shm__garbage *garbage) {
  int status = serve_others(fifo, wakes);
  if (status != SHM_OK) return status;
  status = shm__fifo_take(fifo, keep, value, place);
  if (fifo->crossed) shm__fifo_collect(fifo, garbage);
  if (status == SHM_OK) admit_all(fifo, wakes); /* whoever is left goes in with the next one who looks */
  return status;
}

u32 shm__fifo_serve_many(struct shm__fifo *fifo, u32 room, struct shm__value *values, struct shm__place *places,
                         struct shm__wakes *wakes, struct shm__garbage *garbage) {
  if (serve_others(fifo, wakes) != SHM_OK) return 0;
  u32 count = shm__fifo_take_many(fifo, room, values, places);
  if (fifo->crossed) shm__fifo_collect(fifo, garbage);
  admit_all(fifo, wakes);
  return count;
}

/* ---- sleeping ------------------------------------------------------------------------------------------------------------ */
int shm__waiter_sleep(const struct shm__space *space, const struct shm__waiter *waiter, u64 deadline_ns) {
  u32 *state = &waiter->shared->state;
  if (shm_load_acquire(state) != SHM_WAIT_WAITING) return SHM_OK; /* SYNC waiter */
  u64 now_ns = shm__monotonic_ns();
  if (now_ns >= deadline_ns) return SHM_EMPTY;
  u64 nap_ns = shm__nap_length_ns(space, now_ns, deadline_ns);
  enum shm__wait_result result = shm__futex_wait(state, SHM_WAIT_WAITING, nap_ns);
  if (shm_load_acquire(state) != SHM_WAIT_WAITING) return SHM_OK;
  return result == SHM__WAIT_SIGNAL ? SHM_INTERRUPTED : SHM_EMPTY;
}

void shm__waiters_nudge(struct shm__fifo *fifo) {
  struct shm_waiter *waiter;
  u64 left = most_waiters(fifo);
  /* The line may change meanwhile: whoever is missed looks around after his nap. */
  for (u64 at = shm_load_acquire(&fifo->line->first); (waiter = waiter_at(fifo, at)) != NULL && left-- > 0;) {
    at = shm_load_acquire(&waiter->next);
    if (waiter->bell) shm__member_ring(fifo->space, shm__token_slot(waiter->owner));
    else shm__futex_wake(&waiter->state, INT_MAX);
  }
}

/* ---- blocks that waiters look at ----------------------------------------------------------------------------------------- */
static struct shm_waiter *find_pinning(struct shm__fifo *fifo, struct shm__ref block, const struct shm_waiter *but) {
  struct shm_waiter *waiter;
  u64 left = most_waiters(fifo);
  for (u64 at = fifo->line->first; (waiter = waiter_at(fifo, at)) != NULL && left-- > 0; at = waiter->next) {
    if (waiter == but || shm_load_acquire(&waiter->state) != SHM_WAIT_SHOWN) continue;
    if (waiter->block == block.offset && waiter->block_gen == block.gen) return waiter;
  }
  return NULL;
}

void shm__waiters_inherit(struct shm__fifo *fifo, struct shm__ref block) {
  struct shm_waiter *heir = find_pinning(fifo, block, NULL);
  if (heir) shm__block_give(fifo->space, block, fifo->id, heir->owner);
  SHM_POINT("waiters.inherited");
}

/* This one does not look any more. The block if that leaves it with us: who had it is the owner of the waiter. */
static struct shm__ref unpin(struct shm__fifo *fifo, struct shm_waiter *waiter) {
  struct shm__ref block = {waiter->block, waiter->block_gen}, nothing = {0, 0};
  if (shm_load_acquire(&waiter->state) != SHM_WAIT_SHOWN || block.offset == 0) return nothing;
  struct shm_waiter *heir = find_pinning(fifo, block, waiter);
  int ours = shm__block_pass(fifo->space, block, waiter->owner, heir ? heir->owner : waiter->owner);
  SHM_POINT("waiters.handed");
  waiter->block = 0;
  return ours && !heir ? block : nothing; /* else the fifo has it */
}

struct shm__ref shm__waiters_remove(struct shm__fifo *fifo, const struct shm__waiter *waiter) {
  struct spot spot;
  struct shm_waiter *found = find(fifo, waiter->ref.offset, &spot);
  if (!found || !shm__block_held(fifo->space, waiter->ref)) return (struct shm__ref){0, 0}; /* swept; another stands there */
  struct shm__ref block = unpin(fifo, found);
  if (shm_load_acquire(&found->state) == SHM_WAIT_GONE) shm_store_release(&found->state, SHM_WAIT_CLOSED); /* ours to free */
  take_out(fifo, &spot, found);
  return block;
}

/* ---- death --------------------------------------------------------------------------------------------------------------- */
void shm__waiters_recover(struct shm__fifo *fifo, u32 dead) {
  struct spot spot = start_of(fifo);
  struct shm_waiter *waiter;
  u64 left = most_waiters(fifo);
  while ((waiter = waiter_at(fifo, *spot.link)) != NULL && left-- > 0) {
    if (shm__token_gone_with(fifo->space, waiter->owner, dead)) {
      unpin(fifo, waiter); /* what is left to the dead is reaped */
      take_out(fifo, &spot, waiter);
    } else {
      step(&spot, waiter);
    }
  }
}

void shm__waiters_repair(struct shm__fifo *fifo) {
  struct shm__wakes wakes = {.count = 0}; /* not sent: naps end */
  struct spot spot = start_of(fifo);
  struct shm_waiter *waiter;
  u64 left = most_waiters(fifo);
  while ((waiter = waiter_at(fifo, *spot.link)) != NULL && left-- > 0) {
    struct shm__place place = waiter->segment ? shm__fifo_place(fifo, waiter->segment, waiter->index) : (struct shm__place){0};
    u32 state = shm_load_acquire(&waiter->state);
    if (place.cell && (state == SHM_WAIT_WAITING || state == SHM_WAIT_GONE) &&
        shm_load_acquire(&place.cell->word) == shm__cell_word(waiter->index, SHM_VALUE_HELD, waiter->owner)) {
      wakes.count = 0;
      if (!tell(fifo, waiter, SHM_WAIT_GRANTED, &wakes)) shm__fifo_return(fifo, &place);
    } else if (state == SHM_WAIT_WAITING) {
      waiter->segment = 0; /* chosen, and not given */
    }
    if (is_over(waiter)) take_out(fifo, &spot, waiter);
    else step(&spot, waiter);
  }
  fifo->line->last = spot.before;
}
