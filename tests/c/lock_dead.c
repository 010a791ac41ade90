/* A dead owner's lock is taken over within 250 ms, by one of those who wait, who is told to repair; who gives it up
 * unrepaired leaves that to the next one. A zombie is dead; so is who left a child behind that inherited all he had.
 *
 * Runs: processes
 */
#include "../../csrc/core/blocks.h"
#include "../../csrc/core/lock.h"
#include "harness.h"

enum { WAITERS = 5, MOST_MS = 250 };

struct stage {
  struct shm__ref ref;
  u32 ready, repairs, orphan;
  u64 died_ns, got_ns[WAITERS];
};

static void hold_until_killed(void *context) {
  struct stage *stage = context;
  shm_space *space = join_space();
  u32 *word = (u32 *)shm__block_payload(space, stage->ref, sizeof *word);
  OK(shm__lock(space, word, in_ns(LONG), 0));
  if (stage->orphan) {
    pid_t heir = fork();
    if (heir == 0) {
      prctl(PR_SET_PDEATHSIG, 0);
      for (u32 i = 0; i < 100; i++) shm_nap_ns(10 * MS); /* a second: longer than anybody waits */
      _exit(0);
    }
  }
  shm_add(&stage->ready, 1);
  for (;;) pause();
}

static void wait_for_it(u32 index, void *context) {
  struct stage *stage = context;
  shm_space *space = join_space();
  u32 *word = (u32 *)shm__block_payload(space, stage->ref, sizeof *word);
  shm_add(&stage->ready, 1);
  int status = shm__lock(space, word, in_ns(LONG), 0);
  stage->got_ns[index] = shm_monotonic_ns();
  if (status == SHM__REPAIR) shm_add(&stage->repairs, 1);
  else OK(status);
  shm__unlock(word);
  leave_space(space);
}

static void die_while_others_wait(shm_space *space, struct stage *stage) {
  struct worker waiters[WAITERS];
  stage->ready = stage->repairs = 0;
  pid_t child = start_child(hold_until_killed, stage);
  await(&stage->ready, 1);
  for (u32 i = 0; i < WAITERS; i++) {
    waiters[i] = (struct worker){.work = wait_for_it, .context = stage, .index = i};
    start_worker(&waiters[i]);
  }
  await(&stage->ready, 1 + WAITERS);
  shm_nap_ns(60 * MS); /* not needed: so that most of them sleep by now */
  kill(child, SIGKILL);
  siginfo_t info;
  waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT); /* a zombie from here on */
  u64 died_ns = shm_monotonic_ns();
  for (u32 i = 0; i < WAITERS; i++) {
    end_worker(&waiters[i]);
    if (stage->got_ns[i] > died_ns + MOST_MS * MS) {
      FAIL("got it after %llu ms", (unsigned long long)((stage->got_ns[i] - died_ns) / MS));
    }
  }
  SAME(stage->repairs, 1);
  kill_child(child);
  shm_space_reap_dead(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  struct stage *stage = shared_memory(sizeof *stage);
  shm_space *space = make_space(1 << 20, 16);
  OK(shm__block_alloc(space, 64, in_ns(LONG), &stage->ref));
  u32 *word = (u32 *)shm__block_payload(space, stage->ref, sizeof *word);
  *word = 0;
  for (int round = 0; round < 5; round++) die_while_others_wait(space, stage);
  stage->orphan = 1;
  die_while_others_wait(space, stage);
  stage->orphan = stage->ready = 0;
  pid_t child = start_child(hold_until_killed, stage);
  await(&stage->ready, 1);
  kill_child(child);
  IS(shm__lock(space, word, in_ns(LONG), 0), SHM__REPAIR);
  shm__unlock_broken(word);
  IS(shm__lock(space, word, in_ns(LONG), 0), SHM__REPAIR);
  shm__unlock(word);
  OK(shm__lock(space, word, in_ns(LONG), 0));
  shm__unlock(word);
  shm__block_free(space, stage->ref);
  shm_space_reap_dead(space);
  while (waitpid(-1, NULL, 0) > 0) continue;
  end_space(space);
  return 0;
}
