/* records.c: see records.h. */
#include "records.h"

#include <stdio.h>
#include <string.h>

#include "core/blocks.h"

struct ledger ledger;

static uint64_t size_of(uint64_t id) {
  if (ledger.volume->size_bytes != MIXED_BYTES) return ledger.volume->size_bytes;
  return id % 2 ? SMALL_BYTES : BLOCK_BYTES;
}

/* One record in four has none, one an empty one. */
uint32_t ledger_key(uint64_t id, char *key, uint32_t *flags) {
  *flags = SHM_HAS_DATA | (id % 4 ? SHM_HAS_KEY : 0);
  return id % 4 > 1 ? (uint32_t)snprintf(key, 16, "key %u", (unsigned)(id % KEYS)) : 0;
}

int open_ledger_again(struct world *world, int create) {
  const struct volume *volume = ledger.volume;
  shm_log_options options = {.start_offset = FIRST_OFFSET, .segment_size = volume->segment, .max_record_bytes = 1 << 20,
                             .rollover_bytes = 1 << 20, .shards = volume->shards ? volume->shards : 1,
                             .flags = (volume->keyed ? SHM_LOG_KEYS : 0) | SHM_LOG_TIMES, .codec = "raw"};
  ledger.log = NULL;
  return shm_log_open(world->space, ledger_kind(), "r", 1, &options, 0, create, patience_ns(), &ledger.log);
}

void open_ledger(struct world *world) {
  if (open_ledger_again(world, 1) != SHM_OK) blame(world, "opening the log: %s", shm_error_text());
}

void close_ledger(void) {
  if (ledger.log) shm_log_free(ledger.log);
  ledger.log = NULL;
}

/* Memory of the sizes that will be needed is carved already: that is not what the scenes of logs are about. */
static void warm_memory(struct world *world) {
  static const uint64_t sizes[] = {BLOCK_BYTES, BLOCK_BYTES + 8, 1200, 2400, 5000};
  struct shm__ref ref;
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    if (shm__block_alloc(world->space, sizes[i], patience_ns(), &ref) == SHM_OK) shm__block_free(world->space, ref);
  }
}

void make_ledger(struct world *world, const struct volume *volume) {
  memset(&ledger, 0, sizeof ledger);
  ledger.volume = volume;
  warm_memory(world);
  open_ledger(world);
  for (uint64_t id = 1; id <= volume->records && !world->failure[0]; id++) {
    int status = ledger_append_ids(world, id, 1, patience_ns());
    if (status != SHM_OK) blame(world, "filling the log: %s", shm_error_name(status));
  }
}

int ledger_append_ids(struct world *world, uint64_t id, uint64_t count, uint64_t deadline_ns) {
  static uint8_t bytes[RECORDS_MOST][BLOCK_BYTES];
  static char keys[RECORDS_MOST][16];
  shm_append records[RECORDS_MOST];
  uint64_t first;
  (void)world;
  for (uint64_t i = 0; i < count; i++) {
    records[i] = (shm_append){.key = keys[i], .data = bytes[i], .data_bytes = size_of(id + i)};
    records[i].key_bytes = ledger_key(id + i, keys[i], &records[i].flags);
    fill_message(bytes[i], id + i, records[i].data_bytes);
  }
  return shm_log_append(ledger.log, ledger.volume->shard, records, count, deadline_ns, &first);
}

int ledger_append(struct world *world, uint64_t count, uint64_t deadline_ns) {
  struct progress *progress = progress_of(world);
  int status = ledger_append_ids(world, MINE(world->me) + progress->put + 1, count, deadline_ns);
  progress->status = status;
  if (status == SHM_OK) progress->put += count;
  return status;
}

void ledger_delete(struct world *world) {
  const struct volume *volume = ledger.volume;
  uint64_t offsets[DELETES_MOST], done, size_bytes;
  for (uint64_t i = 0; i < volume->deletes; i++) offsets[i] = FIRST_OFFSET + volume->deleted[i];
  int status = shm_log_delete(ledger.log, volume->shard, offsets, volume->deletes, UINT64_MAX, patience_ns(), &done, &size_bytes);
  if (status == SHM_OK) progress_of(world)->finished = 1;
}

void ledger_wait(struct world *world) {
  struct progress *progress = progress_of(world);
  uint64_t first, next, before_ns = shm_monotonic_ns(), until_ns = patience_ns();
  int status = SHM_EMPTY;
  shm_seen seen;
  shm_log_bounds(ledger.log, ledger.volume->shard, &first, &next);
  while (status == SHM_EMPTY && shm_monotonic_ns() < until_ns) {
    status = shm_log_wait(ledger.log, ledger.volume->shard, next, until_ns);
  }
  progress->blocked_ns = shm_monotonic_ns() - before_ns;
  if (status == SHM_OK) status = shm_log_see(ledger.log, ledger.volume->shard, next, &seen);
  if (status == SHM_OK && ledger_id(world, &seen) == 0) status = SHM_CORRUPTED;
  progress->status = status;
}

uint64_t ledger_id(struct world *world, const shm_seen *seen) {
  static uint8_t data[BIG_BYTES];
  char key[16], expected[16];
  uint32_t flags, key_bytes = seen->key_bytes;
  uint64_t data_bytes = seen->data_bytes;
  if (key_bytes > sizeof key || data_bytes > sizeof data) {
    if (shm_log_unchanged(seen)) blame(world, "record %llu has an impossible length", (unsigned long long)seen->offset);
    return 0;
  }
  memcpy(key, seen->key, key_bytes);
  memcpy(data, seen->data, data_bytes);
  if (!shm_log_unchanged(seen)) return 0;
  uint64_t id = read_message(world, data, data_bytes);
  uint32_t expected_bytes = ledger_key(id, expected, &flags);
  if (flags != seen->flags || expected_bytes != key_bytes || memcmp(key, expected, key_bytes) != 0) {
    blame(world, "record %llu has a wrong key", (unsigned long long)seen->offset);
  }
  return id;
}

int nothing_to_read(struct world *world) {
  uint64_t first, next, sure = ledger.volume->records;
  (void)world;
  shm_log_bounds(ledger.log, ledger.volume->shard, &first, &next);
  return next <= FIRST_OFFSET + sure;
}

void help_with_a_record(struct world *world) {
  int status = TIMED(world, ledger_append(world, 1, patience_ns()));
  if (status != SHM_OK) blame(world, "helping with a record: %s", shm_error_name(status));
}
