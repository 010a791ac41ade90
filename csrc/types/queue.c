/* queue.c: work handed over. Values wait in a fifo (lane 0); those that failed too often in a second one (lane 1).
 *
 * A lease is a value that stays HELD until it is acknowledged or given back.
 *
 * Invariants
 *   1. finished counts values that are done with; with tail it says how many are not. It is changed by the take lock's holder,
 *      and where a value goes with it, behind an intent that says what finished was before.
 *   2. Whoever puts or gives back looks at the line of waiters when the value is visible and his lock is given up.
 *   Lock order: lane 0 put, lane 0 take, lane 1 put, lane 1 take.
 *
 * Crash table (died after ...)
 *   declaring what is to be done ("queue.intended")  heir of the take lock finishes it
 *   counting ("queue.counted")                       as above
 *   shutting down ("queue.shut")                     the first waiter whose nap ends (100 ms) lets all leave
 */
#include "queue_lane.h"

#include <string.h>

#include "../base/bits.h"
#include "../base/point.h"
#include "../core/members.h"
#include "../core/recover.h"
#include "../os/clock.h"
#include "../os/wait.h"

enum { PATIENCE_NS = 50000000, PROBE_NS = 10000000 };

static void probe(struct shm__queue *queue, u32 n, u64 period_ns) {
  if (!shm__our_turn(&queue->lane[n].shared->probed_ns, period_ns, shm__monotonic_ns())) return;
  shm__reap_dead(queue->space);
  shm__lane_serve_line(queue, n); /* a dead one may have had no time to */
}

/* Free ours, which has been told something. Who told us may not have taken it out of the line yet. */
static void free_told(struct shm__queue *queue, u32 n, struct shm__waiter *waiter) {
  if (!shm__waiter_is_out(waiter)) {
    if (shm__lane_lock_to_end(shm__lane_lock_take, queue, n) != SHM_OK) {
      waiter->ref.offset = 0; /* he is stopped: the block stays ours until we end */
      return;
    }
    shm__unlock(&queue->lane[n].shared->take_lock);
  }
  shm__waiter_free(queue->space, waiter);
}

/* Out of the line, and free. It is GONE: whoever finds it there may take it out and free it before we do. */
static void leave(struct shm__queue *queue, u32 n, struct shm__waiter *waiter) {
  if (shm__lane_lock_to_end(shm__lane_lock_take, queue, n) != SHM_OK) {
    waiter->ref.offset = 0;
    return;
  }
  shm__waiters_remove(&queue->lane[n].fifo, waiter);
  shm__unlock(&queue->lane[n].shared->take_lock);
  shm__waiter_free(queue->space, waiter);
}

void shm__queue_probe(struct shm__queue *queue, u32 n) { probe(queue, n, PROBE_NS); }

int shm__queue_probe_is_due(struct shm__queue *queue, u32 n) {
  /* signed: the last look may be later than the tick */
  return (int64_t)(shm__monotonic_tick_ns() - shm_load_relaxed(&queue->lane[n].shared->probed_ns)) >= PROBE_NS;
}

/* Sleep in line. SHM_OK: it is over, wait has left; *state says how. Else why not yet: SHM_EMPTY, SHM_INTERRUPTED, SHM_CLOSED. */
static int sleep_in_line(struct shm__queue *queue, u32 n, struct shm__waiter *wait, u32 what, u64 deadline_ns) {
  for (;;) {
    u32 place = deadline_ns > SHM__SPIN ? shm__wait_show(queue->space, queue->id, what) : SHM_WAITS;
    int status = shm__waiter_sleep(queue->space, wait, deadline_ns);
    shm__wait_hide(queue->space, place);
    if (status != SHM_EMPTY) return status;
    if (shm__queue_closed(queue)) return SHM_CLOSED;
    if (deadline_ns <= SHM__SPIN) return SHM_EMPTY;
    probe(queue, n, SHM__NAP_NS / 2);
    if (shm__monotonic_ns() >= deadline_ns && shm_load_acquire(&wait->shared->state) == SHM_WAIT_WAITING) return SHM_EMPTY;
  }
}

/* ---- putting ------------------------------------------------------------------------------------------------------------- */
/* Put in what there is room for. *cells: of the segment that is needed. */
static int put_some(struct shm__queue *queue, u32 n, const struct shm__value *values, u64 count, u64 deadline_ns, u64 *done,
                    u32 *cells) {
  struct shm__fifo *fifo = &queue->lane[n].fifo;
  u64 before = *done;
  int status = shm__lane_lock_put(queue, n, deadline_ns);
  if (status != SHM_OK) return status;
  if (shm__queue_closed(queue) || (n == 0 && shm__queue_is_shut(queue))) status = SHM_CLOSED;
  for (u64 room = status == SHM_OK ? shm__fifo_room(fifo) : 0; status == SHM_OK && *done < count; room--) {
    status = room == 0 ? SHM_FULL : shm__fifo_put(fifo, &values[*done]);
    *done += status == SHM_OK;
  }
  if (status == SHM__GROW) *cells = shm__fifo_next_cells(fifo);
  shm__unlock(&queue->lane[n].shared->put_lock); /* SYNC fifo.waiters */
  if (*done > before) shm__lane_serve_if_waited(queue, n);
  return status;
}

static int look_for_room(void *context) {
  struct shm__queue *queue = context;
  return shm__queue_closed(queue) || shm__queue_is_shut(queue) || shm__fifo_length(&queue->lane[0].fifo) < queue->maxsize
             ? SHM_OK
             : SHM_EMPTY;
}

/* Stand in line for room. SHM_OK: try again. */
static int wait_for_room(struct shm__queue *queue, int bell, struct shm__waiter *wait, u64 deadline_ns) {
  if (!wait->ref.offset) {
    if (deadline_ns == SHM__TRY && !bell) return SHM_FULL;
    if (shm__spin(queue->space, &queue->patience, look_for_room, queue) == SHM_OK) return SHM_OK;
    if (deadline_ns == SHM__SPIN && !bell) return SHM_FULL;
    int status = shm__waiter_make(queue->space, SHM_WAITER_PUT, bell, deadline_ns, wait);
    if (status == SHM_OK) status = shm__lane_lock_take(queue, 0, deadline_ns);
    if (status != SHM_OK) {
      shm__waiter_free(queue->space, wait);
      return status;
    }
    int room = look_for_room(queue) == SHM_OK;
    if (!room) shm__waiters_add(&queue->lane[0].fifo, wait);
    shm__unlock(&queue->lane[0].shared->take_lock);
    if (room) {
      shm__waiter_free(queue->space, wait);
      return SHM_OK;
    }
  }
  int status = sleep_in_line(queue, 0, wait, SHM__WAITS_ROOM, deadline_ns);
  if (status == SHM_EMPTY) return SHM_FULL;
  if (status == SHM_OK) free_told(queue, 0, wait);
  return status;
}

int shm__queue_put(struct shm__queue *queue, u32 n, const struct shm__value *values, u64 count, int bell,
                   struct shm__waiter *wait, u64 deadline_ns, u64 *done) {
  u32 cells = 0;
  *done = 0;
  if (wait->ref.offset) { /* it stands in line already */
    int status = wait_for_room(queue, bell, wait, deadline_ns);
    if (status != SHM_OK) return status;
  }
  shm__patience_sends(queue->space, &queue->patience);
  for (;;) {
    int status = put_some(queue, n, values, count, deadline_ns, done, &cells);
    if (status == SHM__GROW) status = shm__lane_add_segment(queue, n, cells, deadline_ns);
    else if (status == SHM_FULL) status = wait_for_room(queue, bell, wait, deadline_ns);
    else return status;
    if (status != SHM_OK) return status;
  }
}

/* ---- taking -------------------------------------------------------------------------------------------------------------- */
/* The value at place is held: say for what. */
static void note_hold(const struct shm__place *place, u32 lease) {
  if (!place->cell) return;
  /* relaxed: for people, but for deliveries, which the take lock's next holder reads when it has come back */
  shm_store_relaxed(&place->cell->leased, lease != 0);
  if (!lease) return;
  shm_store_relaxed(&place->cell->since_ns, shm__realtime_tick_ns());
  shm_store_relaxed(&place->cell->deliveries, place->cell->deliveries + 1);
}

/* One attempt under the lock. */
static int take_some(struct shm__queue *queue, u32 n, u32 flags, u64 deadline_ns, struct shm__value *value,
                     struct shm__place *place, struct shm__glance *glance, struct shm__waiter *waiter) {
  struct shm__fifo *fifo = &queue->lane[n].fifo;
  struct shm__wakes wakes;
  struct shm__garbage garbage;
  int status;
  wakes.count = garbage.count = 0;
  do {
    status = shm__lane_lock_to_take(queue, n, deadline_ns);
    if (status != SHM_OK) return status;
    status = shm__queue_closed(queue)
                 ? SHM_CLOSED
                 : shm__fifo_serve(fifo, flags & (SHM_TAKE_HOLD | SHM_TAKE_LEASE), value, place, &wakes, &garbage);
    if (status == SHM_EMPTY && n == 0 && shm__queue_is_shut(queue)) status = SHM_CLOSED;
    if (status == SHM_EMPTY) *glance = shm__fifo_glance(fifo);
    if (status == SHM_EMPTY && waiter) shm__waiters_add(fifo, waiter);
    shm__lane_unlock_take(queue, n, &wakes); /* SYNC fifo.waiters */
    shm__garbage_free(queue->space, &garbage);
  } while (status == SHM_BUSY);
  if (status == SHM_OK) note_hold(place, flags & SHM_TAKE_LEASE);
  return status;
}

/* What the waiter was given. */
static int collect_grant(struct shm__queue *queue, u32 n, u32 flags, struct shm__waiter *wait, struct shm__value *value,
                         struct shm__place *place) {
  struct shm_waiter *waiter = wait->shared;
  struct shm__fifo *fifo = &queue->lane[n].fifo;
  u32 state = shm_load_acquire(&waiter->state); /* SYNC waiter */
  *place = shm__fifo_place(fifo, waiter->segment, waiter->index);
  free_told(queue, n, wait);
  if (state != SHM_WAIT_GRANTED) return SHM_CLOSED;
  int status = place->cell ? shm__fifo_read_held(fifo, place, value) : SHM_CORRUPTED;
  if (status != SHM_OK) return status;
  if (!(flags & (SHM_TAKE_HOLD | SHM_TAKE_LEASE)) && !value->block.offset) {
    shm__fifo_done(fifo, place);
    place->cell = NULL;
  }
  note_hold(place, flags & SHM_TAKE_LEASE);
  return SHM_OK;
}

int shm__queue_take(struct shm__queue *queue, u32 n, u32 flags, struct shm__waiter *wait, u64 deadline_ns,
                    struct shm__value *value, struct shm__place *place) {
  struct shm__glance glance;
  int bell = (flags & SHM_WAIT_BELL) != 0;
  while (!wait->ref.offset) {
    int status = take_some(queue, n, flags, deadline_ns, value, place, &glance, NULL);
    if (status != SHM_EMPTY || (deadline_ns == SHM__TRY && !bell)) return status;
    if (shm__spin(queue->space, &queue->patience, shm__glance_again, &glance) == SHM_OK) continue;
    if (deadline_ns == SHM__SPIN && !bell) return SHM_EMPTY;
    status = shm__waiter_make(queue->space, SHM_WAITER_TAKE, bell, deadline_ns, wait);
    if (status == SHM_OK) status = take_some(queue, n, flags, deadline_ns, value, place, &glance, wait);
    if (status != SHM_EMPTY) shm__waiter_free(queue->space, wait);
    else if (shm__fifo_length(&queue->lane[n].fifo) > 0) shm__lane_serve_line(queue, n); /* SYNC fifo.waiters: put in between */
    if (status != SHM_EMPTY) return status;
  }
  u64 start_ns = shm__monotonic_ns();
  int status = sleep_in_line(queue, n, wait, SHM__WAITS_MESSAGE, deadline_ns);
  if (deadline_ns > SHM__SPIN) shm__learn(&queue->patience, shm__monotonic_ns() - start_ns);
  return status == SHM_OK ? collect_grant(queue, n, flags, wait, value, place) : status;
}

u32 shm__queue_take_more(struct shm__queue *queue, u32 n, u32 room, struct shm__value *values, struct shm__place *places) {
  struct shm__wakes wakes;
  struct shm__garbage garbage;
  u32 count = 0;
  wakes.count = garbage.count = 0;
  if (shm__lane_lock_to_take(queue, n, SHM__TRY) != SHM_OK) return 0;
  if (!shm__queue_closed(queue)) count = shm__fifo_serve_many(&queue->lane[n].fifo, room, values, places, &wakes, &garbage);
  for (u32 i = 0; i < count; i++) note_hold(&places[i], 0);
  int more = wakes.count == SHM__WAKES;
  shm__lane_unlock_take(queue, n, &wakes); /* SYNC fifo.waiters */
  shm__garbage_free(queue->space, &garbage);
  if (more) shm__lane_serve_line(queue, n);
  return count;
}

int shm__queue_leave_line(struct shm__queue *queue, u32 n, u32 flags, struct shm__waiter *wait, struct shm__value *value,
                          struct shm__place *place) {
  struct shm__wakes wakes = {.count = 0};
  place->cell = NULL;
  if (!wait->ref.offset) return SHM_EMPTY;
  u32 kind = wait->shared->kind, state = shm__waiter_give_up(wait);
  if (state == SHM_WAIT_WAITING) {
    leave(queue, n, wait);
    return SHM_EMPTY;
  }
  if (kind == SHM_WAITER_TAKE) return collect_grant(queue, n, flags, wait, value, place);
  free_told(queue, n, wait);
  /* the room was for somebody else, then */
  if (state == SHM_WAIT_GRANTED && shm__lane_lock_to_end(shm__lane_lock_take, queue, n) == SHM_OK) {
    shm__waiters_admit(&queue->lane[n].fifo, 1, &wakes);
    shm__lane_unlock_take(queue, n, &wakes);
  }
  return SHM_EMPTY;
}

/* ---- finishing ---------------------------------------------------------------------------------------------------------- */
void shm__queue_taken(struct shm__queue *queue, u32 n, const struct shm__place *place) {
  shm__block_free(queue->space, shm__fifo_done(&queue->lane[n].fifo, place));
}

static void tell_joiners(struct shm__queue *queue, u32 n) {
  const struct shm_lane *shared = queue->lane[n].shared;
  /* SYNC wake: an unlock was the fence. Nobody waits: tail, which is in the cache of those who put, is not asked for. */
  if (!(shm_load_relaxed(queue->lane[n].join.word) & (SHM_EVENT_SLEEPERS | SHM_EVENT_BELLS))) return;
  if (shm_load_acquire(&shared->finished) < shm_load_acquire(&queue->lane[n].fifo.in->tail)) return;
  shm__event_notify(queue->space, queue->lane[n].join, UINT32_MAX); /* SYNC wake: an unlock was the fence */
}

/* Count the value at place, held by us, as done with. The take lock is held. Its block, to be freed. */
static struct shm__ref finish(struct shm__queue *queue, u32 n, const struct shm__place *place) {
  struct shm_lane *shared = queue->lane[n].shared;
  shared->intent_segment = place->segment;
  shared->intent_index = place->index;
  shared->intent_finished = shared->finished;
  shm_store_release(&shared->intent, SHM_INTENT_FINISH);
  SHM_POINT("queue.intended");
  shm_store_release(&shared->finished, shared->finished + 1);
  SHM_POINT("queue.counted");
  struct shm__ref block = shm__fifo_done(&queue->lane[n].fifo, place);
  shm_store_release(&shared->intent, SHM_INTENT_NONE);
  return block;
}

int shm__queue_ack(struct shm__queue *queue, u32 n, const struct shm__place *place, u64 deadline_ns) {
  int status = shm__lane_lock_take(queue, n, deadline_ns);
  if (status != SHM_OK) return status;
  struct shm__ref block = finish(queue, n, place);
  shm__unlock(&queue->lane[n].shared->take_lock);
  tell_joiners(queue, n);
  shm__block_free(queue->space, block);
  return SHM_OK;
}

void shm__queue_nack(struct shm__queue *queue, u32 n, const struct shm__place *place) {
  struct shm__fifo *fifo = &queue->lane[n].fifo;
  if (shm__lane_lock_to_end(shm__lane_lock_take, queue, n) != SHM_OK) { /* a stopped process has it */
    shm__fifo_give_back(fifo, place);
    return;
  }
  struct shm__ref block = {0, 0};
  if (n == 0 && shm_load_acquire(&queue->shared->discarding)) block = finish(queue, n, place);
  else shm__fifo_return(fifo, place);
  shm__unlock(&queue->lane[n].shared->take_lock);
  shm__block_free(queue->space, block);
  tell_joiners(queue, n);
  shm__lane_serve_line(queue, n);
}

int shm__queue_task_done(struct shm__queue *queue, u32 n, u64 deadline_ns) {
  struct shm_lane *shared = queue->lane[n].shared;
  for (int again = 0;; again = 1) {
    int status = shm__lane_lock_take(queue, n, deadline_ns);
    if (status != SHM_OK) return status;
    if (shared->finished >= shm_load_acquire(&queue->lane[n].fifo.in->tail)) status = SHM_INVALID;
    else shm_store_release(&shared->finished, shared->finished + 1);
    shm__unlock(&shared->take_lock);
    if (status == SHM_OK) tell_joiners(queue, n);
    if (status == SHM_OK || again) return status;
    status = shm__lane_lock_put(queue, n, deadline_ns); /* tail follows the value: be behind whoever has just put it */
    if (status != SHM_OK) return status;
    shm__unlock(&shared->put_lock);
  }
}

int shm__queue_join(struct shm__queue *queue, u32 n, u64 deadline_ns) {
  struct shm__lane *lane = &queue->lane[n];
  for (;;) {
    if (shm__queue_closed(queue)) return SHM_CLOSED;
    u32 value = shm__event_announce(lane->join);
    /* SYNC wake: look behind the announcement */
    if (shm_load_acquire(&lane->shared->finished) >= shm_load_acquire(&lane->fifo.in->tail)) return SHM_OK;
    u64 now_ns = shm__monotonic_ns();
    if (now_ns >= deadline_ns) return SHM_EMPTY;
    u32 place = shm__wait_show(queue->space, queue->id, SHM__WAITS_MESSAGE);
    enum shm__wait_result result = shm__futex_wait(lane->join.word, value, shm__nap_length_ns(queue->space, now_ns, deadline_ns));
    shm__wait_hide(queue->space, place);
    if (result == SHM__WAIT_SIGNAL) return SHM_INTERRUPTED;
    if (result == SHM__WAIT_TIMEOUT) probe(queue, n, SHM__NAP_NS / 2);
  }
}

/* ---- the end ------------------------------------------------------------------------------------------------------------ */
/* Finish with all that is ready. */
static int discard(struct shm__queue *queue, u64 deadline_ns) {
  struct shm__value value;
  struct shm__place place;
  for (;;) {
    struct shm__garbage garbage = {.count = 0};
    struct shm__ref block = {0, 0};
    int status = shm__lane_lock_take(queue, 0, deadline_ns);
    if (status != SHM_OK) return status;
    shm__fifo_regain(&queue->lane[0].fifo);
    status = shm__fifo_take(&queue->lane[0].fifo, 1, &value, &place);
    if (status == SHM_OK) block = finish(queue, 0, &place);
    if (queue->lane[0].fifo.crossed) shm__fifo_collect(&queue->lane[0].fifo, &garbage);
    shm__unlock(&queue->lane[0].shared->take_lock);
    shm__garbage_free(queue->space, &garbage);
    shm__block_free(queue->space, block);
    if (status != SHM_OK) return status == SHM_EMPTY ? SHM_OK : status;
  }
}

/* Everybody in line leaves. */
static int close_line(struct shm__queue *queue, u32 n, u64 deadline_ns) {
  struct shm__wakes wakes = {.count = 0};
  for (int more = 1; more;) {
    int status = shm__lane_lock_to_take(queue, n, deadline_ns);
    if (status != SHM_OK) return status;
    more = shm__waiters_settle(&queue->lane[n].fifo, &wakes) || shm__waiters_close(&queue->lane[n].fifo, &wakes);
    shm__lane_unlock_take(queue, n, &wakes);
  }
  return SHM_OK;
}

int shm__queue_shutdown(struct shm__queue *queue, int immediate, u64 deadline_ns) {
  int status = shm__lane_lock_put(queue, 0, deadline_ns); /* whoever is putting is done first */
  if (status != SHM_OK) return status;
  if (immediate) shm_store_release(&queue->shared->discarding, 1);
  shm_store_release(&queue->shared->stream, SHM_STREAM_SHUT);
  SHM_POINT("queue.shut");
  shm__unlock(&queue->lane[0].shared->put_lock);
  status = close_line(queue, 0, deadline_ns);
  if (status == SHM_OK && immediate) status = discard(queue, deadline_ns);
  tell_joiners(queue, 0);
  return status;
}

void shm__queue_stat(struct shm__queue *queue, u32 n, struct shm__queue_facts *facts) {
  struct shm__lane *lane = &queue->lane[n];
  int locked = !queue->space->readonly && shm__lane_lock_take(queue, n, shm__monotonic_ns() + PATIENCE_NS) == SHM_OK;
  struct shm__fifo_facts values;
  shm__fifo_stat(&lane->fifo, &values);
  u64 tail = shm_load_acquire(&lane->fifo.in->tail), finished = shm_load_acquire(&lane->shared->finished);
  *facts = (struct shm__queue_facts){.ready = values.ready, .leased = values.leased, .size_bytes = values.size_bytes,
                                     .dead = n == 0 ? shm__fifo_length(&queue->lane[1].fifo) : 0,
                                     .waiting = shm__waiters_count(&lane->fifo),
                                     .unfinished = tail > finished ? tail - finished : 0};
  if (locked) shm__unlock(&lane->shared->take_lock);
}

struct lease_list {
  shm_lease_facts *facts;
  u64 count, room;
};

static void list_lease(struct shm__fifo *fifo, u64 segment, struct shm_cell *cell, u64 index, void *context) {
  struct lease_list *list = context;
  u64 word = shm_load_acquire(&cell->word);
  (void)segment, (void)index;
  if (shm__cell_state(word) != SHM_VALUE_HELD || !shm_load_relaxed(&cell->leased) || list->count == list->room) return;
  list->facts[list->count++] =
      (shm_lease_facts){.since_ns = shm_load_relaxed(&cell->since_ns), .token = shm__cell_token(word),
                        .deliveries = shm_load_relaxed(&cell->deliveries), .structure = fifo->id};
}

u64 shm__queue_leases(struct shm__queue *queue, u32 n, shm_lease_facts *facts, u64 room) {
  struct lease_list list = {.facts = facts, .room = room};
  shm__fifo_walk(&queue->lane[n].fifo, shm_load_acquire(&queue->lane[n].fifo.out->top), list_lease, &list);
  return list.count;
}

/* ---- death --------------------------------------------------------------------------------------------------------------- */
static void wake_all(struct shm__queue *queue, u32 n) {
  shm_fence_full(); /* SYNC wake */
  shm__event_notify(queue->space, queue->lane[n].join, UINT32_MAX);
  shm__waiters_nudge(&queue->lane[n].fifo);
}

static int recover(struct shm__space *space, u64 main, u32 dead) {
  struct shm__queue queue;
  int status = SHM_OK;
  if (shm__queue_bind(space, main, &queue) != SHM_OK) return SHM_OK; /* damaged: check() reports it, reap goes on */
  for (u32 n = 0; n < SHM__LANES; n++) {
    struct shm__lane *lane = &queue.lane[n];
    /* Both locks: what the dead was about to do is finished by whoever has them next. */
    int put = shm__lane_lock_to_end(shm__lane_lock_put, &queue, n);
    if (put == SHM_OK) shm__unlock(&lane->shared->put_lock);
    int take = shm__lane_lock_to_end(shm__lane_lock_take, &queue, n);
    if (take == SHM_OK) {
      shm__waiters_recover(&lane->fifo, dead);
      shm__fifo_recover(&lane->fifo, dead);
      shm__unlock(&lane->shared->take_lock);
      shm__lane_serve_line(&queue, n);
      if (n == 0 && shm_load_acquire(&queue.shared->discarding)) take = discard(&queue, shm__monotonic_ns() + PATIENCE_NS);
    }
    if (put != SHM_OK || take != SHM_OK) status = SHM_TIMEOUT; /* a stopped process is in the way: come again */
    tell_joiners(&queue, n);
  }
  return status;
}

static void teardown(struct shm__space *space, u64 main) {
  struct shm__queue queue;
  if (shm__queue_bind(space, main, &queue) != SHM_OK) return;
  for (u32 n = 0; n < SHM__LANES; n++) shm__fifo_teardown(&queue.lane[n].fifo);
}

static void wake(struct shm__space *space, u64 main) {
  struct shm__queue queue;
  if (shm__queue_bind(space, main, &queue) != SHM_OK) return;
  for (u32 n = 0; n < SHM__LANES; n++) wake_all(&queue, n);
}

static void retire(struct shm__space *space, u64 main) {
  struct shm__queue queue;
  if (shm__queue_bind(space, main, &queue) != SHM_OK) return;
  shm_store_release(&queue.shared->life, SHM_LIFE_DELETED);
  for (u32 n = 0; n < SHM__LANES; n++) wake_all(&queue, n);
}

const struct shm__type shm__queue_type = {SHM_KIND_QUEUE, recover, teardown, retire, wake, NULL};

void shm__queue_wake(struct shm__queue *queue) {
  for (u32 n = 0; n < SHM__LANES; n++) wake_all(queue, n);
}
