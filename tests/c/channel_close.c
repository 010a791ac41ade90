/* Closing a handle makes the calls of other threads on it leave with SHM_CLOSED, whatever they wait for; closing the
 * space does the same for all handles; nothing is lost or left over.
 *
 * Runs: processes
 */
#include "channels.h"

static u32 inside;

static void *wait_for_message(void *reader) {
  struct letter letter = {0, 0};
  shm_add(&inside, 1);
  IS(recv_letter(reader, &letter, SHM_NEVER), SHM_CLOSED);
  return NULL;
}

static void *wait_for_room(void *writer) {
  shm_add(&inside, 1);
  IS(send_letter(writer, 3000, 1, 1, SHM_NEVER), SHM_CLOSED);
  return NULL;
}

static void *wait_for_view(void *reader) {
  shm_view view;
  shm_add(&inside, 1);
  IS(shm_channel_recv_view(reader, &view, SHM_NEVER), SHM_CLOSED);
  return NULL;
}

static void *wait_for_lock(void *lock) {
  int owner_died;
  shm_add(&inside, 1);
  IS(shm_lock_take(lock, SHM_NEVER, &owner_died), SHM_CLOSED);
  return NULL;
}

static void close_around(shm_channel *handle, void *(*wait)(void *)) {
  pthread_t thread;
  u32 before = inside;
  CHECK(pthread_create(&thread, NULL, wait, handle) == 0);
  await(&inside, before + 1);
  shm_nap_ns(20 * MS); /* not needed: so that it sleeps by now */
  u64 start_ns = shm_monotonic_ns();
  shm_channel_close(handle);
  if (shm_monotonic_ns() - start_ns > SECONDS) FAIL("closing took long");
  pthread_join(thread, NULL);
  shm_channel_free(handle);
}

static void close_space_around(shm_space *space, shm_space *other) {
  shm_channel *empty = open_channel(space, "empty", (shm_channel_options){.capacity = 1});
  shm_channel *full = open_channel(space, "full", (shm_channel_options){.capacity = 1});
  shm_lock *lock, *theirs;
  int owner_died;
  OK(shm_lock_open(space, "l", 1, in_ns(LONG), &lock));
  OK(shm_lock_open(other, "l", 1, in_ns(LONG), &theirs));
  OK(shm_lock_take(theirs, in_ns(LONG), &owner_died));
  OK(send_letter(full, 3000, 1, 0, 0));
  pthread_t threads[3];
  u32 before = inside;
  CHECK(pthread_create(&threads[0], NULL, wait_for_message, empty) == 0);
  CHECK(pthread_create(&threads[1], NULL, wait_for_room, full) == 0);
  CHECK(pthread_create(&threads[2], NULL, wait_for_lock, lock) == 0);
  await(&inside, before + 3);
  shm_nap_ns(20 * MS);
  shm_channel_mark_closing(empty); /* as a wrapper does that closes all handles of a space */
  shm_channel_mark_closing(full);
  u64 start_ns = shm_monotonic_ns();
  shm_channel_close(empty);
  shm_channel_close(full);
  shm_space_close(space);
  if (shm_monotonic_ns() - start_ns > 2 * SECONDS) FAIL("closing took long");
  for (u32 i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  shm_lock_free(lock);
  shm_channel_free(empty);
  shm_channel_free(full);
  shm_space_free(space);
  OK(shm_lock_release(theirs));
  shm_lock_free(theirs);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  shm_space *space = make_space(4 << 20, 8), *other = join_space();
  u64 base = used_bytes(space);
  for (u32 delivery = 0; delivery < 2; delivery++) {
    shm_channel *channel = open_channel(space, "c", (shm_channel_options){.capacity = 1, .delivery = delivery});
    shm_channel *keep = open_reader(channel);
    close_around(open_reader(channel), wait_for_message);
    close_around(open_reader(channel), wait_for_view);
    OK(send_letter(channel, 3000, 1, 0, 0));
    close_around(open_writer(channel), wait_for_room);
    expect_letter(keep, 1, 0);
    delete_channel(space, "c");
    shm_channel_free(keep);
    shm_channel_free(channel);
  }
  close_space_around(space, other);
  delete_channel(other, "empty");
  delete_channel(other, "full");
  SAME(used_bytes(other), base);
  end_space(other);
  return 0;
}
