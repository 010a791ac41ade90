/* store_list.c: what looks at many keys of a store: listing, removing all that match, and giving up what has expired.
 *
 * Listing walks the byte order of each shard in slices, without a lock: a slice counts if the shard's table did not change
 * meanwhile; where it always does, the next try takes the shard's lock, for a slice. So each key is seen as it was at one
 * moment, writers wait for a slice at most, and none is seen twice: a slice begins behind the last key of the one before.
 *
 * Removing all that match takes the locks of all shards, by rising number; so it happens at once against single keys, though
 * each key goes by itself: who dies in the middle has removed some. Where one of the keys is locked it gives up all locks and
 * waits.
 */
#include <stdlib.h>
#include <string.h>

#include "../base/glob.h"
#include "../os/clock.h"
#include "../os/wait.h"
#include "store_claim.h"
#include "store_feed.h"

enum { SLICE = 64, TRIES = 3, NAP_NS = 25000000, KEY_MOST = 1024, SWEEP_PAUSE = 20, PATIENCE_NS = 1000000000 };

int shm__keys_add(struct shm__keys *keys, const u8 *key, u32 length) {
  u64 need_bytes = keys->used_bytes + sizeof length + length;
  if (need_bytes > keys->room_bytes) {
    u64 room_bytes = need_bytes * 2 + 4096;
    u8 *grown = realloc(keys->bytes, room_bytes);
    if (!grown) return shm__fail(SHM_SPACE_FULL, "no memory for a list of keys");
    keys->bytes = grown;
    keys->room_bytes = room_bytes;
  }
  memcpy(keys->bytes + keys->used_bytes, &length, sizeof length);
  shm_copy_racing(keys->bytes + keys->used_bytes + sizeof length, key, length);
  keys->used_bytes = need_bytes;
  keys->count++;
  return SHM_OK;
}

/* ---- walking ------------------------------------------------------------------------------------------------------------- */
/* Where the walk of a shard is. */
struct walk {
  struct shm__drawer drawer;
  const struct shm__glob *glob;
  u8 last[KEY_MOST];
  u32 last_length, prefix_length;
  int begun, over;
};

/* A key that was found; its bytes are in a struct shm__keys, at this offset. */
struct found {
  u64 at, inserted;
  int64_t created;
};

struct finds {
  struct shm__keys keys;
  struct found *found;
  u64 count, room;
  u64 now_ns;
  const struct shm__listing *listing;
};

static void walk_begin(struct walk *walk, struct shm__store *store, u32 n, const struct shm__glob *glob) {
  walk->drawer = shm__drawer(store, n);
  walk->glob = glob;
  walk->begun = walk->over = 0;
  walk->last_length = walk->prefix_length = 0;
  if (!glob->bytes) return;
  walk->prefix_length = walk->last_length = (u32)shm_min(shm__glob_prefix(glob->bytes, glob->length), KEY_MOST);
  memcpy(walk->last, glob->bytes, walk->prefix_length);
}

static u64 walk_seek(struct walk *walk) {
  struct shm__order order = shm__drawer_order(&walk->drawer);
  struct shm__key key = {walk->last, walk->last_length, 0};
  return shm__order_seek(&order, &key, walk->begun);
}

static u64 walk_next(struct walk *walk, u64 at) {
  struct shm__order order = shm__drawer_order(&walk->drawer);
  return shm__order_next(&order, at, 0);
}

/* Its key, if it can still match; NULL: the walk is over. */
static const u8 *walk_key(struct walk *walk, u64 at, u32 *length) {
  const struct shm_key *entry = shm__table_entry(&walk->drawer.table, at);
  *length = entry ? shm_load_stale32(&entry->length) : 0;
  if (!entry || *length > KEY_MOST || *length < walk->prefix_length) return NULL;
  if (!shm__at(walk->drawer.store->space, at, sizeof(struct shm_item) + *length, 16)) return NULL;
  const u8 *key = (const u8 *)entry + sizeof(struct shm_item);
  return walk->prefix_length && shm_compare_racing(key, walk->glob->bytes, walk->prefix_length) != 0 ? NULL : key;
}

/* Does this key stand behind the one before? In a damaged order it may not, and who followed it would not come to an end. */
static int rises(const u8 *key, u32 length, const u8 *before, u32 before_length) {
  int difference = shm_compare_racing(key, before, shm_min(length, before_length));
  return difference ? difference > 0 : length > before_length;
}

static int matches(const struct shm__glob *glob, const u8 *key, u32 length) {
  return !glob->bytes || shm__glob_match(glob->bytes, glob->length, key, length);
}

static int find_one(struct finds *finds, const struct shm_item *item, const u8 *key, u32 length) {
  int64_t created = (int64_t)shm_load_stale(&item->created);
  if (shm__is_expired(shm_load_stale(&item->expires_ns), finds->now_ns)) return SHM_OK;
  if (created < finds->listing->since || created > finds->listing->until) return SHM_OK;
  if (finds->count == finds->room) {
    u64 room = finds->room ? finds->room * 2 : 256;
    struct found *grown = realloc(finds->found, room * sizeof *grown);
    if (!grown) return shm__fail(SHM_SPACE_FULL, "no memory for a list of keys");
    finds->found = grown;
    finds->room = room;
  }
  finds->found[finds->count] = (struct found){finds->keys.used_bytes, shm_load_stale(&item->inserted), created};
  int status = shm__keys_add(&finds->keys, key, length);
  finds->count += status == SHM_OK;
  return status;
}

/* One slice. *last: the key that it came to. */
static int slice(struct walk *walk, struct finds *finds, u8 *last, u32 *last_length) {
  u64 at = walk_seek(walk);
  for (u32 i = 0; i < SLICE; i++, at = walk_next(walk, at)) {
    u32 length;
    const u8 *key = at ? walk_key(walk, at, &length) : NULL;
    if (!key || (i && !rises(key, length, last, *last_length)) ||
        (walk->begun && !rises(key, length, walk->last, walk->last_length))) {
      walk->over = 1;
      return SHM_OK;
    }
    shm_copy_racing(last, key, length);
    *last_length = length;
    if (!matches(walk->glob, last, length)) continue;
    int status = find_one(finds, (const struct shm_item *)(key - sizeof(struct shm_item)), last, length);
    if (status != SHM_OK) return status;
  }
  return SHM_OK;
}

/* The next slice, that counts. */
static int walk_slice(struct walk *walk, struct finds *finds, u64 deadline_ns) {
  u8 last[KEY_MOST];
  u32 last_length = 0;
  u64 count = finds->count, used_bytes = finds->keys.used_bytes, keys = finds->keys.count, changes;
  for (u32 round = 0;; round++) {
    int locked = round >= TRIES && !walk->drawer.store->space->readonly, steady = 0;
    int status = locked ? shm__drawer_lock(&walk->drawer, deadline_ns) : SHM_OK;
    if (status != SHM_OK) return status;
    if (!locked) steady = shm__table_steady(&walk->drawer.table, &changes);
    walk->over = 0;
    if (locked || steady) status = slice(walk, finds, last, &last_length);
    if (locked) shm__drawer_unlock(&walk->drawer);
    if (locked || (steady && shm__table_unchanged(&walk->drawer.table, changes))) {
      memcpy(walk->last, last, last_length);
      walk->last_length = last_length;
      walk->begun = 1;
      return status;
    }
    finds->count = count;
    finds->keys.used_bytes = used_bytes;
    finds->keys.count = keys;
    if (shm__monotonic_ns() >= deadline_ns) return SHM_BUSY;
    shm_pause();
  }
}

/* ---- listing ------------------------------------------------------------------------------------------------------------- */
static __thread const u8 *sorted_bytes; /* qsort has no context: the bytes that offsets are of */

static int by_key(const void *a, const void *b) {
  const u8 *x = sorted_bytes + ((const struct found *)a)->at, *y = sorted_bytes + ((const struct found *)b)->at;
  u32 x_length, y_length;
  memcpy(&x_length, x, sizeof x_length);
  memcpy(&y_length, y, sizeof y_length);
  int difference = memcmp(x + sizeof x_length, y + sizeof y_length, shm_min(x_length, y_length));
  return difference ? difference : (x_length > y_length) - (x_length < y_length);
}

static int by_age(const void *a, const void *b) {
  const struct found *x = a, *y = b;
  if (x->created != y->created) return x->created < y->created ? -1 : 1;
  return (x->inserted > y->inserted) - (x->inserted < y->inserted);
}

static int by_youth(const void *a, const void *b) { return by_age(b, a); }

int shm__store_keys(struct shm__store *store, const struct shm__listing *listing, u64 deadline_ns, struct shm__keys *keys) {
  struct finds finds = {.now_ns = shm__space_clock(store->space), .listing = listing};
  struct walk walk;
  int status = SHM_OK;
  for (u32 n = 0; n < store->shard_count && status == SHM_OK; n++) {
    if (!shm_load_acquire(&((struct shm_shard *)store->shards[n].table)->first)) continue;
    walk_begin(&walk, store, n, &listing->glob);
    while (status == SHM_OK && !walk.over) status = walk_slice(&walk, &finds, deadline_ns);
  }
  if (status == SHM_OK && finds.count) {
    sorted_bytes = finds.keys.bytes;
    qsort(finds.found, finds.count, sizeof *finds.found,
          listing->order == SHM_KEYS_SORTED ? by_key : listing->order == SHM_KEYS_OLDEST ? by_age : by_youth);
  }
  for (u64 i = 0; i < finds.count && i < listing->limit && status == SHM_OK; i++) {
    u32 length;
    const u8 *key = finds.keys.bytes + finds.found[i].at;
    memcpy(&length, key, sizeof length);
    status = shm__keys_add(keys, key + sizeof length, length);
  }
  free(finds.found);
  free(finds.keys.bytes);
  return status;
}

/* Live keys of a shard in which some may have expired. */
static u64 count_live(struct shm__store *store, u32 n, u64 now_ns) {
  static const struct shm__listing all = {.since = INT64_MIN, .until = INT64_MAX};
  struct finds finds = {.now_ns = now_ns, .listing = &all};
  struct walk walk;
  walk_begin(&walk, store, n, &all.glob);
  while (!walk.over && walk_slice(&walk, &finds, shm__monotonic_ns() + PATIENCE_NS) == SHM_OK) {
  }
  free(finds.found);
  free(finds.keys.bytes);
  return finds.count;
}

static u64 shard_length(struct shm__store *store, u32 n) {
  u64 soonest_ns = shm_load_relaxed(&store->shards[n].soonest_ns), now_ns = soonest_ns ? shm__space_clock(store->space) : 0;
  if (shm__is_expired(soonest_ns, now_ns)) return count_live(store, n, now_ns);
  return shm_load_relaxed(&((struct shm_shard *)store->shards[n].table)->keys);
}

u64 shm__store_length(struct shm__store *store) {
  u64 count = 0;
  for (u32 n = 0; n < store->shard_count; n++) count += shard_length(store, n);
  return count;
}

int shm__store_stat(struct shm__store *store, shm_store_facts *facts, u64 *counts) {
  *facts = (shm_store_facts){0};
  for (u32 n = 0; n < store->shard_count; n++) {
    facts->keys += counts[n] = shard_length(store, n);
    facts->size_bytes += shm_load_relaxed(&store->shards[n].size_bytes);
    facts->events += shm_load_relaxed(&store->shards[n].tail);
  }
  struct shm__drawer first = shm__drawer(store, 0);
  int locked = !store->space->readonly && shm__drawer_lock_to_end(&first) == SHM_OK;
  facts->watchers = shm__claim_count(&first, SHM_CLAIM_WATCH);
  if (locked) shm__drawer_unlock(&first);
  return SHM_OK;
}

/* ---- removing all that match --------------------------------------------------------------------------------------------- */
static void unlock_all(struct shm__store *store, u32 count) {
  while (count-- > 0) {
    struct shm__drawer drawer = shm__drawer(store, count);
    shm__drawer_unlock(&drawer);
  }
}

/* All locks, while none of the keys is locked by somebody else: *owner. */
static int lock_all(struct shm__store *store, const struct shm__glob *glob, u64 holder, u64 deadline_ns, u32 *owner) {
  *owner = 0;
  for (u32 n = 0; n < store->shard_count; n++) {
    struct shm__drawer drawer = shm__drawer(store, n);
    int status = shm__drawer_lock(&drawer, deadline_ns);
    if (status == SHM_OK) *owner = shm__claim_blocks(&drawer, NULL, glob, holder);
    if (status == SHM_OK && *owner == 0) continue;
    unlock_all(store, n + (status == SHM_OK));
    return status;
  }
  return SHM_OK;
}

/* Rings for the events of shards that have none yet. */
static int make_rings(struct shm__store *store, u64 deadline_ns) {
  int status = SHM_OK;
  for (u32 n = 0; n < store->shard_count && status == SHM_OK; n++) {
    struct shm__drawer drawer = shm__drawer(store, n);
    if (shm_load_acquire(&drawer.table.shared->first)) status = shm__feed_make(&drawer, deadline_ns);
  }
  return status;
}

/* With the lock: visit each key that matches. */
static int each_match(struct walk *walk, int (*visit)(struct walk *walk, u64 at, const u8 *key, u32 length, void *context),
                      void *context) {
  u64 left = walk->drawer.store->space->size_bytes / sizeof(struct shm_item), at = walk_seek(walk), next;
  int status = SHM_OK;
  u32 length;
  for (const u8 *key; status == SHM_OK && at && left-- > 0 && (key = walk_key(walk, at, &length)) != NULL; at = next) {
    next = walk_next(walk, at);
    if (matches(walk->glob, key, length)) status = visit(walk, at, key, length, context);
  }
  return status;
}

struct removal {
  const shm_write *how;
  struct shm__keys *keys;
  u64 now_ns;
};

static int note_key(struct walk *walk, u64 at, const u8 *key, u32 length, void *context) {
  struct removal *removal = context;
  if (shm__is_expired(shm__item(&walk->drawer, at)->expires_ns, removal->now_ns)) return SHM_OK;
  return shm__keys_add(removal->keys, key, length);
}

static int remove_key(struct walk *walk, u64 at, const u8 *key, u32 length, void *context) {
  struct removal *removal = context;
  struct shm__store *store = walk->drawer.store;
  struct shm__waste waste;
  struct shm__key wanted = {key, length, 0};
  waste.count = 0;
  shm__drawer_remove(&walk->drawer, at, shm__feed_wants(store, removal->how->flags, &wanted), &waste);
  shm__waste_free(store->space, &waste);
  return SHM_OK;
}

int shm__store_remove_all(struct shm__store *store, const struct shm__glob *glob, const shm_write *how, u64 deadline_ns,
                          struct shm__keys *keys) {
  struct removal removal = {how, keys, 0};
  struct walk walk;
  u32 owner = 0, value = 0;
  int status = how->flags & SHM_WRITE_SILENT ? SHM_OK : make_rings(store, deadline_ns);
  if (status != SHM_OK) return status;
  for (int announced = 0;; announced = 1) {
    status = lock_all(store, glob, how->holder, deadline_ns, &owner);
    if (status == SHM_TIMEOUT && announced) status = SHM_LOCKED; /* a key was, when we looked last */
    if (status == SHM_OK && !owner) break;
    if (status == SHM_OK && shm__store_closed(store)) status = SHM_CLOSED;
    if (status == SHM_OK && announced) status = shm__claim_wait(store, owner, value, deadline_ns);
    if (status != SHM_OK) return status;
    value = shm__event_announce(store->locks); /* SYNC wake: then it is looked at again */
  }
  removal.now_ns = shm__space_clock(store->space);
  if (shm__store_closed(store)) status = SHM_CLOSED;
  for (u32 n = 0; n < store->shard_count && status == SHM_OK; n++) {
    walk_begin(&walk, store, n, glob);
    status = each_match(&walk, note_key, &removal);
  }
  for (u32 n = 0; n < store->shard_count && status == SHM_OK; n++) {
    walk_begin(&walk, store, n, glob);
    status = each_match(&walk, remove_key, &removal);
  }
  unlock_all(store, store->shard_count);
  shm__event_notify(store->space, store->watch, UINT32_MAX);
  for (u32 n = 0; n < store->shard_count; n++) {
    struct shm__drawer drawer = shm__drawer(store, n);
    shm__drawer_fit(&drawer);
  }
  return status;
}

/* ---- what has expired ---------------------------------------------------------------------------------------------------- */
/* Remove what has expired of the next slice; *soonest_ns: when the next one does. 0: that was all. */
static int sweep_slice(struct walk *walk, u64 now_ns, u64 *soonest_ns) {
  struct shm__store *store = walk->drawer.store;
  u64 at = walk_seek(walk), next;
  int begun = walk->begun;
  walk->begun = 1;
  for (u32 i = 0; i < SLICE; i++, at = next) {
    u32 length;
    const u8 *key = at ? walk_key(walk, at, &length) : NULL;
    if (!key || (begun && !rises(key, length, walk->last, walk->last_length))) return 0;
    begun = 1;
    u64 expires_ns = shm__item(&walk->drawer, at)->expires_ns;
    next = walk_next(walk, at);
    memcpy(walk->last, key, length);
    walk->last_length = length;
    if (shm__is_expired(expires_ns, now_ns)) {
      struct shm__waste waste;
      struct shm__key wanted = {walk->last, length, 0};
      waste.count = 0;
      shm__drawer_remove(&walk->drawer, at, shm__feed_wants(store, 0, &wanted), &waste);
      shm__waste_free(store->space, &waste);
    } else if (expires_ns && (*soonest_ns == 0 || expires_ns < *soonest_ns)) {
      *soonest_ns = expires_ns;
    }
  }
  return 1;
}

static void sweep_shard(struct shm__store *store, u32 n, u64 now_ns) {
  static const struct shm__glob all = {NULL, 0};
  struct walk walk;
  u64 soonest_ns = 0;
  walk_begin(&walk, store, n, &all);
  struct shm_store_shard *shared = walk.drawer.shared;
  if (shm__drawer_lock(&walk.drawer, SHM__TRY) != SHM_OK) return;
  shared->since_sweep_ns = UINT64_MAX;
  while (sweep_slice(&walk, now_ns, &soonest_ns)) {
    shm__drawer_unlock(&walk.drawer); /* others come in between */
    if (shm__drawer_lock_to_end(&walk.drawer) != SHM_OK) return;
  }
  if (shared->since_sweep_ns != UINT64_MAX && (soonest_ns == 0 || shared->since_sweep_ns < soonest_ns)) {
    soonest_ns = shared->since_sweep_ns;
  }
  shm_store_relaxed(&shared->soonest_ns, soonest_ns);
  shm__drawer_unlock(&walk.drawer);
  shm__drawer_fit(&walk.drawer);
}

void shm__store_sweep(struct shm__store *store) {
  u64 soonest_ns = shm_load_relaxed(&store->shared->soonest_ns); /* relaxed: a hint, as are the following */
  if (soonest_ns == 0 || store->space->readonly) return;
  u64 now_ns = shm__space_clock(store->space), next_ns = shm_load_relaxed(&store->shared->sweep_ns);
  if (now_ns < soonest_ns || now_ns < next_ns || !shm_cas(&store->shared->sweep_ns, &next_ns, now_ns + NAP_NS)) return;
  if (make_rings(store, SHM__TRY) != SHM_OK) return; /* the next one, then */
  shm_store_relaxed(&store->shared->soonest_ns, 0);
  for (u32 n = 0; n < store->shard_count; n++) {
    if (shm__is_expired(shm_load_relaxed(&store->shards[n].soonest_ns), now_ns)) sweep_shard(store, n, now_ns);
    struct shm__drawer drawer = shm__drawer(store, n);
    if (!shm_load_relaxed(&drawer.shared->soonest_ns) || shm__drawer_lock_to_end(&drawer) != SHM_OK) continue;
    shm__expires(&drawer, drawer.shared->soonest_ns);
    shm__drawer_unlock(&drawer);
  }
  u64 end_ns = shm__space_clock(store->space); /* where there are many keys it takes a while: not all the time */
  shm_store_relaxed(&store->shared->sweep_ns, end_ns + SWEEP_PAUSE * (end_ns - now_ns));
  shm_fence_full(); /* SYNC wake */
  shm__event_notify(store->space, store->watch, UINT32_MAX);
}
