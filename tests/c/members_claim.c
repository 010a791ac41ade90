/* However many come and go at once, no two who are there have the same slot, no token is given out twice, and a token of
 * one who left is dead.
 *
 * Runs: processes, threads
 */
#include "../../csrc/core/members.h"
#include "harness.h"

enum { WORKERS = 6, ROUNDS = 150, MEMBERS = 8 };

struct book {
  u32 sits[MEMBERS + 1]; /* by slot: who is there */
  u32 generation[MEMBERS + 1];
};

static void work(u32 index, void *context) {
  struct book *book = context;
  u32 before = 0;
  for (u32 round = 0; round < ROUNDS; round++) {
    shm_space *space = join_space();
    u32 token = token_of(space), slot = shm__token_slot(token), generation = token >> SHM_SLOT_BITS;
    CHECK(slot < MEMBERS);
    SAME(shm_exchange(&book->sits[slot], index + 1), 0);
    u32 last = shm_exchange(&book->generation[slot], generation);
    if (generation <= last) FAIL("slot %u: generation %u after %u", slot, generation, last);
    CHECK(shm__token_alive(space, token));
    if (before) CHECK(!shm__token_alive(space, before));
    before = token;
    SAME(shm_exchange(&book->sits[slot], 0), index + 1);
    leave_space(space);
  }
}

int main(int argc, char **argv) {
  begin(argc, argv);
  struct book *book = shared_memory(sizeof *book);
  shm_space *space = make_space(1 << 20, MEMBERS);
  book->sits[shm__token_slot(token_of(space))] = 100;
  run_workers(WORKERS, work, book);
  shm_space_facts facts;
  shm_space_stat(space, &facts);
  SAME(facts.members, 1);
  SAME(facts.member_limit, MEMBERS);
  SAME(facts.recoveries, 0); /* nobody was taken for dead */
  end_space(space);
  return 0;
}
