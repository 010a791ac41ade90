/* A stopped member that is in the middle of an allocation delays only what needs its lock: releases of others are put
 * off and done later, leaving the space ends, and a dead member is reaped when the stopped one goes on.
 *
 * Runs: processes
 */
#include "../../csrc/core/blocks.h"
#include "../../csrc/core/lock.h"
#include "../../csrc/core/members.h"
#include "harness.h"

struct stage {
  u32 ready, token;
  struct shm__ref ref;
};

static u32 *class_lock(shm_space *space, struct shm__ref ref) {
  return &space->classes[shm__block_header(space, ref.offset)->size_class].lock;
}

static void stop_in_the_middle(void *context) {
  struct stage *stage = context;
  shm_space *space = join_space();
  OK(shm__lock(space, class_lock(space, stage->ref), in_ns(LONG), 0));
  shm_store_release(&stage->ready, 1);
  raise(SIGSTOP);
  shm__unlock(class_lock(space, stage->ref));
  leave_space(space);
}

static void hold_until_killed(void *context) {
  struct stage *stage = context;
  shm_space *space = join_space();
  OK(shm__block_alloc(space, 100, in_ns(LONG), &stage->ref));
  stage->token = token_of(space);
  shm_store_release(&stage->ready, 2);
  for (;;) pause();
}

/* With blocks of the class still to be freed, and a dead member beside. */
static void come_and_go(void *context) {
  struct stage *stage = context;
  shm_space *space = join_space();
  shm_space_reap_dead(space);
  leave_space(space);
  shm_store_release(&stage->ready, 3);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  struct stage *stage = shared_memory(2 * sizeof *stage);
  shm_space *space = make_space(4 << 20, 8);
  u64 base = used_bytes(space);
  OK(shm__block_alloc(space, 100, in_ns(LONG), &stage->ref));
  struct shm__ref mine = stage->ref;
  pid_t holder = start_child(hold_until_killed, &stage[1]);
  await(&stage[1].ready, 2);
  pid_t stopped = start_child(stop_in_the_middle, stage);
  await(&stage->ready, 1);
  kill_child(holder);
  u64 start_ns = shm_monotonic_ns();
  shm__block_free(space, mine);
  IS(shm__block_alloc(space, 100, in_ns(50 * MS), &mine), SHM_TIMEOUT);
  pid_t visitor = start_child(come_and_go, stage);
  await(&stage->ready, 3);
  end_child(visitor);
  if (shm_monotonic_ns() - start_ns > 5 * SECONDS) FAIL("a stopped member held others up");
  kill(stopped, SIGCONT);
  end_child(stopped);
  shm_space_reap_dead(space);
  CHECK(!shm__token_alive(space, stage[1].token));
  OK(shm__block_alloc(space, 100, in_ns(LONG), &mine));
  shm__block_free(space, mine);
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
