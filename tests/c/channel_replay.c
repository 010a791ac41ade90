/* A new reader of a channel with replay begins with that many messages from before, short and long ones, or with all there
 * were; without replay with what comes next. One who comes in the middle of the traffic gets them without a gap.
 *
 * Runs: processes, threads
 */
#include "channels.h"

enum { CAPACITY = 16, TRAFFIC = 20000, JOINERS = 3, JOINS = 40, TAKEN = 30 };

static u32 *over;

static void read_backlog(shm_channel *channel, u32 sent, u32 replay, int then) {
  shm_channel *reader = open_reader(channel);
  struct letter letter = {0, 0};
  for (u32 n = sent > replay ? sent - replay : 0; n < sent; n++) expect_letter(reader, 1, n);
  IS(recv_letter(reader, &letter, 0), then);
  shm_channel_free(reader);
}

static void replay_exactly(shm_space *space, u32 replay) {
  shm_channel_options options = {.capacity = CAPACITY, .delivery = SHM_DELIVERY_ALL, .replay = replay};
  shm_channel *channel = open_channel(space, "quiet", options);
  for (u32 n = 0; n < 3 * CAPACITY; n++) {
    read_backlog(channel, n, replay, SHM_EMPTY);
    OK(send_letter(channel, n % 2 ? 20 : 7000, 1, n, 0)); /* nobody reads: nobody is waited for */
  }
  delete_channel(space, "quiet");
  shm_channel_free(channel);
}

static shm_channel *open_traffic(shm_space *space) {
  shm_channel_options options = {.capacity = CAPACITY, .delivery = SHM_DELIVERY_ALL, .replay = CAPACITY / 2};
  return open_channel(space, "traffic", options);
}

static void join_the_traffic(shm_channel *channel) {
  for (u32 i = 0; i < JOINS && !shm_load_acquire(over); i++) {
    shm_channel *reader = open_reader(channel);
    struct letter letter = {0, 0};
    u32 first = 0;
    for (u32 k = 0; k < TAKEN; k++) {
      int status = recv_letter(reader, &letter, in_ns(LONG));
      if (status == SHM_END) break;
      OK(status);
      if (k == 0) first = letter.number;
      SAME(letter.number, first + k);
    }
    shm_channel_free(reader);
  }
}

static void work(u32 index, void *context) {
  shm_space *space = join_space();
  shm_channel *channel = open_traffic(space);
  (void)context;
  if (index == 0) {
    shm_channel *writer = open_writer(channel);
    for (u32 n = 0; n < TRAFFIC; n++) OK(send_letter(writer, n % 3 ? 30 : 300, 1, n, in_ns(LONG)));
    shm_store_release(over, 1);
    shm_channel_free(writer);
  } else {
    join_the_traffic(channel);
  }
  shm_channel_free(channel);
  leave_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  over = shared_memory(sizeof *over);
  shm_space *space = make_space(8 << 20, 16);
  u64 base = used_bytes(space);
  static const u32 replays[] = {0, 1, 5, CAPACITY};
  for (u32 i = 0; i < 4; i++) replay_exactly(space, replays[i]);
  SAME(used_bytes(space), base);
  shm_channel *channel = open_traffic(space);
  run_workers(JOINERS + 1, work, NULL);
  delete_channel(space, "traffic");
  shm_channel_free(channel);
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
