/* store_shard.h: a shard of a store, and how a key in it is changed; see store_shard.c. */
#ifndef SHM_TYPES_STORE_SHARD_H
#define SHM_TYPES_STORE_SHARD_H

#include "../base/bits.h"
#include "../core/stamp.h"
#include "store.h"

/* A shard as this process sees it. */
struct shm__drawer {
  struct shm__store *store;
  struct shm_store_shard *shared;
  struct shm__shard table;
};

/* Blocks HELD by us that are to be freed once no lock is held. */
enum { SHM__WASTE = 16 };
struct shm__waste {
  struct shm__ref ref[SHM__WASTE];
  u32 count;
};

static inline void shm__waste_add(struct shm__waste *waste, struct shm__ref ref) {
  if (ref.offset && waste->count < SHM__WASTE) waste->ref[waste->count++] = ref;
}
static inline void shm__waste_free(struct shm__space *space, struct shm__waste *waste) {
  while (waste->count > 0) shm__block_free(space, waste->ref[--waste->count]);
}

struct shm__drawer shm__drawer(struct shm__store *store, u32 n);
static inline u32 shm__drawer_of(const struct shm__store *store, const struct shm__key *key) {
  return key->hash % store->shard_count;
}

/* Its lock; it finishes what a dead owner was about to do. Status as shm__lock, without SHM__REPAIR. */
int shm__drawer_lock(struct shm__drawer *drawer, u64 deadline_ns);
/* For what no signal may stop; a stopped process that has the lock may. */
int shm__drawer_lock_to_end(struct shm__drawer *drawer);
static inline void shm__drawer_unlock(struct shm__drawer *drawer) { shm__unlock(&drawer->table.shared->put_lock); }

/* Its keys in byte order. */
static inline struct shm__order shm__drawer_order(const struct shm__drawer *drawer) {
  return (struct shm__order){&drawer->table, drawer->shared->order};
}

/* Give it more chains, or fewer, if that is wanted; without the lock. */
void shm__drawer_fit(struct shm__drawer *drawer);

/* ---- items ---- */
static inline struct shm_item *shm__item(const struct shm__drawer *drawer, u64 at) {
  return (struct shm_item *)shm__table_entry(&drawer->table, at);
}
/* Bytes from the start of an item to its value when that is inline. */
static inline u64 shm__item_value(u32 key_length, u32 hash) {
  return ((sizeof(struct shm_item) + key_length + 7) & ~7ull) + sizeof(u64) * shm__order_level(hash);
}
static inline int shm__is_expired(u64 expires_ns, u64 now_ns) { return expires_ns != 0 && now_ns >= expires_ns; }
/* Where the value of an item lies that nobody changes now; NULL when there can be none. */
const u8 *shm__item_bytes(const struct shm__drawer *drawer, u64 at, const struct shm_item *item);
/* The same for who has no lock, of a key and a value of these lengths; to be looked at again. */
const u8 *shm__item_value_at(const struct shm__drawer *drawer, u64 at, const struct shm_item *item, u32 key_length,
                             u64 length_bytes);
static inline void shm__item_facts(const struct shm_item *item, shm_item_facts *facts) {
  *facts = (shm_item_facts){
      item->version, item->length_bytes, (int64_t)item->created, (int64_t)item->updated, item->expires_ns, item->codec, 0};
}

/* ---- with the lock ---- */
/* A stamp for a change: few shards have stamps apart. */
static inline u64 shm__drawer_stamp(struct shm__drawer *drawer) {
  struct shm__store *store = drawer->store;
  if (store->shard_count > SHM__STAMP_PARTS) return shm__stamp(store->space);
  u32 parts = (u32)shm_power_of_two(store->shard_count), part = (u32)(drawer->shared - store->shards);
  return shm__stamp_apart(store->space, &drawer->shared->last_stamp, part, parts);
}
/* Carry out the change that stands in the shard (shared->change, ...) for this item, and publish its event. */
void shm__drawer_carry_out(struct shm__drawer *drawer, u64 at, struct shm__waste *waste);
/* Remove an item. */
void shm__drawer_remove(struct shm__drawer *drawer, u64 at, int tells, struct shm__waste *waste);
static inline void shm__expires(struct shm__drawer *drawer, u64 expires_ns) {
  struct shm_store_shard *shared = drawer->shared;
  if (expires_ns == 0) return;
  if (shared->soonest_ns == 0 || expires_ns < shared->soonest_ns) shm_store_relaxed(&shared->soonest_ns, expires_ns);
  if (expires_ns < shared->since_sweep_ns) shared->since_sweep_ns = expires_ns;
  u64 soonest_ns = shm_load_relaxed(&drawer->store->shared->soonest_ns); /* relaxed: a hint */
  while ((soonest_ns == 0 || expires_ns < soonest_ns) && !shm_cas(&drawer->store->shared->soonest_ns, &soonest_ns, expires_ns)) {
  }
}

static inline int shm__store_closed(const struct shm__store *store) {
  return shm_load_acquire(&store->shared->life) != SHM_LIFE_LIVE ||
         shm_load_acquire(&store->space->header->life) != SHM_LIFE_LIVE || (store->closing && shm_load_relaxed(store->closing)) ||
         shm_load_relaxed(&store->space->closing);
}

#endif
