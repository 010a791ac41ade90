/* stores.h: stores, their keys and values in the test programs. A value is a letter, or an integer. */
#ifndef SHM_TEST_STORES_H
#define SHM_TEST_STORES_H

#include "../../csrc/types/store_shard.h"
#include "channels.h"

enum { KEY_ROOM = 32, HOLDER = 1 };

static inline shm_store *open_store(shm_space *space, u32 shards, u32 feed) {
  shm_store *store = NULL;
  shm_store_options options = {.shards = shards, .feed = feed, .codec = "raw"};
  OK(shm_store_open(space, "s", 1, &options, 0, 1, in_ns(LONG), &store));
  return store;
}

static inline void delete_store(shm_space *space) { OK(shm_space_delete(space, SHM_KIND_STORE, "s", 1, in_ns(LONG))); }

static inline u32 name_key(u32 key, char *name) { return (u32)snprintf(name, KEY_ROOM, "%c/%u", 'a' + key % 2, key); }

static inline u32 key_number(const u8 *name, u32 length) {
  char text[KEY_ROOM] = "";
  CHECK(length > 2 && length < KEY_ROOM);
  memcpy(text, name, length);
  return (u32)strtoul(text + 2, NULL, 10);
}

/* SHM_OK, or SHM_LOCKED. The version that it has got is in facts. */
static inline int set_letter(shm_store *store, u32 key, u64 length, u32 sender, u32 number, u64 ttl_ns, shm_item_facts *facts) {
  static __thread u8 data[LETTER_MOST];
  char name[KEY_ROOM];
  shm_piece piece = {data, length, 0};
  shm_write how = {.holder = HOLDER, .ttl_ns = ttl_ns};
  write_letter(data, length, sender, number);
  return shm_store_set(store, name, name_key(key, name), &piece, &how, in_ns(LONG), facts);
}

/* SHM_OK or SHM_NOT_FOUND. */
static inline int get_letter(shm_store *store, u32 key, struct letter *letter, shm_item_facts *facts) {
  static __thread u8 data[LETTER_MOST];
  char name[KEY_ROOM];
  int status = shm_store_get(store, name, name_key(key, name), data, sizeof data, facts);
  if (status == SHM_OK) *letter = read_letter(data, facts->length_bytes);
  else IS(status, SHM_NOT_FOUND);
  return status;
}

static inline int remove_key(shm_store *store, u32 key, shm_item_facts *facts) {
  char name[KEY_ROOM];
  shm_write how = {.holder = HOLDER};
  return shm_store_remove(store, name, name_key(key, name), &how, in_ns(LONG), facts);
}

static inline u64 remove_matching(shm_store *store, const char *glob, u64 deadline_ns, int *status) {
  u8 *keys;
  u64 size_bytes, count;
  shm_write how = {.holder = HOLDER};
  *status = shm_store_remove_all(store, glob, glob ? (u32)strlen(glob) : 0, &how, deadline_ns, &keys, &size_bytes, &count);
  shm_store_free_keys(keys);
  return count;
}

/* The keys that match, as numbers, in byte order; how many. */
static inline u64 list_keys(shm_store *store, const char *glob, u32 *numbers, u64 room) {
  u8 *keys, last[KEY_ROOM];
  u64 size_bytes, count, at = 0;
  u32 length, last_length = 0;
  OK(shm_store_keys(store, glob, glob ? (u32)strlen(glob) : 0, SHM_KEYS_SORTED, INT64_MIN, INT64_MAX, UINT64_MAX, in_ns(LONG),
                    &keys, &size_bytes, &count));
  CHECK(count <= room);
  for (u64 i = 0; i < count; i++, at += sizeof length + length) {
    memcpy(&length, keys + at, sizeof length);
    const u8 *key = keys + at + sizeof length;
    int difference = i ? memcmp(last, key, length < last_length ? length : last_length) : -1;
    CHECK(difference < 0 || (difference == 0 && last_length < length));
    numbers[i] = key_number(key, length);
    memcpy(last, key, length);
    last_length = length;
  }
  CHECK(at == size_bytes);
  shm_store_free_keys(keys);
  return count;
}

#endif
