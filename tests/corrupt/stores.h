/* stores.h: a store in the region of region.h, and everything that a program can do with one. What it needs stands above its
 * inclusion there. */
#ifndef SHM_TEST_CORRUPT_STORES_H
#define SHM_TEST_CORRUPT_STORES_H

enum { STORE_SHARDS = 2, STORE_FEED = 8, STORE_KEYS = 26, STORE_HOLDER = 5, SHARDS_MOST = 65536, EVENTS_READ = 40 };

static shm_store *open_a_store(shm_space *space) {
  shm_store_options options = {.shards = STORE_SHARDS, .feed = STORE_FEED, .quiet_bytes = 6, .quiet = "q*\0no", .codec = "raw"};
  shm_store *store = NULL;
  return CALL(shm_store_open, space, "store", 5, &options, 0, 1, soon(), &store) == SHM_OK ? store : NULL;
}

static u32 key_name(u32 key, char *name) { return (u32)snprintf(name, 16, "%c%u", key % 2 ? 'a' : 'b', key); }

static void set_a_key(shm_store *store, u32 key, u64 length, u64 ttl_ns) {
  char name[16];
  shm_item_facts facts;
  shm_write how = {.holder = STORE_HOLDER, .ttl_ns = ttl_ns};
  shm_piece piece = {region_buffer, length, 0};
  CALL(shm_store_set, store, name, key_name(key, name), &piece, &how, soon(), &facts);
}

static void change_keys(shm_store *store, u32 from) {
  static const u64 lengths[] = {0, 20, 190, 300, 3000};
  char name[16];
  shm_item_facts facts;
  shm_write how = {.holder = STORE_HOLDER};
  int64_t sum;
  for (u32 i = 0; i < 5; i++) set_a_key(store, from + i, lengths[(from + i) % 5], i == 3 ? 1 : 0);
  CALL(shm_store_incr, store, "number", 6, INT64_MAX, &how, soon(), &sum, &facts);
  CALL(shm_store_incr, store, name, key_name(from + 1, name), 5, &how, soon(), &sum, &facts);
  CALL(shm_store_remove, store, name, key_name(from + 4, name), &how, soon(), &facts);
  CALL(shm_store_set, store, "quiet", 5, &(shm_piece){region_buffer, 10, 0}, &how, soon(), &facts);
}

static void fill_store(shm_store *store) {
  int died;
  if (!store) return;
  for (u32 key = 0; key < STORE_KEYS; key++) set_a_key(store, key, key % 4 * 70, key == 7 ? 1 : key == 8 ? UINT64_MAX / 4 : 0);
  change_keys(store, 9);
  CALL(shm_store_lock, store, "b0", 2, STORE_HOLDER, soon(), &died);
  CALL(shm_store_lock, store, "none", 4, STORE_HOLDER, soon(), &died);
}

static void read_keys(shm_store *store, const char *glob, u32 order) {
  u8 *keys = NULL;
  u64 size_bytes = 0, count = 0;
  if (CALL(shm_store_keys, store, glob, glob ? (u32)strlen(glob) : 0, order, INT64_MIN, INT64_MAX, UINT64_MAX, soon(), &keys,
           &size_bytes, &count) == SHM_OK) {
    u64 at = 0;
    for (u64 n = 0; n < count; n++) {
      u32 length = 0;
      if (at + sizeof length > size_bytes) WRONG("shm_store_keys", 0);
      memcpy(&length, keys + at, sizeof length);
      at += sizeof length + length;
    }
    if (at != size_bytes) WRONG("shm_store_keys", 0);
  }
  DO(shm_store_free_keys, keys);
}

static void look_at_store(shm_store *store) {
  static u64 counts[SHARDS_MOST];
  static const char *const globs[] = {NULL, "a*", "b1*", "number"};
  shm_store_options options;
  shm_store_facts store_facts;
  shm_item_facts facts;
  char name[16];
  u64 since_ns;
  if (!store) return;
  DO(shm_store_alive, store);
  DO(shm_store_get_options, store, &options);
  for (u32 key = 0; key < STORE_KEYS; key += 2) {
    CALL(shm_store_get, store, name, key_name(key, name), region_buffer, key % 3 ? sizeof region_buffer : 100, &facts);
  }
  CALL(shm_store_get, store, "number", 6, region_buffer, sizeof region_buffer, &facts);
  for (u32 i = 0; i < 4; i++) read_keys(store, globs[i], i % 3);
  int64_t length = DO(shm_store_length, store);
  if (length < 0) documented("shm_store_length", (int)length);
  CALL(shm_store_stat, store, &store_facts, counts);
  DO(shm_store_holder, store, "b0", 2, &since_ns);
}

static void read_events(shm_watch *watch) {
  shm_event event;
  if (!watch) return;
  for (u32 i = 0; i < EVENTS_READ; i++) {
    int status = CALL(shm_watch_next, watch, i ? 0 : DO(shm_monotonic_ns) + PATIENCE_NS / 40, &event);
    if (status != SHM_OK && status != SHM_LAGGED) return;
    if (status == SHM_OK && event.key_length) region_buffer[0] ^= event.key[0] ^ event.key[event.key_length - 1];
    if (status == SHM_OK && event.item.length_bytes) region_buffer[0] ^= event.value[0] ^ event.value[event.item.length_bytes - 1];
  }
}

static void watch_store(shm_store *store, const char *glob) {
  shm_watch *watch = NULL;
  if (!store || CALL(shm_watch_open, store, glob, glob ? (u32)strlen(glob) : 0, 1, 0, soon(), &watch) != SHM_OK) return;
  read_events(watch);
  DO(shm_watch_arm, watch);
  DO(shm_watch_mark_closing, watch);
  DO(shm_watch_free, watch);
}

static void use_store(shm_store *store) {
  u8 *keys = NULL;
  u64 size_bytes, count;
  int died;
  shm_write how = {.holder = STORE_HOLDER};
  if (!store) return;
  look_at_store(store);
  watch_store(store, NULL);
  change_keys(store, 2);
  if (CALL(shm_store_lock, store, "b2", 2, STORE_HOLDER, soon(), &died) == SHM_OK) change_keys(store, 2);
  CALL(shm_store_unlock, store, "b2", 2, STORE_HOLDER);
  DO(shm_store_arm_locks, store);
  CALL(shm_store_remove_all, store, "a1*", 3, &how, soon(), &keys, &size_bytes, &count);
  DO(shm_store_free_keys, keys);
  for (u32 key = 30; key < 34; key++) set_a_key(store, key, 250, 0);
  watch_store(store, "b*");
  look_at_store(store);
  DO(shm_store_wake, store);
}

#endif
