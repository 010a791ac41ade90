/* Message numbers go on beyond 2^32 and 2^63 as before: order, overflow, replay, views, views of the waiting, repair and
 * check do not notice. The ring is told that so many messages have gone through it already.
 *
 * Runs: processes
 */
#include "../../csrc/core/lock.h"
#include "channels.h"

enum { CAPACITY = 4, ROUNDS = 40, BEFORE = 10 };

static u32 *ready;

/* As if that many messages had been sent and read: the ring is fresh, so its slots hold no message with any number. */
static void pretend(shm_space *space, const char *name, u64 number) {
  struct shm_ring *ring = ring_of(space, name);
  ring->tail = ring->head = ring->seen_head = number;
  if (ring->delivery == SHM_DELIVERY_ALL) ring->retired = ring->floor = number;
}

static shm_channel *open_numbered(shm_space *space, u32 delivery, u32 overflow, u64 number) {
  shm_channel_options options = {.capacity = CAPACITY, .delivery = delivery, .overflow = overflow, .replay = delivery ? 2 : 0};
  shm_channel *channel = open_channel(space, "n", options);
  pretend(space, "n", number);
  return channel;
}

static void let_go(shm_space *space, shm_channel *channel, shm_channel *reader) {
  be_healthy(space);
  delete_channel(space, "n");
  shm_channel_free(reader);
  shm_channel_free(channel);
}

static void pass_through(shm_space *space, u32 delivery, u64 number) {
  shm_channel *channel = open_numbered(space, delivery, SHM_OVERFLOW_WAIT, number), *reader = open_reader(channel);
  struct letter letter = {0, 0};
  for (u32 n = 0; n < ROUNDS; n++) {
    u32 count = n % CAPACITY + 1;
    for (u32 i = 0; i < count; i++) OK(send_letter(channel, i % 2 ? 30 : 3000, n, i, 0));
    SAME(channel_facts(channel).waiting, count);
    if (count == CAPACITY) IS(send_letter(channel, 30, n, 99, 0), SHM_FULL);
    be_healthy(space);
    for (u32 i = 0; i < count; i++) {
      shm_view view;
      OK(shm_channel_recv_view(reader, &view, 0));
      if (!view.data) {
        expect_letter(reader, n, i);
        continue;
      }
      SAME(read_letter(view.data, view.length_bytes).number, i);
      shm_channel_unpin(reader, &view);
    }
    IS(recv_letter(reader, &letter, 0), SHM_EMPTY);
  }
  shm_channel *late = open_reader(channel);
  for (u32 i = 0; delivery && i < 2; i++) expect_letter(late, ROUNDS - 1, (ROUNDS - 1) % CAPACITY - 1 + i);
  IS(recv_letter(late, &letter, 0), SHM_EMPTY);
  shm_channel_free(late);
  SAME(channel_facts(channel).sent - number, ROUNDS / CAPACITY * (CAPACITY * (CAPACITY + 1) / 2));
  let_go(space, channel, reader);
}

static void drop_oldest(shm_space *space, u32 delivery, u64 number) {
  shm_channel *channel = open_numbered(space, delivery, SHM_OVERFLOW_OLDEST, number), *reader = open_reader(channel);
  struct letter letter = {0, 0};
  for (u32 n = 0; n < ROUNDS; n++) OK(send_letter(channel, n % 2 ? 30 : 3000, 1, n, 0));
  if (delivery == SHM_DELIVERY_ALL) {
    IS(recv_letter(reader, &letter, 0), SHM_LAGGED);
    SAME(shm_channel_lost(reader), ROUNDS - CAPACITY);
  }
  SAME(channel_facts(channel).dropped, ROUNDS - CAPACITY);
  for (u32 n = ROUNDS - CAPACITY; n < ROUNDS; n++) expect_letter(reader, 1, n);
  OK(send_letter(channel, 30, 1, 7, 0));
  OK(shm_channel_shutdown(channel, 1, 0));
  IS(recv_letter(reader, &letter, 0), SHM_END);
  let_go(space, channel, reader);
}

static void hold_both_locks(void *context) {
  shm_space *space = join_space();
  struct shm_ring *ring = ring_of(space, "n");
  (void)context;
  open_reader(open_channel(space, "n", (shm_channel_options){0}));
  OK(shm__lock(space, &ring->producer_lock, in_ns(LONG), 0));
  OK(shm__lock(space, &ring->consumer_lock, in_ns(LONG), 0));
  ring->tail -= 1; /* as one who died before he moved it */
  shm_add(ready, 1);
  for (;;) pause();
}

static void repair(shm_space *space, u32 delivery, u64 number) {
  shm_channel *channel = open_numbered(space, delivery, SHM_OVERFLOW_WAIT, number), *reader = open_reader(channel);
  for (u32 n = 0; n < CAPACITY; n++) OK(send_letter(channel, n % 2 ? 30 : 3000, 1, n, 0));
  *ready = 0;
  pid_t child = start_child(hold_both_locks, NULL);
  await(ready, 1);
  kill_child(child);
  shm_space_reap_dead(space);
  be_healthy(space);
  for (u32 n = 0; n < CAPACITY; n++) expect_letter(reader, 1, n);
  let_go(space, channel, reader);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  static const u64 numbers[] = {1ull << 32, 1ull << 63, 1ull << 31, UINT64_MAX - 1000};
  ready = shared_memory(sizeof *ready);
  shm_space *space = make_space(1 << 20, 4);
  u64 base = used_bytes(space);
  for (u32 i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
    for (u32 delivery = 0; delivery < 2; delivery++) {
      for (u64 before = 0; before < BEFORE; before += 3) {
        pass_through(space, delivery, numbers[i] - before);
        drop_oldest(space, delivery, numbers[i] - before);
        repair(space, delivery, numbers[i] - before);
      }
    }
  }
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
