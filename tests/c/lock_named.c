/* A named lock: one holder, who is told when the one before him died, also when he only tries and never waits; a
 * handle from before a fork releases nothing; a lock that nobody uses leaves nothing behind.
 *
 * Runs: processes
 */
#include "harness.h"

static u32 *ready;

static shm_lock *open_lock(shm_space *space) {
  shm_lock *lock;
  OK(shm_lock_open(space, "l", 1, in_ns(LONG), &lock));
  return lock;
}

static void hold_until_killed(void *context) {
  int owner_died;
  (void)context;
  OK(shm_lock_take(open_lock(join_space()), in_ns(LONG), &owner_died));
  shm_add(ready, 1);
  for (;;) pause();
}

static void use_inherited(void *context) {
  int owner_died;
  IS(shm_lock_take(context, 0, &owner_died), SHM_FORKED);
  IS(shm_lock_release(context), SHM_CLOSED);
  shm_lock_free(context);
}

static void try_only(shm_lock *lock) {
  int owner_died = 0, status;
  u64 deadline_ns = in_ns(2 * SECONDS);
  while ((status = shm_lock_take(lock, 0, &owner_died)) == SHM_LOCKED && shm_monotonic_ns() < deadline_ns) shm_nap_ns(MS);
  OK(status);
  CHECK(owner_died);
  OK(shm_lock_release(lock));
}

int main(int argc, char **argv) {
  begin(argc, argv);
  ready = shared_memory(sizeof *ready);
  shm_space *space = make_space(1 << 20, 4);
  u64 base = used_bytes(space), since_ns;
  int owner_died;
  shm_lock *lock = open_lock(space), *again = open_lock(space);
  OK(shm_lock_take(lock, 0, &owner_died));
  CHECK(!owner_died);
  SAME(shm_lock_holder(again, &since_ns), token_of(space));
  IS(shm_lock_take(again, 0, &owner_died), SHM_LOCKED);
  IS(shm_lock_take(again, in_ns(20 * MS), &owner_died), SHM_LOCKED);
  end_child(start_child(use_inherited, lock));
  SAME(shm_lock_holder(again, &since_ns), token_of(space));
  OK(shm_lock_release(lock));
  IS(shm_lock_release(lock), SHM_CLOSED);
  for (int wait = 0; wait < 2; wait++) {
    *ready = 0;
    pid_t child = start_child(hold_until_killed, NULL);
    await(ready, 1);
    kill_child(child);
    if (wait) OK(shm_lock_take(lock, in_ns(LONG), &owner_died));
    else try_only(lock);
    CHECK(owner_died || !wait);
    if (wait) OK(shm_lock_release(lock));
  }
  OK(shm_lock_take(lock, in_ns(LONG), &owner_died));
  CHECK(!owner_died);
  OK(shm_lock_release(lock));
  shm_lock_free(lock);
  shm_lock_free(again);
  shm_space_reap_dead(space);
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
