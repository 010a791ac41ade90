/* What a full channel does: "wait" waits to the deadline and loses nothing; "error" refuses at once; "oldest" drops as
 * many of the oldest as it must and tells every reader how many it lost: received and lost make up what was sent.
 *
 * Runs: processes, threads
 */
#include "channels.h"

enum { CAPACITY = 8, TRAFFIC = 20000, READERS = 3 };

static u32 *gate;
static u64 *received;

static void be_full(shm_space *space, u32 delivery, u32 overflow) {
  shm_channel_options options = {.capacity = CAPACITY, .delivery = delivery, .overflow = overflow};
  shm_channel *channel = open_channel(space, "f", options), *reader = open_reader(channel);
  struct letter letter = {0, 0};
  for (u32 n = 0; n < CAPACITY; n++) OK(send_letter(channel, 50, 1, n, 0));
  if (overflow == SHM_OVERFLOW_OLDEST) {
    for (u32 n = 0; n < 3; n++) OK(send_letter(channel, 5000, 1, CAPACITY + n, 0));
    if (delivery == SHM_DELIVERY_ALL) {
      IS(recv_letter(reader, &letter, 0), SHM_LAGGED);
      SAME(shm_channel_lost(reader), 3);
    }
    SAME(channel_facts(channel).dropped, 3);
    for (u32 n = 3; n < CAPACITY + 3; n++) expect_letter(reader, 1, n);
  } else {
    u64 start_ns = shm_monotonic_ns(), wait_ns = 60 * MS;
    IS(send_letter(channel, 5000, 1, 99, in_ns(wait_ns)), SHM_FULL);
    IS(send_letter(channel, 50, 1, 99, 0), SHM_FULL);
    CHECK((shm_monotonic_ns() - start_ns >= wait_ns) == (overflow == SHM_OVERFLOW_WAIT));
    for (u32 n = 0; n < CAPACITY; n++) expect_letter(reader, 1, n);
    OK(send_letter(channel, 50, 1, 100, 0));
    expect_letter(reader, 1, 100);
  }
  IS(recv_letter(reader, &letter, 0), SHM_EMPTY);
  delete_channel(space, "f");
  shm_channel_free(reader);
  shm_channel_free(channel);
}

static u32 traffic_delivery;

static shm_channel *open_traffic(shm_space *space) {
  shm_channel_options options = {.capacity = CAPACITY, .delivery = traffic_delivery, .overflow = SHM_OVERFLOW_OLDEST};
  return open_channel(space, "t", options);
}

static void read_what_is_left(shm_channel *channel, u32 index) {
  shm_channel *reader = open_reader(channel);
  u64 count = 0, lost = 0;
  u32 next = 0;
  meet(gate, READERS + 1);
  for (;;) {
    struct letter letter = {0, 0};
    int status = recv_letter(reader, &letter, in_ns(LONG));
    if (status == SHM_END) break;
    if (status == SHM_LAGGED) {
      CHECK(shm_channel_lost(reader) > 0);
      lost += shm_channel_lost(reader);
      continue;
    }
    OK(status);
    CHECK(letter.number >= next);
    if (traffic_delivery == SHM_DELIVERY_ALL) SAME(letter.number, count + lost);
    next = letter.number + 1;
    count++;
    if (count % 50 == 0) shm_nap_ns(50000); /* too slow for the writer */
  }
  if (traffic_delivery == SHM_DELIVERY_ALL) SAME(count + lost, TRAFFIC);
  received[index] = count;
  shm_channel_free(reader);
}

static void work(u32 index, void *context) {
  shm_space *space = join_space();
  shm_channel *channel = open_traffic(space);
  (void)context;
  if (index == 0) {
    shm_channel *writer = open_writer(channel);
    meet(gate, READERS + 1);
    for (u32 n = 0; n < TRAFFIC; n++) OK(send_letter(writer, n % 5 ? 40 : 400, 1, n, in_ns(LONG)));
    shm_channel_free(writer);
  } else {
    read_what_is_left(channel, index - 1);
  }
  shm_channel_free(channel);
  leave_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  gate = shared_memory(sizeof *gate);
  received = shared_memory(READERS * sizeof *received);
  shm_space *space = make_space(8 << 20, 16);
  u64 base = used_bytes(space);
  for (u32 delivery = 0; delivery < 2; delivery++) {
    for (u32 overflow = 0; overflow < 3; overflow++) be_full(space, delivery, overflow);
  }
  for (traffic_delivery = 0; traffic_delivery < 2; traffic_delivery++) {
    shm_channel *channel = open_traffic(space);
    run_workers(READERS + 1, work, NULL);
    shm_channel_facts facts = channel_facts(channel);
    u64 total = 0;
    for (u32 i = 0; i < READERS; i++) total += received[i];
    SAME(facts.received, total);
    SAME(facts.sent, TRAFFIC);
    if (traffic_delivery == SHM_DELIVERY_ONE) SAME(total + facts.dropped + facts.waiting, TRAFFIC);
    delete_channel(space, "t");
    shm_channel_free(channel);
  }
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
