/* Whoever looks for a name, or lists them all, while others make and delete names of the same hash chains and use the
 * memory for something else, finds every name that is there all the time, once, and no damage.
 *
 * Runs: processes, threads
 */
#include "../../csrc/base/hash.h"
#include "channels.h"

enum { STABLE = 3, LOOKERS = 2, ROWS = 64, CHAIN = 4, SCRIBBLES = 6 };

static char names[STABLE * (CHAIN + 1)][16]; /* the first ones stay; CHAIN more of the chain of each come and go */
static u32 *over;
static u64 ends_ns;

static u32 chain_of(const char *name) { return shm__fnv1a(name, strlen(name)) % SHM_BUCKETS; }

static void make_names(void) {
  u32 tried = 0;
  for (u32 i = 0; i < STABLE; i++) {
    snprintf(names[i], sizeof names[i], "stable%u", i);
    for (u32 k = 0; k < CHAIN; k++) {
      char *name = names[STABLE + i * CHAIN + k];
      do {
        snprintf(name, sizeof names[0], "x%u", tried++);
      } while (chain_of(name) != chain_of(names[i]));
    }
  }
}

/* Names come and go; in between their memory holds messages. */
static void come_and_go(void) {
  shm_space *space = join_space();
  struct chance chance = chance_for(0);
  u8 garbage[sizeof(struct shm_entry)];
  shm_channel *scribble = open_channel(space, "scribble", (shm_channel_options){.capacity = SCRIBBLES});
  while (shm_monotonic_ns() < ends_ns) {
    const char *name = names[STABLE + below(&chance, STABLE * CHAIN)];
    if (shm_space_exists(space, SHM_KIND_CHANNEL, name, (u32)strlen(name))) {
      delete_channel(space, name);
    } else {
      shm_channel_free(open_channel(space, name, (shm_channel_options){.capacity = 1}));
    }
    memset(garbage, (int)draw(&chance), sizeof garbage);
    while (shm_channel_send(scribble, garbage, sizeof garbage, 0, 0) == SHM_OK) continue;
    u64 length;
    u32 codec;
    while (shm_channel_recv(scribble, garbage, sizeof garbage, &length, &codec, 0) == SHM_OK) continue;
  }
  shm_channel_free(scribble);
  leave_space(space);
  shm_store_release(over, 1);
}

static void look(u32 index) {
  shm_space *space;
  shm_entry_facts *rows = calloc(ROWS, sizeof *rows);
  OK(shm_space_open(test_directory, test_name, 0, 0, 0600, index % 2 ? SHM_OPEN_READONLY : 0, in_ns(LONG), &space));
  while (!shm_load_acquire(over)) {
    int64_t count = shm_space_entries(space, rows, ROWS);
    if (count < 0) FAIL("the listing says %s: %s", shm_error_name((int)count), shm_error_text());
    CHECK(count <= ROWS);
    for (u32 i = 0; i < STABLE; i++) {
      u32 length = (u32)strlen(names[i]), found = 0;
      for (int64_t r = 0; r < count; r++) found += rows[r].name_length == length && memcmp(rows[r].name, names[i], length) == 0;
      if (found != 1) FAIL("%s is listed %u times", names[i], found);
      if (!shm_space_exists(space, SHM_KIND_CHANNEL, names[i], length)) FAIL("%s was not found", names[i]);
    }
  }
  free(rows);
  leave_space(space);
}

static void work(u32 index, void *context) {
  (void)context;
  if (index == 0) come_and_go();
  else look(index);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  over = shared_memory(sizeof *over);
  ends_ns = in_ns(SECONDS);
  make_names();
  shm_space *space = make_space(4 << 20, 8);
  u64 base = used_bytes(space);
  for (u32 i = 0; i < STABLE; i++) shm_channel_free(open_channel(space, names[i], (shm_channel_options){.capacity = 1}));
  run_workers(LOOKERS + 1, work, NULL);
  for (u32 i = 0; i < sizeof names / sizeof names[0]; i++) {
    shm_space_delete(space, SHM_KIND_CHANNEL, names[i], (u32)strlen(names[i]), in_ns(LONG));
  }
  delete_channel(space, "scribble");
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
