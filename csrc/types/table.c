/* table.c: entries by key. The shard of a key is chosen by its hash; each has chains of its own, which grow while the other
 * shards are in use, and a list of its entries in order of creation.
 *
 * Entries come and go under both locks of the shard; so who has one of them finds and walks entries in peace.
 *
 * Invariants
 *   1. The list from first along next is the truth: what is on it is in the shard. Chains, previous, last and keys are hints
 *      that the heir of a lock rebuilds from it when changes is odd.
 *   2. changes is odd from before the first store of a change until after the last.
 *   3. Entries on the list are LINKED, but for the moment in which one comes or goes.
 *
 * Crash table (died after ...)
 *   appending an entry ("table.appended")       it is there; heir of put_lock links its block and rebuilds the hints
 *   holding one to remove it ("table.held")     it is there; as above
 *   unlinking it ("table.unlinked")             it is gone; heir rebuilds the hints, reap frees the block
 *   using new chains ("table.rehashed")         heir links their block and rebuilds them; reap frees the old ones
 */
#include "table.h"

#include <string.h>

#include "../base/bits.h"
#include "../base/hash.h"
#include "../base/point.h"

enum { FEW = 8, PER_CHAIN = 2, SPARE = 8 };

struct shm__key shm__key_of(const void *bytes, u32 length) {
  return (struct shm__key){bytes, length, shm__fnv1a(bytes, length)};
}

struct shm_key *shm__table_entry(const struct shm__shard *shard, u64 offset) {
  if (offset == 0) return NULL;
  return shm__at(shard->space, offset, shard->key_offset, 16);
}

static u64 most_entries(const struct shm__shard *shard) { return shard->space->size_bytes / sizeof(struct shm_key); }

/* Chains; first NULL: there are none, or they are damaged. */
struct chains {
  u64 *first, mask;
};

/* The mask is read once: who has no lock may find other bytes there a moment later. */
static struct chains chains_of(const struct shm__shard *shard) {
  u64 offset = shm_load_acquire(&shard->shared->buckets);
  const struct shm_buckets *buckets = offset ? shm__at(shard->space, offset, sizeof *buckets, 16) : NULL;
  struct chains chains = {NULL, buckets ? shm_load_stale(&buckets->mask) : 0};
  if (!buckets || (chains.mask & (chains.mask + 1)) || chains.mask > shard->space->size_bytes / sizeof(u64)) return chains;
  if (shm__at(shard->space, offset, shm__table_bytes(chains.mask + 1), 16)) chains.first = (u64 *)(buckets + 1);
  return chains;
}

static u64 *chain_of(struct chains chains, u32 hash) {
  return chains.first + (((u64)hash * 0x9e3779b97f4a7c15ull >> 32) & chains.mask); /* the shard used the low bits */
}

static int is_key(const struct shm__shard *shard, u64 offset, const struct shm_key *entry, const struct shm__key *key) {
  if (shm_load_stale32(&entry->hash) != key->hash || shm_load_stale32(&entry->length) != key->length) return 0;
  const u8 *bytes = shm__at(shard->space, offset, (u64)shard->key_offset + key->length, 16);
  return bytes && shm_compare_racing(bytes + shard->key_offset, key->bytes, key->length) == 0;
}

u64 shm__table_find(const struct shm__shard *shard, const struct shm__key *key) {
  struct chains chains = chains_of(shard);
  const u64 *first = chains.first ? chain_of(chains, key->hash) : &shard->shared->first;
  u64 left = most_entries(shard), at = shm_load_stale_acquire(first);
  for (struct shm_key *entry; (entry = shm__table_entry(shard, at)) != NULL && left-- > 0;) {
    if (is_key(shard, at, entry, key)) return at;
    at = shm_load_stale_acquire(chains.first ? &entry->chain : &entry->next);
  }
  return 0;
}

u64 shm__table_find_listed(const struct shm__shard *shard, const struct shm__key *key) {
  u64 left = most_entries(shard), at = shm_load_acquire(&shard->shared->first);
  for (struct shm_key *entry; (entry = shm__table_entry(shard, at)) != NULL && left-- > 0;
       at = shm_load_stale_acquire(&entry->next)) {
    if (is_key(shard, at, entry, key)) return at;
  }
  return 0;
}

/* ---- changing ------------------------------------------------------------------------------------------------------------ */
void shm__table_begin(struct shm__shard *shard) {
  shm_store_relaxed(&shard->shared->changes, shard->shared->changes | 1);
  shm_fence_full(); /* SYNC table.changes: before what changes; readers look at it again behind their copy */
}

void shm__table_end(struct shm__shard *shard) { shm_store_release(&shard->shared->changes, (shard->shared->changes | 1) + 1); }

static void chain_in(struct chains chains, struct shm_key *entry, u64 offset) {
  u64 *chain = chain_of(chains, entry->hash);
  entry->chain = *chain;
  shm_store_release(chain, offset);
}

static void chain_out(struct shm__shard *shard, struct chains chains, struct shm_key *entry, u64 offset) {
  u64 *link = chain_of(chains, entry->hash), left = most_entries(shard);
  while (*link != offset && left-- > 0) {
    struct shm_key *before = shm__table_entry(shard, *link);
    if (!before) return;
    link = &before->chain;
  }
  if (*link == offset) shm_store_release(link, entry->chain);
}

void shm__table_insert(struct shm__shard *shard, struct shm__ref ref) {
  struct shm_shard *shared = shard->shared;
  struct shm_key *entry = (struct shm_key *)(shard->space->base + ref.offset);
  struct shm_key *last = shared->first ? shm__table_entry(shard, shared->last) : NULL;
  struct chains chains = chains_of(shard);
  entry->next = 0;
  entry->previous = last ? shared->last : 0;
  shm__table_begin(shard);
  shm_store_release(last ? &last->next : &shared->first, ref.offset); /* SYNC table.list: publishes it */
  SHM_POINT("table.appended");
  shm__block_link(shard->space, ref, shard->id);
  shared->last = ref.offset;
  if (chains.first) chain_in(chains, entry, ref.offset);
  shm_store_relaxed(&shared->keys, shared->keys + 1); /* relaxed: a hint for who has no lock */
  shm__table_end(shard);
}

int shm__table_remove(struct shm__shard *shard, struct shm__ref ref) {
  struct shm_shard *shared = shard->shared;
  struct shm_key *entry = shm__table_entry(shard, ref.offset);
  struct chains chains = chains_of(shard);
  if (!entry) return 0;
  shm__table_begin(shard); /* first: from now on the heir of a lock links its block again */
  if (!shm__block_hold(shard->space, ref, shard->id)) {
    shm__table_end(shard);
    return 0;
  }
  SHM_POINT("table.held");
  struct shm_key *before = entry->previous ? shm__table_entry(shard, entry->previous) : NULL;
  struct shm_key *after = entry->next ? shm__table_entry(shard, entry->next) : NULL;
  if (chains.first) chain_out(shard, chains, entry, ref.offset);
  shm_store_release(before ? &before->next : &shared->first, entry->next);
  SHM_POINT("table.unlinked");
  if (after) after->previous = entry->previous;
  else shared->last = entry->previous;
  shm_store_relaxed(&shared->keys, shared->keys - 1);
  shm__table_end(shard);
  return 1;
}

/* ---- chains -------------------------------------------------------------------------------------------------------------- */
u64 shm__table_wants(const struct shm__shard *shard) {
  struct chains chains = chains_of(shard);
  u64 have = chains.first ? chains.mask + 1 : 0, keys = shm_load_relaxed(&shard->shared->keys);
  if (keys <= FEW && have == 0) return 0;
  u64 want = shm_power_of_two(shm_max(keys, FEW));
  return want > have * PER_CHAIN || want * SPARE < have ? want : 0;
}

/* Empty chains and hang every entry of the list into one; its hints are made anew on the way. */
static void fill(struct shm__shard *shard, struct chains chains) {
  struct shm_shard *shared = shard->shared;
  u64 left = most_entries(shard), before = 0;
  u32 keys = 0;
  if (chains.first) memset(chains.first, 0, (chains.mask + 1) * sizeof(u64));
  u64 at = shared->first;
  for (struct shm_key *entry; (entry = shm__table_entry(shard, at)) != NULL && left-- > 0; at = entry->next) {
    entry->previous = before;
    if (chains.first) chain_in(chains, entry, at);
    before = at;
    keys++;
  }
  shared->last = before;
  shm_store_relaxed(&shared->keys, keys);
}

struct shm__ref shm__table_rehash(struct shm__shard *shard, struct shm__ref ref, u64 count) {
  struct shm_shard *shared = shard->shared;
  struct shm_buckets *made = (struct shm_buckets *)(shard->space->base + ref.offset);
  struct shm__ref old = {0, 0};
  made->mask = count - 1;
  shm__table_begin(shard);
  if (shared->buckets) {
    old = shm__block_ref(shard->space, shared->buckets);
    if (!shm__block_hold(shard->space, old, shard->id)) old.offset = 0;
  }
  fill(shard, (struct chains){(u64 *)(made + 1), made->mask});
  shm_store_release(&shared->buckets, ref.offset); /* SYNC table.chains */
  SHM_POINT("table.rehashed");
  shm__block_link(shard->space, ref, shard->id);
  shm__table_end(shard);
  return old;
}

void shm__table_repair(struct shm__shard *shard) {
  struct shm_shard *shared = shard->shared;
  u64 left = most_entries(shard), at = shared->first;
  shm__table_begin(shard);
  if (shared->buckets) shm__block_relink(shard->space, shm__block_ref(shard->space, shared->buckets), shard->id);
  for (struct shm_key *entry; (entry = shm__table_entry(shard, at)) != NULL && left-- > 0; at = entry->next) {
    shm__block_relink(shard->space, shm__block_ref(shard->space, at), shard->id);
  }
  fill(shard, chains_of(shard));
  shm__table_end(shard);
}

void shm__table_teardown(struct shm__shard *shard, void (*release)(struct shm__shard *shard, u64 entry)) {
  u64 left = most_entries(shard), at = shard->shared->first, next;
  for (struct shm_key *entry; (entry = shm__table_entry(shard, at)) != NULL && left-- > 0; at = next) {
    next = entry->next;
    release(shard, at);
    struct shm__ref ref = shm__block_ref(shard->space, at);
    int ours = shm__block_hold(shard->space, ref, shard->id); /* else a dead one's, who came so far */
    shm_store_release(&shard->shared->first, next);
    if (ours) shm__block_free(shard->space, ref);
  }
  if (shard->shared->buckets) shm__block_drop(shard->space, shm__block_ref(shard->space, shard->shared->buckets), shard->id);
}
