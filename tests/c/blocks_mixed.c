/* A million allocations and releases of 1 B to 1 MiB by several members leave the memory as it was, and no two blocks
 * that live at the same time share a byte.
 *
 * Runs: processes, threads
 */
#include "../../csrc/core/blocks.h"
#include "harness.h"

enum { WORKERS = 4, LIVE = 48, OPERATIONS = 1000000 };

struct held {
  struct shm__ref ref;
  u64 size_bytes, mark;
};

/* Both ends of the block say whose it is: what overlaps another block is overwritten by it. */
static void mark(shm_space *space, const struct held *held) {
  u8 *payload = shm__block_payload(space, held->ref, held->size_bytes);
  CHECK(payload);
  u64 length = held->size_bytes < 8 ? held->size_bytes : 8;
  memcpy(payload, &held->mark, length);
  memcpy(payload + held->size_bytes - length, &held->mark, length);
}

static void look(shm_space *space, const struct held *held) {
  const u8 *payload = shm__block_payload(space, held->ref, held->size_bytes);
  CHECK(payload);
  u64 length = held->size_bytes < 8 ? held->size_bytes : 8;
  CHECK(memcmp(payload + held->size_bytes - length, &held->mark, length) == 0);
  if (held->size_bytes >= 16) CHECK(memcmp(payload, &held->mark, length) == 0);
}

static void let_go(shm_space *space, struct held *held, u32 id) {
  look(space, held);
  if (held->mark & 1) { /* on a structure's account in between */
    CHECK(shm__block_link(space, held->ref, id));
    CHECK(!shm__block_link(space, held->ref, id));
    shm__block_drop(space, held->ref, id);
  } else {
    shm__block_free(space, held->ref);
  }
  /* Unless the lock that this takes was held for long: then it is freed later. */
  if (shm_load_relaxed(&space->deferred) == 0) CHECK(!shm__block_payload(space, held->ref, 1));
  held->size_bytes = 0;
}

static void work(u32 index, void *context) {
  shm_space *space = join_space();
  struct chance chance = chance_for(index);
  static __thread struct held live[LIVE];
  (void)context;
  for (u32 i = 0; i < OPERATIONS / WORKERS; i++) {
    struct held *held = &live[below(&chance, LIVE)];
    if (held->size_bytes) {
      let_go(space, held, index + 1);
      continue;
    }
    held->size_bytes = draw_size(&chance, 20);
    held->mark = draw(&chance);
    OK(shm__block_alloc(space, held->size_bytes, in_ns(LONG), &held->ref));
    mark(space, held);
  }
  for (u32 i = 0; i < LIVE; i++) {
    if (live[i].size_bytes) let_go(space, &live[i], index + 1);
  }
  leave_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  shm_space *space = make_space(256 << 20, 0);
  u64 base = used_bytes(space);
  run_workers(WORKERS, work, NULL);
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
