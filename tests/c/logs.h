/* logs.h: logs and their records in the test programs. */
#ifndef SHM_TEST_LOGS_H
#define SHM_TEST_LOGS_H

#include "../../csrc/types/log.h"
#include "channels.h"

#if defined(__SANITIZE_THREAD__)
#define WITH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#endif
#endif
#ifndef WITH_TSAN
#define WITH_TSAN 0
#endif

static inline shm_log *open_log(shm_space *space, u64 segment, u64 start_offset) {
  shm_log *log = NULL;
  shm_log_options options = {.start_offset = start_offset, .segment_size = segment, .max_record_bytes = 1 << 16,
                             .rollover_bytes = 1 << 20, .shards = 1, .flags = SHM_LOG_KEYS | SHM_LOG_TIMES, .codec = "raw"};
  OK(shm_log_open(space, SHM_KIND_LOG, "r", 1, &options, 0, 1, in_ns(LONG), &log));
  return log;
}

static inline void delete_log(shm_space *space) { OK(shm_space_delete(space, SHM_KIND_LOG, "r", 1, in_ns(LONG))); }

/* Its bytes. */
static inline struct shm_log_shard *shard_of(shm_space *space) {
  const struct shm_entry *entry = shm__directory_look(space, SHM_KIND_LOG, "r", 1);
  CHECK(entry);
  struct shm_log_main *main = shm__at(space, entry->main, sizeof *main, 16);
  CHECK(main);
  return (struct shm_log_shard *)(main + 1);
}

/* The key is one byte, the sender. Letter number + i has lengths[i % 2] bytes. The offset of the first. */
static inline u64 append_letters(shm_log *log, const u64 *lengths, u64 count, u32 sender, u32 number) {
  enum { ROOM = 4096, COUNT = 16 };
  static __thread u8 data[COUNT][ROOM];
  shm_append records[COUNT];
  u8 key = (u8)sender;
  u64 first;
  CHECK(count <= COUNT);
  for (u64 i = 0; i < count; i++) {
    write_letter(data[i], lengths[i % 2], sender, number + (u32)i);
    records[i] = (shm_append){.key = &key, .key_bytes = 1, .data = data[i], .data_bytes = lengths[i % 2],
                              .codec = (u32)(count - 1 - i), .flags = SHM_HAS_KEY | SHM_HAS_DATA};
  }
  OK(shm_log_append(log, 0, records, count, in_ns(LONG), &first));
  return first;
}

/* 0: it has changed meanwhile. */
static inline int copy_letter(const shm_seen *seen, struct letter *letter) {
  static __thread u8 data[LETTER_MOST];
  u8 key = seen->key_bytes ? seen->key[0] : 0;
  u64 length = seen->data_bytes;
  if (seen->key_bytes == 1 && length <= sizeof data) memcpy(data, seen->data, length);
  if (!shm_log_unchanged(seen)) return 0;
  SAME(seen->key_bytes, 1);
  *letter = read_letter(data, length);
  SAME(key, (u8)letter->sender);
  return 1;
}

/* The letter at an offset, and how many were published behind it at once; the status of see. */
static inline int see_letter(shm_log *log, u64 offset, struct letter *letter, u32 *behind) {
  shm_seen seen;
  for (;;) {
    int status = shm_log_see(log, 0, offset, &seen);
    if (status != SHM_OK) return status;
    SAME(seen.offset, offset);
    *behind = seen.codec;
    if (copy_letter(&seen, letter)) return SHM_OK;
  }
}

static inline void expect_record(shm_log *log, u64 offset, u32 sender, u32 number) {
  struct letter letter = {0, 0};
  u32 behind;
  OK(see_letter(log, offset, &letter, &behind));
  SAME(letter.sender, sender);
  SAME(letter.number, number);
}

#endif
