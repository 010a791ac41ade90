/* A lock is its taker's alone: it survives the end of a child of his, and is given up by his own end even if a child that
 * inherited everything lives on.
 *
 * Runs: processes
 */
#include "harness.h"

struct stage {
  u32 ready, leave;
};

static shm_lock *open_lock(shm_space *space) {
  shm_lock *lock;
  OK(shm_lock_open(space, "l", 1, in_ns(LONG), &lock));
  return lock;
}

static int take(shm_lock *lock, u64 wait_ns, int *owner_died) { return shm_lock_take(lock, in_ns(wait_ns), owner_died); }

static void exit_at_once(void *context) { (void)context; }

static void attach_and_exit(void *context) {
  int owner_died;
  OK(shm_space_attach_again(context));
  IS(take(open_lock(context), 20 * MS, &owner_died), SHM_LOCKED);
}

/* Child: takes the lock, has a child itself, dies. */
static void die_before_own_child(void *context) {
  struct stage *stage = context;
  int owner_died;
  OK(take(open_lock(join_space()), LONG, &owner_died));
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, 0);
    shm_store_release(&stage->ready, 1);
    await(&stage->leave, 1);
    _exit(0);
  }
  for (;;) pause();
}

static void hold_as_child(void *context) {
  struct stage *stage = context;
  shm_space *space = join_space();
  pid_t child = fork();
  if (child == 0) { /* its parent, our middle one, goes before it */
    int owner_died;
    prctl(PR_SET_PDEATHSIG, 0);
    OK(shm_space_attach_again(space));
    OK(take(open_lock(space), LONG, &owner_died));
    shm_store_release(&stage->ready, 1);
    await(&stage->leave, 1);
    _exit(0);
  }
  await(&stage->ready, 1);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  struct stage *stage = shared_memory(3 * sizeof *stage);
  shm_space *space = make_space(1 << 20, 8), *other = join_space();
  shm_lock *lock = open_lock(space), *watch = open_lock(other);
  int owner_died;
  OK(take(lock, 0, &owner_died));
  end_child(start_child(exit_at_once, NULL));
  end_child(start_child(attach_and_exit, space));
  shm_space_reap_dead(other);
  IS(take(watch, 100 * MS, &owner_died), SHM_LOCKED);
  OK(shm_lock_release(lock));
  pid_t child = start_child(die_before_own_child, &stage[0]);
  await(&stage[0].ready, 1);
  IS(take(watch, 50 * MS, &owner_died), SHM_LOCKED);
  kill_child(child);
  OK(take(watch, SECONDS, &owner_died));
  CHECK(owner_died);
  OK(shm_lock_release(watch));
  shm_store_release(&stage[0].leave, 1);
  child = start_child(hold_as_child, &stage[1]);
  end_child(child);
  IS(take(watch, 200 * MS, &owner_died), SHM_LOCKED);
  shm_space_reap_dead(other);
  IS(take(watch, 50 * MS, &owner_died), SHM_LOCKED);
  shm_store_release(&stage[1].leave, 1);
  OK(take(watch, SECONDS, &owner_died));
  CHECK(owner_died);
  OK(shm_lock_release(watch));
  while (waitpid(-1, NULL, 0) > 0) continue;
  shm_space_reap_dead(space);
  shm_lock_free(lock);
  shm_lock_free(watch);
  leave_space(other);
  end_space(space);
  return 0;
}
