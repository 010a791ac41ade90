/* Delivery "one": a reader finds a message, another one takes it, and the next message comes when the first reader has the
 * lock: it is taken whole, or it stays; it is never gone, and never bytes that nobody sent.
 *
 * Runs: processes
 * Link: --wrap=shm__ring_lock_consumers --wrap=shm__ring_take
 */
#include "../../csrc/types/ring.h"
#include "channels.h"

static shm_channel *theirs;
static void (*before_lock)(void), (*before_take)(void);

int __real_shm__ring_lock_consumers(struct shm__ring *ring, u64 deadline_ns);
int __wrap_shm__ring_lock_consumers(struct shm__ring *ring, u64 deadline_ns);
int __real_shm__ring_take(struct shm__ring *ring, u64 room_bytes, struct shm__message *message);
int __wrap_shm__ring_take(struct shm__ring *ring, u64 room_bytes, struct shm__message *message);

/* What is to happen happens once: it comes here, too. */
static void let_happen(void (**what)(void)) {
  void (*happen)(void) = *what;
  *what = NULL;
  if (happen) happen();
}

int __wrap_shm__ring_lock_consumers(struct shm__ring *ring, u64 deadline_ns) {
  let_happen(&before_lock);
  return __real_shm__ring_lock_consumers(ring, deadline_ns);
}

int __wrap_shm__ring_take(struct shm__ring *ring, u64 room_bytes, struct shm__message *message) {
  if (!before_lock) let_happen(&before_take);
  return __real_shm__ring_take(ring, room_bytes, message);
}

static void they_send(void) { OK(send_letter(theirs, 20, 7, 1, 0)); }

/* Short, but in a block. */
static void they_commit(void) {
  shm_view view;
  OK(shm_channel_reserve(theirs, 20, 0, &view));
  write_letter(view.data, 20, 7, 1);
  OK(shm_channel_commit(theirs, &view, 0));
}

static void (*next_one)(void);

static void they_take(void) {
  before_take = NULL;
  expect_letter(theirs, 7, 0);
  before_take = next_one;
}

static int is_the_next(const void *data, u64 length) {
  struct letter letter = read_letter(data, length);
  return length == 20 && letter.sender == 7 && letter.number == 1;
}

/* 1 if a message came. */
static int take_copy(shm_channel *ours) {
  u8 buffer[80];
  u64 length;
  u32 codec;
  int status = shm_channel_recv(ours, buffer, sizeof buffer, &length, &codec, 0);
  if (status == SHM_OK) CHECK(is_the_next(buffer, length));
  else IS(status, SHM_EMPTY);
  return status == SHM_OK;
}

static int take_many(shm_channel *ours) {
  shm_small small[4];
  u64 done;
  memset(small, 0xee, sizeof small);
  int status = shm_channel_recv_many(ours, small, 4, 0, &done);
  if (done) CHECK(done == 1 && is_the_next(small[0].data, small[0].length_bytes));
  else if (status != SHM_SHORT) IS(status, SHM_EMPTY);
  return done == 1;
}

static int take_view(shm_channel *ours) {
  shm_view view;
  int status = shm_channel_recv_view(ours, &view, 0);
  if (status != SHM_OK) IS(status, SHM_EMPTY);
  if (status != SHM_OK || !view.data) return 0; /* short ones are to be copied */
  CHECK(is_the_next(view.data, view.length_bytes));
  shm_channel_unpin(ours, &view);
  return 1;
}

static void come_between(shm_channel *ours, int (*take)(shm_channel *ours), void (*send)(void)) {
  OK(send_letter(theirs, 20, 7, 0, 0));
  before_lock = they_take, before_take = NULL, next_one = send;
  int came = take(ours);
  CHECK(!before_lock);
  if (before_take) let_happen(&before_take); /* it did not come to that: then it comes now */
  if (!came) CHECK(take_copy(ours));
  CHECK(!take_copy(ours));
}

int main(int argc, char **argv) {
  begin(argc, argv);
  shm_space *space = make_space(2 << 20, 8), *other = join_space();
  u64 base = used_bytes(space);
  shm_channel *ours = open_channel(space, "c", (shm_channel_options){0});
  theirs = open_channel(other, "c", (shm_channel_options){0});
  u64 empty = used_bytes(space);
  int (*const ways[])(shm_channel *) = {take_copy, take_many, take_view};
  for (u32 i = 0; i < sizeof ways / sizeof ways[0]; i++) {
    come_between(ours, ways[i], they_send);
    come_between(ours, ways[i], they_commit);
    SAME(used_bytes(space), empty);
  }
  shm_channel_free(theirs);
  leave_space(other);
  delete_channel(space, "c");
  shm_channel_free(ours);
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
