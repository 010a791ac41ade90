/* table_order.h: the entries of a table's shard in the byte order of their keys; see table_order.c. */
#ifndef SHM_TYPES_TABLE_ORDER_H
#define SHM_TYPES_TABLE_ORDER_H

#include "table.h"

/* head: SHM_ORDER_LEVELS words, the first entry of each level. An entry's own words lie behind its key, at a multiple of 8. */
struct shm__order {
  const struct shm__shard *shard;
  u64 *head;
};

/* In how many levels an entry is. */
static inline u32 shm__order_level(u32 hash) {
  u32 mixed = (u32)((u64)hash * 0x9e3779b97f4a7c15ull >> 40) | 1u << 22; /* the low bits have chosen the shard */
  return 1 + (u32)__builtin_ctz(mixed) / 2;                             /* two zero bits take it a level up */
}

static inline u64 shm__order_offset(const struct shm__shard *shard, u32 key_length) {
  return ((u64)shard->key_offset + key_length + 7) & ~7ull;
}

/* ---- with both locks, while the table is being changed (shm__table_begin) ---- */
/* On whichever levels it is already, or is still. */
void shm__order_insert(const struct shm__order *order, u64 entry);
void shm__order_remove(const struct shm__order *order, u64 entry);

/* ---- with a lock; or without, then it counts if the shard was steady, and is unchanged afterwards ---- */
/* The first entry (payload offset) whose key is not below this one, or (above) is above it; 0: none. */
u64 shm__order_seek(const struct shm__order *order, const struct shm__key *key, int above);
u64 shm__order_next(const struct shm__order *order, u64 entry, u32 level);

#endif
