/* tuples_shard.h: what tuples.c needs of its shards; see tuples_shard.c. */
#ifndef SHM_TYPES_TUPLES_SHARD_H
#define SHM_TYPES_TUPLES_SHARD_H

#include "tuples.h"

enum { SHM__TUPLES_CELLS_MOST = 128 }; /* of a segment */

struct shm__shard shm__tuples_shard(struct shm__tuples *tuples, u32 n);
struct shm__shard shm__tuples_shard_of(struct shm__tuples *tuples, const struct shm__key *key);

/* The fifo of an entry; 0 if there can be none. */
int shm__tuples_fifo(struct shm__tuples *tuples, const struct shm__shard *shard, u64 entry, struct shm__fifo *fifo);

/* Locks of a shard, put lock first; they repair what a dead owner left. Status as shm__lock, without SHM__REPAIR. */
typedef int shm__tuples_locker(struct shm__tuples *tuples, struct shm__shard *shard, u64 deadline_ns);
shm__tuples_locker shm__tuples_lock_put, shm__tuples_lock_take, shm__tuples_lock_both;
void shm__tuples_unlock_both(struct shm__shard *shard);
/* One of these, for what no signal may stop; a stopped process that has it may. */
int shm__tuples_lock_to_end(shm__tuples_locker *lock, struct shm__tuples *tuples, struct shm__shard *shard);

/* Memory; if there is none, that of idle entries. */
int shm__tuples_alloc(struct shm__tuples *tuples, u64 size_bytes, u64 deadline_ns, struct shm__ref *ref);
/* Make an entry for the key if there is none. */
int shm__tuples_add(struct shm__tuples *tuples, struct shm__shard *shard, const struct shm__key *key, u64 deadline_ns);
/* With the take lock: this entry may have become idle. Says that too many are. */
int shm__tuples_left(struct shm__shard *shard, u64 entry, struct shm__fifo *fifo);
/* Remove idle entries until few are left; if the put lock can be had. */
void shm__tuples_trim(struct shm__tuples *tuples, struct shm__shard *shard);

static inline int shm__tuples_closed(const struct shm__tuples *tuples) {
  return shm_load_acquire(&tuples->shared->life) != SHM_LIFE_LIVE ||
         shm_load_acquire(&tuples->space->header->life) != SHM_LIFE_LIVE ||
         (tuples->closing && shm_load_relaxed(tuples->closing)) || shm_load_relaxed(&tuples->space->closing);
}

static inline int shm__tuples_is_shut(const struct shm__tuples *tuples) {
  return shm_load_acquire(&tuples->shared->stream) == SHM_STREAM_SHUT;
}

#endif
