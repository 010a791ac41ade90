/* A read-only space goes on being readable in the child of a fork.
 *
 * Runs: processes
 */
#include "channels.h"

static void read_as_child(void *context) {
  shm_space *space = context;
  OK(shm_space_attach_again(space));
  shm_channel *channel = open_channel(space, "c", (shm_channel_options){.delivery = SHM_DELIVERY_ALL});
  shm_channel *reader = open_reader(channel);
  expect_letter(reader, 1, 2);
  expect_letter(reader, 1, 3);
  shm_channel_free(reader);
  shm_channel_free(channel);
  leave_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  shm_space *space = make_space(1 << 20, 8), *readonly;
  shm_channel *channel = open_channel(space, "c", (shm_channel_options){.delivery = SHM_DELIVERY_ALL, .replay = 2});
  for (u32 n = 0; n < 4; n++) OK(send_letter(channel, 30, 1, n, 0));
  OK(shm_space_open(test_directory, test_name, 0, 0, 0600, SHM_OPEN_READONLY, in_ns(LONG), &readonly));
  end_child(start_child(read_as_child, readonly));
  leave_space(readonly);
  shm_channel_free(channel);
  end_space(space);
  return 0;
}
