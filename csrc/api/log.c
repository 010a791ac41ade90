/* api/log.c: logs and sharded logs, for callers outside. */
#include <stdlib.h>
#include <string.h>

#include "../base/hash.h"
#include "../os/clock.h"
#include "../types/log.h"
#include "handle.h"
#include "options.h"

enum { SLICE_NS = 20000000 };

struct shm_log {
  struct shm__handle handle;
  u32 shard_count;
  struct shm__log shard[];
};

_Static_assert(sizeof(shm_seen) == sizeof(struct shm__seen) && offsetof(shm_seen, word) == offsetof(struct shm__seen, word),
               "shm_seen is a record where it lies");

/* ---- opening and closing ---------------------------------------------------------------------------------------------- */
static int make_log(struct shm__space *space, u32 id, const void *options, u64 deadline_ns, struct shm__ref *main) {
  const shm_log_options *wanted = options;
  struct shm__log_options made = {.start_offset = wanted->start_offset, .segment_size = wanted->segment_size,
                                  .max_record_bytes = wanted->max_record_bytes, .rollover_bytes = wanted->rollover_bytes,
                                  .shards = wanted->shards, .flags = wanted->flags, .sharder_bytes = wanted->sharder_bytes,
                                  .sharder = wanted->sharder};
  memcpy(made.codec, wanted->codec, sizeof made.codec);
  return shm__log_make(space, id, &made, deadline_ns, main);
}

static int check_options(const struct shm__log *log, const shm_log_options *wanted, u32 given) {
  const struct shm_log_main *main = log->main;
  const struct {
    u32 bit;
    const char *name;
    u64 found, asked;
  } numbers[] = {
      {SHM_GIVEN_START_OFFSET, "start_offset", main->start_offset, wanted->start_offset},
      {SHM_GIVEN_SEGMENT_SIZE, "segment_size", main->segment_size, wanted->segment_size},
      {SHM_GIVEN_MAX_RECORD, "max_record", main->max_record_bytes, wanted->max_record_bytes},
      {SHM_GIVEN_ROLLOVER, "rollover", main->rollover_bytes, wanted->rollover_bytes},
      {SHM_GIVEN_SHARDS, "shards", main->shards, wanted->shards},
      {SHM_GIVEN_KEY_INDEX, "key_index", main->flags & SHM_LOG_KEY_INDEX ? 1 : 0, wanted->flags & SHM_LOG_KEY_INDEX ? 1 : 0},
      {SHM_GIVEN_TIME_INDEX, "time_index", main->flags & SHM_LOG_TIME_INDEX ? 1 : 0, wanted->flags & SHM_LOG_TIME_INDEX ? 1 : 0}};
  for (u32 i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    if (given & numbers[i].bit && numbers[i].found != numbers[i].asked) {
      return shm__mismatch("log", numbers[i].name, numbers[i].found, numbers[i].asked);
    }
  }
  if (given & SHM_GIVEN_SHARDER && (main->sharder_bytes != wanted->sharder_bytes ||
                                    memcmp(shm__log_sharder(log), wanted->sharder, wanted->sharder_bytes) != 0)) {
    return shm__fail(SHM_MISMATCH, "the log was made with another sharder= than the one asked for");
  }
  return shm__check_codec("log", main->codec, wanted->codec, given);
}

static int bind_shards(struct shm__handle **handle, u64 main, const void *options, u32 given) {
  struct shm_log *log = (struct shm_log *)*handle;
  log->shard_count = 1;
  for (u32 n = 0; n < log->shard_count; n++) {
    int status = shm__log_bind(log->handle.space, main, n, &log->shard[n]);
    if (status != SHM_OK) return status;
    if (n > 0) continue;
    u32 count = log->shard[0].main->shards;
    struct shm_log *grown = realloc(log, sizeof *log + count * sizeof *log->shard);
    if (!grown) return shm__fail(SHM_SPACE_FULL, "no memory");
    grown->shard_count = count;
    log = grown;
    *handle = &log->handle;
  }
  for (u32 n = 0; n < log->shard_count; n++) log->shard[n].closing = &log->handle.closing;
  return check_options(&log->shard[0], options, given);
}

int shm_log_open(shm_space *space, uint32_t kind, const char *name, uint32_t name_length, const shm_log_options *options,
                 uint32_t given, int create, uint64_t deadline_ns, shm_log **log) {
  struct shm__opening opening = {.kind = kind, .size_bytes = sizeof **log + sizeof *(*log)->shard, .make = make_log,
                                 .bind = bind_shards, .options = options, .given = given, .create = create};
  struct shm__handle *made;
  int status = shm__handle_make(&opening, space, name, name_length, deadline_ns, &made);
  if (status == SHM_OK) *log = (struct shm_log *)made;
  return status;
}

static void wake(void *context) {
  shm_log *log = context;
  for (u32 n = 0; n < log->shard_count; n++) shm__log_wake(&log->shard[n]);
}

void shm_log_mark_closing(shm_log *log) { shm_store_release(&log->handle.closing, 1); }

void shm_log_close(shm_log *log) { shm__handle_close(&log->handle, wake, log); }

void shm_log_free(shm_log *log) {
  shm_log_close(log);
  free(log);
}

int shm_log_alive(shm_log *log) { return shm__handle_is_there(&log->handle, &log->shard[0].main->life); }

/* ---- looking ---------------------------------------------------------------------------------------------------------- */
void shm_log_get_options(shm_log *log, shm_log_options *options) {
  const struct shm_log_main *main = log->shard[0].main;
  *options = (shm_log_options){.start_offset = main->start_offset, .segment_size = main->segment_size,
                               .max_record_bytes = main->max_record_bytes, .rollover_bytes = main->rollover_bytes,
                               .shards = log->shard_count, .flags = main->flags, .sharder_bytes = main->sharder_bytes,
                               .sharder = shm__log_sharder(&log->shard[0])};
  memcpy(options->codec, main->codec, sizeof options->codec - 1);
}

int shm_log_enter(shm_log *log) { return shm__handle_enter_to_look(&log->handle); }

int shm_log_leave(shm_log *log, int status) {
  if (shm__log_is_closed(&log->shard[0])) status = SHM_CLOSED;
  return shm__handle_leave_look(&log->handle, &log->shard[0].main->life, status);
}

static struct shm__log *shard_of(shm_log *log, uint32_t shard) { return &log->shard[shard < log->shard_count ? shard : 0]; }

static u64 start_of(const shm_log *log) { return log->shard[0].main->start_offset; }

/* Offsets outside, indices inside. */
static int found(shm_log *log, int status, shm_seen *seen) {
  if (status == SHM_OK) seen->offset += start_of(log);
  return status;
}

int shm_log_see(shm_log *log, uint32_t shard, uint64_t offset, shm_seen *seen) {
  if (offset < start_of(log)) return SHM_LAGGED;
  return found(log, shm__log_see(shard_of(log, shard), offset - start_of(log), (struct shm__seen *)seen), seen);
}

int shm_log_unchanged(const shm_seen *seen) { return shm__log_unchanged((const struct shm__seen *)seen); }

int shm_log_see_key(shm_log *log, uint32_t shard, const void *key, uint32_t key_bytes, shm_seen *seen) {
  return found(log, shm__log_see_key(shard_of(log, shard), key, key_bytes, (struct shm__seen *)seen), seen);
}

int shm_log_see_time(shm_log *log, uint32_t shard, int64_t time_ns, shm_seen *seen) {
  return found(log, shm__log_see_time(shard_of(log, shard), time_ns, (struct shm__seen *)seen), seen);
}

void shm_log_bounds(shm_log *log, uint32_t shard, uint64_t *first, uint64_t *next) {
  shm__log_bounds(shard_of(log, shard), first, next);
  *first += start_of(log);
  *next += start_of(log);
}

int shm_log_stat(shm_log *log, uint32_t shard, shm_log_facts *facts) {
  int status = shm_log_enter(log);
  if (status != SHM_OK) return status;
  shm_log_bounds(log, shard, &facts->first, &facts->next);
  shm__log_stat(shard_of(log, shard), &facts->segments, &facts->records, &facts->size_bytes);
  return shm_log_leave(log, SHM_OK);
}

uint64_t shm_log_floor(shm_log *log, uint32_t shard) {
  return shm_load_acquire(&shard_of(log, shard)->shared->floor) + start_of(log);
}

uint64_t shm_log_deletions(shm_log *log, uint32_t shard) { return shm_load_acquire(&shard_of(log, shard)->shared->deletions); }

uint32_t shm_hash(const void *data, uint64_t size_bytes) { return shm__fnv1a(data, size_bytes); }

uint64_t shm_log_record_bytes(uint64_t key_bytes, uint64_t data_bytes) { return shm__record_bytes(key_bytes, data_bytes); }

int shm_log_wait(shm_log *log, uint32_t shard, uint64_t offset, uint64_t deadline_ns) {
  int status = shm_log_enter(log);
  if (status != SHM_OK) return status;
  u64 start = start_of(log), index = offset > start ? offset - start : 0;
  int slices = log->handle.space->readonly && deadline_ns > SHM__SPIN; /* nobody tells it that the log has gone: it looks */
  do {
    u64 slice_ns = slices ? shm__monotonic_ns() + SLICE_NS : deadline_ns;
    status = shm__log_wait(shard_of(log, shard), index, slice_ns < deadline_ns ? slice_ns : deadline_ns);
  } while (slices && status == SHM_EMPTY && shm_log_alive(log) && shm__monotonic_ns() < deadline_ns);
  return shm_log_leave(log, status);
}

void shm_log_arm(shm_log *log, uint32_t shard) {
  if (log->handle.space->readonly || shm_log_enter(log) != SHM_OK) return;
  shm__event_arm_bell(log->handle.space, shard_of(log, shard)->event);
  shm_log_leave(log, SHM_OK);
}

void shm_log_wake(shm_log *log, uint32_t shard) {
  if (log->handle.space->readonly || shm_log_enter(log) != SHM_OK) return;
  shm__log_wake(shard_of(log, shard));
  shm_log_leave(log, SHM_OK);
}

/* ---- changing --------------------------------------------------------------------------------------------------------- */
/* Short records stay where they are, for longer ones a block is made. */
static int prepare(const struct shm__log *log, const shm_append *piece, u64 deadline_ns, struct shm__append *record) {
  u64 size_bytes = piece->key_bytes + piece->data_bytes;
  if (size_bytes > log->max_record_bytes) {
    return shm__fail(SHM_TOO_LARGE,
                     "a record of %llu bytes (key and data) is longer than max_record=%llu; make the log with a larger one",
                     (unsigned long long)size_bytes, (unsigned long long)log->max_record_bytes);
  }
  *record = (struct shm__append){.time_ns = piece->time_ns,
                                 .data_bytes = piece->data_bytes,
                                 .key = piece->key,
                                 .data = piece->data,
                                 .key_bytes = piece->key_bytes,
                                 .codec = piece->codec,
                                 .flags = piece->flags,
                                 .stamped = piece->stamped};
  if (size_bytes <= SHM_RECORD_INLINE) return SHM_OK;
  int status = shm__block_alloc(log->space, size_bytes, deadline_ns, &record->block);
  if (status != SHM_OK) return status;
  u8 *to = shm__block_payload(log->space, record->block, size_bytes);
  if (piece->key_bytes) memcpy(to, piece->key, piece->key_bytes);
  if (piece->data_bytes) memcpy(to + piece->key_bytes, piece->data, piece->data_bytes);
  return SHM_OK;
}

int shm_log_append(shm_log *log, uint32_t shard, const shm_append *pieces, uint64_t count, uint64_t deadline_ns, uint64_t *first) {
  enum { FEW = 4 };
  struct shm__append few[FEW], *records = few;
  u64 ready = 0;
  *first = 0;
  int status = shm__handle_enter(&log->handle);
  if (status != SHM_OK) return status;
  struct shm__log *to = shard_of(log, shard);
  if (count > FEW) records = malloc(count * sizeof *records);
  if (!records) status = shm__fail(SHM_SPACE_FULL, "no memory for %llu records", (unsigned long long)count);
  for (; ready < count && status == SHM_OK; ready++) {
    records[ready].block.offset = 0;
    status = prepare(to, &pieces[ready], deadline_ns, &records[ready]);
  }
  if (status == SHM_OK) status = shm__log_append(to, records, count, deadline_ns, first);
  for (u64 i = 0; i < ready && status != SHM_OK; i++) shm__block_free(to->space, records[i].block);
  if (records != few) free(records);
  *first += start_of(log);
  shm__handle_leave(&log->handle);
  return status;
}

int shm_log_delete(shm_log *log, uint32_t shard, uint64_t *offsets, uint64_t count, uint64_t expected, uint64_t deadline_ns,
                   uint64_t *done, uint64_t *size_bytes) {
  u64 start = start_of(log), known = 0;
  int status = shm__handle_enter(&log->handle);
  if (status != SHM_OK) return status;
  for (u64 i = 0; i < count; i++) {
    if (offsets[i] >= start) offsets[known++] = offsets[i] - start;
  }
  status = shm__log_delete(shard_of(log, shard), offsets, known, expected, deadline_ns, done, size_bytes);
  for (u64 i = 0; i < *done; i++) offsets[i] += start;
  shm__handle_leave(&log->handle);
  return status;
}
