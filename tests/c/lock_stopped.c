/* A stopped owner keeps his lock: whoever waits gets SHM_TIMEOUT at his own deadline, not before and not much later, and
 * the owner finds the lock untouched when he goes on.
 *
 * Runs: processes
 */
#include "../../csrc/core/blocks.h"
#include "../../csrc/core/lock.h"
#include "harness.h"

enum { PATIENCE_MS = 400, GRACE_MS = 1000 };

struct stage {
  struct shm__ref ref;
  u32 ready;
};

static void hold_and_stop(void *context) {
  struct stage *stage = context;
  shm_space *space = join_space();
  u32 *word = (u32 *)shm__block_payload(space, stage->ref, sizeof *word);
  OK(shm__lock(space, word, in_ns(LONG), 0));
  shm_store_release(&stage->ready, 1);
  raise(SIGSTOP);
  SAME(shm_load_acquire(word) & (SHM_TOKEN_MASK | SHM_LOCK_REPAIR), token_of(space));
  shm__unlock(word);
  leave_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  struct stage *stage = shared_memory(sizeof *stage);
  shm_space *space = make_space(1 << 20, 4);
  OK(shm__block_alloc(space, 64, in_ns(LONG), &stage->ref));
  u32 *word = (u32 *)shm__block_payload(space, stage->ref, sizeof *word);
  *word = 0;
  pid_t child = start_child(hold_and_stop, stage);
  await(&stage->ready, 1);
  IS(shm__lock(space, word, SHM__TRY, 0), SHM_BUSY);
  u64 start_ns = shm_monotonic_ns();
  IS(shm__lock(space, word, start_ns + PATIENCE_MS * MS, 0), SHM_TIMEOUT);
  u64 waited_ns = shm_monotonic_ns() - start_ns;
  if (waited_ns < PATIENCE_MS * MS || waited_ns > (PATIENCE_MS + GRACE_MS) * MS) {
    FAIL("gave up after %llu ns", (unsigned long long)waited_ns);
  }
  shm_space_reap_dead(space);
  kill(child, SIGCONT);
  OK(shm__lock(space, word, in_ns(LONG), 0));
  end_child(child);
  shm__unlock(word);
  shm__block_free(space, stage->ref);
  end_space(space);
  return 0;
}
