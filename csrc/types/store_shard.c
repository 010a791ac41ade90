/* store_shard.c: the shards of a store: how they are made, locked and repaired, and how one key in them is changed.
 *
 * A change is told in the shard first, whole: which item, what it gets, the number of its event. One store (`changing`)
 * commits it; what follows can be done by anybody, any number of times. So a killed writer leaves the old value or the new
 * one, and its event comes with it.
 *
 * Invariants
 *   1. Everything in a shard is changed with its lock (the table's put_lock). changing is 0 when that is given up.
 *   2. An item's word is odd while its fields are changed; then `changing` names it, and what it gets stands in the shard. So
 *      who reads without a lock copies either, and the copy counts if the word is the same afterwards, and the item's block
 *      is still the same and the store's.
 *   3. An item is new when it is on the table's list, and gone when it is not. A removed one that an event shows stays LINKED
 *      until the event is overwritten, and is not changed any more.
 *   4. Values longer than SHM_ITEM_INLINE lie in blocks of their own, LINKED as long as an item has them.
 *
 * Crash table (died after ...)
 *   telling what is to be done ("store.told")      nothing has happened; reap frees the blocks
 *   committing it ("store.committed")              heir of the lock carries it out; an INSERT has not happened
 *   changing the item ("store.copied")             readers find it odd and read what is told; heir does it again
 *   its event ("store.published")                  heir finds the event there
 *   taking a removed item out ("store.removed")    reap frees its block; heir, if an event shows it, links it again
 *   letting go of the old value ("store.released") reap frees it
 *
 * Model: tests/model/store.pml.
 */
#include "store_shard.h"

#include <string.h>

#include "../base/point.h"
#include "../os/clock.h"
#include "store_claim.h"
#include "store_feed.h"

enum { PATIENCE_NS = 100000000, SHARDS_MOST = 65536 };

/* ---- making ------------------------------------------------------------------------------------------------------------- */
static u64 main_bytes(u32 shards, u32 quiet_bytes) {
  return sizeof(struct shm_store_main) + (u64)shards * sizeof(struct shm_store_shard) + quiet_bytes;
}

int shm__store_make(struct shm__space *space, u32 id, const struct shm__store_options *options, u64 deadline_ns,
                    struct shm__ref *main) {
  u64 size_bytes = main_bytes(options->shards, options->quiet_bytes);
  int status = shm__block_alloc(space, size_bytes, deadline_ns, main);
  if (status != SHM_OK) return status;
  struct shm_store_main *shared = (struct shm_store_main *)(space->base + main->offset);
  memset(shared, 0, size_bytes);
  shared->life = SHM_LIFE_LIVE;
  shared->id = id;
  shared->shards = options->shards;
  shared->feed = options->feed;
  shared->quiet_bytes = options->quiet_bytes;
  memcpy(shared->codec, options->codec, sizeof shared->codec);
  struct shm_store_shard *shards = (struct shm_store_shard *)(shared + 1);
  if (options->quiet_bytes) memcpy(shards + options->shards, options->quiet, options->quiet_bytes);
  return SHM_OK;
}

int shm__store_bind(struct shm__space *space, u64 main, struct shm__store *store) {
  struct shm_store_main *shared = shm__block_header(space, main) ? shm__at(space, main, sizeof *shared, 16) : NULL;
  u32 shards = shared ? shared->shards : 0, quiet_bytes = shared ? shared->quiet_bytes : 0;
  const u8 *quiet = NULL;
  if (shards > 0 && shards <= SHARDS_MOST && shared->id != 0 &&
      shm__block_payload(space, shm__block_ref(space, main), main_bytes(shards, quiet_bytes))) {
    quiet = (const u8 *)((struct shm_store_shard *)(shared + 1) + shards);
  }
  if (!quiet || (quiet_bytes && quiet[quiet_bytes - 1] != 0)) {
    return shm__fail(SHM_CORRUPTED, "%s: the store at offset %llu is damaged", space->path, (unsigned long long)main);
  }
  *store = (struct shm__store){.space = space,
                               .shared = shared,
                               .shards = (struct shm_store_shard *)(shared + 1),
                               .quiet = quiet,
                               .quiet_bytes = quiet_bytes,
                               .id = shared->id,
                               .shard_count = shards,
                               .feed = shared->feed,
                               .watch = {&shared->watch_event, shared->watch_bells},
                               .locks = {&shared->lock_event, shared->lock_bells}};
  return SHM_OK;
}

struct shm__drawer shm__drawer(struct shm__store *store, u32 n) {
  struct shm_store_shard *shared = &store->shards[n];
  struct shm__drawer drawer = {.store = store, .shared = shared,
                               .table = {.space = store->space, .shared = (struct shm_shard *)shared->table, .id = store->id,
                                         .key_offset = sizeof(struct shm_item)}};
  return drawer;
}

const u8 *shm__item_value_at(const struct shm__drawer *drawer, u64 at, const struct shm_item *item, u32 key_length,
                             u64 length_bytes) {
  struct shm__space *space = drawer->store->space;
  struct shm__ref ref = {shm_load_stale(&item->block), shm_load_stale32(&item->block_gen)};
  if (ref.offset) return shm__block_payload(space, ref, length_bytes);
  u64 value = shm__item_value(key_length, shm_load_stale32(&((const struct shm_key *)item)->hash));
  if (length_bytes > SHM_ITEM_INLINE) return NULL;
  return shm__at(space, at, value + length_bytes, 16) ? (const u8 *)item + value : NULL;
}

const u8 *shm__item_bytes(const struct shm__drawer *drawer, u64 at, const struct shm_item *item) {
  return shm__item_value_at(drawer, at, item, ((const struct shm_key *)item)->length, item->length_bytes);
}

/* ---- changing ------------------------------------------------------------------------------------------------------------ */
static void own(struct shm__drawer *drawer, u64 block, u32 gen) {
  struct shm__ref ref = {block, gen};
  if (block && !shm__block_link(drawer->store->space, ref, drawer->store->id)) {
    shm__block_relink(drawer->store->space, ref, drawer->store->id);
  }
}

static void disown(struct shm__drawer *drawer, u64 block, u32 gen, struct shm__waste *waste) {
  struct shm__ref ref = {block, gen};
  if (block && shm__block_hold(drawer->store->space, ref, drawer->store->id)) shm__waste_add(waste, ref);
  SHM_POINT("store.released");
}

static void set_item(struct shm__drawer *drawer, u64 at, struct shm_item *item) {
  struct shm_store_shard *shared = drawer->shared;
  struct shm_key *entry = (struct shm_key *)item;
  own(drawer, shared->block, shared->block_gen);
  shm_store_release(&item->word, item->word | 1); /* SYNC item.word: who finds it odd finds what is told */
  shm_fence_release(); /* SYNC item.word: odd before what changes; a reader looks at it again behind its copy */
  item->version = shared->version;
  item->created = shared->created;
  item->updated = shared->updated;
  item->expires_ns = shared->expires_ns;
  item->length_bytes = shared->length_bytes;
  item->block = shared->block;
  item->block_gen = shared->block_gen;
  item->codec = shared->codec;
  u64 value = shm__item_value(entry->length, entry->hash);
  u64 length_bytes = shared->length_bytes;
  if (!shared->block && length_bytes <= SHM_ITEM_INLINE && shm__at(drawer->store->space, at, value + length_bytes, 16)) {
    memcpy((u8 *)item + value, shared->data, length_bytes);
  }
  SHM_POINT("store.copied");
  shm_store_release(&item->word, (item->word | 1) + 1); /* SYNC item.word */
}

static void put_in_order(struct shm__drawer *drawer, u64 at, int there) {
  struct shm__order order = shm__drawer_order(drawer);
  shm__table_begin(&drawer->table);
  if (there) shm__order_insert(&order, at);
  else shm__order_remove(&order, at);
  shm__table_end(&drawer->table);
}

static void take_out(struct shm__drawer *drawer, u64 at, struct shm_item *item, struct shm__waste *waste) {
  struct shm_key *entry = (struct shm_key *)item;
  struct shm__key key = {(const u8 *)(item + 1), entry->length, entry->hash};
  struct shm__ref ref = shm__block_ref(drawer->store->space, at);
  if (!shm__at(drawer->store->space, at, sizeof *item + key.length, 16)) return; /* damaged */
  if (shm__table_find(&drawer->table, &key) == at) {
    put_in_order(drawer, at, 0);
    shm__table_remove(&drawer->table, ref);
  }
  SHM_POINT("store.removed");
  if (shm__feed_keeps(drawer, at)) {
    own(drawer, at, ref.gen);
    return;
  }
  disown(drawer, item->block, item->block_gen, waste);
  if (shm__block_held(drawer->store->space, ref)) shm__waste_add(waste, ref);
}

void shm__drawer_carry_out(struct shm__drawer *drawer, u64 at, struct shm__waste *waste) {
  struct shm_store_shard *shared = drawer->shared;
  struct shm_item *item = shm__item(drawer, at);
  u32 change = shared->change;
  if (item && change == SHM_CHANGE_SET) set_item(drawer, at, item);
  if (item && change == SHM_CHANGE_INSERT) {
    own(drawer, item->block, item->block_gen);
    put_in_order(drawer, at, 1);
  }
  if (item && shared->tells) shm__feed_publish(drawer, at, change == SHM_CHANGE_REMOVE ? SHM_FEED_DEL : SHM_FEED_SET, waste);
  SHM_POINT("store.published");
  if (item && change == SHM_CHANGE_SET) disown(drawer, shared->old_block, shared->old_gen, waste);
  if (item && change == SHM_CHANGE_REMOVE) take_out(drawer, at, item, waste);
  shm_store_release(&shared->changing, 0);
}

void shm__drawer_remove(struct shm__drawer *drawer, u64 at, int tells, struct shm__waste *waste) {
  struct shm_store_shard *shared = drawer->shared;
  struct shm_item *item = shm__item(drawer, at);
  u64 length_bytes = item->length_bytes;
  shared->change = SHM_CHANGE_REMOVE;
  shared->tells = tells != 0;
  shared->number = shared->tail;
  shared->stamp = shm__drawer_stamp(drawer);
  shared->event_block = 0;
  SHM_POINT("store.told");
  shm_store_release(&shared->changing, at); /* SYNC store.changing */
  SHM_POINT("store.committed");
  shm__drawer_carry_out(drawer, at, waste);
  shm_store_relaxed(&shared->size_bytes, shared->size_bytes - length_bytes); /* relaxed: for people */
}

/* ---- the lock ------------------------------------------------------------------------------------------------------------ */
static void recount(struct shm__drawer *drawer) {
  u64 left = drawer->store->space->size_bytes / sizeof(struct shm_item), at = drawer->table.shared->first, size_bytes = 0;
  for (struct shm_item *item; (item = shm__item(drawer, at)) != NULL && left-- > 0; at = ((struct shm_key *)item)->next) {
    size_bytes += item->length_bytes;
  }
  shm_store_relaxed(&drawer->shared->size_bytes, size_bytes);
}

/* Finish what the last holder was about to do. */
static void repair(struct shm__drawer *drawer) {
  struct shm__waste waste = {.count = 0};
  struct shm__space *space = drawer->store->space;
  if (drawer->table.shared->changes & 1) shm__table_repair(&drawer->table);
  shm__claim_repair(drawer);
  shm__feed_repair(drawer);
  u64 at = shm_load_acquire(&drawer->shared->changing);
  struct shm_block *block = at ? shm__block_header(space, at) : NULL;
  u64 word = block ? shm_load_acquire(&block->word) : 0;
  int linked = shm__block_state(word) == SHM_BLOCK_LINKED && shm__block_who(word) == drawer->store->id;
  if (block && (linked || drawer->shared->change == SHM_CHANGE_REMOVE)) shm__drawer_carry_out(drawer, at, &waste);
  shm_store_release(&drawer->shared->changing, 0);
  recount(drawer);
  shm__waste_free(space, &waste);
}

int shm__drawer_lock(struct shm__drawer *drawer, u64 deadline_ns) {
  int status = shm__lock(drawer->store->space, &drawer->table.shared->put_lock, deadline_ns, drawer->store->id);
  if (__builtin_expect(status != SHM__REPAIR, 1)) return status;
  repair(drawer);
  return SHM_OK;
}

int shm__drawer_lock_to_end(struct shm__drawer *drawer) {
  u64 deadline_ns = shm__monotonic_ns() + PATIENCE_NS;
  int status;
  do {
    status = shm__drawer_lock(drawer, deadline_ns);
  } while (status == SHM_INTERRUPTED);
  return status;
}

void shm__drawer_fit(struct shm__drawer *drawer) {
  struct shm__space *space = drawer->store->space;
  struct shm__ref ref = {0, 0};
  u64 want = shm__table_wants(&drawer->table); /* a look without the lock: a hint */
  if (want == 0 || shm__block_alloc(space, shm__table_bytes(want), SHM__TRY, &ref) != SHM_OK) return; /* slower, then */
  if (shm__drawer_lock(drawer, SHM__TRY) == SHM_OK) {
    if (shm__table_wants(&drawer->table) == want) ref = shm__table_rehash(&drawer->table, ref, want);
    shm__drawer_unlock(drawer);
  }
  shm__block_free(space, ref);
}
