/* store_feed.c: the events of a store's shard: a ring of slots, written with the shard's lock, read without. Its memory is taken
 * with the first event; where there is not enough for all the slots that were asked for, there are fewer, or none: then
 * events are only counted, and who watches is told that he missed them.
 *
 * Invariants
 *   1. Event n is in slot n % feed_count while that slot's word is 2n + 2. The word is odd while it is written; a reader's
 *      copy counts if the word is the same afterwards.
 *   2. What is long lies in a block that the slot refers to with its generation: key and value of a SET, or the whole item that
 *      was removed. It is let go of before the slot gets another event; a reference to a block that is not there any more is
 *      an event that was lost. A copy counts if `forgets` is the same, too: all go when memory is short.
 *   3. tail follows the slots: an event that was published before a death is not published again.
 *
 * Crash table (died after ...)
 *   letting go of an old event's block ("feed.released")  reap frees it; heir of the shard's lock goes on
 *   writing a slot ("feed.written")                       heir writes it again: tail is behind
 *   publishing it ("feed.published")                      as above
 *   using a new ring ("feed.used")                        heir links its block
 *   letting go of all events ("feed.emptied")             heir goes on: forgets is odd
 *   holding the ring to give it up ("feed.held")          as above
 *   giving it up ("feed.forgotten")                       reap frees it
 */
#include "store_feed.h"

#include <stdlib.h>
#include <string.h>

#include "../base/glob.h"
#include "../base/point.h"

enum { FEED_LEAST = 8, SHARE = 4 }; /* all rings of a store take at most this part of the space */

int shm__feed_wants(const struct shm__store *store, u32 flags, const struct shm__key *key) {
  if (store->feed == 0 || flags & SHM_WRITE_SILENT) return 0;
  for (u32 at = 0; at < store->quiet_bytes;) {
    u32 length = (u32)strnlen((const char *)store->quiet + at, store->quiet_bytes - at);
    if (shm__glob_match(store->quiet + at, length, key->bytes, key->length)) return 0;
    at += length + 1;
  }
  return 1;
}

/* ---- the ring ------------------------------------------------------------------------------------------------------------ */
/* Memory for a ring; *count: events that it has room for. Where one was given up for want of memory, half of it will do. */
static int alloc_ring(struct shm__drawer *drawer, u64 deadline_ns, struct shm__ref *ref, u32 *count) {
  struct shm__store *store = drawer->store;
  u64 most = store->space->size_bytes / SHARE / store->shard_count / sizeof(struct shm_feed);
  u32 before = shm_load_relaxed(&drawer->shared->feed_count);
  int status = SHM_SPACE_FULL;
  *count = (u32)shm_min(store->feed, before ? before / 2 : shm_max(most, FEED_LEAST));
  for (; *count > 0; *count = *count > FEED_LEAST ? *count / 2 : 0) {
    status = shm__block_alloc(store->space, (u64)*count * sizeof(struct shm_feed), deadline_ns, ref);
    if (status != SHM_SPACE_FULL) break;
  }
  if (status == SHM_OK) memset(store->space->base + ref->offset, 0, (u64)*count * sizeof(struct shm_feed));
  return status;
}

int shm__feed_make(struct shm__drawer *drawer, u64 deadline_ns) {
  struct shm_store_shard *shared = drawer->shared;
  struct shm__store *store = drawer->store;
  struct shm__ref ref;
  u32 count;
  if (store->feed == 0 || shm__feed_is_there(drawer)) return SHM_OK;
  int status = alloc_ring(drawer, deadline_ns, &ref, &count);
  if (status != SHM_OK) return status == SHM_SPACE_FULL ? SHM_OK : status;
  status = shm__drawer_lock(drawer, deadline_ns);
  if (status == SHM_OK) {
    if (!shm__feed_is_there(drawer)) {
      shared->feed_gen = ref.gen;
      shm_store_relaxed(&shared->feed_count, count);
      shm_store_release(&shared->feed, ref.offset); /* SYNC feed.ring */
      SHM_POINT("feed.used");
      shm__block_link(store->space, ref, store->id);
      ref.offset = 0;
    }
    shm__drawer_unlock(drawer);
  }
  shm__block_free(store->space, ref); /* somebody was quicker */
  return status;
}

static struct shm_feed *slot_of(const struct shm__drawer *drawer, u64 number) {
  u64 at = shm_load_acquire(&drawer->shared->feed); /* SYNC feed.ring */
  u32 count = shm_load_relaxed(&drawer->shared->feed_count);
  if (at == 0 || count == 0) return NULL;
  struct shm_feed *ring = shm__at(drawer->store->space, at, (u64)count * sizeof *ring, 16);
  return ring ? &ring[number % count] : NULL;
}

/* ---- writing ------------------------------------------------------------------------------------------------------------- */
/* Let go of what a slot refers to. */
static void release(struct shm__drawer *drawer, struct shm_feed *slot, struct shm__waste *waste) {
  struct shm__space *space = drawer->store->space;
  struct shm__ref ref = {slot->block, slot->block_gen};
  if (!ref.offset) return;
  const struct shm_item *item = (struct shm_item *)shm__block_payload(space, ref, sizeof *item);
  if (item && slot->op == SHM_FEED_DEL && item->block) {
    struct shm__ref value = {item->block, item->block_gen};
    if (shm__block_hold(space, value, drawer->store->id)) shm__waste_add(waste, value);
  }
  if (shm__block_hold(space, ref, drawer->store->id)) shm__waste_add(waste, ref);
  SHM_POINT("feed.released");
}

/* What the slot says of the item: SHM_FEED_LOST if it would need a block that is not there. */
static void fill(struct shm__drawer *drawer, struct shm_feed *slot, u64 at, const struct shm_item *item, u32 op) {
  struct shm_store_shard *shared = drawer->shared;
  u32 key_length = ((const struct shm_key *)item)->length;
  u64 length_bytes = item->length_bytes;
  const u8 *value = shm__at(drawer->store->space, at, sizeof *item + key_length, 16) ? shm__item_bytes(drawer, at, item) : NULL;
  slot->version = item->version;
  slot->created = item->created;
  slot->updated = item->updated;
  slot->length_bytes = length_bytes;
  slot->codec = item->codec;
  slot->key_length = key_length;
  slot->block = 0;
  slot->op = op;
  if (op == SHM_FEED_DEL) {
    struct shm__ref ref = shm__block_ref(drawer->store->space, at);
    slot->block = ref.offset;
    slot->block_gen = ref.gen;
  } else if (value && shm__feed_fits(key_length, length_bytes)) {
    memcpy(slot->data, item + 1, key_length);
    memcpy(slot->data + key_length, value, length_bytes);
  } else if (shared->event_block) {
    slot->block = shared->event_block;
    slot->block_gen = shared->event_gen;
    struct shm__ref ref = {slot->block, slot->block_gen};
    if (!shm__block_link(drawer->store->space, ref, drawer->store->id)) {
      shm__block_relink(drawer->store->space, ref, drawer->store->id);
    }
  } else {
    slot->op = SHM_FEED_LOST;
  }
}

void shm__feed_publish(struct shm__drawer *drawer, u64 at, u32 op, struct shm__waste *waste) {
  struct shm_store_shard *shared = drawer->shared;
  const struct shm_item *item = shm__item(drawer, at);
  u64 number = shared->number;
  if (shared->tail != number) return; /* it was, before somebody died */
  struct shm_feed *slot = slot_of(drawer, number);
  if (slot && item) {
    if (slot->word != 2 * number + 1 && slot->word != 2 * number + 2) { /* else a dead one has, and the block is this event's */
      release(drawer, slot, waste);
      if (slot->word) shm_store_relaxed(&shared->forgotten, slot->stamp);
    }
    shm_store_relaxed(&slot->word, 2 * number + 1);
    shm_fence_release(); /* SYNC feed.word */
    slot->stamp = shared->stamp;
    fill(drawer, slot, at, item, op);
    SHM_POINT("feed.written");
    shm_store_release(&slot->word, 2 * number + 2); /* SYNC feed.word */
  } else {
    shm_store_relaxed(&shared->forgotten, shared->stamp);
  }
  struct shm__ref unused = {shared->event_block, shared->event_gen};
  if (unused.offset && shm__block_held(drawer->store->space, unused)) shm__waste_add(waste, unused);
  SHM_POINT("feed.published");
  shm_store_release(&shared->tail, number + 1); /* SYNC feed.tail */
}

int shm__feed_keeps(const struct shm__drawer *drawer, u64 at) {
  const struct shm_store_shard *shared = drawer->shared;
  const struct shm_feed *slot = shared->tells ? slot_of(drawer, shared->number) : NULL;
  return slot && slot->word == 2 * shared->number + 2 && slot->op == SHM_FEED_DEL && slot->block == at;
}

void shm__feed_forget(struct shm__drawer *drawer) {
  struct shm_store_shard *shared = drawer->shared;
  struct shm__space *space = drawer->store->space;
  struct shm__ref ring = {shared->feed, shared->feed_gen};
  struct shm__waste waste = {.count = 0};
  const struct shm_feed *last = shared->tail ? slot_of(drawer, shared->tail - 1) : NULL;
  if (last) shm_store_relaxed(&shared->forgotten, last->stamp);
  shm_store_relaxed(&shared->forgets, shared->forgets | 1);
  shm_fence_full(); /* SYNC feed.forgets: before anything goes */
  struct shm_feed *slot;
  for (u64 i = 0, count = shared->feed_count; i < count && (slot = slot_of(drawer, i)) != NULL; i++) {
    release(drawer, slot, &waste);
    shm__waste_free(space, &waste);
  }
  SHM_POINT("feed.emptied");
  if (ring.offset && shm__block_hold(space, ring, drawer->store->id)) {
    SHM_POINT("feed.held");
    shm_store_release(&shared->feed, 0); /* SYNC feed.ring */
    SHM_POINT("feed.forgotten");
    shm__block_free(space, ring);
  }
  shm_store_release(&shared->forgets, (shared->forgets | 1) + 1); /* SYNC feed.forgets */
}

void shm__feed_repair(struct shm__drawer *drawer) {
  struct shm_store_shard *shared = drawer->shared;
  if (shared->feed) shm__block_relink(drawer->store->space, (struct shm__ref){shared->feed, shared->feed_gen}, drawer->store->id);
  if (shared->forgets & 1) shm__feed_forget(drawer);
}

void shm__feed_teardown(struct shm__drawer *drawer) {
  if (drawer->shared->feed) shm__feed_forget(drawer);
}

/* ---- reading ------------------------------------------------------------------------------------------------------------- */
static int make_room(u8 **bytes, u64 *room_bytes, u64 need_bytes) {
  if (need_bytes <= *room_bytes) return 1;
  u8 *grown = realloc(*bytes, need_bytes);
  if (!grown) return 0;
  *bytes = grown;
  *room_bytes = need_bytes;
  return 1;
}

/* Where key and value of the event are; 0: it was lost. */
static int find_bytes(const struct shm__drawer *drawer, const struct shm_feed *slot, u32 key_length, u64 length_bytes,
                      const u8 **key, const u8 **value) {
  struct shm__space *space = drawer->store->space;
  struct shm__ref ref = {shm_load_stale(&slot->block), shm_load_stale32(&slot->block_gen)};
  u32 op = shm_load_stale32(&slot->op);
  if (op == SHM_FEED_DEL) {
    const struct shm_item *item = (struct shm_item *)shm__block_payload(space, ref, sizeof *item + key_length);
    if (!item || shm_load_stale32(&((const struct shm_key *)item)->length) != key_length) return 0;
    *key = (const u8 *)(item + 1);
    *value = shm__item_value_at(drawer, ref.offset, item, key_length, length_bytes);
    return *value != NULL;
  }
  if (op != SHM_FEED_SET || length_bytes > space->size_bytes) return 0;
  *key = ref.offset ? shm__block_payload(space, ref, key_length + length_bytes) : slot->data;
  if (!*key || (!ref.offset && !shm__feed_fits(key_length, length_bytes))) return 0;
  *value = *key + key_length;
  return 1;
}

int shm__feed_read(const struct shm__drawer *drawer, u64 number, shm_event *event, u8 **bytes, u64 *room_bytes) {
  if (number >= shm_load_acquire(&drawer->shared->tail)) return SHM_EMPTY; /* SYNC feed.tail */
  u64 forgets = shm_load_acquire(&drawer->shared->forgets); /* SYNC feed.forgets */
  const struct shm_feed *slot = forgets & 1 ? NULL : slot_of(drawer, number);
  const u8 *key, *value;
  if (!slot || shm_load_stale_acquire(&slot->word) != 2 * number + 2) return SHM_LAGGED; /* SYNC feed.word */
  u32 key_length = shm_load_stale32(&slot->key_length);
  u64 length_bytes = shm_load_stale(&slot->length_bytes);
  *event = (shm_event){.seq = shm_load_stale(&slot->stamp), .op = shm_load_stale32(&slot->op), .key_length = key_length,
                       .item = {shm_load_stale(&slot->version), length_bytes, (int64_t)shm_load_stale(&slot->created),
                                (int64_t)shm_load_stale(&slot->updated), 0, shm_load_stale32(&slot->codec), 0}};
  if (!find_bytes(drawer, slot, key_length, length_bytes, &key, &value)) return SHM_LAGGED;
  if (!make_room(bytes, room_bytes, key_length + length_bytes)) return shm__fail(SHM_SPACE_FULL, "no memory for an event");
  shm_copy_racing(*bytes, key, key_length);
  shm_copy_racing(*bytes + key_length, value, length_bytes);
  shm_fence_acquire(); /* SYNC feed.word: the copy is made before the word is looked at again */
  if (shm_load_stale(&slot->word) != 2 * number + 2 || shm_load_relaxed(&drawer->shared->forgets) != forgets) return SHM_LAGGED;
  event->key = *bytes;
  event->value = *bytes + key_length;
  return SHM_OK;
}

u64 shm__feed_stamp(const struct shm__drawer *drawer, u64 number) {
  u64 forgets = shm_load_acquire(&drawer->shared->forgets); /* SYNC feed.forgets */
  const struct shm_feed *slot = forgets & 1 ? NULL : slot_of(drawer, number);
  if (!slot || shm_load_stale_acquire(&slot->word) != 2 * number + 2) return 0;
  u64 stamp = shm_load_stale(&slot->stamp);
  shm_fence_acquire(); /* SYNC feed.word */
  int same = shm_load_stale(&slot->word) == 2 * number + 2 && shm_load_relaxed(&drawer->shared->forgets) == forgets;
  return same ? stamp : 0;
}

u64 shm__feed_first(const struct shm__drawer *drawer) {
  u64 tail = shm_load_acquire(&drawer->shared->tail);
  u32 count = slot_of(drawer, 0) ? shm_load_relaxed(&drawer->shared->feed_count) : 0;
  return tail > count ? tail - count : 0;
}
