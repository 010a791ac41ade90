/* Of all who take a lock, one is inside at a time, and each gets in.
 *
 * Runs: processes, threads
 */
#include "../../csrc/core/blocks.h"
#include "../../csrc/core/lock.h"
#include "harness.h"

enum { WORKERS = 6, ROUNDS = 20000 };

struct guarded {
  u32 word, pad[31];
  u32 inside;   /* token of who is inside */
  u64 counter;  /* plain: only the lock keeps it right */
};

static struct shm__ref ref;

static void work(u32 index, void *context) {
  shm_space *space = join_space();
  struct guarded *guarded = (struct guarded *)shm__block_payload(space, ref, sizeof *guarded);
  struct chance chance = chance_for(index);
  (void)context;
  for (u32 i = 0; i < ROUNDS; i++) {
    OK(shm__lock(space, &guarded->word, in_ns(LONG), 0));
    SAME(guarded->inside, 0);
    guarded->inside = token_of(space);
    guarded->counter++;
    if (below(&chance, 1000) == 0) shm_nap_ns(below(&chance, 100000)); /* so that others go to sleep */
    SAME(guarded->inside, token_of(space));
    guarded->inside = 0;
    shm__unlock(&guarded->word);
  }
  leave_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  shm_space *space = make_space(1 << 20, 16);
  OK(shm__block_alloc(space, sizeof(struct guarded), in_ns(LONG), &ref));
  struct guarded *guarded = (struct guarded *)shm__block_payload(space, ref, sizeof *guarded);
  memset(guarded, 0, sizeof *guarded);
  run_workers(WORKERS, work, NULL);
  SAME(guarded->counter, WORKERS * ROUNDS);
  SAME(guarded->word & SHM_TOKEN_MASK, 0);
  shm__block_free(space, ref);
  end_space(space);
  return 0;
}
