/* check_store.c: stores. */
#include <string.h>

#include "../base/bits.h"
#include "../core/members.h"
#include "../types/store_shard.h"
#include "audit.h"

static void check_item(struct shm__audit *audit, const char *name, struct shm__drawer *drawer, u64 at,
                       const struct shm_item *item) {
  struct shm__store *store = drawer->store;
  const struct shm_key *entry = (const struct shm_key *)item;
  shm__reach(audit, name, shm__block_ref(audit->space, at), store->id);
  if (!shm__at(audit->space, at, shm__item_value(entry->length, entry->hash), 16)) {
    shm__report(audit, name, at, "a key has an impossible length");
    return;
  }
  if (item->word & 1) shm__report(audit, name, at, "a key is half changed");
  if (entry->hash % store->shard_count != (u32)(drawer->shared - store->shards)) {
    shm__report(audit, name, at, "a key is in the wrong shard");
  }
  if (item->block) shm__reach(audit, name, (struct shm__ref){item->block, item->block_gen}, store->id);
  else if (item->length_bytes > SHM_ITEM_INLINE) shm__report(audit, name, at, "a value has an impossible length");
}

/* Is the key of an item above that of another, which may be NULL? */
static int rises(struct shm__audit *audit, const struct shm_item *item, u64 at, const struct shm_item *before) {
  u32 length = ((const struct shm_key *)item)->length, before_length = before ? ((const struct shm_key *)before)->length : 0;
  if (!shm__at(audit->space, at, sizeof *item + length, 16)) return 0;
  int difference = before ? memcmp(item + 1, before + 1, shm_min(length, before_length)) : 1;
  return difference ? difference > 0 : length > before_length;
}

/* Each level leads along keys that rise, to all that stand so high. keys: how many those are. */
static void check_order(struct shm__audit *audit, const char *name, struct shm__drawer *drawer, const u64 *keys) {
  struct shm__order order = shm__drawer_order(drawer);
  u64 offset = shm__offset_of(audit->space, drawer->shared);
  for (u32 level = 0; level < SHM_ORDER_LEVELS; level++) {
    const struct shm_item *item, *before = NULL;
    u64 seen = 0, at = shm_load_acquire(&order.head[level]);
    for (; at && seen <= keys[level]; at = shm__order_next(&order, at, level), before = item, seen++) {
      item = shm__item(drawer, at);
      if (item && rises(audit, item, at, before)) continue;
      shm__report(audit, name, at, "a key stands in the wrong place on level %u of the order", level);
      return;
    }
    if (seen != keys[level]) {
      shm__report(audit, name, offset, "%llu keys of a shard belong on level %u of the order, it has %llu%s",
                  (unsigned long long)keys[level], level, (unsigned long long)seen, at ? " or more" : "");
    }
  }
}

static void check_feed(struct shm__audit *audit, const char *name, struct shm__drawer *drawer) {
  struct shm_store_shard *shared = drawer->shared;
  u64 at = shm_load_acquire(&shared->feed);
  if (at == 0) return;
  struct shm__ref ring = {at, shared->feed_gen};
  u32 count = shm_load_relaxed(&shared->feed_count);
  const struct shm_feed *slots = (struct shm_feed *)shm__block_payload(audit->space, ring, (u64)count * sizeof *slots);
  shm__reach(audit, name, ring, drawer->store->id);
  if (!slots) {
    shm__report(audit, name, at, "the memory of events is damaged");
    return;
  }
  for (u32 i = 0; i < count; i++) {
    struct shm__ref ref = {slots[i].block, slots[i].block_gen};
    if (slots[i].word / 2 > shm_load_acquire(&shared->tail)) shm__report(audit, name, at, "an event is there before its time");
    const struct shm_item *item = ref.offset ? (struct shm_item *)shm__block_payload(audit->space, ref, sizeof *item) : NULL;
    if (!item) continue; /* gone with a dead one: an event that is lost */
    shm__reach(audit, name, ref, drawer->store->id);
    struct shm__ref value = {item->block, item->block_gen};
    if (slots[i].op == SHM_FEED_DEL && shm__block_payload(audit->space, value, 0)) {
      shm__reach(audit, name, value, drawer->store->id);
    }
  }
}

static void check_claims(struct shm__audit *audit, const char *name, struct shm__drawer *drawer) {
  u64 left = audit->space->size_bytes / sizeof(struct shm_claim);
  for (u64 at = shm_load_acquire(&drawer->shared->claims); at;) {
    const struct shm_claim *claim = shm__block_header(audit->space, at) ? shm__at(audit->space, at, sizeof *claim, 16) : NULL;
    if (!claim || left-- == 0) {
      shm__report(audit, name, at, "a list of locks is damaged");
      return;
    }
    shm__reach(audit, name, shm__block_ref(audit->space, at), drawer->store->id);
    if (claim->owner && !shm__token_alive(audit->space, claim->owner)) {
      shm__report(audit, name, at, "a lock or a watch belongs to a dead member (token %u)", claim->owner);
    }
    at = shm_load_acquire(&claim->next);
  }
}

static void check_drawer(struct shm__audit *audit, const char *name, struct shm__drawer *drawer) {
  u64 left = audit->space->size_bytes / sizeof(struct shm_item), buckets = shm_load_acquire(&drawer->table.shared->buckets);
  u64 keys[SHM_ORDER_LEVELS] = {0}; /* on each level of the order; on the lowest are all */
  shm__check_lock_word(audit, name, &drawer->table.shared->put_lock, "the lock of a shard");
  if (buckets) shm__reach(audit, name, shm__block_ref(audit->space, buckets), drawer->store->id);
  for (u64 at = shm_load_acquire(&drawer->table.shared->first); at;) {
    const struct shm_item *item = shm__item(drawer, at);
    if (!item || left-- == 0) {
      shm__report(audit, name, at, "a list of keys is damaged");
      return;
    }
    check_item(audit, name, drawer, at, item);
    for (u32 level = shm__order_level(((const struct shm_key *)item)->hash); level-- > 0;) keys[level]++;
    at = shm_load_acquire(&((const struct shm_key *)item)->next);
  }
  if (keys[0] != shm_load_relaxed(&drawer->table.shared->keys)) {
    shm__report(audit, name, shm__offset_of(audit->space, drawer->shared), "a shard counts %u keys, has %llu",
                drawer->table.shared->keys, (unsigned long long)keys[0]);
  }
  check_order(audit, name, drawer, keys);
  check_feed(audit, name, drawer);
  check_claims(audit, name, drawer);
}

void shm__check_store(struct shm__audit *audit, const char *name, u64 main) {
  struct shm__store store;
  if (shm__store_bind(audit->space, main, &store) != SHM_OK) {
    shm__report(audit, name, main, "%s", shm__error_text());
    return;
  }
  for (u32 n = 0; n < store.shard_count; n++) {
    struct shm__drawer drawer = shm__drawer(&store, n);
    check_drawer(audit, name, &drawer);
  }
}
