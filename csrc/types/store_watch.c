/* store_watch.c: watching a store: for each shard the number of the next event. Writers know of nobody who watches but by the
 * event word; each watch is on the list of claims of shard 0, so that people can see how many there are.
 *
 * Events come in the order of their stamps, which are drawn with a shard's lock:
 *   1. Look at all shards. Of the events that are there choose the one with the lowest stamp.
 *   2. Look again at each shard that had none: is its lock free, and has it still none? Then whatever comes there has a stamp
 *      that is drawn after the chosen one was seen, and is larger. Else begin at 1: an event of it may come first.
 *
 * Crash table (died after ...)
 *   choosing an event ("watch.chosen")   nothing has happened: where a watch is only its process knows
 */
#include "store_watch.h"

#include <stdlib.h>
#include <string.h>

#include "../base/glob.h"
#include "../base/hash.h"
#include "../base/point.h"
#include "../core/members.h"
#include "../os/clock.h"
#include "../os/wait.h"
#include "store_claim.h"
#include "store_feed.h"

enum { SPINS = 1000, PRESS_NS = 30000000 };

static struct shm__lookout *lookout_of(struct shm__watch *watch, u32 n) { return &watch->lookouts[n - watch->first]; }

/* Has the shard events that have not been given? */
static int has_more(struct shm__watch *watch, u32 n) {
  return lookout_of(watch, n)->next < shm_load_acquire(&watch->store->shards[n].tail); /* SYNC feed.tail */
}

/* Behind the last event whose stamp is not above seq. */
static void go_back(struct shm__watch *watch, const struct shm__drawer *drawer, u64 seq, u64 *cursor) {
  u64 first = shm__feed_first(drawer), stamp = 1;
  while (*cursor > first && ((stamp = shm__feed_stamp(drawer, *cursor - 1)) > seq || stamp == 0)) {
    if (stamp == 0) break; /* overwritten meanwhile */
    --*cursor;
  }
  if ((*cursor == first || stamp == 0) && shm_load_acquire(&drawer->shared->forgotten) > seq) watch->lost++;
}

int shm__watch_open(struct shm__store *store, const struct shm__glob *glob, int from_seq, u64 seq, u64 holder, u64 deadline_ns,
                    struct shm__watch *watch) {
  if (shm__store_closed(store)) return SHM_CLOSED;
  *watch = (struct shm__watch){.store = store, .glob_length = glob->length, .count = store->shard_count};
  if (glob->bytes && shm__glob_prefix(glob->bytes, glob->length) == glob->length) { /* a plain key */
    watch->first = shm__fnv1a(glob->bytes, glob->length) % store->shard_count;
    watch->count = 1;
  }
  watch->lookouts = calloc(watch->count, sizeof *watch->lookouts);
  if (glob->bytes) watch->glob = malloc(glob->length + 1);
  if (!watch->lookouts || (glob->bytes && !watch->glob)) {
    shm__watch_close(watch);
    return shm__fail(SHM_SPACE_FULL, "no memory for a watch");
  }
  if (glob->bytes) memcpy(watch->glob, glob->bytes, glob->length);
  if (!store->space->readonly) { /* who may only read is not counted */
    struct shm__drawer drawer = shm__drawer(store, 0);
    struct shm__key nothing = {(const u8 *)"", 0, 0};
    struct shm__ref ref;
    int status = shm__claim_alloc(store, SHM_CLAIM_WATCH, &nothing, deadline_ns, &ref);
    if (status == SHM_OK) {
      status = shm__drawer_lock(&drawer, deadline_ns);
      if (status != SHM_OK) shm__block_free(store->space, ref);
    }
    if (status != SHM_OK) {
      shm__watch_close(watch);
      return status;
    }
    shm__claim_add(&drawer, ref, holder);
    watch->holder = holder;
    shm__drawer_unlock(&drawer);
  }
  for (u32 n = watch->first; n < watch->first + watch->count; n++) {
    struct shm__drawer drawer = shm__drawer(store, n);
    u64 *next = &lookout_of(watch, n)->next;
    *next = shm_load_acquire(&drawer.shared->tail);
    if (from_seq) go_back(watch, &drawer, seq, next);
  }
  return SHM_OK;
}

void shm__watch_close(struct shm__watch *watch) {
  struct shm__drawer drawer = shm__drawer(watch->store, 0);
  if (watch->holder && shm__drawer_lock_to_end(&drawer) == SHM_OK) {
    u64 at = shm__claim_watch(&drawer, watch->holder);
    struct shm__ref ref = {0, 0};
    if (at) ref = shm__claim_remove(&drawer, at);
    shm__drawer_unlock(&drawer);
    shm__block_free(watch->store->space, ref);
  }
  free(watch->lookouts);
  free(watch->glob);
  free(watch->bytes);
  watch->lookouts = NULL;
  watch->glob = watch->bytes = NULL;
}

/* Where to go on in a shard whose next event is gone: with the oldest that is left. Who is overtaken again before he has
 * caught up would find that overwritten, too, and so on: he goes on in the middle. */
static u64 go_on(const struct shm__watch *watch, const struct shm__drawer *drawer, u64 cursor, u64 tail) {
  u64 first = shm__feed_first(drawer);
  if (watch->overtaken) first += (tail - shm_min(first, tail)) / 2;
  return shm_min(shm_max(first, cursor + 1), tail);
}

/* The shard whose next event has the lowest stamp; UINT32_MAX: none has one. What was overwritten is counted in lost. */
static u32 choose(struct shm__watch *watch) {
  u32 chosen = UINT32_MAX;
  u64 lowest = 0;
  for (u32 n = watch->first; n < watch->first + watch->count; n++) {
    struct shm__lookout *at = lookout_of(watch, n);
    at->tail = shm_load_acquire(&watch->store->shards[n].tail); /* SYNC feed.tail */
    if (at->next >= at->tail) continue;
    struct shm__drawer drawer = shm__drawer(watch->store, n);
    u64 stamp = shm__feed_stamp(&drawer, at->next);
    while (stamp == 0 && at->next < at->tail) {
      u64 next = go_on(watch, &drawer, at->next, at->tail);
      watch->lost += next - at->next;
      at->next = next;
      stamp = next < at->tail ? shm__feed_stamp(&drawer, next) : 0;
    }
    if (stamp == 0 || (chosen != UINT32_MAX && stamp >= lowest)) continue;
    lowest = stamp;
    chosen = n;
  }
  if (chosen == UINT32_MAX || watch->lost) watch->overtaken = watch->lost > 0;
  return chosen;
}

/* Was this change waited for in vain? */
static int is_stuck(struct shm__watch *watch, u32 n, u32 owner) {
  return owner == watch->stuck && n == watch->stuck_shard && lookout_of(watch, n)->next == watch->stuck_next;
}

/* A shard that may have an event which comes before the chosen one; UINT32_MAX: none. */
static u32 find_earlier(struct shm__watch *watch, u32 chosen) {
  for (u32 n = watch->first; n < watch->first + watch->count; n++) {
    const struct shm__lookout *at = lookout_of(watch, n);
    if (n == chosen || at->next < at->tail) continue; /* it has been compared */
    const struct shm_shard *table = (const struct shm_shard *)watch->store->shards[n].table;
    u32 owner = shm_load_acquire(&table->put_lock) & SHM_TOKEN_MASK; /* SYNC lock */
    if (owner && !is_stuck(watch, n, owner)) return n;
    if (!owner && n == watch->stuck_shard) watch->stuck = 0;
    if (has_more(watch, n)) return n; /* the lock first: who gives it up has told his event */
  }
  return UINT32_MAX;
}

/* It is still under way: its owner is dead, and whoever gets the lock finishes it; or stopped, and we go on without. */
static void press_on(struct shm__watch *watch, u32 n) {
  struct shm__drawer drawer = shm__drawer(watch->store, n);
  u32 owner = shm_load_acquire(&drawer.table.shared->put_lock) & SHM_TOKEN_MASK;
  int status = SHM_TIMEOUT;
  if (watch->store->space->readonly) shm__nap_ns(PRESS_NS);
  else status = shm__drawer_lock(&drawer, shm__monotonic_ns() + PRESS_NS);
  if (status == SHM_OK) {
    shm__drawer_unlock(&drawer);
  } else if (status == SHM_TIMEOUT) {
    watch->stuck = owner;
    watch->stuck_shard = n;
    watch->stuck_next = lookout_of(watch, n)->next;
  }
}

static int look(void *context) {
  struct shm__watch *watch = context;
  if (shm__store_closed(watch->store) || shm_load_relaxed(&watch->closing)) return SHM_OK;
  for (u32 n = watch->first; n < watch->first + watch->count; n++) {
    if (has_more(watch, n)) return SHM_OK;
  }
  return SHM_EMPTY;
}

/* The change of one who has died is finished then, and told. */
static void probe(struct shm__store *store) {
  if (shm__our_turn(&store->shared->probed_ns, SHM__NAP_NS / 2, shm__monotonic_ns())) shm__reap_dead(store->space);
}

/* Sleep until there may be an event. */
static int wait_for_event(struct shm__watch *watch, u64 deadline_ns) {
  struct shm__store *store = watch->store;
  shm__store_sweep(store); /* who waits is told of what expires */
  if (look(watch) == SHM_OK) return SHM_OK;
  if (deadline_ns == SHM__TRY) return SHM_EMPTY;
  if (shm__spin(store->space, &watch->patience, look, watch) == SHM_OK) return SHM_OK;
  if (deadline_ns == SHM__SPIN) return SHM_EMPTY;
  u64 start_ns = shm__monotonic_ns();
  if (start_ns >= deadline_ns) return SHM_EMPTY;
  u64 nap_ns = shm__nap_length_ns(store->space, start_ns, deadline_ns);
  u64 soonest_ns = shm_load_relaxed(&store->shared->soonest_ns); /* relaxed: a hint */
  if (store->space->readonly) {
    shm__nap_ns(nap_ns); /* nobody wakes who cannot announce himself */
    return SHM_OK;
  }
  u64 clock_ns = soonest_ns ? shm__space_clock(store->space) : 0;
  if (soonest_ns > clock_ns && soonest_ns - clock_ns < nap_ns) nap_ns = soonest_ns - clock_ns;
  u32 value = shm__event_announce(store->watch);
  if (look(watch) == SHM_OK) return SHM_OK; /* SYNC wake: look behind the announcement */
  u32 place = shm__wait_show(store->space, store->id, SHM__WAITS_MESSAGE);
  enum shm__wait_result result = shm__futex_wait(store->watch.word, value, nap_ns);
  shm__wait_hide(store->space, place);
  shm__learn(&watch->patience, shm__monotonic_ns() - start_ns);
  if (result == SHM__WAIT_TIMEOUT) probe(store);
  return result == SHM__WAIT_SIGNAL ? SHM_INTERRUPTED : SHM_OK;
}

int shm__watch_next(struct shm__watch *watch, u64 deadline_ns, shm_event *event) {
  for (u32 rounds = 0;;) {
    if (shm__store_closed(watch->store) || shm_load_acquire(&watch->closing)) return SHM_CLOSED;
    u32 n = choose(watch);
    if (watch->lost) {
      *event = (shm_event){.lost = watch->lost};
      watch->lost = 0;
      return SHM_LAGGED;
    }
    if (n == UINT32_MAX) {
      int status = wait_for_event(watch, deadline_ns);
      if (status != SHM_OK) return status;
      continue;
    }
    SHM_POINT("watch.chosen");
    u32 earlier = watch->count > 1 ? find_earlier(watch, n) : UINT32_MAX;
    if (earlier != UINT32_MAX) {
      if (++rounds % SPINS == 0) press_on(watch, earlier);
      else shm_pause();
      continue;
    }
    struct shm__drawer drawer = shm__drawer(watch->store, n);
    u64 *next = &lookout_of(watch, n)->next;
    int status = shm__feed_read(&drawer, *next, event, &watch->bytes, &watch->room_bytes);
    if (status == SHM_LAGGED) { /* it was lost, or overwritten just now */
      ++*next;
      watch->lost++;
      continue;
    }
    if (status != SHM_OK) return status;
    ++*next;
    if (!watch->glob || shm__glob_match(watch->glob, watch->glob_length, event->key, event->key_length)) return SHM_OK;
  }
}
