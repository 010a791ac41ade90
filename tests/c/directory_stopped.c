/* A stopped member that is in the middle of changing the directory holds up nobody's end: handles close, spaces are left
 * and others come; opening and deleting run into their own deadline; what could not be made leaves no memory behind.
 *
 * Runs: processes
 */
#include "../../csrc/core/directory.h"
#include "../../csrc/core/lock.h"
#include "channels.h"

static u32 *stage;

static void stop_in_the_middle(void *context) {
  shm_space *space = join_space();
  (void)context;
  OK(shm__lock(space, &space->directory->lock, in_ns(LONG), 0));
  shm_store_release(stage, 1);
  raise(SIGSTOP);
  shm__unlock(&space->directory->lock);
  leave_space(space);
}

static shm_space *robber;

/* Called between the look for the name and its entry: another member takes the directory in between. */
static int make_and_rob(struct shm__space *space, u32 id, const void *options, u64 deadline_ns, struct shm__ref *main) {
  (void)id, (void)options;
  OK(shm__lock(robber, &robber->directory->lock, in_ns(LONG), 0));
  return shm__block_alloc(space, 50000, deadline_ns, main);
}

static void leave_nothing(shm_space *space) {
  struct shm__maker maker = {make_and_rob, NULL};
  struct shm__structure *structure;
  u64 before = used_bytes(space);
  robber = join_space();
  IS(shm__directory_open(space, SHM_KIND_CHANNEL, "robbed", 6, &maker, in_ns(30 * MS), &structure), SHM_TIMEOUT);
  shm__unlock(&robber->directory->lock);
  leave_space(robber);
  SAME(used_bytes(space), before);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  stage = shared_memory(sizeof *stage);
  shm_space *space = make_space(2 << 20, 8), *leaving = join_space();
  u64 base = used_bytes(space);
  leave_nothing(space);
  shm_channel *channel = open_channel(space, "c", (shm_channel_options){0}), *another;
  shm_channel *theirs = open_channel(leaving, "c", (shm_channel_options){0});
  pid_t child = start_child(stop_in_the_middle, NULL);
  await(stage, 1);
  u64 start_ns = shm_monotonic_ns();
  shm_channel_options options = {.capacity = 16, .max_message_bytes = 100, .codec = "raw"};
  IS(shm_channel_open(space, "new", 3, &options, 0, 1, in_ns(30 * MS), &another), SHM_TIMEOUT);
  IS(shm_space_delete(space, SHM_KIND_CHANNEL, "c", 1, in_ns(30 * MS)), SHM_TIMEOUT);
  OK(send_letter(channel, 10, 1, 1, 0));
  shm_channel_free(theirs);
  leave_space(leaving);
  shm_channel_free(channel);
  leave_space(join_space());
  if (shm_monotonic_ns() - start_ns > 5 * SECONDS) FAIL("a stopped member held others up");
  kill(child, SIGCONT);
  end_child(child);
  shm_space_reap_dead(space);
  delete_channel(space, "c");
  leave_space(space);
  space = join_space();
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
