/* Deleting a channel that is in use makes every blocked call on it leave with SHM_CLOSED; its memory stays until the last
 * handle goes; the name can be made anew at once, and is another channel.
 *
 * Runs: processes
 */
#include "channels.h"

enum { SLEEPERS = 4 };

static u32 *ready;

static void block(u32 index, void *context) {
  shm_space *space = join_space();
  shm_channel *channel = open_channel(space, "c", (shm_channel_options){.capacity = 2});
  shm_channel *full = open_channel(space, "full", (shm_channel_options){.capacity = 2});
  struct letter letter = {0, 0};
  (void)context;
  shm_add(ready, 1);
  if (index % 2) IS(recv_letter(channel, &letter, in_ns(LONG)), SHM_CLOSED);
  else IS(send_letter(full, 5000, index, 0, in_ns(LONG)), SHM_CLOSED);
  await(ready, SLEEPERS + 1); /* the first process has looked */
  shm_channel_free(channel);
  shm_channel_free(full);
  leave_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  ready = shared_memory(sizeof *ready);
  shm_space *space = make_space(1 << 20, 8);
  u64 base = used_bytes(space);
  shm_channel *channel = open_channel(space, "c", (shm_channel_options){.capacity = 2});
  shm_channel *full = open_channel(space, "full", (shm_channel_options){.capacity = 2});
  u64 two = used_bytes(space);
  for (u32 n = 0; n < 2; n++) OK(send_letter(full, 5000, 9, n, 0));
  struct worker workers[SLEEPERS];
  for (u32 i = 0; i < SLEEPERS; i++) {
    workers[i] = (struct worker){.work = block, .index = i};
    start_worker(&workers[i]);
  }
  await(ready, SLEEPERS);
  shm_nap_ns(50 * MS); /* not needed: so that most of them sleep by now */
  delete_channel(space, "c");
  delete_channel(space, "full");
  IS(shm_space_delete(space, SHM_KIND_CHANNEL, "c", 1, in_ns(LONG)), SHM_NOT_FOUND);
  struct letter letter = {0, 0};
  IS(recv_letter(full, &letter, 0), SHM_CLOSED);
  IS(send_letter(channel, 10, 1, 1, 0), SHM_CLOSED);
  IS(shm_channel_shutdown(channel, 0, 0), SHM_CLOSED);
  CHECK(!shm_channel_alive(channel));
  shm_channel *reader;
  IS(shm_channel_open_reader(channel, 0, &reader), SHM_CLOSED);
  shm_channel *anew = open_channel(space, "c", (shm_channel_options){.capacity = 2});
  OK(send_letter(anew, 10, 5, 5, 0));
  CHECK(used_bytes(space) > two);
  shm_add(ready, 1);
  for (u32 i = 0; i < SLEEPERS; i++) end_worker(&workers[i]);
  CHECK(used_bytes(space) > two); /* ours are still open */
  shm_channel_free(full);
  shm_channel_free(channel);
  expect_letter(anew, 5, 5);
  delete_channel(space, "c");
  shm_channel_free(anew);
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
