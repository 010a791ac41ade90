/* A reader that comes to a slot while it is being overwritten gets the old message whole, or is told that it lagged: never
 * the new bytes under the old number. It need not have a port: one on a read-only space holds nobody up.
 *
 * Runs: processes
 * Link: --wrap=shm__point
 */
#include "channels.h"

enum { CAPACITY = 4 };

static const char *stops_at;
static shm_channel *late;
static u32 looked;

void __wrap_shm__point(const char *name);

/* The writer is at a named point, with the slot half done. */
void __wrap_shm__point(const char *name) {
  if (!stops_at || strcmp(name, stops_at) != 0) return;
  struct letter letter = {0, 0};
  stops_at = NULL;
  looked++;
  int status = recv_letter(late, &letter, 0);
  if (status != SHM_LAGGED) FAIL("at %s: %s, message %u", name, shm_error_name(status), letter.number);
  SAME(shm_channel_lost(late), 1);
}

static void overwrite(const char *point, u64 length, u32 overflow) {
  shm_space *space = make_space(2 << 20, 8), *readonly;
  shm_channel_options options = {.capacity = CAPACITY, .delivery = SHM_DELIVERY_ALL, .overflow = overflow};
  shm_channel *channel = open_channel(space, "c", options);
  OK(shm_space_open(test_directory, test_name, 0, 0, 0600, SHM_OPEN_READONLY, in_ns(LONG), &readonly));
  shm_channel *theirs = open_channel(readonly, "c", (shm_channel_options){0});
  late = open_reader(theirs);
  shm_channel *held = open_reader(channel); /* so that messages are kept */
  for (u32 n = 0; n < CAPACITY; n++) OK(send_letter(channel, length, 5, n, 0));
  for (u32 n = 0; n < CAPACITY && overflow == SHM_OVERFLOW_WAIT; n++) expect_letter(held, 5, n);
  u32 before = looked;
  stops_at = point;
  OK(send_letter(channel, length, 5, CAPACITY, 0));
  SAME(looked, before + 1);
  for (u32 n = 1; n <= CAPACITY; n++) expect_letter(late, 5, n); /* nothing else is missing */
  shm_channel_free(held);
  shm_channel_free(late);
  shm_channel_free(theirs);
  leave_space(readonly);
  shm_channel_free(channel);
  end_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  overwrite("ring.filled", 20, SHM_OVERFLOW_WAIT);
  overwrite("ring.filled", 20, SHM_OVERFLOW_OLDEST);
  overwrite("ring.filled", 80, SHM_OVERFLOW_OLDEST);
  return 0;
}
