/* Names are any bytes, up to 255 of them; thousands fit, are found, listed once each and deleted; longer ones and none at
 * all are refused. A channel and a lock may have the same name.
 *
 * Runs: processes
 */
#include "channels.h"

enum { COUNT = 4000, LONGEST = SHM_NAME_BYTES - 1 };

static u32 make_name(u32 n, char *name) {
  struct chance chance = chance_for(n);
  u32 length = n <= LONGEST && n > 0 ? n : (u32)below(&chance, LONGEST - 8) + 8;
  for (u32 i = 0; i < length; i++) name[i] = (char)draw(&chance);
  if (length >= 8) memcpy(name, &n, sizeof n);
  else memset(name, (int)n, length);
  return length;
}

static int open_named(shm_space *space, u32 n, shm_channel **channel) {
  char name[SHM_NAME_BYTES];
  shm_channel_options options = {.capacity = 1, .max_message_bytes = 100, .codec = "raw"};
  return shm_channel_open(space, name, make_name(n, name), &options, 0, 1, in_ns(LONG), channel);
}

static void refuse(shm_space *space) {
  static const char name[2 * SHM_NAME_BYTES] = "x";
  shm_channel_options options = {.capacity = 1, .max_message_bytes = 100, .codec = "raw"};
  shm_channel *channel;
  shm_lock *lock;
  IS(shm_channel_open(space, name, 0, &options, 0, 1, in_ns(LONG), &channel), SHM_INVALID);
  IS(shm_channel_open(space, name, SHM_NAME_BYTES, &options, 0, 1, in_ns(LONG), &channel), SHM_INVALID);
  IS(shm_channel_open(space, name, 2 * SHM_NAME_BYTES, &options, 0, 0, in_ns(LONG), &channel), SHM_INVALID);
  IS(shm_lock_open(space, name, SHM_NAME_BYTES, in_ns(LONG), &lock), SHM_INVALID);
  IS(shm_space_delete(space, SHM_KIND_CHANNEL, name, 2 * SHM_NAME_BYTES, in_ns(LONG)), SHM_NOT_FOUND);
  CHECK(!shm_space_exists(space, SHM_KIND_CHANNEL, name, 2 * SHM_NAME_BYTES));
}

static void list_all(shm_space *space) {
  shm_entry_facts *rows = calloc(COUNT + 1, sizeof *rows);
  u8 seen[COUNT + 1] = {0};
  SAME((u64)shm_space_entries(space, rows, COUNT + 1), COUNT);
  for (u32 i = 0; i < COUNT; i++) {
    char name[SHM_NAME_BYTES];
    u32 n = rows[i].name_length;
    if (n >= 8) memcpy(&n, rows[i].name, sizeof n);
    CHECK(n >= 1 && n <= COUNT && !seen[n]++);
    SAME(make_name(n, name), rows[i].name_length);
    CHECK(memcmp(name, rows[i].name, rows[i].name_length) == 0);
    SAME(rows[i].kind, SHM_KIND_CHANNEL);
  }
  SAME((u64)shm_space_entries(space, rows, 3), COUNT);
  free(rows);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  shm_space *space = make_space(64 << 20, 4);
  u64 base = used_bytes(space);
  for (u32 n = 1; n <= COUNT; n++) {
    shm_channel *channel;
    OK(open_named(space, n, &channel));
    shm_channel_free(channel);
  }
  list_all(space);
  refuse(space);
  be_healthy(space);
  char name[SHM_NAME_BYTES];
  u32 length = make_name(LONGEST, name);
  SAME(length, LONGEST);
  shm_lock *lock;
  OK(shm_lock_open(space, name, length, in_ns(LONG), &lock));
  CHECK(shm_space_exists(space, SHM_KIND_LOCK, name, length));
  shm_lock_free(lock);
  CHECK(!shm_space_exists(space, SHM_KIND_LOCK, name, length));
  for (u32 n = 1; n <= COUNT; n++) {
    length = make_name(n, name);
    CHECK(shm_space_exists(space, SHM_KIND_CHANNEL, name, length));
    OK(shm_space_delete(space, SHM_KIND_CHANNEL, name, length, in_ns(LONG)));
    CHECK(!shm_space_exists(space, SHM_KIND_CHANNEL, name, length));
  }
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
