/* A reader on a read-only space keeps no channel from being deleted: one that looks into it while it is torn down is told
 * that it has gone, whatever the bytes say by then.
 *
 * Runs: processes
 * Link: --wrap=shm__point
 */
#include "channels.h"

static const char *stops_at;
static shm_channel *reader;

void __wrap_shm__point(const char *name);

void __wrap_shm__point(const char *name) {
  struct letter letter = {0, 0};
  if (!stops_at || strcmp(name, stops_at) != 0) return;
  stops_at = NULL;
  IS(recv_letter(reader, &letter, 0), SHM_CLOSED);
}

static void bury_under(shm_space *space, shm_space *readonly, const char *point, u64 length) {
  shm_channel *channel = open_channel(space, "c", (shm_channel_options){.delivery = SHM_DELIVERY_ALL, .replay = 4});
  shm_channel *theirs = open_channel(readonly, "c", (shm_channel_options){0});
  for (u32 n = 0; n < 4; n++) OK(send_letter(channel, length, 5, n, 0));
  reader = open_reader(theirs);
  expect_letter(reader, 5, 0);
  delete_channel(space, "c");
  stops_at = point;
  shm_channel_free(channel); /* the last user: now it is buried */
  CHECK(!stops_at);
  shm_channel_free(reader);
  shm_channel_free(theirs);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  shm_space *space = make_space(2 << 20, 8), *readonly;
  OK(shm_space_open(test_directory, test_name, 0, 0, 0600, SHM_OPEN_READONLY, in_ns(LONG), &readonly));
  static const char *const points[] = {"directory.emptied", "directory.held", "directory.unlinked"};
  for (u32 i = 0; i < sizeof points / sizeof points[0]; i++) {
    bury_under(space, readonly, points[i], 20);
    bury_under(space, readonly, points[i], 2000);
  }
  leave_space(readonly);
  end_space(space);
  return 0;
}
