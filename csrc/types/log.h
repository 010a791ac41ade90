/* log.h: append-only records at consecutive offsets, in shards; see log.c. */
#ifndef SHM_TYPES_LOG_H
#define SHM_TYPES_LOG_H

#include "../core/blocks.h"
#include "../core/lock.h"
#include "../core/patience.h"
#include "../core/wake.h"

/* A shard as this process sees it. Records have an index here: offset - start_offset. */
struct shm__log {
  struct shm__space *space;
  struct shm_log_main *main;
  struct shm_log_shard *shared;
  struct shm_record *slots; /* NULL: not seen yet; threads of this process set it, to the same */
  u64 segment, max_record_bytes, bucket_mask;
  u32 id, flags;
  struct shm__event event;
  struct shm__patience patience;
  const u32 *closing; /* set when the handle is being closed: calls under way leave; NULL: never */
  u64 published;      /* tail was at least this: the writers' cache line need not be asked again. A hint of this process */
};

struct shm__log_options {
  u64 start_offset, segment_size, max_record_bytes, rollover_bytes;
  u32 shards, flags, sharder_bytes;
  const void *sharder;
  char codec[32];
};

/* A record on its way in. */
struct shm__append {
  int64_t time_ns;
  u64 data_bytes;
  const void *key, *data;
  u32 key_bytes, codec, flags, stamped; /* stamped 0: it gets a stamp for its time */
  struct shm__ref block;                /* key and data; offset 0: they are inline */
};

/* A record where it lies. What was copied of it counts if shm__log_unchanged afterwards. */
struct shm__seen {
  u64 index, data_bytes, expected;
  int64_t time_ns;
  const u8 *key, *data;
  u32 key_bytes, codec, flags;
  const u64 *word;
};

extern const struct shm__type shm__log_type, shm__sharded_log_type;

/* A new one in a block of its own, HELD by us. With one shard all memory for slots is taken at once, with more when a shard
 * is first appended to. */
int shm__log_make(struct shm__space *space, u32 id, const struct shm__log_options *options, u64 deadline_ns, struct shm__ref *main);
/* SHM_CORRUPTED when the bytes at payload offset main cannot be a log with that shard. */
int shm__log_bind(struct shm__space *space, u64 main, u32 shard, struct shm__log *log);
const u8 *shm__log_sharder(const struct shm__log *log);

/* Are there slots? They are bound then. */
int shm__log_has_slots(struct shm__log *log);

/* These want slots. */
static inline struct shm_record *shm__log_slot(const struct shm__log *log, u64 index) {
  return shm_load_relaxed(&log->slots) + index % (2 * log->segment);
}
/* Key index: 1 + index of the newest record of each bucket. */
static inline u64 *shm__log_bucket(const struct shm__log *log, u64 bucket) {
  return (u64 *)(shm_load_relaxed(&log->slots) + 2 * log->segment) + bucket;
}

int shm__log_lock(struct shm__log *log, u64 deadline_ns);
int shm__log_lock_to_end(struct shm__log *log);

/* Bytes that a record counts for in sizes. */
static inline u64 shm__record_bytes(u64 key_bytes, u64 data_bytes) { return SHM_RECORD_INLINE + key_bytes + data_bytes; }

/* Append all or nothing; blocks are given away. *first: index of the first one. */
int shm__log_append(struct shm__log *log, const struct shm__append *records, u64 count, u64 deadline_ns, u64 *first);

/* Delete the records with these indices; those that were there are moved to the front, *done of them, with their bytes.
 * expected: unless as many deletions were made so far nothing is done, SHM_MISMATCH; UINT64_MAX: whatever there was. */
int shm__log_delete(struct shm__log *log, u64 *indices, u64 count, u64 expected, u64 deadline_ns, u64 *done, u64 *size_bytes);

/* ---- without a lock ---- */
/* Record index: SHM_OK; SHM_EMPTY: not yet; SHM_LAGGED: no longer; SHM_NOT_FOUND: deleted; SHM_CORRUPTED. */
int shm__log_see(struct shm__log *log, u64 index, struct shm__seen *seen);
static inline int shm__log_unchanged(const struct shm__seen *seen) {
  shm_fence_acquire(); /* SYNC log.overwrite: the copy is made before the word is looked at again */
  return shm_load_relaxed(seen->word) == seen->expected;
}
/* Which exist: [*first, *tail), *first == *tail if there is none. */
void shm__log_bounds(const struct shm__log *log, u64 *first, u64 *tail);
/* The newest record with this key. SHM_NOT_FOUND. */
int shm__log_see_key(struct shm__log *log, const void *key, u32 key_bytes, struct shm__seen *seen);
/* The first record at or after this time. SHM_NOT_FOUND. */
int shm__log_see_time(struct shm__log *log, int64_t time_ns, struct shm__seen *seen);
/* Wait until there is a record at index. SHM_OK; SHM_EMPTY: the deadline has come; SHM_CLOSED; SHM_INTERRUPTED. */
int shm__log_wait(struct shm__log *log, u64 index, u64 deadline_ns);
void shm__log_stat(const struct shm__log *log, u64 *segments, u64 *records, u64 *size_bytes);
void shm__log_wake(struct shm__log *log);

static inline int shm__log_is_closed(const struct shm__log *log) {
  return shm_load_acquire(&log->main->life) != SHM_LIFE_LIVE || shm_load_acquire(&log->space->header->life) != SHM_LIFE_LIVE ||
         (log->closing && shm_load_relaxed(log->closing)) || shm_load_relaxed(&log->space->closing);
}

#endif
