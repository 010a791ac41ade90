/* Logs: however many append at the same time, one or many at once, and delete, whoever reads gets whole records, those of
 * one appender in order and without a gap unless it was overtaken, and all that were published together. Keys lead to the
 * newest. When the log is deleted the memory is as it was.
 *
 * Runs: processes, threads
 */
#include "logs.h"

enum { APPENDERS = 2, READERS = 2, EACH = WITH_TSAN ? 400 : 12000, BATCH = 6, SEGMENT = 8, START = 77 };

static u32 *gate, *left;
static u64 segment;

static void append(shm_log *log, u32 sender) {
  struct chance chance = chance_for(sender);
  for (u32 number = 0; number < EACH;) {
    u32 count = below(&chance, 4) ? 1 : 1 + (u32)below(&chance, BATCH);
    u64 lengths[] = {sizeof(struct letter) + below(&chance, 50), 80 + below(&chance, 2000)};
    count = count < EACH - number ? count : EACH - number;
    u64 first = append_letters(log, lengths + below(&chance, 2) * (count == 1), count, sender, number), done, size_bytes;
    number += count;
    if (!WITH_TSAN && below(&chance, 8) == 0) OK(shm_log_delete(log, 0, &first, 1, UINT64_MAX, in_ns(LONG), &done, &size_bytes));
  }
  shm_add(left, (u32)-1);
}

static void look_up(shm_log *log, u32 sender, u32 *newest) {
  shm_seen seen;
  struct letter letter = {0, 0};
  u8 key = (u8)sender;
  int status = shm_log_see_key(log, 0, &key, 1, &seen);
  if (status == SHM_NOT_FOUND) return;
  OK(status);
  if (!copy_letter(&seen, &letter)) return;
  SAME(letter.sender, sender);
  if (WITH_TSAN && letter.number < *newest) FAIL("the key of %u leads to %u, and %u was there", sender, letter.number, *newest);
  *newest = letter.number;
}

static void read_on(shm_log *log, u32 index) {
  struct chance chance = chance_for(index);
  u32 last[APPENDERS] = {0}, newest[APPENDERS] = {0}, behind, were_left = 1;
  u64 position = START, first, next;
  int whole = 1;
  for (;;) {
    struct letter letter = {0, 0};
    int status = see_letter(log, position, &letter, &behind);
    if (status == SHM_OK) {
      CHECK(letter.sender < APPENDERS);
      u32 *had = &last[letter.sender];
      if (letter.number + 1 <= *had || (whole && letter.number != *had)) {
        FAIL("record %u of %u comes after %u", letter.number, letter.sender, *had);
      }
      *had = letter.number + 1;
      shm_log_bounds(log, 0, &first, &next);
      if (next <= position + behind) FAIL("record %u of %u is there without those published with it", letter.number, letter.sender);
      position++;
      u32 sender = (u32)below(&chance, 16 * APPENDERS);
      if (sender < APPENDERS) look_up(log, sender, &newest[sender]);
    } else if (status == SHM_LAGGED) {
      shm_log_bounds(log, 0, &first, &next);
      CHECK(first > position);
      position = first, whole = 0;
    } else if (status == SHM_NOT_FOUND) {
      position++, whole = 0;
    } else {
      IS(status, SHM_EMPTY);
      if (!were_left) return;
      were_left = shm_load_acquire(left);
      status = shm_log_wait(log, 0, position, in_ns(2 * MS));
      if (status != SHM_OK) IS(status, SHM_EMPTY);
    }
  }
}

static void work(u32 index, void *context) {
  shm_space *space = join_space();
  shm_log *log = open_log(space, segment, START);
  (void)context;
  meet(gate, APPENDERS + READERS);
  if (index < APPENDERS) append(log, index);
  else read_on(log, index);
  shm_log_free(log);
  leave_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  gate = shared_memory(sizeof *gate), left = shared_memory(sizeof *left);
  shm_space *space = make_space(64 << 20, 16);
  u64 base = used_bytes(space), first, next;
  segment = WITH_TSAN ? APPENDERS * EACH : SEGMENT; /* what is copied while it is overwritten is no race that counts */
  for (int round = 0; round < 2; round++, segment *= 3) {
    *gate = 0, *left = APPENDERS;
    shm_log *log = open_log(space, segment, START);
    run_workers(APPENDERS + READERS, work, NULL);
    shm_log_bounds(log, 0, &first, &next);
    SAME(next, START + APPENDERS * EACH);
    be_healthy(space);
    delete_log(space);
    shm_log_free(log);
    SAME(used_bytes(space), base);
  }
  end_space(space);
  return 0;
}
