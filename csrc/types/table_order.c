/* table_order.c: the entries of a shard in the byte order of their keys: a skip list (Pugh 1990). How high an entry stands follows
 * from its hash, so nothing is drawn and nothing is kept.
 *
 * Invariants
 *   1. All of it is a hint: the table's list is the truth. It is changed while the table's changes are odd.
 *   2. An entry is linked from the lowest level up and unlinked from the highest down, so whoever is met on a level is on all
 *      below it, and one that is not on all its levels is found all the same.
 *   3. Doing again what was done in part, or wholly, is the same as doing it once.
 *
 * Crash table (died after ...)
 *   linking or unlinking on a level ("order.changed")   heir of the shard's lock does it again
 */
#include "table_order.h"

#include <string.h>

#include "../base/bits.h"
#include "../base/point.h"

static u64 most_entries(const struct shm__order *order) { return order->shard->space->size_bytes / sizeof(struct shm_key); }

/* The words of an entry that is on this level; NULL: the bytes cannot be one. */
static u64 *words_of(const struct shm__order *order, u64 at, u32 on, const u8 **key, u32 *length) {
  struct shm_key *entry = shm__table_entry(order->shard, at);
  if (!entry) return NULL;
  *length = shm_load_stale32(&entry->length);
  u64 words = shm__order_offset(order->shard, *length), level = shm__order_level(shm_load_stale32(&entry->hash));
  if (on >= level || !shm__at(order->shard->space, at, words + level * sizeof(u64), 16)) return NULL;
  *key = (const u8 *)entry + order->shard->key_offset;
  return (u64 *)((u8 *)entry + words);
}

static int compare(const u8 *key, u32 length, const struct shm__key *with) {
  int difference = shm_compare_racing(key, with->bytes, shm_min(length, with->length));
  return difference ? difference : (length > with->length) - (length < with->length);
}

/* For each level the word that leads to the first entry not below the key (above: above it). */
static void find_path(const struct shm__order *order, const struct shm__key *key, int above, u64 **path) {
  u64 *words = order->head, left = most_entries(order);
  for (u32 level = SHM_ORDER_LEVELS; level-- > 0;) {
    path[level] = &words[level];
    for (u64 at; (at = shm_load_stale_acquire(path[level])) != 0 && left-- > 0;) {
      const u8 *bytes;
      u32 length;
      u64 *next = words_of(order, at, level, &bytes, &length);
      if (!next || compare(bytes, length, key) >= (above ? 1 : 0)) break;
      words = next;
      path[level] = &words[level];
    }
  }
}

void shm__order_insert(const struct shm__order *order, u64 at) {
  u64 *path[SHM_ORDER_LEVELS];
  const u8 *bytes;
  u32 length;
  u64 *words = words_of(order, at, 0, &bytes, &length);
  if (!words) return;
  struct shm__key key = {bytes, length, shm__table_entry(order->shard, at)->hash};
  find_path(order, &key, 0, path);
  for (u32 level = 0; level < shm__order_level(key.hash); level++) {
    if (*path[level] == at) continue;
    words[level] = *path[level];
    shm_store_release(path[level], at);
    SHM_POINT("order.changed");
  }
}

void shm__order_remove(const struct shm__order *order, u64 at) {
  u64 *path[SHM_ORDER_LEVELS];
  const u8 *bytes;
  u32 length;
  u64 *words = words_of(order, at, 0, &bytes, &length);
  if (!words) return;
  struct shm__key key = {bytes, length, shm__table_entry(order->shard, at)->hash};
  find_path(order, &key, 0, path);
  for (u32 level = shm__order_level(key.hash); level-- > 0;) {
    if (*path[level] != at) continue;
    shm_store_release(path[level], words[level]);
    SHM_POINT("order.changed");
  }
}

u64 shm__order_seek(const struct shm__order *order, const struct shm__key *key, int above) {
  u64 *path[SHM_ORDER_LEVELS];
  find_path(order, key, above, path);
  return shm_load_stale_acquire(path[0]);
}

u64 shm__order_next(const struct shm__order *order, u64 at, u32 level) {
  const u8 *bytes;
  u32 length;
  u64 *words = words_of(order, at, level, &bytes, &length);
  return words ? shm_load_stale_acquire(&words[level]) : 0;
}
