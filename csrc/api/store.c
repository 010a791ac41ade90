/* api/store.c: stores, for callers outside. */
#include <stdlib.h>
#include <string.h>

#include "../base/hash.h"
#include "../os/wait.h"
#include "../types/store_claim.h"
#include "../types/store_watch.h"
#include "handle.h"
#include "options.h"

struct shm_store {
  struct shm__handle handle;
  struct shm__store core;
};

struct shm_watch {
  struct shm_store *store;
  struct shm__watch core;
  u32 busy; /* calls under way */
};

/* ---- opening and closing ---------------------------------------------------------------------------------------------- */
static int make_store(struct shm__space *space, u32 id, const void *options, u64 deadline_ns, struct shm__ref *main) {
  const shm_store_options *wanted = options;
  struct shm__store_options made = {
      .shards = wanted->shards, .feed = wanted->feed, .quiet_bytes = wanted->quiet_bytes, .quiet = wanted->quiet};
  memcpy(made.codec, wanted->codec, sizeof made.codec);
  return shm__store_make(space, id, &made, deadline_ns, main);
}

static int check_options(const struct shm__store *store, const shm_store_options *wanted, u32 given) {
  if (given & SHM_GIVEN_SHARDS && wanted->shards != store->shard_count) {
    return shm__mismatch("store", "shards", store->shard_count, wanted->shards);
  }
  if (given & SHM_GIVEN_FEED && wanted->feed != store->feed) return shm__mismatch("store", "feed", store->feed, wanted->feed);
  if (given & SHM_GIVEN_NO_EVENTS && (wanted->quiet_bytes != store->quiet_bytes ||
                                      (store->quiet_bytes && memcmp(wanted->quiet, store->quiet, store->quiet_bytes) != 0))) {
    return shm__fail(SHM_MISMATCH, "the store was made with other globs in no_events than those that were asked for");
  }
  return shm__check_codec("store", store->shared->codec, wanted->codec, given);
}

static int bind_store(struct shm__handle **handle, u64 main, const void *options, u32 given) {
  struct shm_store *made = (struct shm_store *)*handle;
  int status = shm__store_bind(made->handle.space, main, &made->core);
  made->core.closing = &made->handle.closing;
  return status == SHM_OK ? check_options(&made->core, options, given) : status;
}

int shm_store_open(shm_space *space, const char *name, uint32_t name_length, const shm_store_options *options,
                   uint32_t given, int create, uint64_t deadline_ns, shm_store **store) {
  struct shm__opening opening = {.kind = SHM_KIND_STORE, .size_bytes = sizeof **store, .make = make_store, .bind = bind_store,
                                 .options = options, .given = given, .create = create};
  struct shm__handle *made;
  int status = shm__handle_make(&opening, space, name, name_length, deadline_ns, &made);
  if (status == SHM_OK) *store = (struct shm_store *)made;
  return status;
}

static void wake(void *store) { shm__store_wake(store); }

void shm_store_mark_closing(shm_store *store) { shm_store_release(&store->handle.closing, 1); }

void shm_store_close(shm_store *store) { shm__handle_close(&store->handle, wake, &store->core); }

void shm_store_free(shm_store *store) {
  shm_store_close(store);
  free(store);
}

int shm_store_alive(shm_store *store) { return shm__handle_is_there(&store->handle, &store->core.shared->life); }

void shm_store_get_options(shm_store *store, shm_store_options *options) {
  const struct shm__store *core = &store->core;
  *options = (shm_store_options){
      .shards = core->shard_count, .feed = core->feed, .quiet_bytes = core->quiet_bytes, .quiet = core->quiet};
  memcpy(options->codec, core->shared->codec, sizeof options->codec - 1);
}

/* ---- one key ------------------------------------------------------------------------------------------------------------ */
static struct shm__key key_of(const void *key, u32 length) { return (struct shm__key){key, length, shm__fnv1a(key, length)}; }

int shm_store_get(shm_store *store, const void *key, uint32_t key_length, void *value, uint64_t room_bytes, shm_item_facts *facts) {
  struct shm__key wanted = key_of(key, key_length);
  int status = shm__handle_enter_to_look(&store->handle);
  if (status != SHM_OK) return status;
  status = shm__store_get(&store->core, &wanted, value, room_bytes, facts);
  if (shm_load_acquire(&store->core.shared->life) != SHM_LIFE_LIVE) status = SHM_CLOSED;
  if (status == SHM_CORRUPTED) shm__fail(status, "%s: a value in store %u is damaged", store->handle.space->path, store->core.id);
  return shm__handle_leave_look(&store->handle, &store->core.shared->life, status);
}

static int change(shm_store *store, struct shm__change *change, u64 deadline_ns) {
  int status = shm__handle_enter(&store->handle);
  if (status != SHM_OK) return status;
  status = shm__store_change(&store->core, change, deadline_ns);
  shm__store_sweep(&store->core);
  shm__handle_leave(&store->handle);
  return status;
}

/* The longest value that fits if nothing else but the store is in the space. */
static u64 most_bytes(const struct shm__store *core) {
  u64 own_bytes = sizeof *core->shared + core->shard_count * sizeof *core->shards + core->quiet_bytes + SHM_PAGE_BYTES;
  u64 all_bytes = core->space->page_count * SHM_PAGE_BYTES;
  return all_bytes > own_bytes ? all_bytes - own_bytes : 0;
}

int shm_store_set(shm_store *store, const void *key, uint32_t key_length, const shm_piece *value, const shm_write *how,
                  uint64_t deadline_ns, shm_item_facts *facts) {
  if (value->length_bytes > most_bytes(&store->core)) {
    return shm__fail(
        SHM_TOO_LARGE, "a value of %llu bytes can never fit into %s, which has room for %llu; make it with a larger size=",
        (unsigned long long)value->length_bytes, store->handle.space->path, (unsigned long long)most_bytes(&store->core));
  }
  struct shm__key wanted = key_of(key, key_length);
  struct shm__change made = {.key = &wanted, .value = value, .how = *how, .facts = facts};
  return change(store, &made, deadline_ns);
}

int shm_store_incr(shm_store *store, const void *key, uint32_t key_length, int64_t by, const shm_write *how, uint64_t deadline_ns,
                   int64_t *value, shm_item_facts *facts) {
  struct shm__key wanted = key_of(key, key_length);
  struct shm__change made = {.key = &wanted, .by = by, .how = *how, .facts = facts};
  int status = change(store, &made, deadline_ns);
  *value = made.sum;
  return status;
}

int shm_store_remove(shm_store *store, const void *key, uint32_t key_length, const shm_write *how, uint64_t deadline_ns,
                     shm_item_facts *facts) {
  struct shm__key wanted = key_of(key, key_length);
  struct shm__change made = {.key = &wanted, .how = *how, .facts = facts};
  int status = shm__handle_enter(&store->handle);
  if (status != SHM_OK) return status;
  status = shm__store_remove(&store->core, &made, deadline_ns);
  shm__store_sweep(&store->core);
  shm__handle_leave(&store->handle);
  return status;
}

/* ---- many keys ----------------------------------------------------------------------------------------------------------- */
static void give_keys(struct shm__keys *found, uint8_t **keys, uint64_t *size_bytes, uint64_t *count) {
  *keys = found->bytes;
  *size_bytes = found->used_bytes;
  *count = found->count;
}

int shm_store_remove_all(shm_store *store, const void *glob, uint32_t glob_length, const shm_write *how, uint64_t deadline_ns,
                         uint8_t **keys, uint64_t *size_bytes, uint64_t *count) {
  struct shm__glob wanted = {glob, glob_length};
  struct shm__keys found = {NULL, 0, 0, 0};
  int status = shm__handle_enter(&store->handle);
  if (status == SHM_OK) {
    status = shm__store_remove_all(&store->core, &wanted, how, deadline_ns, &found);
    shm__store_sweep(&store->core);
    shm__handle_leave(&store->handle);
  }
  give_keys(&found, keys, size_bytes, count);
  return status;
}

int shm_store_keys(shm_store *store, const void *glob, uint32_t glob_length, uint32_t order, int64_t since, int64_t until,
                   uint64_t limit, uint64_t deadline_ns, uint8_t **keys, uint64_t *size_bytes, uint64_t *count) {
  struct shm__listing wanted = {{glob, glob_length}, order, since, until, limit};
  struct shm__keys found = {NULL, 0, 0, 0};
  int status = shm__handle_enter_to_look(&store->handle);
  if (status == SHM_OK) {
    status = shm__store_keys(&store->core, &wanted, deadline_ns, &found);
    shm__store_sweep(&store->core);
    if (shm_load_acquire(&store->core.shared->life) != SHM_LIFE_LIVE) status = SHM_CLOSED;
    status = shm__handle_leave_look(&store->handle, &store->core.shared->life, status);
  }
  give_keys(&found, keys, size_bytes, count);
  return status;
}

void shm_store_free_keys(uint8_t *keys) { free(keys); }

int64_t shm_store_length(shm_store *store) {
  int status = shm__handle_enter_to_look(&store->handle);
  if (status != SHM_OK) return status;
  shm__store_sweep(&store->core);
  int64_t length = (int64_t)shm__store_length(&store->core);
  if (shm_load_acquire(&store->core.shared->life) != SHM_LIFE_LIVE) status = SHM_CLOSED;
  status = shm__handle_leave_look(&store->handle, &store->core.shared->life, status);
  return status == SHM_OK ? length : status;
}

int shm_store_stat(shm_store *store, shm_store_facts *facts, uint64_t *counts) {
  int status = shm__handle_enter_to_look(&store->handle);
  if (status != SHM_OK) return status;
  shm__store_sweep(&store->core);
  status = shm__store_stat(&store->core, facts, counts);
  return shm__handle_leave_look(&store->handle, &store->core.shared->life, status);
}

/* ---- locks of keys ------------------------------------------------------------------------------------------------------- */
int shm_store_lock(shm_store *store, const void *key, uint32_t key_length, uint64_t holder, uint64_t deadline_ns, int *owner_died) {
  struct shm__key wanted = key_of(key, key_length);
  int status = shm__handle_enter(&store->handle), died = 0;
  if (status != SHM_OK) return status;
  status = shm__store_lock_key(&store->core, &wanted, holder, deadline_ns, &died);
  if (status == SHM_OK) *owner_died = died; /* written only now: a caller that is interrupted can tell whether he has it */
  shm__handle_leave(&store->handle);
  return status;
}

int shm_store_unlock(shm_store *store, const void *key, uint32_t key_length, uint64_t holder) {
  struct shm__key wanted = key_of(key, key_length);
  /* Not behind handle_enter: what was locked through a handle that was closed meanwhile must be given up, too. */
  if (store->handle.epoch != shm__fork_epoch || shm__enter(store->handle.space) != SHM_OK) return SHM_FORKED;
  int status = shm__store_unlock_key(&store->core, &wanted, holder);
  shm__leave(store->handle.space);
  return status;
}

uint32_t shm_store_holder(shm_store *store, const void *key, uint32_t key_length, uint64_t *since_ns) {
  struct shm__key wanted = key_of(key, key_length);
  *since_ns = 0;
  if (shm__handle_enter(&store->handle) != SHM_OK) return 0;
  u32 holder = shm__store_holder(&store->core, &wanted, since_ns);
  shm__handle_leave(&store->handle);
  return holder;
}

struct lock_gathering {
  shm_key_lock *locks;
  u64 count, room;
};

static int gather_locks(const struct shm__space *space, const struct shm_entry *entry, void *context) {
  struct lock_gathering *gathering = context;
  struct shm__store store;
  if (entry->kind != SHM_KIND_STORE || shm__store_bind((struct shm__space *)space, entry->main, &store) != SHM_OK) return 0;
  for (u32 n = 0; n < store.shard_count; n++) {
    struct shm__drawer drawer = shm__drawer(&store, n);
    gathering->count += shm__claim_list(&drawer, gathering->locks + gathering->count, gathering->room - gathering->count);
  }
  return gathering->count == gathering->room;
}

uint64_t shm_space_key_locks(shm_space *space, shm_key_lock *locks, uint64_t room) {
  struct lock_gathering gathering = {.locks = locks, .room = room};
  shm__directory_walk(space, gather_locks, &gathering);
  return gathering.count;
}

void shm_store_arm_locks(shm_store *store) {
  if (shm__handle_enter(&store->handle) != SHM_OK) return;
  shm__event_arm_bell(store->handle.space, store->core.locks);
  shm__handle_leave(&store->handle);
}

void shm_store_wake(shm_store *store) {
  if (shm__handle_enter(&store->handle) != SHM_OK) return;
  shm__store_wake(&store->core);
  shm__handle_leave(&store->handle);
}

/* ---- watching ------------------------------------------------------------------------------------------------------------ */
int shm_watch_open(shm_store *store, const void *glob, uint32_t glob_length, int from_seq, uint64_t seq, uint64_t deadline_ns,
                   shm_watch **watch) {
  struct shm__glob wanted = {glob, glob_length};
  shm_watch *made = calloc(1, sizeof *made);
  if (!made) return shm__fail(SHM_SPACE_FULL, "no memory");
  int status = shm__handle_enter_to_look(&store->handle);
  if (status == SHM_OK) {
    made->store = store;
    u64 holder = (u64)(uintptr_t)made; /* nobody else's while it lives */
    status = shm__watch_open(&store->core, &wanted, from_seq, seq, holder, deadline_ns, &made->core);
    int left = shm__handle_leave_look(&store->handle, &store->core.shared->life, status);
    if (status == SHM_OK && left != SHM_OK) shm__watch_close(&made->core);
    status = left;
  }
  if (status == SHM_OK) *watch = made;
  else free(made);
  return status;
}

int shm_watch_next(shm_watch *watch, uint64_t deadline_ns, shm_event *event) {
  struct shm_store *store = watch->store;
  shm_add(&watch->busy, 1);
  int status = shm__handle_enter_to_look(&store->handle);
  if (status == SHM_OK) {
    status = shm__watch_next(&watch->core, deadline_ns, event);
    status = shm__handle_leave_look(&store->handle, &store->core.shared->life, status);
  }
  shm_add(&watch->busy, (u32)-1);
  return status;
}

void shm_watch_arm(shm_watch *watch) {
  struct shm_store *store = watch->store;
  if (store->handle.space->readonly || shm__handle_enter(&store->handle) != SHM_OK) return;
  shm__event_arm_bell(store->handle.space, store->core.watch);
  shm__store_sweep(&store->core);
  shm__handle_leave(&store->handle);
}

void shm_watch_mark_closing(shm_watch *watch) {
  shm_store_release(&watch->core.closing, 1);
  shm_store_wake(watch->store);
}

void shm_watch_free(shm_watch *watch) {
  struct shm_store *store = watch->store;
  /* Not behind handle_enter: that of a handle that was closed meanwhile goes, too. In a child of a fork it is the parent's. */
  int ours = store->handle.epoch == shm__fork_epoch && shm__enter(store->handle.space) == SHM_OK;
  if (!ours) watch->core.holder = 0;
  shm_store_release(&watch->core.closing, 1);
  while (ours && shm_load_acquire(&watch->busy)) { /* another thread is inside: it leaves at its next look */
    shm__store_wake(&store->core);
    shm__nap_ns(100000);
  }
  shm__watch_close(&watch->core);
  if (ours) shm__leave(store->handle.space);
  free(watch);
}
