/* A stopped member that has the producer lock holds up nobody's end: readers and writers close, and from then on they keep
 * nobody waiting; when it goes on they are counted out, the last writer's end is told, and no memory is left.
 *
 * Runs: processes
 */
#include "../../csrc/core/lock.h"
#include "channels.h"

enum { CAPACITY = 4, LENGTH = 5000 };

static u32 *stage;

static void stop_in_the_middle(void *context) {
  shm_space *space = join_space();
  struct shm_ring *ring = ring_of(space, context);
  OK(shm__lock(space, &ring->producer_lock, in_ns(LONG), 0));
  shm_store_release(stage, 1);
  raise(SIGSTOP);
  shm__unlock(&ring->producer_lock);
  shm_store_release(stage, 2);
  await(stage, 3); /* leaving would do what others are to do */
  leave_space(space);
}

static pid_t start_stopped(const char *name) {
  shm_store_release(stage, 0);
  pid_t child = start_child(stop_in_the_middle, (void *)name);
  int status;
  await(stage, 1);
  if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status)) FAIL("it did not stop");
  return child;
}

static void go_on(pid_t child) {
  kill(child, SIGCONT);
  await(stage, 2);
}

static void leave(pid_t child) {
  shm_store_release(stage, 3);
  end_child(child);
}

/* A reader that has read nothing does not fill the channel any more once it is closed. */
static void close_reader(shm_space *space) {
  shm_channel *channel = open_channel(space, "r", (shm_channel_options){.capacity = CAPACITY, .delivery = SHM_DELIVERY_ALL});
  shm_channel *reader = open_reader(channel), *writer = open_writer(channel);
  for (u32 n = 0; n < CAPACITY; n++) OK(send_letter(writer, 10, 1, n, 0));
  IS(send_letter(writer, 10, 1, CAPACITY, 0), SHM_FULL);
  pid_t child = start_stopped("r");
  shm_channel_free(reader);
  go_on(child);
  for (u32 n = 0; n < 3 * CAPACITY; n++) OK(send_letter(writer, 10, 1, n, 0));
  SAME(channel_facts(channel).readers, 1); /* not counted out yet */
  be_healthy(space);
  shm_channel_probe(channel, 0);
  SAME(channel_facts(channel).readers, 0);
  leave(child);
  shm_channel_free(writer);
  delete_channel(space, "r");
  shm_channel_free(channel);
}

/* Sleeping readers are told the end. */
static void close_writer(shm_space *space) {
  shm_channel *channel = open_channel(space, "w", (shm_channel_options){.capacity = CAPACITY});
  shm_channel *writer = open_writer(channel);
  struct letter letter;
  pid_t child = start_stopped("w");
  shm_channel_free(writer);
  IS(recv_letter(channel, &letter, 0), SHM_EMPTY);
  go_on(child);
  IS(recv_letter(channel, &letter, in_ns(LONG)), SHM_END);
  SAME(channel_facts(channel).writers, 0);
  leave(child);
  delete_channel(space, "w");
  shm_channel_free(channel);
}

/* Views outlive a reader that was closed like this; it holds nobody up meanwhile, and nothing of it is left afterwards. */
static void close_with_view(shm_space *space, int counted_out) {
  shm_channel *channel = open_channel(space, "v", (shm_channel_options){.capacity = CAPACITY, .delivery = SHM_DELIVERY_ALL});
  u64 empty = used_bytes(space);
  shm_channel *reader = open_reader(channel);
  shm_view view;
  OK(send_letter(channel, LENGTH, 1, 0, 0));
  OK(shm_channel_recv_view(reader, &view, 0));
  CHECK(view.data);
  pid_t child = start_stopped("v");
  shm_channel_close(reader);
  go_on(child);
  if (counted_out) shm_channel_probe(channel, 0);
  for (u32 n = 1; n < 3 * CAPACITY; n++) OK(send_letter(channel, LENGTH, 1, n, 0));
  be_healthy(space);
  SAME(read_letter(view.data, LENGTH).number, 0);
  leave(child);
  child = start_stopped("v");
  shm_channel_unpin(reader, &view); /* the stopped one is in the way again */
  go_on(child);
  leave(child);
  shm_channel_free(reader);
  SAME(channel_facts(channel).readers, 0);
  shm_channel_free(open_reader(channel)); /* gives back what nobody needs */
  SAME(used_bytes(space), empty);
  delete_channel(space, "v");
  shm_channel_free(channel);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  stage = shared_memory(sizeof *stage);
  shm_space *space = make_space(2 << 20, 8);
  u64 base = used_bytes(space);
  close_reader(space);
  close_writer(space);
  close_with_view(space, 0);
  close_with_view(space, 1);
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
