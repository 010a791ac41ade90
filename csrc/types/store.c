/* store.c: values by key. What holds of a shard, and how a change survives a death, stands in store_shard.c; events in
 * store_feed.c, locks of keys in store_claim.c.
 *
 * Who reads one key takes no lock: he finds the item as the table has it and copies it, and looks again whether it was the
 * store's all the while. That a key is missing counts if the table did not change meanwhile; where somebody is stopped (or
 * dead) in the middle of a change of it, its list is asked, which is never half changed.
 *
 * Who changes one key prepares memory without a lock, takes the shard's lock, and looks; if the key needs memory of another
 * kind than what is there, he gives up the lock, gets it and comes again. If the key is locked by somebody else he gives up
 * the lock, too, and sleeps: nobody who waits for a key has a lock of a shard. So no two wait for each other.
 *
 *   Lock order: shards by rising number, then those of core.
 *
 * Crash table (died after ...); what follows is in store_shard.c
 *   telling what a key gets ("store.told")          nothing has happened; reap frees the blocks
 *   committing it ("store.committed")               heir of the shard's lock carries it out; an INSERT has not happened
 *   putting a new item into the table ("store.inserted")  heir carries out the rest
 */
#include "store.h"

#include <string.h>

#include "../base/msgint.h"
#include "../base/point.h"
#include "../os/clock.h"
#include "store_claim.h"
#include "store_feed.h"

enum { ROUNDS = 100000, ODD_ROUNDS = 200, DEAD_ROUNDS = 2000 };
enum { NEEDS = 3 }; /* status of an attempt: memory is needed first */

/* ---- reading one key ----------------------------------------------------------------------------------------------------- */
/* What the shard tells of an item that is being changed. */
static void told_facts(const struct shm_store_shard *shared, shm_item_facts *facts, struct shm__ref *block) {
  *facts = (shm_item_facts){shm_load_stale(&shared->version), shm_load_stale(&shared->length_bytes),
                            (int64_t)shm_load_stale(&shared->created), (int64_t)shm_load_stale(&shared->updated),
                            shm_load_stale(&shared->expires_ns), shm_load_stale32(&shared->codec), 0};
  *block = (struct shm__ref){shm_load_stale(&shared->block), shm_load_stale32(&shared->block_gen)};
}

static void item_facts(const struct shm_item *item, shm_item_facts *facts, struct shm__ref *block) {
  *facts = (shm_item_facts){shm_load_stale(&item->version), shm_load_stale(&item->length_bytes),
                            (int64_t)shm_load_stale(&item->created), (int64_t)shm_load_stale(&item->updated),
                            shm_load_stale(&item->expires_ns), shm_load_stale32(&item->codec), 0};
  *block = (struct shm__ref){shm_load_stale(&item->block), shm_load_stale32(&item->block_gen)};
}

/* Is the item, which is not the store's, new (SHM_CHANGE_INSERT) or going (SHM_CHANGE_REMOVE)? Either is so already. 0: no. */
static u32 is_changing(const struct shm_store_shard *shared, u64 at) {
  if (shm_load_acquire(&shared->changing) != at) return 0; /* SYNC store.changing */
  u32 change = shm_load_stale32(&shared->change);
  shm_fence_acquire();
  return shm_load_relaxed(&shared->changing) == at ? change : 0;
}

/* One copy of the item found at this place. SHM_BUSY: it changed, or went. */
static int copy_item(struct shm__drawer *drawer, u64 at, const struct shm__key *key, void *value, u64 room_bytes,
                     shm_item_facts *facts) {
  struct shm__space *space = drawer->store->space;
  struct shm_block *block = shm__block_header(space, at);
  u64 inline_at = shm__item_value(key->length, key->hash), owner = block ? shm_load_acquire(&block->word) : 0;
  if (shm__block_state(owner) != SHM_BLOCK_LINKED || shm__block_who(owner) != drawer->store->id) {
    u32 change = shm__block_state(owner) == SHM_BLOCK_HELD ? is_changing(drawer->shared, at) : 0;
    if (change == SHM_CHANGE_REMOVE) return SHM_NOT_FOUND;
    if (change != SHM_CHANGE_INSERT) return SHM_BUSY;
  }
  const struct shm_item *item = shm__at(space, at, inline_at, 16);
  if (!item || shm_load_stale32(&((const struct shm_key *)item)->length) != key->length) return SHM_BUSY;
  if (shm_compare_racing(item + 1, key->bytes, key->length) != 0) return SHM_BUSY;
  struct shm__ref ref;
  u64 word = shm_load_stale_acquire(&item->word); /* SYNC item.word */
  if (word & 1) told_facts(drawer->shared, facts, &ref);
  else item_facts(item, facts, &ref);
  const u8 *from = word & 1 ? drawer->shared->data : (const u8 *)item + inline_at;
  int status = facts->length_bytes > room_bytes ? SHM_SHORT : SHM_OK;
  if (ref.offset) from = shm__block_payload(space, ref, facts->length_bytes);
  else if (facts->length_bytes > SHM_ITEM_INLINE || !shm__at(space, at, inline_at + (word & 1 ? 0 : facts->length_bytes), 16)) {
    from = NULL;
  }
  if (from && status == SHM_OK) shm_copy_racing(value, from, facts->length_bytes);
  shm_fence_acquire(); /* SYNC item.word: the copy is made before the words are looked at again */
  if (shm_load_stale(&item->word) != word || shm_load_relaxed(&block->word) != owner) return SHM_BUSY;
  return from ? status : SHM_CORRUPTED;
}

int shm__store_get(struct shm__store *store, const struct shm__key *key, void *value, u64 room_bytes, shm_item_facts *facts) {
  struct shm__drawer drawer = shm__drawer(store, shm__drawer_of(store, key));
  for (u32 round = 0; round < ROUNDS; round++) {
    u64 changes;
    int steady = shm__table_steady(&drawer.table, &changes), slow = !steady && round > ODD_ROUNDS;
    u64 at = slow ? shm__table_find_listed(&drawer.table, key) : shm__table_find(&drawer.table, key);
    int status = at ? copy_item(&drawer, at, key, value, room_bytes, facts) : SHM_NOT_FOUND;
    if (at && status != SHM_BUSY) {
      return shm__is_expired(facts->expires_ns, facts->expires_ns ? shm__space_clock(store->space) : 0) ? SHM_NOT_FOUND : status;
    }
    if (!at && (steady || slow) && shm__table_unchanged(&drawer.table, changes)) return SHM_NOT_FOUND;
    /* It comes or goes, and nobody goes on: whoever gets the lock of a dead one finishes that. */
    if (round == DEAD_ROUNDS && !store->space->readonly && shm__drawer_lock_to_end(&drawer) == SHM_OK) shm__drawer_unlock(&drawer);
    shm_pause();
  }
  return SHM_BUSY;
}

/* ---- what a change needs, and waiting for keys that are locked ----------------------------------------------------------- */
struct supplies {
  struct shm__ref item, block, event;
  int needs_item, needs_block;
};

static void return_supplies(struct shm__store *store, struct supplies *supplies) {
  shm__block_free(store->space, supplies->item);
  shm__block_free(store->space, supplies->block);
  shm__block_free(store->space, supplies->event);
}

/* Memory; if there is none, that of events. */
static int alloc(struct shm__store *store, u64 size_bytes, u64 deadline_ns, struct shm__ref *ref) {
  int status = shm__block_alloc(store->space, size_bytes, deadline_ns, ref);
  if (status != SHM_SPACE_FULL) return status;
  for (u32 n = 0; n < store->shard_count; n++) {
    struct shm__drawer drawer = shm__drawer(store, n);
    if (!shm__feed_is_there(&drawer) || shm__drawer_lock_to_end(&drawer) != SHM_OK) continue;
    shm__feed_forget(&drawer);
    shm__drawer_unlock(&drawer);
  }
  return shm__block_alloc(store->space, size_bytes, deadline_ns, ref);
}

/* The shard's lock, once nobody else has the key's. */
static int lock_to_change(struct shm__drawer *drawer, const struct shm__key *key, u64 holder, u64 deadline_ns) {
  struct shm__store *store = drawer->store;
  u32 value = 0;
  for (int announced = 0;; announced = 1) {
    int status = shm__drawer_lock(drawer, deadline_ns);
    if (status == SHM_TIMEOUT && announced) status = SHM_LOCKED; /* the key was, when we looked last */
    if (status != SHM_OK) return status;
    if (shm__store_closed(store)) status = SHM_CLOSED;
    u32 owner = status == SHM_OK && drawer->shared->claims ? shm__claim_blocks(drawer, key, NULL, holder) : 0;
    if (status == SHM_OK && !owner) return SHM_OK;
    shm__drawer_unlock(drawer);
    if (status == SHM_OK && announced) status = shm__claim_wait(store, owner, value, deadline_ns);
    if (status != SHM_OK) return status;
    value = shm__event_announce(store->locks); /* SYNC wake: then it is looked at again */
  }
}

/* ---- changing one key ---------------------------------------------------------------------------------------------------- */
/* The live item of a key; one that has expired is removed. */
static u64 find_live(struct shm__drawer *drawer, const struct shm__key *key, u64 now_ns, struct shm__waste *waste) {
  u64 at = shm__table_find(&drawer->table, key);
  const struct shm_item *item = at ? shm__item(drawer, at) : NULL;
  if (!item || !shm__is_expired(item->expires_ns, now_ns)) return item ? at : 0;
  shm__drawer_remove(drawer, at, shm__feed_wants(drawer->store, 0, key), waste);
  return 0;
}

/* The sum that an addition makes, encoded. */
static int add(struct shm__drawer *drawer, u64 at, struct shm__change *change, shm_piece *piece, u8 *encoded) {
  const struct shm_item *item = at ? shm__item(drawer, at) : NULL;
  const u8 *bytes = item ? shm__item_bytes(drawer, at, item) : NULL;
  int64_t before = 0;
  if (item && (item->codec != SHM__MSGPACK || !bytes || !shm__msgint_read(bytes, item->length_bytes, &before))) return SHM_INVALID;
  if (__builtin_add_overflow(before, change->by, &change->sum)) return SHM_INVALID;
  *piece = (shm_piece){encoded, shm__msgint_write(change->sum, encoded), SHM__MSGPACK};
  return SHM_OK;
}

/* Get, without the lock, what this change needs as far as is known. */
static int get_supplies(struct shm__drawer *drawer, const struct shm__change *change, const shm_piece *piece, int tells,
                        u64 deadline_ns, struct supplies *supplies) {
  struct shm__store *store = drawer->store;
  const struct shm__key *key = change->key;
  int status = SHM_OK;
  u64 inline_bytes = piece->length_bytes <= SHM_ITEM_INLINE ? piece->length_bytes : 0;
  if (supplies->needs_item && !supplies->item.offset) {
    /* an integer may become longer */
    status = alloc(store, shm__item_value(key->length, key->hash) + shm_max(inline_bytes, SHM__MSGINT_BYTES), deadline_ns,
                   &supplies->item);
  }
  if (status == SHM_OK && supplies->needs_block && !supplies->block.offset) {
    status = alloc(store, piece->length_bytes, deadline_ns, &supplies->block);
    if (status == SHM_OK && change->value) memcpy(store->space->base + supplies->block.offset, piece->data, piece->length_bytes);
  }
  if (status == SHM_OK && tells && !supplies->event.offset && !shm__feed_fits(key->length, piece->length_bytes)) {
    /* without memory the event is lost, not the change */
    if (shm__block_alloc(store->space, key->length + piece->length_bytes, deadline_ns, &supplies->event) == SHM_OK) {
      u8 *bytes = store->space->base + supplies->event.offset;
      memcpy(bytes, key->bytes, key->length);
      memcpy(bytes + key->length, piece->data, piece->length_bytes);
    }
  }
  return status;
}

/* Does the value fit into the item's own bytes? */
static int fits(const struct shm__drawer *drawer, u64 at, const struct shm__key *key, u64 length_bytes) {
  u64 need = shm__item_value(key->length, key->hash) + length_bytes;
  return length_bytes <= SHM_ITEM_INLINE &&
         shm__block_payload(drawer->store->space, shm__block_ref(drawer->store->space, at), need);
}

/* Tell the shard what the item gets. */
static void tell(struct shm__drawer *drawer, const struct shm_item *item, const struct shm__change *change, const shm_piece *piece,
                 int tells, u64 now_ns, struct supplies *supplies) {
  struct shm_store_shard *shared = drawer->shared;
  const shm_write *how = &change->how;
  int keeps = item && how->flags & SHM_WRITE_KEEP_TTL;
  shared->change = item ? SHM_CHANGE_SET : SHM_CHANGE_INSERT;
  shared->tells = tells != 0;
  shared->number = shared->tail;
  shared->stamp = shared->version = shm__drawer_stamp(drawer);
  shared->created = how->flags & SHM_WRITE_CREATED ? (u64)how->created : item ? item->created : shared->stamp;
  shared->updated = how->flags & SHM_WRITE_UPDATED ? (u64)how->updated : item ? shared->stamp : 0;
  shared->expires_ns = keeps ? item->expires_ns : how->ttl_ns ? now_ns + how->ttl_ns : 0;
  shared->length_bytes = piece->length_bytes;
  shared->codec = piece->codec;
  shared->block = supplies->block.offset;
  shared->block_gen = supplies->block.gen;
  shared->old_block = item ? item->block : 0;
  shared->old_gen = item ? item->block_gen : 0;
  shared->event_block = tells ? supplies->event.offset : 0;
  shared->event_gen = supplies->event.gen;
  if (!supplies->block.offset) memcpy(shared->data, piece->data, piece->length_bytes);
  shm__expires(drawer, shared->expires_ns); /* before it is so: who looks too early finds nothing */
  SHM_POINT("store.told");
}

/* The new item, as the shard tells it. */
static void make_item(struct shm__drawer *drawer, const struct shm__key *key, const shm_piece *piece, struct shm__ref ref) {
  const struct shm_store_shard *shared = drawer->shared;
  struct shm_item *item = (struct shm_item *)(drawer->store->space->base + ref.offset);
  struct shm_key *entry = (struct shm_key *)item;
  u64 value = shm__item_value(key->length, key->hash);
  memset(item, 0, sizeof *item);
  entry->hash = key->hash;
  entry->length = key->length;
  memcpy(item + 1, key->bytes, key->length);
  memset((u8 *)(item + 1) + key->length, 0, value - sizeof *item - key->length);
  item->version = item->inserted = shared->stamp;
  item->created = shared->created;
  item->updated = shared->updated;
  item->expires_ns = shared->expires_ns;
  item->length_bytes = piece->length_bytes;
  item->block = shared->block;
  item->block_gen = shared->block_gen;
  item->codec = shared->codec;
  if (piece->length_bytes <= SHM_ITEM_INLINE) memcpy((u8 *)item + value, piece->data, piece->length_bytes);
}

/* With the lock, and everything there: do it. */
static void apply(struct shm__drawer *drawer, u64 at, const struct shm__change *change, const shm_piece *piece, int tells,
                  u64 now_ns, struct supplies *supplies, struct shm__waste *waste) {
  struct shm_store_shard *shared = drawer->shared;
  struct shm_item *item = at ? shm__item(drawer, at) : NULL;
  u64 before_bytes = item ? item->length_bytes : 0;
  if (supplies->block.offset && !supplies->needs_block) { /* it had no room when we got this, and has now */
    shm__waste_add(waste, supplies->block);
    supplies->block.offset = 0;
  }
  u8 *base = drawer->store->space->base;
  if (!change->value && supplies->block.offset) memcpy(base + supplies->block.offset, piece->data, piece->length_bytes); /* a sum */
  if (!change->value && supplies->event.offset) {
    memcpy(base + supplies->event.offset + change->key->length, piece->data, piece->length_bytes);
  }
  tell(drawer, item, change, piece, tells, now_ns, supplies);
  if (!at) make_item(drawer, change->key, piece, supplies->item);
  shm_store_release(&shared->changing, at ? at : supplies->item.offset); /* SYNC store.changing */
  SHM_POINT("store.committed");
  if (!at) {
    at = supplies->item.offset;
    shm__table_insert(&drawer->table, supplies->item);
    SHM_POINT("store.inserted");
    supplies->item.offset = 0;
  }
  supplies->block.offset = 0;
  if (tells) supplies->event.offset = 0;
  struct shm__ref block;
  told_facts(shared, change->facts, &block);
  shm__drawer_carry_out(drawer, at, waste);
  shm_store_relaxed(&shared->size_bytes, shared->size_bytes + piece->length_bytes - before_bytes); /* relaxed: for people */
}

/* One attempt. */
static int attempt(struct shm__drawer *drawer, struct shm__change *change, int tells, struct supplies *supplies, shm_piece *piece,
                   u8 *encoded, struct shm__waste *waste) {
  u64 now_ns = change->how.ttl_ns || drawer->shared->soonest_ns ? shm__space_clock(drawer->store->space) : 0;
  u64 at = find_live(drawer, change->key, now_ns, waste);
  int status = SHM_OK;
  if (at) shm__item_facts(shm__item(drawer, at), change->facts);
  else *change->facts = (shm_item_facts){0};
  if (change->how.flags & SHM_WRITE_IF && change->facts->version != change->how.if_version) return SHM_MISMATCH;
  if (!change->value) status = add(drawer, at, change, piece, encoded);
  if (status != SHM_OK) return status;
  supplies->needs_item = !at;
  supplies->needs_block = at ? !fits(drawer, at, change->key, piece->length_bytes) : piece->length_bytes > SHM_ITEM_INLINE;
  if ((!at && !supplies->item.offset) || (supplies->needs_block && !supplies->block.offset)) return NEEDS;
  apply(drawer, at, change, piece, tells, now_ns, supplies, waste);
  return SHM_OK;
}

int shm__store_change(struct shm__store *store, struct shm__change *change, u64 deadline_ns) {
  enum { ENCODED_BYTES = SHM__MSGINT_BYTES };
  struct shm__drawer drawer = shm__drawer(store, shm__drawer_of(store, change->key));
  struct shm__waste waste;
  struct supplies supplies = {.needs_block = change->value && change->value->length_bytes > SHM_ITEM_INLINE};
  u8 encoded[ENCODED_BYTES];
  shm_piece piece = change->value ? *change->value : (shm_piece){encoded, ENCODED_BYTES, SHM__MSGPACK};
  int tells = shm__feed_wants(store, change->how.flags, change->key), status;
  waste.count = 0;
  int needs = supplies.needs_block || (tells && !shm__feed_fits(change->key->length, piece.length_bytes));
  status = tells || shm_load_relaxed(&drawer.shared->soonest_ns) ? shm__feed_make(&drawer, deadline_ns) : SHM_OK;
  if (status != SHM_OK) return status;
  for (;;) {
    status = needs ? get_supplies(&drawer, change, &piece, tells, deadline_ns, &supplies) : SHM_OK;
    if (status == SHM_OK) status = lock_to_change(&drawer, change->key, change->how.holder, deadline_ns);
    if (status != SHM_OK) break;
    status = attempt(&drawer, change, tells, &supplies, &piece, encoded, &waste);
    shm__drawer_unlock(&drawer); /* SYNC wake */
    if (status != NEEDS) break;
    shm__waste_free(store->space, &waste);
    needs = 1;
  }
  shm__event_notify(store->space, store->watch, UINT32_MAX); /* also of a refused one: a key may have been found expired */
  shm__waste_free(store->space, &waste);
  if (supplies.item.offset || supplies.block.offset || supplies.event.offset) return_supplies(store, &supplies);
  if (status == SHM_OK && supplies.needs_item) shm__drawer_fit(&drawer);
  return status;
}

int shm__store_remove(struct shm__store *store, struct shm__change *change, u64 deadline_ns) {
  struct shm__drawer drawer = shm__drawer(store, shm__drawer_of(store, change->key));
  struct shm__waste waste = {.count = 0};
  int tells = shm__feed_wants(store, change->how.flags, change->key);
  int status = tells || shm_load_relaxed(&drawer.shared->soonest_ns) ? shm__feed_make(&drawer, deadline_ns) : SHM_OK;
  if (status == SHM_OK) status = lock_to_change(&drawer, change->key, change->how.holder, deadline_ns);
  if (status != SHM_OK) return status;
  u64 at = find_live(&drawer, change->key, drawer.shared->soonest_ns ? shm__space_clock(store->space) : 0, &waste);
  if (at) shm__item_facts(shm__item(&drawer, at), change->facts);
  else *change->facts = (shm_item_facts){0};
  if (change->how.flags & SHM_WRITE_IF && change->facts->version != change->how.if_version) status = SHM_MISMATCH;
  else if (!at) status = SHM_NOT_FOUND;
  if (status == SHM_OK) shm__drawer_remove(&drawer, at, tells, &waste);
  shm__drawer_unlock(&drawer); /* SYNC wake */
  shm__event_notify(store->space, store->watch, UINT32_MAX);
  shm__waste_free(store->space, &waste);
  if (status == SHM_OK) shm__drawer_fit(&drawer);
  return status;
}

/* ---- locks of keys ------------------------------------------------------------------------------------------------------- */
int shm__store_lock_key(struct shm__store *store, const struct shm__key *key, u64 holder, u64 deadline_ns, int *died) {
  struct shm__drawer drawer = shm__drawer(store, shm__drawer_of(store, key));
  struct shm__ref ref;
  int status = shm__claim_alloc(store, SHM_CLAIM_LOCK, key, deadline_ns, &ref), mine = 0;
  if (status != SHM_OK) return status;
  status = lock_to_change(&drawer, key, holder, deadline_ns);
  if (status == SHM_OK) {
    u64 at;
    struct shm_claim *claim = shm__claim_find(&drawer, key, &at);
    mine = claim && claim->owner != 0; /* else somebody else's had been waited for */
    *died = claim && claim->died;
    if (claim && !mine) {
      shm__claim_take(&drawer, claim, holder);
    } else if (!mine) {
      shm__claim_add(&drawer, ref, holder);
      ref.offset = 0;
    }
    shm__drawer_unlock(&drawer);
  }
  shm__block_free(store->space, ref);
  return mine ? SHM_INVALID : status;
}

int shm__store_unlock_key(struct shm__store *store, const struct shm__key *key, u64 holder) {
  struct shm__drawer drawer = shm__drawer(store, shm__drawer_of(store, key));
  struct shm__ref ref = {0, 0};
  int status = shm__drawer_lock_to_end(&drawer);
  if (status != SHM_OK) return status; /* a stopped process has the shard: the lock stays ours until we end */
  u64 at;
  struct shm_claim *claim = shm__claim_find(&drawer, key, &at);
  if (claim && claim->owner == store->space->token && claim->holder == holder) ref = shm__claim_remove(&drawer, at);
  shm__drawer_unlock(&drawer); /* SYNC wake */
  shm__event_notify(store->space, store->locks, UINT32_MAX);
  shm__block_free(store->space, ref);
  return ref.offset ? SHM_OK : SHM_NOT_FOUND;
}

u32 shm__store_holder(struct shm__store *store, const struct shm__key *key, u64 *since_ns) {
  struct shm__drawer drawer = shm__drawer(store, shm__drawer_of(store, key));
  u64 at;
  if (shm__drawer_lock_to_end(&drawer) != SHM_OK) return 0;
  const struct shm_claim *claim = shm__claim_find(&drawer, key, &at);
  u32 owner = claim ? claim->owner : 0;
  *since_ns = claim ? claim->since_ns : 0;
  shm__drawer_unlock(&drawer);
  return owner;
}
