/* A read-only space answers every call: what changes something is refused, what looks works, also while others write and
 * delete; nobody gets a signal, and nothing in the region changes.
 *
 * Runs: processes
 */
#include "channels.h"

enum { CAPACITY = 8, TRAFFIC = 30000 };

static u32 *stage;

static void refuse_changes(shm_space *space, shm_channel *one, shm_channel *all) {
  shm_channel *port;
  shm_lock *lock;
  shm_view view;
  u64 length, done;
  u32 codec;
  u8 data[100];
  shm_piece piece = {data, 8, 0};
  IS(shm_channel_send(all, data, 8, 0, 0), SHM_READ_ONLY);
  IS(shm_channel_send_many(all, &piece, 1, 0, &done), SHM_READ_ONLY);
  IS(shm_channel_reserve(all, 8, 0, &view), SHM_READ_ONLY);
  IS(shm_channel_open_writer(all, 0, &port), SHM_READ_ONLY);
  IS(shm_channel_open_reader(one, 0, &port), SHM_READ_ONLY);
  IS(shm_channel_recv(one, data, sizeof data, &length, &codec, 0), SHM_READ_ONLY);
  IS(shm_channel_recv_many(one, (shm_small[1]){0}, 1, 0, &done), SHM_READ_ONLY);
  IS(shm_channel_recv_view(one, &view, 0), SHM_READ_ONLY);
  IS(shm_channel_shutdown(all, 0, 0), SHM_READ_ONLY);
  IS(shm_channel_look_room(all), SHM_READ_ONLY);
  IS(shm_lock_open(space, "l", 1, 0, &lock), SHM_READ_ONLY);
  IS(shm_space_delete(space, SHM_KIND_CHANNEL, "all", 3, 0), SHM_READ_ONLY);
  shm_channel_options options = {.capacity = 1, .codec = "raw"};
  IS(shm_channel_open(space, "new", 3, &options, 0, 1, 0, &port), SHM_NOT_FOUND);
}

static void look(shm_space *space, shm_channel *all) {
  static shm_member_facts members[4];
  static shm_entry_facts entries[4];
  shm_space_facts facts;
  shm_channel_options options;
  u32 tokens[4];
  SAME(token_of(space), 0);
  SAME(shm_space_stamp(space), 0); /* none can be had */
  SAME(shm_bell_wait(space, 0, MS), 0);
  shm_bell_ring_self(space);
  shm_space_reap_dead(space);
  shm_channel_arm(all, 0);
  shm_channel_probe(all, 0);
  OK(shm_space_attach_again(space));
  SAME(shm_space_members(space, members, 4), 1);
  SAME((u64)shm_space_entries(space, entries, 4), 2);
  CHECK(shm_space_exists(space, SHM_KIND_CHANNEL, "all", 3));
  CHECK(!shm_space_retired(space));
  shm_space_stat(space, &facts);
  SAME(facts.structures, 2);
  shm_channel_get_options(all, &options);
  SAME(options.capacity, CAPACITY);
  SAME(channel_facts(all).sent, 0);
  SAME(shm_channel_peers(all, 1, tokens, 4), 0);
  IS(shm_channel_look(all), SHM_EMPTY);
  be_healthy(space);
}

/* What happens to others does not end it; a sleeper notices that it has gone. */
static void sleep_to_the_end(void *context) {
  shm_space *space;
  struct letter letter = {0, 0};
  shm_channel_options options;
  (void)context;
  OK(shm_space_open(test_directory, test_name, 0, 0, 0600, SHM_OPEN_READONLY, in_ns(LONG), &space));
  shm_channel *channel = open_channel(space, "all", (shm_channel_options){0}), *reader = open_reader(channel);
  shm_add(&stage[0], 1);
  expect_letter(reader, 7, 1);
  shm_channel_get_options(channel, &options);
  SAME(options.capacity, CAPACITY);
  shm_add(&stage[0], 1);
  IS(recv_letter(reader, &letter, SHM_NEVER), SHM_CLOSED);
  shm_channel_free(reader);
  shm_channel_free(channel);
  leave_space(space);
}

static void delete_others(shm_space *space, shm_channel *all) {
  pid_t child = start_child(sleep_to_the_end, NULL);
  await(&stage[0], 1);
  for (u32 i = 0; i < 3; i++) {
    shm_channel *other = open_channel(space, "other", (shm_channel_options){0});
    delete_channel(space, "other");
    shm_channel_free(other);
    shm_nap_ns(20 * MS); /* not needed: so that it looks in between */
  }
  OK(send_letter(all, 20, 7, 1, 0));
  await(&stage[0], 2);
  delete_channel(space, "all");
  shm_channel_free(all);
  shm_channel *other = open_channel(space, "other", (shm_channel_options){.capacity = CAPACITY}); /* in its memory */
  end_child(child);
  delete_channel(space, "other");
  shm_channel_free(other);
}

/* In the middle of traffic in which the channel is deleted and made anew all the time. */
static void read_what_comes(void *context) {
  shm_space *space;
  (void)context;
  OK(shm_space_open(test_directory, test_name, 0, 0, 0600, SHM_OPEN_READONLY, in_ns(LONG), &space));
  while (!shm_load_acquire(&stage[1])) {
    shm_channel *channel = NULL, *reader = NULL;
    int status = shm_channel_open(space, "all", 3, &(shm_channel_options){0}, 0, 0, in_ns(LONG), &channel);
    if (status == SHM_OK) status = shm_channel_open_reader(channel, in_ns(LONG), &reader);
    while (status == SHM_OK || status == SHM_LAGGED || status == SHM_EMPTY) {
      struct letter letter;
      status = recv_letter(reader, &letter, in_ns(2 * MS));
      if (status == SHM_OK) {
        SAME(letter.sender, 3);
        shm_add(&stage[2], 1);
      }
      if (shm_load_acquire(&stage[1])) status = SHM_CLOSED;
    }
    if (status != SHM_NOT_FOUND) IS(status, SHM_CLOSED);
    if (reader) shm_channel_free(reader);
    if (channel) shm_channel_free(channel);
    shm_add(&stage[0], 1);
  }
  leave_space(space);
}

/* Until it has come in between often, and has seen something. */
static void write_and_delete(shm_space *space) {
  u32 n = 0;
  u64 deadline_ns = in_ns(LONG);
  while (n < TRAFFIC || shm_load_acquire(&stage[0]) < 50 || shm_load_acquire(&stage[2]) == 0) {
    if (shm_monotonic_ns() > deadline_ns) FAIL("opened it %u times and saw %u messages", stage[0], stage[2]);
    shm_channel_options options = {
        .capacity = CAPACITY, .delivery = SHM_DELIVERY_ALL, .overflow = SHM_OVERFLOW_OLDEST, .replay = 4};
    shm_channel *channel = open_channel(space, "all", options);
    for (u32 end = n + 400; n < end; n++) OK(send_letter(channel, n % 2 ? 60 : 600, 3, n, in_ns(LONG)));
    delete_channel(space, "all");
    shm_channel_free(channel);
    shm_channel *other = open_channel(space, "other", (shm_channel_options){.capacity = 8}); /* the memory serves others */
    for (u32 i = 0; i < 8; i++) OK(send_letter(other, i % 2 ? 60 : 600, 99, i, in_ns(LONG)));
    delete_channel(space, "other");
    shm_channel_free(other);
  }
}

int main(int argc, char **argv) {
  begin(argc, argv);
  stage = shared_memory(3 * sizeof *stage);
  shm_space *space = make_space(2 << 20, 4), *readonly;
  u64 base = used_bytes(space);
  shm_channel *one = open_channel(space, "one", (shm_channel_options){0});
  shm_channel *all = open_channel(space, "all", (shm_channel_options){.capacity = CAPACITY, .delivery = SHM_DELIVERY_ALL});
  OK(shm_space_open(test_directory, test_name, 0, 0, 0600, SHM_OPEN_READONLY, in_ns(LONG), &readonly));
  shm_channel *their_one = open_channel(readonly, "one", (shm_channel_options){0});
  shm_channel *their_all = open_channel(readonly, "all", (shm_channel_options){0});
  u8 *before = malloc(2 << 20);
  memcpy(before, readonly->base, 2 << 20);
  refuse_changes(readonly, their_one, their_all);
  look(readonly, their_all);
  shm_channel_free(their_one);
  shm_channel_free(their_all);
  CHECK(memcmp(before, readonly->base, 2 << 20) == 0);
  free(before);
  leave_space(readonly);
  delete_others(space, all);
  stage[0] = 0;
  pid_t child = start_child(read_what_comes, NULL);
  write_and_delete(space);
  shm_store_release(&stage[1], 1);
  end_child(child);
  delete_channel(space, "one");
  shm_channel_free(one);
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
