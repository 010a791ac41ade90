/* Whoever watches gets the events of all shards in the order of their seq, also when a change that was begun first is told
 * last: between a watcher's look at its shard and his choice of another event.
 *
 * Runs: processes
 * Link: --wrap=shm__point
 */
#include <pthread.h>

#include "stores.h"

enum { SHARDS = 2, BEGUN = 1, MAY_GO_ON = 2, OVER = 3 };

static shm_store *early_store, *late_store;
static u32 stage, early_key, late_key;
static __thread int is_early;
static int holds;

void __wrap_shm__point(const char *name);

/* The early one has drawn his stamp, and holds until the watcher has chosen. */
void __wrap_shm__point(const char *name) {
  if (is_early && strcmp(name, "store.told") == 0) {
    shm_store_release(&stage, BEGUN);
    await(&stage, MAY_GO_ON);
  }
  if (!is_early && holds && strcmp(name, "watch.chosen") == 0) {
    holds = 0;
    shm_store_release(&stage, MAY_GO_ON);
    await(&stage, OVER);
  }
}

static void *set_early(void *unused) {
  shm_item_facts facts;
  is_early = 1;
  OK(set_letter(early_store, early_key, 30, 1, 1, 0, &facts));
  shm_store_release(&stage, OVER);
  return unused;
}

/* The first key in this shard. */
static u32 key_in(u32 shard) {
  char name[KEY_ROOM];
  for (u32 key = 0;; key++) {
    if (shm_hash(name, name_key(key, name)) % SHARDS == shard) return key;
  }
}

static void watch_both(u32 early_shard) {
  shm_space *space = make_space(4 << 20, 8), *other = join_space();
  early_store = open_store(space, SHARDS, 64), late_store = open_store(other, SHARDS, 64);
  early_key = key_in(early_shard), late_key = key_in(1 - early_shard);
  shm_item_facts facts;
  shm_watch *watch;
  shm_event event;
  pthread_t thread;
  stage = 0;
  OK(shm_watch_open(late_store, NULL, 0, 0, 0, in_ns(LONG), &watch));
  CHECK(pthread_create(&thread, NULL, set_early, NULL) == 0);
  await(&stage, BEGUN);
  OK(set_letter(late_store, late_key, 30, 2, 2, 0, &facts));
  holds = 1;
  OK(shm_watch_next(watch, in_ns(LONG), &event));
  SAME(key_number(event.key, event.key_length), early_key);
  CHECK(event.seq < facts.version);
  OK(shm_watch_next(watch, in_ns(LONG), &event));
  SAME(key_number(event.key, event.key_length), late_key);
  CHECK(event.seq == facts.version);
  CHECK(pthread_join(thread, NULL) == 0);
  shm_watch_free(watch);
  shm_store_free(early_store);
  shm_store_free(late_store);
  leave_space(other);
  end_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  for (u32 shard = 0; shard < SHARDS; shard++) watch_both(shard);
  return 0;
}
