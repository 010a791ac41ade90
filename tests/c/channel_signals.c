/* Signals at any moment: a call that says SHM_INTERRUPTED has done nothing, so that coming again loses and doubles nothing;
 * closing is not interrupted: a stream whose last writer was closed has ended.
 *
 * Runs: processes
 */
#include <sys/time.h>

#include "../../csrc/core/lock.h"
#include "channels.h"

enum { ROUNDS = 300, EACH = 20 };

static u32 *gate;
static u32 interruptions;

static void ignore(int signal) { (void)signal; }

static void be_interrupted_all_the_time(void) {
  struct sigaction action = {.sa_handler = ignore}; /* no SA_RESTART */
  struct itimerval timer = {{0, 200}, {0, 200}};
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &timer, NULL);
}

static void be_left_alone(void) {
  struct itimerval off = {0};
  setitimer(ITIMER_REAL, &off, NULL);
}

static shm_channel *open_port(shm_channel *channel, int (*open)(shm_channel *, u64, shm_channel **)) {
  shm_channel *port;
  int status;
  while ((status = open(channel, in_ns(LONG), &port)) == SHM_INTERRUPTED) interruptions++;
  OK(status);
  return port;
}

static void write_rounds(shm_channel *channel) {
  for (u32 round = 0; round < ROUNDS; round++) {
    shm_channel *writer = open_port(channel, shm_channel_open_writer);
    meet(gate, 2);
    for (u32 n = 0; n < EACH; n++) {
      int status;
      while ((status = send_letter(writer, n % 2 ? 20 : 2000, round, n, in_ns(LONG))) == SHM_INTERRUPTED) interruptions++;
      OK(status);
    }
    shm_channel_free(writer);
    meet(gate, 2);
  }
}

static void read_rounds(shm_channel *channel) {
  for (u32 round = 0; round < ROUNDS; round++) {
    shm_channel *reader = open_port(channel, shm_channel_open_reader);
    meet(gate, 2);
    for (u32 n = 0; n <= EACH; n++) {
      struct letter letter = {0, 0};
      int status;
      while ((status = recv_letter(reader, &letter, in_ns(2 * SECONDS))) == SHM_INTERRUPTED) interruptions++;
      IS(status, n < EACH ? SHM_OK : SHM_END);
      if (n < EACH && (letter.sender != round || letter.number != n)) FAIL("%u/%u came", letter.sender, letter.number);
    }
    shm_channel_free(reader);
    meet(gate, 2);
  }
}

/* Somebody else has the locks that closing and leaving take; no signal may make anything stay. */
static void hold_the_locks(void *context) {
  shm_space *space = join_space();
  u32 *word = &ring_of(space, "c")->producer_lock;
  (void)context;
  OK(shm__lock(space, word, in_ns(LONG), 0));
  OK(shm__lock(space, &space->directory->lock, in_ns(LONG), 0));
  shm_add(gate, 1);
  shm_nap_ns(40 * MS);
  shm__unlock(word);
  shm_nap_ns(40 * MS);
  shm__unlock(&space->directory->lock);
  shm_add(gate, 1);
  await(gate, 3);
  leave_space(space);
}

static void close_in_a_hail(void *context) {
  shm_space *space = join_space();
  shm_channel *channel = open_channel(space, "c", (shm_channel_options){.capacity = 3, .delivery = SHM_DELIVERY_ALL});
  shm_channel *reader = open_reader(channel), *writer = open_writer(channel);
  struct letter letter = {0, 0};
  (void)context;
  pid_t child = start_child(hold_the_locks, NULL);
  await(gate, 1);
  be_interrupted_all_the_time();
  shm_channel_free(writer);
  be_left_alone();
  IS(recv_letter(reader, &letter, in_ns(2 * SECONDS)), SHM_END);
  be_interrupted_all_the_time();
  shm_channel_free(reader);
  shm_channel_free(channel);
  leave_space(space);
  be_left_alone();
  await(gate, 2);
  space = join_space();
  shm_space_facts facts;
  shm_space_stat(space, &facts);
  SAME(facts.recoveries, 0); /* nobody had to clean up */
  shm_add(gate, 1);
  end_child(child);
  leave_space(space);
}

static void work(u32 index, void *context) {
  shm_space *space = join_space();
  shm_channel *channel = open_channel(space, "c", (shm_channel_options){.capacity = 3, .delivery = SHM_DELIVERY_ALL});
  (void)context;
  be_interrupted_all_the_time();
  if (index == 0) write_rounds(channel);
  else read_rounds(channel);
  be_left_alone();
  shm_channel_free(channel);
  leave_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  gate = shared_memory(sizeof *gate);
  shm_space *space = make_space(4 << 20, 8);
  u64 base = used_bytes(space);
  shm_channel *channel = open_channel(space, "c", (shm_channel_options){.capacity = 3, .delivery = SHM_DELIVERY_ALL});
  run_workers(2, work, NULL);
  *gate = 0;
  end_child(start_child(close_in_a_hail, NULL));
  delete_channel(space, "c");
  shm_channel_free(channel);
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
