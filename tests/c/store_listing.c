/* Listing while keys come and go: those that are there all the while are listed, each once, in order; those that are never
 * there are not; glob and plain listing agree. Removing all that match happens at once: whoever lists finds all of a group
 * or none where one of them is the last to come and all go together.
 *
 * Runs: processes, threads
 */
#include "stores.h"

enum { WRITERS = 2, LISTERS = 2, STAY = 40, COME = 200, ROUNDS = 250 };

struct shared {
  u32 gate, over;
};

/* Every fifth key stays. */
static u32 staying(u32 i) { return i * 5; }

static void come_and_go(u32 index, shm_store *store) {
  struct chance chance = chance_for(index);
  shm_item_facts facts;
  for (u32 round = 0; round < ROUNDS; round++) {
    for (u32 i = 0; i < 40; i++) {
      u32 key = (u32)below(&chance, COME);
      if (key % 5 == 0) continue;
      if (below(&chance, 2)) OK(set_letter(store, key, 8 + below(&chance, 300), index, round, 0, &facts));
      else remove_key(store, key, &facts);
    }
  }
}

static void list_all(shm_store *store) {
  u32 numbers[COME + 8], count = (u32)list_keys(store, NULL, numbers, COME), stayed = 0;
  for (u32 i = 0; i < count; i++) {
    CHECK(numbers[i] < COME);
    stayed += numbers[i] % 5 == 0;
  }
  SAME(stayed, STAY);
  u32 with_a = 0;
  for (u32 i = 0; i < count; i++) with_a += numbers[i] % 2 == 0 && numbers[i] % 5 == 0;
  count = (u32)list_keys(store, "a/*", numbers, COME);
  stayed = 0;
  for (u32 i = 0; i < count; i++) {
    CHECK(numbers[i] % 2 == 0);
    stayed += numbers[i] % 5 == 0;
  }
  SAME(stayed, with_a);
  CHECK(shm_store_length(store) >= STAY);
}

static void work(u32 index, void *context) {
  struct shared *shared = context;
  shm_space *space = join_space();
  shm_store *store = open_store(space, 0, 0);
  meet(&shared->gate, WRITERS + LISTERS);
  if (index < WRITERS) {
    come_and_go(index, store);
    shm_add(&shared->over, 1);
  } else {
    while (shm_load_acquire(&shared->over) < WRITERS) list_all(store);
  }
  shm_store_free(store);
  leave_space(space);
}

static void run(u32 shards, u32 feed) {
  shm_space *space = make_space(16 << 20, 16);
  struct shared *shared = shared_memory(sizeof *shared);
  shm_store *store = open_store(space, shards, feed);
  shm_item_facts facts;
  for (u32 i = 0; i < STAY; i++) OK(set_letter(store, staying(i), 20, 0, i, 0, &facts));
  run_workers(WRITERS + LISTERS, work, shared);
  list_all(store);
  int status;
  u64 there = (u64)shm_store_length(store);
  SAME(remove_matching(store, NULL, in_ns(LONG), &status), there);
  OK(status);
  SAME(shm_store_length(store), 0);
  shm_store_free(store);
  delete_store(space);
  end_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  run(1, 64);
  run(8, 0);
  return 0;
}
