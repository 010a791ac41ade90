/* A reader on a read-only space keeps no channel from being deleted: one that looks into it while it is torn down is told
 * that it has gone, whatever the bytes say by then.
 *
 * Runs: processes
 * Link: --wrap=shm__point --wrap=shm__ring_read
 */
#include "../../csrc/types/ring.h"
#include "channels.h"

static const char *stops_at;
static int reading;
static u32 stage; /* 1: the reader has found the channel alive, 2: it is half buried, 3: the reader is back */

void __wrap_shm__point(const char *name);
int __real_shm__ring_read(struct shm__ring *ring, u64 at, void *buffer, u64 room_bytes, struct shm__message *message);
int __wrap_shm__ring_read(struct shm__ring *ring, u64 at, void *buffer, u64 room_bytes, struct shm__message *message);

void __wrap_shm__point(const char *name) {
  if (!stops_at || strcmp(name, stops_at) != 0) return;
  stops_at = NULL;
  shm_store_release(&stage, 2);
  await(&stage, 3);
}

int __wrap_shm__ring_read(struct shm__ring *ring, u64 at, void *buffer, u64 room_bytes, struct shm__message *message) {
  if (reading) {
    reading = 0;
    shm_store_release(&stage, 1);
    await(&stage, 2);
  }
  return __real_shm__ring_read(ring, at, buffer, room_bytes, message);
}

struct burial {
  shm_space *space;
  shm_channel *channel;
};

static void *bury(void *argument) {
  struct burial *burial = argument;
  await(&stage, 1);
  delete_channel(burial->space, "c");
  shm_channel_free(burial->channel); /* the last user */
  return NULL;
}

static void bury_under(shm_space *space, shm_space *readonly, const char *point, u64 length) {
  struct letter letter = {0, 0};
  struct burial burial = {space, open_channel(space, "c", (shm_channel_options){.delivery = SHM_DELIVERY_ALL, .replay = 4})};
  shm_channel *theirs = open_channel(readonly, "c", (shm_channel_options){0});
  for (u32 n = 0; n < 4; n++) OK(send_letter(burial.channel, length, 5, n, 0));
  shm_channel *reader = open_reader(theirs);
  expect_letter(reader, 5, 0);
  pthread_t digger;
  stage = 0, stops_at = point, reading = 1;
  if (pthread_create(&digger, NULL, bury, &burial) != 0) FAIL("pthread_create");
  IS(recv_letter(reader, &letter, 0), SHM_CLOSED);
  shm_store_release(&stage, 3);
  pthread_join(digger, NULL);
  CHECK(!reading && !stops_at);
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
