/* A space full of the dead lets the living in, several at once, and gets back all that the dead held; also when he who
 * cleans up is killed while he does it, again and again.
 *
 * Runs: processes
 */
#include "../../csrc/base/point.h"
#include "channels.h"

enum { MEMBERS = 6, NEWCOMERS = 4 };

static u32 *ready;

static void crowd_until_killed(void *context) {
  shm_space *space = join_space();
  shm_channel *channel = open_channel(space, "c", (shm_channel_options){.capacity = 4});
  shm_lock *lock;
  int owner_died;
  (void)context;
  open_reader(channel);
  OK(shm_lock_open(space, "l", 1, in_ns(LONG), &lock));
  shm_lock_take(lock, 0, &owner_died);
  shm_view view;
  OK(shm_channel_reserve(channel, 10000, in_ns(LONG), &view));
  shm_add(ready, 1);
  for (;;) pause();
}

static void fill_with_dead(void) {
  pid_t children[MEMBERS];
  *ready = 0;
  for (u32 i = 0; i < MEMBERS; i++) children[i] = start_child(crowd_until_killed, NULL);
  await(ready, MEMBERS);
  for (u32 i = 0; i < MEMBERS; i++) kill_child(children[i]);
}

static void come_and_go(u32 index, void *context) {
  (void)index, (void)context;
  meet(ready, NEWCOMERS);
  shm_space *space = join_space();
  meet(ready, NEWCOMERS); /* all are in at once */
  leave_space(space);
}

static void die_at_point(void *context) {
  shm__point_arm(context, 1);
  leave_space(join_space());
}

/* What is left over when the last of the dead is gone must be nothing. */
static void be_empty(u64 base) {
  shm_space *space = join_space();
  delete_channel(space, "c");
  shm_lock *lock;
  int owner_died;
  OK(shm_lock_open(space, "l", 1, in_ns(LONG), &lock));
  OK(shm_lock_take(lock, in_ns(LONG), &owner_died));
  CHECK(owner_died);
  OK(shm_lock_release(lock));
  shm_lock_free(lock);
  SAME(used_bytes(space), base);
  be_healthy(space);
  leave_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  static const char *const points[] = {"member.active", "reap.marked", "reap.locks", "reap.structures", "reap.evicted",
                                       "reap.blocks", "reap.freed"};
  ready = shared_memory(sizeof *ready);
  shm_space *space = make_space(1 << 20, MEMBERS);
  u64 base = used_bytes(space);
  leave_space(space);
  fill_with_dead();
  be_empty(base);
  for (u32 round = 0; round < 10; round++) {
    fill_with_dead();
    *ready = 0;
    run_workers(NEWCOMERS, come_and_go, NULL);
    be_empty(base);
  }
  for (u32 i = 0; i < sizeof points / sizeof points[0]; i++) {
    fill_with_dead();
    for (u32 times = 0; times < 2; times++) {
      int status;
      pid_t child = start_child(die_at_point, (void *)points[i]);
      if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status)) FAIL("%s was not reached (%x)", points[i], (unsigned)status);
    }
    be_empty(base);
  }
  end_space(join_space());
  return 0;
}
