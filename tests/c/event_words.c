/* No wake-up is lost: a sleeper who announced himself never sleeps to the end of his nap when what he waits for has come,
 * whether all are woken or only as many as have something to take.
 *
 * Runs: processes, threads
 */
#include "../../csrc/core/blocks.h"
#include "../../csrc/core/wake.h"
#include "../../csrc/os/wait.h"
#include "harness.h"

enum { SLEEPERS = 4, ROUNDS = 15000, NAP_S = 20 };

struct shared {
  u32 given, given_pad[31];
  u32 taken, taken_pad[31];
  u32 word, word_pad[31];
  u32 answer, answer_pad[31];
  u64 bells[64];
};

static struct shm__ref ref;

static struct shared *shared_of(shm_space *space) {
  struct shared *shared = (struct shared *)shm__block_payload(space, ref, sizeof *shared);
  CHECK(shared);
  return shared;
}

/* Sleep until *value is not what it was. */
static u32 sleep_until_changed(u32 *value, u32 was, struct shm__event event) {
  for (;;) {
    u32 now = shm_load_acquire(value);
    if (now != was) return now;
    u32 announced = shm__event_announce(event);
    now = shm_load_acquire(value);
    if (now != was) return now;
    if (shm__futex_wait(event.word, announced, NAP_S * SECONDS) == SHM__WAIT_TIMEOUT) FAIL("a wake-up was lost");
  }
}

/* Take one of what was given; 0 when it is over. */
static int take(struct shared *shared, struct shm__event event) {
  for (;;) {
    u32 given = shm_load_acquire(&shared->given), taken = shm_load_acquire(&shared->taken);
    if (taken == ROUNDS) return 0;
    if (taken == given) {
      sleep_until_changed(&shared->given, taken, event);
    } else if (shm_cas(&shared->taken, &taken, taken + 1)) {
      shm_add(&shared->answer, 1);
      return 1;
    }
  }
}

static void work(u32 index, void *context) {
  shm_space *space = join_space();
  struct shared *shared = shared_of(space);
  struct shm__event event = {&shared->word, shared->bells};
  struct chance chance = chance_for(index);
  (void)context;
  while (index < SLEEPERS && take(shared, event)) continue;
  for (u32 round = 0; index == SLEEPERS && round < ROUNDS;) {
    u32 count = (u32)below(&chance, SLEEPERS) + 1;
    if (count > ROUNDS - round) count = ROUNDS - round;
    shm_add(&shared->given, count);
    shm_fence_after_rmw();
    shm__event_notify(space, event, count == SLEEPERS ? UINT32_MAX : count);
    round += count;
    if (below(&chance, 4)) await(&shared->answer, round); /* let them go to sleep */
  }
  if (index == SLEEPERS) {
    await(&shared->answer, ROUNDS);
    shm_add(&shared->given, 1); /* over */
    shm__event_notify(space, event, UINT32_MAX);
  }
  leave_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  shm_space *space = make_space(1 << 20, 16);
  OK(shm__block_alloc(space, sizeof(struct shared), in_ns(LONG), &ref));
  memset(shared_of(space), 0, sizeof(struct shared));
  run_workers(SLEEPERS + 1, work, NULL);
  SAME(shared_of(space)->taken, ROUNDS);
  shm__block_free(space, ref);
  end_space(space);
  return 0;
}
