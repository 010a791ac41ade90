/* Locks of keys exclude each other and those who change the key; whoever removes all that match waits for them and blocks
 * nobody meanwhile who could let go, so that locking two keys in order, changing what is locked, and removing by glob always
 * come to an end. A lock is one thread's.
 *
 * Runs: processes, threads
 */
#include "stores.h"

enum { WORKERS = 4, KEYS = 3, ROUNDS = 600 };

struct shared {
  u32 gate;
  u32 inside[KEYS];
  u32 sums[KEYS], removed;
};

static u64 holder_of(u32 index) { return 100 + index; }

static void enter_key(shm_store *store, struct shared *shared, u32 index, u32 key) {
  char name[KEY_ROOM];
  int died = 0;
  OK(shm_store_lock(store, name, name_key(key, name), holder_of(index), in_ns(LONG), &died));
  SAME(died, 0);
  SAME(shm_add(&shared->inside[key], 1), 0);
}

static void leave_key(shm_store *store, struct shared *shared, u32 index, u32 key) {
  char name[KEY_ROOM];
  shm_add(&shared->inside[key], (u32)-1);
  OK(shm_store_unlock(store, name, name_key(key, name), holder_of(index)));
}

/* Read, think, and write: nobody comes in between. */
static void change_both(shm_store *store, struct shared *shared, u32 index, u32 a, u32 b) {
  u32 keys[] = {a < b ? a : b, a < b ? b : a};
  char name[KEY_ROOM];
  shm_item_facts facts;
  shm_write how = {.holder = holder_of(index)};
  for (u32 i = 0; i < 2; i++) enter_key(store, shared, index, keys[i]);
  for (u32 i = 0; i < 2; i++) {
    struct letter letter = {0, 0};
    u32 number = get_letter(store, keys[i], &letter, &facts) == SHM_OK ? letter.number : 0;
    u8 data[100];
    write_letter(data, sizeof data, 0, number + 1);
    shm_piece piece = {data, sizeof data, 0};
    OK(shm_store_set(store, name, name_key(keys[i], name), &piece, &how, in_ns(LONG), &facts));
    struct letter after = {0, 0};
    OK(get_letter(store, keys[i], &after, &facts));
    SAME(after.number, number + 1);
  }
  for (u32 i = 2; i-- > 0;) leave_key(store, shared, index, keys[i]);
}

/* Somebody who has no lock: he waits. */
static void intrude(shm_store *store, struct shared *shared, u32 index, struct chance *chance) {
  shm_item_facts facts;
  int status;
  if (below(chance, 2)) {
    u64 count = remove_matching(store, below(chance, 2) ? "a/*" : NULL, in_ns(LONG), &status);
    OK(status);
    shm_add(&shared->removed, (u32)count);
    return;
  }
  OK(set_letter(store, (u32)below(chance, KEYS), 50, index, 0, 0, &facts));
}

/* Others change keys of the shard meanwhile: who waits for nothing, or shortly, may find it busy and look again. */
#define LOCKED(call)                                                                                                   \
  do {                                                                                                                 \
    int status;                                                                                                        \
    do status = (call);                                                                                                \
    while (status == SHM_BUSY || status == SHM_TIMEOUT);                                                               \
    IS(status, SHM_LOCKED);                                                                                            \
  } while (0)

static void try_locked(shm_store *store, u32 index) {
  char name[KEY_ROOM];
  int died = 0;
  u32 length = name_key(50 + index, name);
  shm_write how = {.holder = 1};
  shm_piece piece = {"12345678", 8, 0};
  shm_item_facts facts;
  u64 since_ns;
  OK(shm_store_lock(store, name, length, holder_of(index), in_ns(LONG), &died));
  IS(shm_store_lock(store, name, length, holder_of(index), in_ns(LONG), &died), SHM_INVALID);
  LOCKED(shm_store_lock(store, name, length, 1, 0, &died));
  LOCKED(shm_store_set(store, name, length, &piece, &how, in_ns(MS), &facts));
  IS(shm_store_unlock(store, name, length, 1), SHM_NOT_FOUND);
  CHECK(shm_store_holder(store, name, length, &since_ns) != 0);
  OK(shm_store_unlock(store, name, length, holder_of(index)));
  IS(shm_store_unlock(store, name, length, holder_of(index)), SHM_NOT_FOUND);
  SAME(shm_store_holder(store, name, length, &since_ns), 0);
}

static void work(u32 index, void *context) {
  struct shared *shared = context;
  struct chance chance = chance_for(index);
  shm_space *space = join_space();
  shm_store *store = open_store(space, 0, 0);
  meet(&shared->gate, WORKERS);
  try_locked(store, index);
  for (u32 i = 0; i < ROUNDS; i++) {
    u32 a = (u32)below(&chance, KEYS);
    if (below(&chance, 4)) change_both(store, shared, index, a, (a + 1 + (u32)below(&chance, KEYS - 1)) % KEYS);
    else intrude(store, shared, index, &chance);
  }
  shm_store_free(store);
  leave_space(space);
}

static void run(u32 shards) {
  shm_space *space = make_space(8 << 20, 16);
  struct shared *shared = shared_memory(sizeof *shared);
  u64 before = used_bytes(space);
  shm_store *store = open_store(space, shards, 32);
  run_workers(WORKERS, work, shared);
  shm_store_free(store);
  delete_store(space);
  SAME(used_bytes(space), before);
  end_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  run(1);
  run(8);
  return 0;
}
