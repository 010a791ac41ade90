/* tuples_end.c: what concerns a whole tuple space: looking, shutting down, and what becomes of it when members die.
 * Invariants stand in tuples.c.
 *
 * Crash table (died after ...)
 *   shutting down ("tuples.shut")           waiters whose naps end (100 ms) let all at their key leave
 */
#include <string.h>

#include "../base/point.h"
#include "../core/members.h"
#include "../core/recover.h"
#include "../os/clock.h"
#include "tuples_shard.h"

typedef int entry_visitor(struct shm__tuples *tuples, struct shm__shard *shard, u64 at, struct shm__fifo *fifo, void *context);

/* Call visit for each entry of a shard; a lock of it is held. Stops when that returns non-zero. */
static int each_entry(struct shm__tuples *tuples, struct shm__shard *shard, entry_visitor *visit, void *context) {
  u64 left = tuples->space->size_bytes / sizeof(struct shm_tuple), at = shm_load_acquire(&shard->shared->first), next;
  struct shm__fifo fifo;
  for (struct shm_key *entry; (entry = shm__table_entry(shard, at)) != NULL && left-- > 0; at = next) {
    next = shm_load_acquire(&entry->next);
    if (!shm__tuples_fifo(tuples, shard, at, &fifo)) continue;
    int status = visit(tuples, shard, at, &fifo, context);
    if (status) return status;
  }
  return 0;
}

/* ---- looking ------------------------------------------------------------------------------------------------------------- */
static int count_entry(struct shm__tuples *tuples, struct shm__shard *shard, u64 at, struct shm__fifo *fifo, void *context) {
  struct shm__tuples_facts *facts = context;
  struct shm__fifo_facts values;
  (void)tuples, (void)shard, (void)at;
  shm__fifo_stat(fifo, &values);
  facts->keys += values.ready > 0;
  facts->values += values.ready;
  facts->size_bytes += values.size_bytes;
  facts->waiting += shm__waiters_count(fifo);
  return 0;
}

/* Visit all entries of a shard with a lock; in a read-only space without, and SHM_BUSY if they came or went meanwhile. */
static int walk_shard(struct shm__tuples *tuples, struct shm__shard *shard, shm__tuples_locker *lock, u32 *word, u64 deadline_ns,
                      entry_visitor *visit, void *context) {
  u64 changes = 0;
  int status = tuples->space->readonly ? SHM_OK : lock(tuples, shard, deadline_ns);
  if (status != SHM_OK) return status;
  if (tuples->space->readonly && !shm__table_steady(shard, &changes)) return SHM_BUSY;
  status = each_entry(tuples, shard, visit, context);
  if (!tuples->space->readonly) shm__unlock(word);
  else if (!shm__table_unchanged(shard, changes)) status = SHM_BUSY;
  return status;
}

int shm__tuples_stat(struct shm__tuples *tuples, u64 deadline_ns, struct shm__tuples_facts *facts) {
  *facts = (struct shm__tuples_facts){0};
  for (u32 n = 0; n < tuples->shard_count; n++) {
    struct shm__shard shard = shm__tuples_shard(tuples, n);
    struct shm__tuples_facts more;
    int status;
    do {
      more = *facts;
      /* segments go under the take lock */
      status = walk_shard(tuples, &shard, shm__tuples_lock_take, &shard.shared->take_lock, deadline_ns, count_entry, &more);
    } while (status == SHM_BUSY && shm__monotonic_ns() < deadline_ns);
    if (status != SHM_OK) return status;
    *facts = more;
  }
  return SHM_OK;
}

struct key_walk {
  int (*visit)(const u8 *key, u32 length, u64 values, void *context);
  void *context;
};

static int visit_key(struct shm__tuples *tuples, struct shm__shard *shard, u64 at, struct shm__fifo *fifo, void *context) {
  struct key_walk *walk = context;
  u64 values = shm__fifo_length(fifo);
  struct shm_key *entry = shm__table_entry(shard, at);
  (void)tuples;
  if (values == 0 || !shm__at(shard->space, at, (u64)shard->key_offset + entry->length, 16)) return 0;
  return walk->visit((const u8 *)entry + shard->key_offset, entry->length, values, walk->context);
}

int shm__tuples_walk(struct shm__tuples *tuples, u32 n, u64 deadline_ns,
                     int (*visit)(const u8 *key, u32 length, u64 values, void *context), void *context) {
  struct shm__shard shard = shm__tuples_shard(tuples, n);
  struct key_walk walk = {visit, context};
  return walk_shard(tuples, &shard, shm__tuples_lock_put, &shard.shared->put_lock, deadline_ns, visit_key, &walk);
}

/* ---- shutting down ------------------------------------------------------------------------------------------------------- */
struct closing {
  struct shm__wakes wakes;
  int immediate;
};

static int close_entry(struct shm__tuples *tuples, struct shm__shard *shard, u64 at, struct shm__fifo *fifo, void *context) {
  struct closing *closing = context;
  struct shm__value value;
  struct shm__place place;
  shard->shared->take_entry = at;
  if (shm__waiters_settle(fifo, &closing->wakes) || shm__waiters_close(fifo, &closing->wakes)) return SHM_BUSY;
  while (closing->immediate && shm__fifo_take(fifo, 0, &value, &place) == SHM_OK) {
    if (!place.cell) continue;
    struct shm__ref block = {place.cell->block, place.cell->block_gen};
    shm__waiters_inherit(fifo, block);
    shm__block_free(tuples->space, shm__fifo_done(fifo, &place)); /* nothing if somebody has inherited it */
  }
  shm__tuples_left(shard, at, fifo);
  return 0;
}

int shm__tuples_shutdown(struct shm__tuples *tuples, int immediate, u64 deadline_ns) {
  struct closing closing = {.immediate = immediate};
  closing.wakes.count = 0;
  shm_store_release(&tuples->shared->stream, SHM_STREAM_SHUT);
  SHM_POINT("tuples.shut");
  for (u32 n = 0; n < tuples->shard_count; n++) {
    struct shm__shard shard = shm__tuples_shard(tuples, n);
    int status = shm__tuples_lock_put(tuples, &shard, deadline_ns); /* whoever is putting is done first */
    if (status != SHM_OK) return status;
    shm__unlock(&shard.shared->put_lock);
    for (int more = 1; more;) {
      status = shm__tuples_lock_take(tuples, &shard, deadline_ns);
      if (status != SHM_OK) return status;
      more = each_entry(tuples, &shard, close_entry, &closing);
      shm__unlock(&shard.shared->take_lock);
      shm__wakes_send(tuples->space, &closing.wakes);
    }
    shm__tuples_trim(tuples, &shard);
  }
  return SHM_OK;
}

/* ---- death --------------------------------------------------------------------------------------------------------------- */
struct burial {
  struct shm__wakes wakes;
  u32 dead;
};

static int recover_entry(struct shm__tuples *tuples, struct shm__shard *shard, u64 at, struct shm__fifo *fifo, void *context) {
  struct burial *burial = context;
  (void)tuples;
  if (!fifo->line->first && fifo->out->top == 0) return 0; /* nothing was ever held here */
  shard->shared->take_entry = at;
  shm__waiters_recover(fifo, burial->dead);
  shm__fifo_recover(fifo, burial->dead);
  int more = shm__waiters_settle(fifo, &burial->wakes);
  /* Somebody may have been let in to put, and died: the others look again. */
  if (fifo->line->first && tuples->bound) shm__waiters_admit(fifo, tuples->bound, &burial->wakes);
  shm__tuples_left(shard, at, fifo);
  return more ? SHM_BUSY : 0;
}

static int recover(struct shm__space *space, u64 main, u32 dead) {
  struct shm__tuples tuples;
  struct burial burial = {.dead = dead};
  int status = SHM_OK;
  if (shm__tuples_bind(space, main, &tuples) != SHM_OK) return SHM_OK; /* damaged: check() reports it, reap goes on */
  burial.wakes.count = 0;
  for (u32 n = 0; n < tuples.shard_count; n++) {
    struct shm__shard shard = shm__tuples_shard(&tuples, n);
    int one = shm__tuples_lock_to_end(shm__tuples_lock_both, &tuples, &shard);
    if (one != SHM_OK) { /* a stopped process is in the way: come again */
      status = one;
      continue;
    }
    while (each_entry(&tuples, &shard, recover_entry, &burial) == SHM_BUSY) shm__wakes_send(space, &burial.wakes);
    shm__tuples_unlock_both(&shard);
    shm__wakes_send(space, &burial.wakes);
  }
  return status;
}

static void release_entry(struct shm__shard *shard, u64 entry) {
  struct shm__tuples tuples = {.space = shard->space, .id = shard->id};
  struct shm__fifo fifo;
  if (shm__tuples_fifo(&tuples, shard, entry, &fifo)) shm__fifo_teardown(&fifo);
}

static void teardown(struct shm__space *space, u64 main) {
  struct shm__tuples tuples;
  if (shm__tuples_bind(space, main, &tuples) != SHM_OK) return;
  for (u32 n = 0; n < tuples.shard_count; n++) {
    struct shm__shard shard = shm__tuples_shard(&tuples, n);
    shm__table_teardown(&shard, release_entry);
  }
}

static int nudge_entry(struct shm__tuples *tuples, struct shm__shard *shard, u64 at, struct shm__fifo *fifo, void *context) {
  (void)tuples, (void)shard, (void)at, (void)context;
  shm__waiters_nudge(fifo);
  return 0;
}

void shm__tuples_wake(struct shm__tuples *tuples) {
  for (u32 n = 0; n < tuples->shard_count; n++) {
    struct shm__shard shard = shm__tuples_shard(tuples, n);
    if (!shm_load_relaxed(&shard.shared->keys)) continue; /* relaxed: who is missed looks around after his nap */
    if (shm__tuples_lock_put(tuples, &shard, SHM__TRY) != SHM_OK) continue;
    each_entry(tuples, &shard, nudge_entry, NULL);
    shm__unlock(&shard.shared->put_lock);
  }
}

static void wake(struct shm__space *space, u64 main) {
  struct shm__tuples tuples;
  if (shm__tuples_bind(space, main, &tuples) == SHM_OK) shm__tuples_wake(&tuples);
}

static void retire(struct shm__space *space, u64 main) {
  struct shm__tuples tuples;
  if (shm__tuples_bind(space, main, &tuples) != SHM_OK) return;
  shm_store_release(&tuples.shared->life, SHM_LIFE_DELETED);
  shm__tuples_wake(&tuples);
}

const struct shm__type shm__tuples_type = {SHM_KIND_TUPLES, recover, teardown, retire, wake, NULL};
