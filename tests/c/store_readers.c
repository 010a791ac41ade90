/* Readers of a key while others change it, in every way: each value that is read is whole, versions only rise, a key that is
 * always there is always found, and one that is removed and made again is found as it was or not at all. The keys of one shard
 * grow and shrink meanwhile, so that its chains are made anew under the readers.
 *
 * Runs: processes, threads
 */
#include "stores.h"

enum { WRITERS = 2, READERS = 2, KEYS = 4, MORE = 60, ROUNDS = 5000 };

struct shared {
  u32 gate, over;
};

/* Short, in the item; long, in the item, not in the slot of an event; in a block; in a large one. */
static u64 draw_length(struct chance *chance) {
  static const u64 lengths[] = {8, 40, 150, 192, 193, 500, 2000, 20000};
  return lengths[below(chance, sizeof lengths / sizeof lengths[0])];
}

static void write_keys(u32 index, shm_store *store, struct shared *shared) {
  struct chance chance = chance_for(index);
  shm_item_facts facts, before;
  char name[KEY_ROOM];
  shm_write how = {.holder = HOLDER};
  int64_t sum, last = 0;
  for (u32 i = 0; i < ROUNDS; i++) {
    u32 key = (u32)below(&chance, KEYS);
    OK(set_letter(store, key, draw_length(&chance), index, i, 0, &facts));
    if (key == KEYS - 1 && below(&chance, 3) == 0) { /* the last one comes and goes */
      int status = remove_key(store, key, &before);
      if (status != SHM_NOT_FOUND) OK(status);
      if (status == SHM_OK) CHECK(before.version >= facts.version);
    }
    u32 other = KEYS + index * MORE + (i / MORE) % MORE;
    if (i / 512 % 2 == 0) OK(set_letter(store, KEYS + index * MORE + i % MORE, draw_length(&chance), index, i, 0, &facts));
    else if ((i & 7) == 0) remove_key(store, other, &facts);
    u32 length = name_key(10000 + index, name);
    OK(shm_store_incr(store, name, length, 1, &how, in_ns(LONG), &sum, &facts));
    SAME(sum, last + 1);
    last = sum;
  }
  shm_add(&shared->over, 1);
}

static void read_keys(u32 index, shm_store *store, struct shared *shared) {
  struct chance chance = chance_for(index);
  u64 versions[KEYS] = {0};
  shm_item_facts facts;
  struct letter letter = {0, 0};
  while (shm_load_acquire(&shared->over) < WRITERS) {
    u32 key = (u32)below(&chance, KEYS + 8);
    if (key >= KEYS) {
      u32 other = KEYS + (u32)below(&chance, WRITERS * MORE);
      if (get_letter(store, other, &letter, &facts) == SHM_OK) SAME(letter.sender, (other - KEYS) / MORE);
      continue;
    }
    int status = get_letter(store, key, &letter, &facts);
    if (status == SHM_NOT_FOUND && key < KEYS - 1) FAIL("key %u was not found", key);
    if (status != SHM_OK) continue;
    if (facts.version < versions[key]) FAIL("key %u went back to version %llu", key, (unsigned long long)facts.version);
    versions[key] = facts.version;
  }
}

static void work(u32 index, void *context) {
  struct shared *shared = context;
  shm_space *space = join_space();
  shm_store *store = open_store(space, 0, 0);
  meet(&shared->gate, WRITERS + READERS);
  if (index < WRITERS) write_keys(index, store, shared);
  else read_keys(index, store, shared);
  shm_store_free(store);
  leave_space(space);
}

static void run(u32 shards, u32 feed) {
  shm_space *space = make_space(16 << 20, 16);
  struct shared *shared = shared_memory(sizeof *shared);
  u64 before = used_bytes(space);
  shm_store *store = open_store(space, shards, feed);
  shm_item_facts facts;
  for (u32 key = 0; key < KEYS; key++) OK(set_letter(store, key, 40, 9, 0, 0, &facts));
  run_workers(WRITERS + READERS, work, shared);
  be_healthy(space);
  shm_store_free(store);
  delete_store(space);
  SAME(used_bytes(space), before);
  end_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  run(1, 16);
  run(2, 0);
  run(16, 256);
  return 0;
}
