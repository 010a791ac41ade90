/* store.h: values by key, with versions, locks and events; see store.c. */
#ifndef SHM_TYPES_STORE_H
#define SHM_TYPES_STORE_H

#include "../core/recover.h"
#include "../core/wake.h"
#include "../include/shmspace.h"
#include "table_order.h"

/* A store as this process sees it: INIT fields are copied and checked when it is bound. */
struct shm__store {
  struct shm__space *space;
  struct shm_store_main *shared;
  struct shm_store_shard *shards;
  const u8 *quiet; /* globs of keys without events, a NUL behind each */
  u32 quiet_bytes, id, shard_count, feed;
  struct shm__event watch, locks;
  const u32 *closing; /* of the handle; or NULL */
};

struct shm__store_options {
  u32 shards, feed, quiet_bytes;
  const void *quiet;
  char codec[32];
};

extern const struct shm__type shm__store_type;

int shm__store_make(struct shm__space *space, u32 id, const struct shm__store_options *options, u64 deadline_ns,
                    struct shm__ref *main);
int shm__store_bind(struct shm__space *space, u64 main, struct shm__store *store);

/* Copy a value of up to room_bytes, without a lock. SHM_NOT_FOUND; SHM_SHORT; SHM_BUSY: it changed all the while;
 * SHM_CORRUPTED. */
int shm__store_get(struct shm__store *store, const struct shm__key *key, void *value, u64 room_bytes, shm_item_facts *facts);

/* A change of one key, and what came of it. */
struct shm__change {
  const struct shm__key *key;
  const shm_piece *value; /* NULL: add `by` to the integer that is there */
  int64_t by, sum;
  shm_write how;
  shm_item_facts *facts; /* as the key is now; of a removal: as it was; of SHM_MISMATCH: as it is */
};

/* SHM_MISMATCH; SHM_INVALID: not an integer, or it does not fit; SHM_LOCKED; SHM_CLOSED; SHM_SPACE_FULL; as shm__lock. */
int shm__store_change(struct shm__store *store, struct shm__change *change, u64 deadline_ns);
/* The same, and SHM_NOT_FOUND. */
int shm__store_remove(struct shm__store *store, struct shm__change *change, u64 deadline_ns);

/* Keys one behind the other, each as its length (u32) and its bytes; grown by realloc. */
struct shm__keys {
  u8 *bytes;
  u64 used_bytes, room_bytes, count;
};
int shm__keys_add(struct shm__keys *keys, const u8 *key, u32 length);

/* A glob; bytes NULL: every key. */
struct shm__glob {
  const u8 *bytes;
  u32 length;
};

/* Remove all that match, at once. The keys are added. */
int shm__store_remove_all(struct shm__store *store, const struct shm__glob *glob, const shm_write *how, u64 deadline_ns,
                          struct shm__keys *keys);

struct shm__listing {
  struct shm__glob glob;
  u32 order; /* SHM_KEYS_* */
  int64_t since, until;
  u64 limit;
};
int shm__store_keys(struct shm__store *store, const struct shm__listing *listing, u64 deadline_ns, struct shm__keys *keys);
u64 shm__store_length(struct shm__store *store);
/* counts: of each shard. */
int shm__store_stat(struct shm__store *store, shm_store_facts *facts, u64 *counts);

/* A key's lock. SHM_LOCKED; SHM_INVALID: the holder has it; SHM_CLOSED. *died: the last one died with it. */
int shm__store_lock_key(struct shm__store *store, const struct shm__key *key, u64 holder, u64 deadline_ns, int *died);
int shm__store_unlock_key(struct shm__store *store, const struct shm__key *key, u64 holder);
u32 shm__store_holder(struct shm__store *store, const struct shm__key *key, u64 *since_ns);

/* Give up the memory of keys that have expired, if it is time to look for them. */
void shm__store_sweep(struct shm__store *store);
void shm__store_wake(struct shm__store *store);

#endif
