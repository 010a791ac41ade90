/* Indices of records pass 2^32, offsets may be near 2^63: records, keys, times, deletion and purges are as they are with
 * small numbers, with segments of any size.
 *
 * Runs: processes
 */
#include "logs.h"

enum { ROUNDS = 60 };

static const u64 lengths[] = {20, 300};

/* Of the last records that the segments keep number n is at offset start + n. */
static void live_on(shm_space *space, shm_log *log, u64 segment, u64 start, u64 from) {
  u64 first, next, kept = from;
  for (u64 n = from; n < from + ROUNDS;) {
    u64 count = 1 + n % 3;
    SAME(append_letters(log, lengths, count, (u32)(n % 4), (u32)n), start + n);
    n += count;
    u64 last_segment = (n - 1) / segment;
    if (last_segment > from / segment) kept = (last_segment - 1) * segment > from ? (last_segment - 1) * segment : from;
    shm_log_bounds(log, 0, &first, &next);
    SAME(next, start + n);
    SAME(first, start + kept);
    struct letter letter = {0, 0};
    u32 behind;
    for (u64 at = kept; at < n; at++) {
      OK(see_letter(log, start + at, &letter, &behind));
      shm_seen seen, by_time;
      u8 key = (u8)letter.sender;
      OK(shm_log_see(log, 0, start + at, &seen));
      OK(shm_log_see_time(log, 0, seen.time_ns, &by_time));
      SAME(by_time.offset, start + at);
      OK(shm_log_see_key(log, 0, &key, 1, &by_time));
      CHECK(by_time.offset >= start + at);
    }
    if (kept > from) IS(see_letter(log, start + kept - 1, &letter, &behind), SHM_LAGGED);
    IS(see_letter(log, start + n, &letter, &behind), SHM_EMPTY);
  }
  u64 offsets[] = {first + 1, first, UINT64_MAX, 0}, done, size_bytes;
  OK(shm_log_delete(log, 0, offsets, 4, UINT64_MAX, in_ns(LONG), &done, &size_bytes));
  SAME(done, next - first < 2 ? 1 : 2);
  shm_log_bounds(log, 0, &first, &next);
  be_healthy(space);
}

static void number(u64 segment, u64 start, u64 from) {
  shm_space *space = make_space(4 << 20, 8);
  u64 base = used_bytes(space);
  shm_log *log = open_log(space, segment, start);
  struct shm_log_shard *shard = shard_of(space);
  shard->tail = shard->first = shard->floor = from; /* as if so many had come and gone */
  live_on(space, log, segment, start, from);
  shm_log_free(log);
  delete_log(space);
  SAME(used_bytes(space), base);
  end_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  static const u64 segments[] = {1, 2, 3, 7, 64};
  for (u32 i = 0; i < sizeof segments / sizeof segments[0]; i++) {
    number(segments[i], 0, 0);
    number(segments[i], 5, (1ull << 32) - ROUNDS / 2);
    number(segments[i], 0, (1ull << 33) - ROUNDS / 2);
    number(segments[i], (1ull << 63) - ROUNDS / 2, 0);
    number(segments[i], (1ull << 62) - 1, (1ull << 62) - ROUNDS / 2);
  }
  return 0;
}
