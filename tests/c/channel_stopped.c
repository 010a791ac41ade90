/* A stopped member that has a lock of the channel delays those who need that lock, each until its own deadline: what only
 * tries comes back at once, and says that it could not; when the stopped one goes on nothing is lost.
 *
 * Runs: processes
 */
#include "../../csrc/core/lock.h"
#include "channels.h"

enum { LENGTH = 5000, HANGS_S = 10 };

static u32 *stage;
static const char *current_call = "?";

struct stop {
  int consumers;
};

static void stop_in_the_middle(void *context) {
  shm_space *space = join_space();
  struct shm_ring *ring = ring_of(space, "c");
  u32 *lock = ((struct stop *)context)->consumers ? &ring->consumer_lock : &ring->producer_lock;
  OK(shm__lock(space, lock, in_ns(LONG), 0));
  shm_add(stage, 1);
  raise(SIGSTOP);
  shm__unlock(lock);
  leave_space(space);
}

static void on_alarm(int signal) {
  (void)signal;
  FAIL("%s hangs", current_call);
}

/* Nothing came, nothing went, and the call was back in time. */
static void refused(const char *call, int status, u64 begun_ns) {
  int known = status == SHM_BUSY || status == SHM_TIMEOUT || status == SHM_EMPTY || status == SHM_FULL;
  if (!known) FAIL("%s: %s", call, shm_error_name(status) ? shm_error_name(status) : "?");
  if (shm_monotonic_ns() - begun_ns > 5 * SECONDS) FAIL("%s was held up", call);
  alarm(0);
}

#define REFUSED(name, ...)                                                                                             \
  do {                                                                                                                 \
    u64 begun_ns_ = shm_monotonic_ns();                                                                                \
    current_call = #name;                                                                                              \
    alarm(HANGS_S);                                                                                                    \
    refused(#name, name(__VA_ARGS__), begun_ns_);                                                                      \
  } while (0)

static void try_to_take(shm_channel *reader, u32 delivery, u64 deadline_ns) {
  static u8 buffer[LENGTH];
  shm_small small[2];
  shm_view view;
  u64 length, done;
  u32 codec;
  REFUSED(shm_channel_recv_view, reader, &view, deadline_ns);
  if (delivery == SHM_DELIVERY_ALL) return; /* copying takes no lock */
  REFUSED(shm_channel_recv, reader, buffer, sizeof buffer, &length, &codec, deadline_ns);
  REFUSED(shm_channel_recv_many, reader, small, 2, deadline_ns, &done);
}

static void try_to_send(shm_channel *writer, u64 deadline_ns) {
  shm_piece piece = {"x", 1, 0};
  shm_view view;
  u64 done;
  REFUSED(shm_channel_send, writer, "x", 1, 0, deadline_ns);
  REFUSED(shm_channel_send_many, writer, &piece, 1, deadline_ns, &done);
  OK(shm_channel_reserve(writer, LENGTH, in_ns(LONG), &view));
  REFUSED(shm_channel_commit, writer, &view, deadline_ns);
  shm_channel_abort(writer, &view);
}

static void stop_one_with(shm_space *space, u32 delivery, struct stop stop) {
  shm_channel *channel = open_channel(space, "c", (shm_channel_options){.delivery = delivery});
  shm_channel *reader = open_reader(channel);
  OK(send_letter(channel, LENGTH, 1, 0, 0));
  OK(send_letter(channel, 20, 1, 1, 0));
  u32 before = shm_load_acquire(stage);
  pid_t child = start_child(stop_in_the_middle, &stop);
  await(stage, before + 1);
  siginfo_t info;
  if (waitid(P_PID, (id_t)child, &info, WSTOPPED | WNOWAIT) != 0) FAIL("waitid");
  for (int waiting = 0; waiting < 2; waiting++) {
    u64 wait_ns = waiting ? 30 * MS : 0;
    if (stop.consumers || delivery == SHM_DELIVERY_ALL) try_to_take(reader, delivery, wait_ns ? in_ns(wait_ns) : 0);
    if (!stop.consumers) try_to_send(channel, wait_ns ? in_ns(wait_ns) : 0);
  }
  be_healthy(space);
  kill(child, SIGCONT);
  end_child(child);
  expect_letter(reader, 1, 0);
  expect_letter(reader, 1, 1);
  IS(shm_channel_look(reader), SHM_EMPTY);
  shm_channel_free(reader);
  delete_channel(space, "c");
  shm_channel_free(channel);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  stage = shared_memory(sizeof *stage);
  signal(SIGALRM, on_alarm);
  shm_space *space = make_space(2 << 20, 8);
  u64 base = used_bytes(space);
  stop_one_with(space, SHM_DELIVERY_ONE, (struct stop){.consumers = 1});
  stop_one_with(space, SHM_DELIVERY_ONE, (struct stop){.consumers = 0});
  stop_one_with(space, SHM_DELIVERY_ALL, (struct stop){.consumers = 0});
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
