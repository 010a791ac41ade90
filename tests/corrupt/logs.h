/* logs.h: logs in the region of region.h, and everything that a program can do with one. What it needs stands above its
 * inclusion there. */
#ifndef SHM_TEST_CORRUPT_LOGS_H
#define SHM_TEST_CORRUPT_LOGS_H

enum { LOG_SEGMENT = 4, LOG_SHARDS = 2, LOG_START = 10 };

static shm_log *open_a_log(shm_space *space, u32 kind, const char *name) {
  shm_log_options options = {.start_offset = LOG_START, .segment_size = LOG_SEGMENT, .max_record_bytes = 5000,
                             .rollover_bytes = 1 << 20, .shards = kind == SHM_KIND_LOG ? 1 : LOG_SHARDS,
                             .flags = SHM_LOG_KEYS | SHM_LOG_TIMES, .codec = "raw"};
  shm_log *log = NULL;
  int status = CALL(shm_log_open, space, kind, name, (u32)strlen(name), &options, 0, 1, soon(), &log);
  return status == SHM_OK ? log : NULL;
}

/* One record, or two at once: short and long ones. */
static void append_records(shm_log *log, u32 shard, u64 number) {
  shm_append records[2];
  u64 first;
  for (u32 i = 0; i < 2; i++) {
    records[i] = (shm_append){.key = "key", .key_bytes = (u32)(number + i) % 4, .data = region_buffer,
                              .data_bytes = (number + i) % 3 * 50, .flags = SHM_HAS_KEY | SHM_HAS_DATA};
  }
  CALL(shm_log_append, log, shard, records, number % 4 == 3 ? 2 : 1, soon(), &first);
}

static void delete_records(shm_log *log, u32 shard, u64 from) {
  u64 offsets[] = {from + 1, from, UINT64_MAX, from + 3}, done, size_bytes, count = sizeof offsets / sizeof offsets[0];
  CALL(shm_log_delete, log, shard, offsets, count, DO(shm_log_deletions, log, shard), soon(), &done, &size_bytes);
  if (done > count) WRONG("shm_log_delete", (int)done);
}

static void fill_log(shm_log *log, u32 shard, u64 count) {
  for (u64 n = 0; log && n < count; n++) append_records(log, shard, n);
  if (log && count > LOG_SEGMENT) delete_records(log, shard, LOG_START + LOG_SEGMENT);
}

static void touch(const shm_seen *seen) {
  if (seen->key_bytes) region_buffer[0] ^= seen->key[0] ^ seen->key[seen->key_bytes - 1];
  if (seen->data_bytes) region_buffer[0] ^= seen->data[0] ^ seen->data[seen->data_bytes - 1];
  DO(shm_log_unchanged, seen);
}

static void look_at_log(shm_log *log, u32 shard) {
  shm_log_options options;
  shm_log_facts facts;
  shm_seen seen;
  u64 first, next;
  if (!log) return;
  DO(shm_log_get_options, log, &options);
  CALL(shm_log_stat, log, shard, &facts);
  DO(shm_log_alive, log);
  DO(shm_log_floor, log, shard);
  if (CALL(shm_log_enter, log) != SHM_OK) return;
  DO(shm_log_bounds, log, shard, &first, &next);
  const u64 from[] = {LOG_START, first, next - 3, UINT64_MAX - 1};
  for (u32 i = 0; i < sizeof from / sizeof from[0]; i++) {
    for (u64 offset = from[i]; offset < from[i] + LOG_SEGMENT && offset >= from[i]; offset++) {
      if (CALL(shm_log_see, log, shard, offset, &seen) == SHM_OK) touch(&seen);
    }
  }
  for (u32 length = 0; length < 4; length++) {
    if (CALL(shm_log_see_key, log, shard, "key", length, &seen) == SHM_OK) touch(&seen);
  }
  const int64_t times_ns[] = {INT64_MIN, 0, 1800000000000000000, INT64_MAX};
  for (u32 i = 0; i < sizeof times_ns / sizeof times_ns[0]; i++) {
    if (CALL(shm_log_see_time, log, shard, times_ns[i], &seen) == SHM_OK) touch(&seen);
  }
  CALL(shm_log_leave, log, SHM_OK);
  CALL(shm_log_wait, log, shard, first, DO(shm_monotonic_ns) + PATIENCE_NS / 40);
}

static void use_log(shm_log *log, u32 shard) {
  if (!log) return;
  look_at_log(log, shard);
  DO(shm_log_arm, log, shard);
  for (u64 n = 0; n < LOG_SEGMENT + 1; n++) append_records(log, shard, n);
  look_at_log(log, shard);
  u64 first, next;
  DO(shm_log_bounds, log, shard, &first, &next);
  delete_records(log, shard, first);
  delete_records(log, shard, LOG_START);
  CALL(shm_log_wait, log, shard, next, DO(shm_monotonic_ns) + PATIENCE_NS / 40);
  DO(shm_log_wake, log, shard);
}

#endif
