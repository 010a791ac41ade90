/* A stream ends with its last writer, closed or killed, after everything that was sent has been read, for one that sleeps
 * and one that looks; a new writer opens it again; shutdown ends it for good, with or without what was not read yet.
 *
 * Runs: processes
 */
#include "channels.h"

enum { SENT = 10, MOST_MS = 250, SLEEPERS = 3 };

static u32 *ready;
static u64 *ended_ns;

static shm_channel *open_it(shm_space *space, u32 delivery) {
  shm_channel_options options = {.capacity = 2 * SENT, .delivery = delivery, .replay = delivery ? 2 * SENT : 0};
  return open_channel(space, delivery ? "all" : "one", options);
}

static void write_until_killed(void *context) {
  shm_space *space = join_space();
  shm_channel *writer = open_writer(open_it(space, *(u32 *)context));
  for (u32 n = 0; n < SENT; n++) OK(send_letter(writer, n % 2 ? 20 : 2000, 1, n, in_ns(LONG)));
  shm_add(ready, 1);
  for (;;) pause();
}

static void read_to_the_end(u32 index, void *context) {
  shm_space *space = join_space();
  shm_channel *channel = open_it(space, *(u32 *)context), *reader = open_reader(channel);
  struct letter letter = {0, 0};
  u32 next = 0;
  int status;
  shm_add(ready, 1);
  while ((status = recv_letter(reader, &letter, in_ns(LONG))) == SHM_OK) {
    CHECK(letter.number >= next);
    next = letter.number + 1;
    if (letter.number == SENT - 1) shm_add(ready, 1);
  }
  IS(status, SHM_END);
  ended_ns[index] = shm_monotonic_ns();
  shm_channel_free(reader);
  shm_channel_free(channel);
  leave_space(space);
}

static void end_by_death(shm_space *space, u32 delivery) {
  shm_channel *channel = open_it(space, delivery), *reader = open_reader(channel);
  struct worker sleepers[SLEEPERS];
  struct letter letter = {0, 0};
  *ready = 0;
  IS(recv_letter(reader, &letter, in_ns(20 * MS)), SHM_EMPTY); /* no writer yet: it has not ended */
  for (u32 i = 0; i < SLEEPERS; i++) {
    sleepers[i] = (struct worker){.work = read_to_the_end, .context = &delivery, .index = i};
    start_worker(&sleepers[i]);
  }
  await(ready, SLEEPERS);
  pid_t child = start_child(write_until_killed, &delivery);
  await(ready, SLEEPERS + 1 + (delivery ? SLEEPERS : 1)); /* all was sent, and the last one was taken */
  if (delivery) {
    for (u32 n = 0; n < SENT; n++) expect_letter(reader, 1, n);
  }
  IS(recv_letter(reader, &letter, in_ns(20 * MS)), SHM_EMPTY);
  u64 killed_ns = shm_monotonic_ns();
  kill_child(child);
  for (u32 i = 0; i < SLEEPERS; i++) {
    end_worker(&sleepers[i]);
    if (ended_ns[i] > killed_ns + MOST_MS * MS) FAIL("ended after %llu ms", (unsigned long long)((ended_ns[i] - killed_ns) / MS));
  }
  IS(recv_letter(reader, &letter, 0), SHM_END);
  shm_channel *writer = open_writer(channel);
  IS(recv_letter(reader, &letter, 0), SHM_EMPTY);
  OK(send_letter(writer, 2000, 2, 1, 0));
  shm_channel_free(writer);
  expect_letter(reader, 2, 1);
  IS(recv_letter(reader, &letter, in_ns(LONG)), SHM_END);
  delete_channel(space, delivery ? "all" : "one");
  IS(recv_letter(reader, &letter, in_ns(LONG)), SHM_CLOSED);
  shm_channel_free(reader);
  shm_channel_free(channel);
}

static void shut(shm_space *space, u32 delivery, int immediate) {
  shm_channel *channel = open_it(space, delivery), *reader = open_reader(channel), *writer = open_writer(channel);
  struct letter letter = {0, 0};
  u64 before = used_bytes(space);
  for (u32 n = 0; n < 4; n++) OK(send_letter(writer, n % 2 ? 20 : 2000, 1, n, 0));
  expect_letter(reader, 1, 0);
  OK(shm_channel_shutdown(channel, immediate, in_ns(LONG)));
  IS(send_letter(writer, 20, 1, 9, 0), SHM_CLOSED);
  IS(send_letter(writer, 2000, 1, 9, in_ns(LONG)), SHM_CLOSED);
  for (u32 n = 1; n < 4 && !immediate; n++) expect_letter(reader, 1, n);
  IS(recv_letter(reader, &letter, in_ns(LONG)), SHM_END);
  if (immediate) SAME(used_bytes(space), before);
  shm_channel *late = open_writer(channel);
  IS(send_letter(late, 20, 1, 9, 0), SHM_CLOSED); /* for good */
  SAME(channel_facts(channel).received, immediate ? 1 : 4);
  shm_channel_free(late);
  delete_channel(space, delivery ? "all" : "one");
  shm_channel_free(writer);
  shm_channel_free(reader);
  shm_channel_free(channel);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  ready = shared_memory(sizeof *ready);
  ended_ns = shared_memory(SLEEPERS * sizeof *ended_ns);
  shm_space *space = make_space(4 << 20, 16);
  u64 base = used_bytes(space);
  for (u32 delivery = 0; delivery < 2; delivery++) {
    end_by_death(space, delivery);
    SAME(used_bytes(space), base);
    for (int immediate = 0; immediate < 2; immediate++) shut(space, delivery, immediate);
    SAME(used_bytes(space), base);
  }
  end_space(space);
  return 0;
}
