/* Who opens a structure of a read-only space while it is deleted, and its memory serves others, finds that it is not there, or
 * the one that was made in its place; never damage, and never another's options.
 *
 * Runs: processes
 * Link: --wrap=shm__directory_sight
 */
#include "../../csrc/core/directory.h"
#include "logs.h"
#include "stores.h"
#include "values.h"

enum { KINDS = 5, NOISE = 40 };
static const u32 kinds[KINDS] = {SHM_KIND_CHANNEL, SHM_KIND_QUEUE, SHM_KIND_TUPLES, SHM_KIND_LOG, SHM_KIND_STORE};
static const char *const names[KINDS] = {"c", "q", "t", "l", "s"};

static shm_space *writer;
static u32 kind, deletes, remakes;

int __real_shm__directory_sight(struct shm__space *space, u32 of, const char *name, u32 length, struct shm__sight *sight);
int __wrap_shm__directory_sight(struct shm__space *space, u32 of, const char *name, u32 length, struct shm__sight *sight);

/* A handle of the kind; number tells two of them apart. */
static int open_one(shm_space *space, int create, u32 number, u32 given, void **made) {
  u64 deadline_ns = in_ns(LONG);
  shm_channel_options channel = {.capacity = 16 + 16 * number, .max_message_bytes = 100, .codec = "raw"};
  shm_queue_options queue = {.maxsize = 10 + number, .codec = "raw"};
  shm_tuples_options tuples = {.bound = 10 + number, .codec = "raw"};
  shm_log_options log = {.segment_size = 8, .max_record_bytes = 100, .rollover_bytes = 1000 + number, .shards = 1, .codec = "raw"};
  shm_store_options store = {.shards = 1 + number, .feed = 8, .codec = "raw"};
  const char *name = names[kind];
  switch (kinds[kind]) {
    case SHM_KIND_CHANNEL:
      return shm_channel_open(space, name, 1, &channel, given ? SHM_GIVEN_CAPACITY : 0, create, deadline_ns, (shm_channel **)made);
    case SHM_KIND_QUEUE:
      return shm_queue_open(space, name, 1, &queue, given ? SHM_GIVEN_MAXSIZE : 0, create, deadline_ns, (shm_queue **)made);
    case SHM_KIND_TUPLES:
      return shm_tuples_open(space, name, 1, &tuples, given ? SHM_GIVEN_BOUND : 0, create, deadline_ns, (shm_tuples **)made);
    case SHM_KIND_LOG:
      return shm_log_open(space, SHM_KIND_LOG, name, 1, &log, given ? SHM_GIVEN_ROLLOVER : 0, create, deadline_ns,
                          (shm_log **)made);
    default:
      return shm_store_open(space, name, 1, &store, given ? SHM_GIVEN_SHARDS : 0, create, deadline_ns, (shm_store **)made);
  }
}

static void free_one(void *made) {
  switch (kinds[kind]) {
    case SHM_KIND_CHANNEL: shm_channel_free(made); break;
    case SHM_KIND_QUEUE: shm_queue_free(made); break;
    case SHM_KIND_TUPLES: shm_tuples_free(made); break;
    case SHM_KIND_LOG: shm_log_free(made); break;
    default: shm_store_free(made);
  }
}

static void make_one(u32 number) {
  void *made;
  OK(open_one(writer, 1, number, 0, &made));
  free_one(made);
}

/* Fill the memory that is free with something else. */
static void make_noise(void) {
  struct shm__ref refs[NOISE];
  u32 count = 0;
  for (u64 size_bytes = 64; count < NOISE; count++, size_bytes = size_bytes < 30000 ? size_bytes * 2 : 64) {
    OK(shm__block_alloc(writer, size_bytes, in_ns(LONG), &refs[count]));
    memset(writer->base + refs[count].offset, 0xee, size_bytes);
  }
  while (count-- > 0) shm__block_free(writer, refs[count]);
}

int __wrap_shm__directory_sight(struct shm__space *space, u32 of, const char *name, u32 length, struct shm__sight *sight) {
  int status = __real_shm__directory_sight(space, of, name, length, sight);
  if (!deletes) return status;
  deletes = 0;
  OK(shm_space_delete(writer, kinds[kind], names[kind], 1, in_ns(LONG)));
  make_noise();
  if (remakes) make_one(1);
  return status;
}

static void delete_under(shm_space *readonly) {
  void *made;
  make_one(0);
  deletes = 1, remakes = 0;
  IS(open_one(readonly, 0, 0, 1, &made), SHM_NOT_FOUND);
  make_one(0);
  deletes = 1, remakes = 1;
  OK(open_one(readonly, 0, 1, 1, &made));
  free_one(made);
  IS(open_one(readonly, 0, 0, 1, &made), SHM_MISMATCH);
  OK(shm_space_delete(writer, kinds[kind], names[kind], 1, in_ns(LONG)));
}

int main(int argc, char **argv) {
  begin(argc, argv);
  writer = make_space(4 << 20, 8);
  shm_space *readonly;
  OK(shm_space_open(test_directory, test_name, 0, 0, 0600, SHM_OPEN_READONLY, in_ns(LONG), &readonly));
  u64 before = used_bytes(writer);
  for (kind = 0; kind < KINDS; kind++) delete_under(readonly);
  SAME(used_bytes(writer), before);
  leave_space(readonly);
  end_space(writer);
  return 0;
}
