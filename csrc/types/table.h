/* table.h: entries by key, in shards; see table.c. */
#ifndef SHM_TYPES_TABLE_H
#define SHM_TYPES_TABLE_H

#include "../core/blocks.h"
#include "../core/lock.h"

/* A shard as this process sees it. An entry is a block that begins with a shm_key. */
struct shm__shard {
  struct shm__space *space;
  struct shm_shard *shared;
  u32 id, key_offset; /* structure; bytes from the start of an entry to its key */
};

/* A key that is looked for. */
struct shm__key {
  const u8 *bytes;
  u32 length, hash;
};

struct shm__key shm__key_of(const void *bytes, u32 length);

/* With one of the shard's locks, or as below: the entry (payload offset) with this key, or 0. */
u64 shm__table_find(const struct shm__shard *shard, const struct shm__key *key);

/* The same, the slow way: along the list, which is never half changed. */
u64 shm__table_find_listed(const struct shm__shard *shard, const struct shm__key *key);

/* The entry at this offset, or NULL when there cannot be one. */
struct shm_key *shm__table_entry(const struct shm__shard *shard, u64 offset);

/* ---- without a lock: what was found in between counts if the shard was steady, and is unchanged afterwards ---- */
static inline int shm__table_steady(const struct shm__shard *shard, u64 *changes) {
  *changes = shm_load_acquire(&shard->shared->changes); /* SYNC table.changes */
  return (*changes & 1) == 0;
}

static inline int shm__table_unchanged(const struct shm__shard *shard, u64 changes) {
  shm_fence_acquire(); /* SYNC table.changes: what was read is read before they are looked at again */
  return shm_load_relaxed(&shard->shared->changes) == changes;
}

/* ---- with both locks ---- */
/* For what hangs on entries and is changed with them: who looks without a lock looks again, the heir of a lock repairs. */
void shm__table_begin(struct shm__shard *shard);
void shm__table_end(struct shm__shard *shard);
/* Add an entry, a block HELD by us whose hash, length and key are there; it is given away. */
void shm__table_insert(struct shm__shard *shard, struct shm__ref entry);
/* Take an entry out: it is HELD by us then. 0: it could not be. */
int shm__table_remove(struct shm__shard *shard, struct shm__ref entry);
/* For the heir of a lock whose last holder died while entries came or went. */
void shm__table_repair(struct shm__shard *shard);
/* Should there be more chains (or fewer)? How many; 0: as many as there are. */
u64 shm__table_wants(const struct shm__shard *shard);
/* Use this block, HELD by us, for so many chains; the old one, HELD by us, to be freed. */
struct shm__ref shm__table_rehash(struct shm__shard *shard, struct shm__ref ref, u64 count);
static inline u64 shm__table_bytes(u64 count) { return sizeof(struct shm_buckets) + count * sizeof(u64); }

/* Give back all entries and chains; release takes what hangs on an entry. Nobody uses it any more. */
void shm__table_teardown(struct shm__shard *shard, void (*release)(struct shm__shard *shard, u64 entry));

#endif
