/* Members that make, open, look for, delete and close the same few names at once never meet half of one: a name has at
 * most one living structure, a handle works until it is deleted, and memory is flat when all is deleted and closed.
 *
 * Runs: processes, threads
 */
#include "channels.h"

enum { WORKERS = 4, NAMES = 5, ROUNDS = 4000, HANDLES = 6 };

static void send_and_take(shm_channel *channel, u32 index, u32 n) {
  int status = send_letter(channel, n % 3 ? 40 : 3000, index, n, in_ns(LONG));
  if (status == SHM_CLOSED) return;
  OK(status);
  struct letter letter = {0, 0};
  status = recv_letter(channel, &letter, 0); /* whoever sent it */
  if (status != SHM_EMPTY && status != SHM_CLOSED && status != SHM_BUSY) OK(status);
}

static void one_step(shm_space *space, u32 index, u32 n, struct chance *chance, shm_channel **handles) {
  char name[8];
  shm_channel **handle = &handles[below(chance, HANDLES)];
  snprintf(name, sizeof name, "n%u", (u32)below(chance, NAMES));
  u64 what = below(chance, 16);
  if (*handle && what < 7) {
    shm_channel_free(*handle);
    *handle = NULL;
  } else if (*handle) {
    send_and_take(*handle, index, n);
  } else if (what < 10) {
    shm_channel_options options = {.capacity = 64, .max_message_bytes = 4000, .overflow = SHM_OVERFLOW_OLDEST, .codec = "raw"};
    int create = what < 7, status;
    status = shm_channel_open(space, name, 2, &options, 0, create, in_ns(LONG), handle);
    if (status == SHM_NOT_FOUND && !create) *handle = NULL;
    else OK(status);
  } else if (what < 12) {
    int status = shm_space_delete(space, SHM_KIND_CHANNEL, name, 2, in_ns(LONG));
    if (status != SHM_NOT_FOUND) OK(status);
  } else if (what < 14) {
    shm_space_exists(space, SHM_KIND_CHANNEL, name, 2);
  } else {
    shm_lock *lock;
    int owner_died;
    OK(shm_lock_open(space, name, 2, in_ns(LONG), &lock));
    OK(shm_lock_take(lock, in_ns(LONG), &owner_died));
    CHECK(!owner_died);
    OK(shm_lock_release(lock));
    shm_lock_free(lock);
  }
}

static void work(u32 index, void *context) {
  shm_space *space = join_space();
  struct chance chance = chance_for(index);
  shm_channel *handles[HANDLES] = {NULL};
  (void)context;
  for (u32 n = 0; n < ROUNDS; n++) one_step(space, index, n, &chance, handles);
  for (u32 i = 0; i < HANDLES; i++) {
    if (handles[i]) shm_channel_free(handles[i]);
  }
  leave_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  shm_space *space = make_space(16 << 20, 16);
  u64 base = used_bytes(space);
  run_workers(WORKERS, work, NULL);
  for (u32 i = 0; i < NAMES; i++) {
    char name[8];
    snprintf(name, sizeof name, "n%u", i);
    int status = shm_space_delete(space, SHM_KIND_CHANNEL, name, 2, in_ns(LONG));
    if (status != SHM_NOT_FOUND) OK(status);
    IS(shm_space_delete(space, SHM_KIND_CHANNEL, name, 2, in_ns(LONG)), SHM_NOT_FOUND); /* there was one at most */
  }
  SAME((u64)shm_space_entries(space, NULL, 0), 0);
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
