/* What a killed member holds is free once it was reaped; what a structure links stays; a reference from before never
 * matches again.
 *
 * Runs: processes
 */
#include "../../csrc/core/blocks.h"
#include "harness.h"

enum { HELD = 1000, ID = 77 };

struct left {
  struct shm__ref held[HELD], linked;
  u32 ready;
};

static void hold_until_killed(void *context) {
  struct left *left = context;
  shm_space *space = join_space();
  struct chance chance = chance_for(0);
  for (u32 i = 0; i < HELD; i++) OK(shm__block_alloc(space, draw_size(&chance, 16), in_ns(LONG), &left->held[i]));
  OK(shm__block_alloc(space, 100, in_ns(LONG), &left->linked));
  CHECK(shm__block_link(space, left->linked, ID));
  shm_store_release(&left->ready, 1);
  for (;;) pause();
}

int main(int argc, char **argv) {
  begin(argc, argv);
  struct left *left = shared_memory(sizeof *left);
  shm_space *space = make_space(64 << 20, 4);
  u64 base = used_bytes(space);
  pid_t child = start_child(hold_until_killed, left);
  await(&left->ready, 1);
  CHECK(used_bytes(space) > base);
  shm_space_reap_dead(space); /* it lives: nothing is taken from it */
  for (u32 i = 0; i < HELD; i++) CHECK(shm__block_payload(space, left->held[i], 1));
  kill_child(child);
  shm_space_reap_dead(space);
  for (u32 i = 0; i < HELD; i++) CHECK(!shm__block_payload(space, left->held[i], 1));
  CHECK(shm__block_payload(space, left->linked, 100));
  shm__block_drop(space, left->linked, ID);
  SAME(used_bytes(space), base);
  struct shm__ref again;
  for (u32 i = 0; i < HELD; i++) {
    OK(shm__block_alloc(space, 100, in_ns(LONG), &again));
    if (again.offset == left->linked.offset) CHECK(again.gen != left->linked.gen);
    CHECK(!shm__block_payload(space, left->linked, 1));
    shm__block_free(space, left->linked); /* not ours: nothing happens */
    CHECK(shm__block_payload(space, again, 100));
  }
  shm_space_facts facts;
  shm_space_stat(space, &facts);
  SAME(facts.recoveries, 1);
  end_space(space);
  return 0;
}
