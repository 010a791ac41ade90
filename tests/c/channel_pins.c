/* What a view shows does not change while it is open, however often the channel goes round meanwhile and whoever else
 * looks at it, closes or dies, its own reader included; when the last of them lets go the memory is free.
 *
 * Runs: processes
 */
#include "channels.h"

enum { CAPACITY = 4, ROUNDS = 5 * CAPACITY, LENGTH = 9000 };

static u32 *ready;

static void view_next(shm_channel *reader, shm_view *view, u32 number) {
  OK(shm_channel_recv_view(reader, view, in_ns(LONG)));
  CHECK(view->data);
  SAME(read_letter(view->data, view->length_bytes).number, number);
}

static void go_round(shm_channel *writer) {
  for (u32 n = 0; n < ROUNDS; n++) OK(send_letter(writer, LENGTH, 9, 1000 + n, in_ns(LONG)));
}

static void look_until_killed(void *context) {
  shm_space *space = join_space();
  shm_channel_options options = {.capacity = CAPACITY, .delivery = SHM_DELIVERY_ALL, .overflow = SHM_OVERFLOW_OLDEST};
  shm_channel *reader = open_reader(open_channel(space, "c", options));
  shm_view views[2];
  (void)context;
  shm_add(ready, 1);
  view_next(reader, &views[0], 0);
  view_next(reader, &views[1], 1);
  shm_add(ready, 1);
  for (;;) {
    read_letter(views[0].data, views[0].length_bytes);
    read_letter(views[1].data, views[1].length_bytes);
    shm_nap_ns(100000);
  }
}

static void survive_overwriting(shm_space *space) {
  shm_channel_options options = {.capacity = CAPACITY, .delivery = SHM_DELIVERY_ALL, .overflow = SHM_OVERFLOW_OLDEST};
  shm_channel *channel = open_channel(space, "c", options);
  u64 empty = used_bytes(space);
  shm_channel *readers[2] = {open_reader(channel), open_reader(channel)};
  shm_view views[2][2];
  pid_t child = start_child(look_until_killed, NULL);
  await(ready, 1);
  for (u32 n = 0; n < 2; n++) OK(send_letter(channel, LENGTH, 9, n, 0));
  for (u32 r = 0; r < 2; r++) {
    for (u32 n = 0; n < 2; n++) view_next(readers[r], &views[r][n], n);
  }
  await(ready, 2);
  go_round(channel);
  for (u32 n = 0; n < 2; n++) {
    SAME(read_letter(views[0][n].data, LENGTH).number, n);
    shm_channel_unpin(readers[0], &views[0][n]);
  }
  go_round(channel);
  be_healthy(space);
  shm_channel_free(readers[0]);
  SAME(read_letter(views[1][0].data, LENGTH).number, 0);
  kill_child(child);
  shm_space_reap_dead(space);
  go_round(channel);
  SAME(read_letter(views[1][1].data, LENGTH).number, 1);
  shm_channel_unpin(readers[1], &views[1][0]);
  SAME(read_letter(views[1][1].data, LENGTH).number, 1);
  shm_channel_close(readers[1]); /* with the last view open: it outlives its reader */
  SAME(channel_facts(channel).readers, 0);
  go_round(channel);
  be_healthy(space);
  SAME(read_letter(views[1][1].data, LENGTH).number, 1);
  CHECK(used_bytes(space) > empty);
  shm_channel_unpin(readers[1], &views[1][1]); /* the last one to let go closes the port, too */
  SAME(used_bytes(space), empty);
  shm_channel_free(readers[1]);
  delete_channel(space, "c");
  shm_channel_free(channel);
}

/* More views than a port can pin: the next ones are copied, not shown. */
static void run_out_of_pins(shm_space *space) {
  shm_channel *channel = open_channel(space, "p", (shm_channel_options){.capacity = 16, .delivery = SHM_DELIVERY_ALL});
  shm_channel *reader = open_reader(channel);
  shm_view views[SHM_PINS], more;
  for (u32 n = 0; n < SHM_PINS + 1; n++) OK(send_letter(channel, LENGTH, 9, n, 0));
  for (u32 n = 0; n < SHM_PINS; n++) view_next(reader, &views[n], n);
  OK(shm_channel_recv_view(reader, &more, in_ns(LONG)));
  CHECK(!more.data);
  expect_letter(reader, 9, SHM_PINS);
  for (u32 n = 0; n < SHM_PINS; n++) shm_channel_unpin(reader, &views[n]);
  OK(send_letter(channel, 20, 9, 77, 0)); /* short ones lie in the slot: they are copied too */
  OK(shm_channel_recv_view(reader, &more, in_ns(LONG)));
  CHECK(!more.data);
  expect_letter(reader, 9, 77);
  delete_channel(space, "p");
  shm_channel_free(reader);
  shm_channel_free(channel);
}

/* One: a view is the message itself, which nobody else gets. */
static void view_of_one(shm_space *space) {
  shm_channel *channel = open_channel(space, "o", (shm_channel_options){.capacity = CAPACITY});
  shm_view views[3];
  u64 empty = used_bytes(space);
  for (u32 n = 0; n < 3; n++) OK(send_letter(channel, LENGTH, 9, n, 0));
  for (u32 n = 0; n < 3; n++) view_next(channel, &views[n], n);
  IS(shm_channel_recv_view(channel, &views[0], 0), SHM_EMPTY);
  OK(send_letter(channel, LENGTH, 9, 3, 0));
  OK(shm_channel_recv_view(channel, &views[0], 0));
  SAME(read_letter(views[2].data, LENGTH).number, 2);
  shm_channel_unpin(channel, &views[1]);
  shm_channel_unpin(channel, &views[2]);
  shm_channel_unpin(channel, &views[0]);
  CHECK(used_bytes(space) > empty); /* the first one was never let go */
  delete_channel(space, "o");
  shm_channel_free(channel);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  ready = shared_memory(sizeof *ready);
  shm_space *space = make_space(4 << 20, 8);
  u64 base = used_bytes(space);
  survive_overwriting(space);
  run_out_of_pins(space);
  SAME(used_bytes(space), base);
  view_of_one(space);
  leave_space(space);
  space = join_space(); /* leaving let go of what was forgotten */
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
