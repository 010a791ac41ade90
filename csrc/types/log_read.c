/* log_read.c: looking into a log, without a lock and without writing; see log.c. What is copied of a record counts if its word
 * is the same before and behind the copy.
 */
#include <string.h>

#include "../base/bits.h"
#include "../base/hash.h"
#include "../core/members.h"
#include "../os/clock.h"
#include "../os/wait.h"
#include "log.h"

enum { ROUNDS = 1000 };

static int damaged(const struct shm__log *log, u64 index) {
  return shm__fail(SHM_CORRUPTED, "%s: record %llu of log %u is damaged", log->space->path, (unsigned long long)index, log->id);
}

void shm__log_bounds(const struct shm__log *log, u64 *first, u64 *tail) {
  *tail = shm_load_acquire(&log->shared->tail); /* SYNC log.publish */
  *first = shm_load_acquire(&log->shared->first);
  if (*first > *tail) *tail = shm_load_acquire(&log->shared->tail); /* read before an append that purged */
  if (*first > *tail) *first = *tail;                               /* one that is under way */
}

/* What is in the slot. 0: it cannot be, unless it is changing. */
static int look_into(const struct shm__log *log, const struct shm_record *slot, struct shm__seen *seen) {
  struct shm__ref block = {shm_load_relaxed(&slot->block), shm_load_relaxed(&slot->block_gen)};
  seen->time_ns = (int64_t)shm_load_relaxed(&slot->time_ns);
  seen->data_bytes = shm_load_relaxed(&slot->data_bytes);
  seen->key_bytes = shm_load_relaxed(&slot->key_bytes);
  seen->codec = shm_load_relaxed(&slot->codec);
  seen->flags = shm_load_relaxed(&slot->flags);
  u64 size_bytes = (u64)seen->key_bytes + seen->data_bytes;
  if (size_bytes < seen->data_bytes) return 0;
  if (block.offset) seen->key = shm__block_payload(log->space, block, size_bytes);
  else seen->key = size_bytes <= SHM_RECORD_INLINE ? slot->data : NULL;
  if (!seen->key) return 0;
  seen->data = seen->key + seen->key_bytes;
  return 1;
}

int shm__log_see(struct shm__log *log, u64 index, struct shm__seen *seen) {
  for (u32 round = 0; round < ROUNDS; round++) {
    if (index >= shm_load_relaxed(&log->published)) {
      u64 tail = shm_load_acquire(&log->shared->tail); /* SYNC log.publish */
      if (index >= tail) return SHM_EMPTY;
      shm_store_relaxed(&log->published, tail); /* relaxed: the word that is looked at next publishes its slot by itself */
    }
    if (index < shm_load_acquire(&log->shared->first)) return SHM_LAGGED; /* SYNC log.purge */
    if (!shm__log_has_slots(log)) return damaged(log, index);
    const struct shm_record *slot = shm__log_slot(log, index);
    u64 word = shm_load_acquire(&slot->word);
    seen->index = index;
    seen->word = &slot->word;
    seen->expected = 2 * (index + 1);
    if (word == (seen->expected | SHM_RECORD_DELETED)) {
      return index < shm_load_acquire(&log->shared->first) ? SHM_LAGGED : SHM_NOT_FOUND;
    }
    if (word == seen->expected) {
      int sane = look_into(log, slot, seen);
      if (sane) return SHM_OK;
      if (shm__log_unchanged(seen)) return damaged(log, index);
    }
    shm_pause(); /* it was purged, which first says by now */
  }
  return damaged(log, index);
}

/* Whoever comes to the end has perhaps missed what was appended meanwhile: if the bucket leads elsewhere now, or what was
 * passed because it was not published is published now, once more. */
int shm__log_see_key(struct shm__log *log, const void *key, u32 key_bytes, struct shm__seen *seen) {
  if (log->bucket_mask == 0 || !shm__log_has_slots(log)) return SHM_NOT_FOUND;
  const u64 *bucket = shm__log_bucket(log, shm__fnv1a(key, key_bytes) & log->bucket_mask);
  u64 left = ROUNDS + 2 * log->segment, ahead = 0, head = shm_load_acquire(bucket), at = head; /* SYNC log.bucket */
  for (; left > 0; left--) {
    if (at == 0) {
      at = shm_load_acquire(bucket);
      if (at == head && (ahead == 0 || ahead > shm_load_acquire(&log->shared->tail))) return SHM_NOT_FOUND;
      head = at, ahead = 0;
      continue;
    }
    u64 index = at - 1;
    const struct shm_record *slot = shm__log_slot(log, index);
    u64 word = shm_load_acquire(&slot->word), chain = shm_load_relaxed(&slot->chain);
    *seen = (struct shm__seen){.index = index, .word = &slot->word, .expected = word};
    int ours = (word | SHM_RECORD_DELETED) == (2 * at | SHM_RECORD_DELETED);
    int published = index < shm_load_acquire(&log->shared->tail); /* SYNC log.publish */
    int there = word == 2 * at && published && index >= shm_load_acquire(&log->shared->first);
    int same = there && look_into(log, slot, seen) && seen->flags & SHM_RECORD_KEY && seen->key_bytes == key_bytes &&
               (key_bytes == 0 || memcmp(seen->key, key, key_bytes) == 0);
    if (!ours || !shm__log_unchanged(seen)) { /* purged: so are all behind it. Or a new one: then it is in its bucket soon */
      shm_pause();
      if (index < shm_load_acquire(&log->shared->first)) at = 0;
      else head = at = shm_load_acquire(bucket);
      continue;
    }
    if (same) return SHM_OK;
    if (!published) ahead = at;
    at = chain < at ? chain : 0;
  }
  return SHM_NOT_FOUND;
}

/* The largest time up to a record; 0: it has been purged. */
static int index_time(const struct shm__log *log, u64 index, int64_t *time_ns) {
  const struct shm_record *slot = shm__log_slot(log, index);
  u64 word = shm_load_acquire(&slot->word);
  *time_ns = (int64_t)shm_load_relaxed(&slot->index_ns);
  shm_fence_acquire(); /* SYNC log.overwrite */
  return (word | SHM_RECORD_DELETED) == (2 * (index + 1) | SHM_RECORD_DELETED) && shm_load_relaxed(&slot->word) == word;
}

int shm__log_see_time(struct shm__log *log, int64_t time_ns, struct shm__seen *seen) {
  u64 first, tail, low, high;
  int64_t found_ns;
  for (u32 round = 0; round < ROUNDS; round++) {
  again:
    shm__log_bounds(log, &first, &tail);
    if (first == tail || !shm__log_has_slots(log)) return SHM_NOT_FOUND;
    for (low = first, high = tail; low < high;) { /* the first with an index time at or after time_ns */
      u64 middle = low + (high - low) / 2;
      if (!index_time(log, middle, &found_ns)) {
        if (++round < ROUNDS) goto again;
        return SHM_NOT_FOUND;
      }
      if (found_ns < time_ns) low = middle + 1;
      else high = middle;
    }
    for (; low < tail; low++) {
      int status = shm__log_see(log, low, seen);
      if (status == SHM_OK || status == SHM_CORRUPTED) return status;
      if (status == SHM_LAGGED) break; /* purged meanwhile */
    }
    if (low == tail) return SHM_NOT_FOUND;
  }
  return SHM_NOT_FOUND;
}

void shm__log_stat(const struct shm__log *log, u64 *segments, u64 *records, u64 *size_bytes) {
  u64 first, tail;
  shm__log_bounds(log, &first, &tail);
  *segments = tail > first ? (tail - 1) / log->segment - first / log->segment + 1 : 1;
  *records = shm_load_relaxed(&log->shared->records[0]) + shm_load_relaxed(&log->shared->records[1]);
  *size_bytes = shm_load_relaxed(&log->shared->bytes[0]) + shm_load_relaxed(&log->shared->bytes[1]);
}

/* ---- waiting ------------------------------------------------------------------------------------------------------------- */
struct awaited {
  const struct shm__log *log;
  u64 index;
};

static int look_for(void *context) {
  const struct awaited *awaited = context;
  if (shm_load_acquire(&awaited->log->shared->tail) > awaited->index) return SHM_OK;
  return shm__log_is_closed(awaited->log) ? SHM_CLOSED : SHM_EMPTY;
}

int shm__log_wait(struct shm__log *log, u64 index, u64 deadline_ns) {
  struct awaited awaited = {log, index};
  struct shm__space *space = log->space;
  int status = look_for(&awaited);
  if (status != SHM_EMPTY || deadline_ns == SHM__TRY) return status;
  status = shm__spin(space, &log->patience, look_for, &awaited);
  if (status != SHM_EMPTY || deadline_ns == SHM__SPIN) return status;
  u64 start_ns = shm__monotonic_ns(), now_ns = start_ns;
  for (; status == SHM_EMPTY; now_ns = shm__monotonic_ns()) {
    if (now_ns >= deadline_ns) break;
    u32 value = space->readonly ? shm_load_acquire(log->event.word) : shm__event_announce(log->event);
    status = look_for(&awaited); /* SYNC wake: look again behind the announcement */
    if (status != SHM_EMPTY) break;
    u64 nap_ns = shm__nap_length_ns(space, now_ns, deadline_ns);
    u32 place = space->readonly ? SHM_WAITS : shm__wait_show(space, log->id, SHM__WAITS_MESSAGE);
    enum shm__wait_result result = shm__futex_wait(log->event.word, value, nap_ns);
    if (!space->readonly) shm__wait_hide(space, place);
    status = look_for(&awaited);
    if (result == SHM__WAIT_SIGNAL && status == SHM_EMPTY) return SHM_INTERRUPTED;
    if (result == SHM__WAIT_WOKEN) break; /* perhaps the caller is to end, and no record has come */
  }
  shm__learn(&log->patience, shm__monotonic_ns() - start_ns);
  return status;
}
