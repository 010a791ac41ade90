/* tuples_shard.c: the shards of a tuple space: how they are made, locked and repaired, and how entries come and go.
 * Invariants stand in tuples.c.
 *
 * Crash table (died after ...)
 *   adding an entry ("tuples.added")        it is there, and idle: listed by the heir of the take lock
 *   holding an idle entry's segments ("tuples.emptied")  the heir of the take lock links them again
 */
#include "tuples_shard.h"

#include <string.h>

#include "../base/bits.h"
#include "../base/point.h"
#include "../os/clock.h"

enum { SHARDS = 64, IDLE_MOST = 4, IDLE_LOOKS = 64, IDLE_END = 1, PATIENCE_NS = 100000000 };

/* ---- making ------------------------------------------------------------------------------------------------------------- */
int shm__tuples_make(struct shm__space *space, u32 id, const struct shm__tuples_options *options, u64 deadline_ns,
                     struct shm__ref *main) {
  u64 size_bytes = sizeof(struct shm_tuples_main) + SHARDS * sizeof(struct shm_shard);
  int status = shm__block_alloc(space, size_bytes, deadline_ns, main);
  if (status != SHM_OK) return status;
  struct shm_tuples_main *shared = (struct shm_tuples_main *)(space->base + main->offset);
  memset(shared, 0, size_bytes);
  shared->life = SHM_LIFE_LIVE;
  shared->id = id;
  shared->bound = options->bound;
  shared->shards = SHARDS;
  memcpy(shared->codec, options->codec, sizeof shared->codec);
  return SHM_OK;
}

int shm__tuples_bind(struct shm__space *space, u64 main, struct shm__tuples *tuples) {
  struct shm_tuples_main *shared = shm__block_header(space, main) ? shm__at(space, main, sizeof *shared, 16) : NULL;
  u32 shards = shared ? shared->shards : 0;
  if (shards == 0 || shards > 4096 || shared->id == 0 ||
      !shm__block_payload(space, shm__block_ref(space, main), sizeof *shared + shards * sizeof(struct shm_shard))) {
    return shm__fail(SHM_CORRUPTED, "%s: the tuple space at offset %llu is damaged", space->path, (unsigned long long)main);
  }
  *tuples = (struct shm__tuples){.space = space, .shared = shared, .shards = (struct shm_shard *)(shared + 1),
                                 .bound = shared->bound, .id = shared->id, .shard_count = shards};
  return SHM_OK;
}

struct shm__shard shm__tuples_shard(struct shm__tuples *tuples, u32 n) {
  return (struct shm__shard){.space = tuples->space, .shared = &tuples->shards[n], .id = tuples->id,
                             .key_offset = (u32)(sizeof(struct shm_tuple) + shm__segment_bytes(1))};
}

struct shm__shard shm__tuples_shard_of(struct shm__tuples *tuples, const struct shm__key *key) {
  return shm__tuples_shard(tuples, key->hash % tuples->shard_count);
}

/* The fifo of an entry; 0 if there can be none. */
int shm__tuples_fifo(struct shm__tuples *tuples, const struct shm__shard *shard, u64 entry, struct shm__fifo *fifo) {
  struct shm_tuple *tuple = (struct shm_tuple *)shm__table_entry(shard, entry);
  if (!tuple) return 0;
  *fifo = (struct shm__fifo){.space = tuples->space,
                             .in = (struct shm_fifo_in *)tuple->in,
                             .out = (struct shm_fifo_out *)tuple->out,
                             .line = (struct shm_fifo_line *)tuple->line,
                             .bound = tuples->bound,
                             .embedded = entry + sizeof *tuple,
                             .longest_bytes = tuples->space->size_bytes,
                             .id = tuples->id,
                             .cells_most = SHM__TUPLES_CELLS_MOST};
  return 1;
}

/* ---- locks --------------------------------------------------------------------------------------------------------------- */
static struct shm_tuple *tuple_at(const struct shm__shard *shard, u64 offset) {
  return (struct shm_tuple *)shm__table_entry(shard, offset);
}

static void list_idle(struct shm__shard *shard, u64 at, struct shm_tuple *entry) {
  struct shm_shard *shared = shard->shared;
  if (entry->idle_next != 0) return;
  struct shm_tuple *last = shared->idle_last ? tuple_at(shard, shared->idle_last) : NULL;
  entry->idle_next = IDLE_END;
  if (last) last->idle_next = at;
  else shared->idle_first = at, shared->idle = 0;
  shared->idle_last = at;
  shared->idle++;
}

/* The list of idle entries, made anew. Both locks are held. */
static void list_all_idle(struct shm__tuples *tuples, struct shm__shard *shard) {
  struct shm_shard *shared = shard->shared;
  u64 left = tuples->space->size_bytes / sizeof(struct shm_tuple), at = shared->first;
  struct shm__fifo fifo;
  struct shm_tuple *entry;
  shared->idle = 0;
  shared->idle_first = shared->idle_last = 0;
  for (; (entry = tuple_at(shard, at)) != NULL && left-- > 0; at = ((struct shm_key *)entry)->next) {
    entry->idle_next = 0;
    if (shm__tuples_fifo(tuples, shard, at, &fifo) && shm__fifo_is_idle(&fifo)) list_idle(shard, at, entry);
  }
}

/* The fifo of an entry that was named, unless it is in the shard no more: then reap frees its blocks. */
static int named_fifo(struct shm__tuples *tuples, struct shm__shard *shard, u64 at, struct shm__fifo *fifo) {
  struct shm_block *block = at ? shm__block_header(shard->space, at) : NULL;
  u64 word = block ? shm_load_acquire(&block->word) : 0;
  if (shm__block_state(word) != SHM_BLOCK_LINKED || shm__block_who(word) != tuples->id) return 0;
  return shm__tuples_fifo(tuples, shard, at, fifo);
}

static void repair_take(struct shm__tuples *tuples, struct shm__shard *shard) {
  struct shm__fifo fifo;
  if (!named_fifo(tuples, shard, shard->shared->take_entry, &fifo)) return;
  shm__fifo_repair_out(&fifo);
  shm__waiters_repair(&fifo);
}

/* Both locks, with whatever repair they need. */
int shm__tuples_lock_both(struct shm__tuples *tuples, struct shm__shard *shard, u64 deadline_ns) {
  struct shm_shard *shared = shard->shared;
  struct shm__fifo fifo;
  int put = shm__lock(shard->space, &shared->put_lock, deadline_ns, tuples->id);
  if (put < 0) return put;
  int take = shm__lock(shard->space, &shared->take_lock, deadline_ns, tuples->id);
  if (take < 0) {
    if (put == SHM__REPAIR) shm__unlock_broken(&shared->put_lock);
    else shm__unlock(&shared->put_lock);
    return take;
  }
  if (shared->changes & 1) shm__table_repair(shard);
  if (put == SHM__REPAIR && named_fifo(tuples, shard, shared->put_entry, &fifo)) shm__fifo_repair_in(&fifo);
  if (take == SHM__REPAIR) repair_take(tuples, shard);
  if (put == SHM__REPAIR || take == SHM__REPAIR) list_all_idle(tuples, shard);
  if (put == SHM__REPAIR) shared->put_entry = 0;
  if (take == SHM__REPAIR) shared->take_entry = 0;
  return SHM_OK;
}

void shm__tuples_unlock_both(struct shm__shard *shard) {
  shm__unlock(&shard->shared->take_lock);
  shm__unlock(&shard->shared->put_lock);
}

int shm__tuples_lock_put(struct shm__tuples *tuples, struct shm__shard *shard, u64 deadline_ns) {
  int status = shm__lock(shard->space, &shard->shared->put_lock, deadline_ns, tuples->id);
  if (__builtin_expect(status != SHM__REPAIR, 1)) return status;
  shm__unlock_broken(&shard->shared->put_lock);
  status = shm__tuples_lock_both(tuples, shard, deadline_ns);
  if (status == SHM_OK) shm__unlock(&shard->shared->take_lock);
  return status;
}

int shm__tuples_lock_take(struct shm__tuples *tuples, struct shm__shard *shard, u64 deadline_ns) {
  for (;;) {
    int status = shm__lock(shard->space, &shard->shared->take_lock, deadline_ns, tuples->id);
    if (__builtin_expect(status != SHM__REPAIR, 1)) return status;
    shm__unlock_broken(&shard->shared->take_lock); /* the put lock comes first */
    status = shm__tuples_lock_both(tuples, shard, deadline_ns);
    if (status != SHM_OK) return status;
    shm__unlock(&shard->shared->put_lock);
    return SHM_OK;
  }
}

/* A lock for what no signal may stop; a stopped process that has it may. */
int shm__tuples_lock_to_end(shm__tuples_locker *lock, struct shm__tuples *tuples, struct shm__shard *shard) {
  u64 deadline_ns = shm__monotonic_ns() + PATIENCE_NS;
  int status;
  do {
    status = lock(tuples, shard, deadline_ns);
  } while (status == SHM_INTERRUPTED);
  return status;
}

/* ---- entries ------------------------------------------------------------------------------------------------------------- */
/* Remove the oldest idle entries, but this one, until few are left, or all. Both locks are held; what is to be freed goes
 * into garbage. */
static void remove_idle(struct shm__tuples *tuples, struct shm__shard *shard, u32 most, u64 but, struct shm__garbage *garbage) {
  struct shm_shard *shared = shard->shared;
  struct shm__fifo fifo;
  u32 left = shm_min(shared->idle, (u32)IDLE_LOOKS);
  while (shared->idle > most && garbage->count + 3 <= SHM__GARBAGE) {
    u64 at = shared->idle_first;
    struct shm_tuple *entry = tuple_at(shard, at);
    if (!entry) break;
    shared->idle_first = entry->idle_next == IDLE_END ? 0 : entry->idle_next;
    if (!shared->idle_first) shared->idle_last = 0;
    entry->idle_next = 0;
    shared->idle--;
    if (!shm__tuples_fifo(tuples, shard, at, &fifo)) continue;
    if (at == but || !shm__fifo_is_idle(&fifo)) {
      /* Of one whose last value is still being taken, nobody would tell us when it is. */
      if (shm__fifo_length(&fifo) == 0 && !fifo.line->first) list_idle(shard, at, entry);
      if (left-- == 0) break;
      continue;
    }
    shared->take_entry = at;
    shm__fifo_advance(&fifo);
    shm__fifo_collect(&fifo, garbage);
    if (fifo.out->first != fifo.out->current || fifo.out->current != fifo.in->last) { /* more segments than there is room for */
      list_idle(shard, at, entry);
      if (left-- == 0) break;
      continue;
    }
    if (fifo.out->current != fifo.embedded) {
      struct shm__ref segment = shm__block_ref(shard->space, fifo.out->current);
      if (!shm__block_hold(shard->space, segment, tuples->id)) continue;
      garbage->segment[garbage->count++] = segment;
    }
    SHM_POINT("tuples.emptied");
    struct shm__ref ref = shm__block_ref(shard->space, at);
    if (shared->put_entry == at) shared->put_entry = 0;
    if (shm__table_remove(shard, ref)) garbage->segment[garbage->count++] = ref;
    shared->take_entry = 0;
  }
}

/* The last idle entries of all shards, for their memory. */
void shm__tuples_reclaim(struct shm__tuples *tuples) {
  for (u32 n = 0; n < tuples->shard_count; n++) {
    struct shm__shard shard = shm__tuples_shard(tuples, n);
    for (u32 before = UINT32_MAX; shm_load_relaxed(&shard.shared->idle) > 0 && shm_load_relaxed(&shard.shared->idle) < before;) {
      struct shm__garbage garbage = {.count = 0};
      before = shm_load_relaxed(&shard.shared->idle);
      if (shm__tuples_lock_both(tuples, &shard, SHM__TRY) != SHM_OK) break;
      remove_idle(tuples, &shard, 0, 0, &garbage);
      shm__tuples_unlock_both(&shard);
      shm__garbage_free(tuples->space, &garbage);
    }
  }
}

int shm__tuples_alloc(struct shm__tuples *tuples, u64 size_bytes, u64 deadline_ns, struct shm__ref *ref) {
  int status = shm__block_alloc(tuples->space, size_bytes, deadline_ns, ref);
  if (status != SHM_SPACE_FULL) return status;
  shm__tuples_reclaim(tuples);
  return shm__block_alloc(tuples->space, size_bytes, deadline_ns, ref);
}

/* Grow or shrink the chains of a shard if that is wanted. */
static void fit_chains(struct shm__tuples *tuples, struct shm__shard *shard, u64 want) {
  struct shm__ref ref = {0, 0};
  if (want == 0 || shm__block_alloc(tuples->space, shm__table_bytes(want), SHM__TRY, &ref) != SHM_OK) return; /* slower, then */
  if (shm__tuples_lock_both(tuples, shard, SHM__TRY) == SHM_OK) {
    if (shm__table_wants(shard) == want) ref = shm__table_rehash(shard, ref, want);
    shm__tuples_unlock_both(shard);
  }
  shm__block_free(tuples->space, ref);
}

static int damaged_table(const struct shm__tuples *tuples) {
  return shm__fail(SHM_CORRUPTED, "%s: the keys of tuple space %u are damaged", tuples->space->path, tuples->id);
}

/* Make an entry for the key if there is none. */
int shm__tuples_add(struct shm__tuples *tuples, struct shm__shard *shard, const struct shm__key *key, u64 deadline_ns) {
  struct shm__garbage garbage = {.count = 0};
  struct shm__fifo fifo;
  struct shm__ref ref;
  int status = shm__tuples_alloc(tuples, (u64)shard->key_offset + key->length, deadline_ns, &ref);
  if (status != SHM_OK) return status;
  struct shm_key *entry = (struct shm_key *)(tuples->space->base + ref.offset);
  ((struct shm_tuple *)entry)->idle_next = 0;
  entry->hash = key->hash;
  entry->length = key->length;
  memcpy((u8 *)entry + shard->key_offset, key->bytes, key->length);
  shm__tuples_fifo(tuples, shard, ref.offset, &fifo);
  shm__segment_init((struct shm_segment *)(tuples->space->base + fifo.embedded), 0, 1);
  shm__fifo_init(&fifo, fifo.embedded);
  status = shm__tuples_lock_both(tuples, shard, deadline_ns);
  u64 want = 0;
  if (status == SHM_OK) {
    if (!shm__table_find(shard, key)) {
      shm__table_insert(shard, ref);
      SHM_POINT("tuples.added");
      list_idle(shard, ref.offset, (struct shm_tuple *)entry);
      remove_idle(tuples, shard, IDLE_MOST, ref.offset, &garbage);
      ref.offset = 0;
      if (!shm__table_find(shard, key)) status = damaged_table(tuples);
      want = shm__table_wants(shard);
    }
    shm__tuples_unlock_both(shard);
  }
  shm__block_free(tuples->space, ref); /* somebody was quicker */
  shm__garbage_free(tuples->space, &garbage);
  fit_chains(tuples, shard, want);
  return status;
}

int shm__tuples_left(struct shm__shard *shard, u64 at, struct shm__fifo *fifo) {
  struct shm_tuple *entry = tuple_at(shard, at);
  /* One that is listed already is not looked at: its tail is in the other side's cache. */
  if (entry && entry->idle_next == 0 && !fifo->line->first && shm__fifo_length(fifo) == 0) list_idle(shard, at, entry);
  return shard->shared->idle > 2 * IDLE_MOST;
}

void shm__tuples_trim(struct shm__tuples *tuples, struct shm__shard *shard) {
  struct shm__garbage garbage = {.count = 0};
  if (shm__tuples_lock_both(tuples, shard, SHM__TRY) != SHM_OK) return; /* the next one, then */
  remove_idle(tuples, shard, IDLE_MOST, 0, &garbage);
  u64 want = shm__table_wants(shard);
  shm__tuples_unlock_both(shard);
  shm__garbage_free(tuples->space, &garbage);
  fit_chains(tuples, shard, want);
}
