/* A reader that comes to a record while its segment is dropped, its slot overwritten, or it is deleted, gets the old one
 * whole, or is told that it has gone: never new bytes under the old offset; and what it had copied before does not count.
 * Whoever comes to what is being published gets all of it or nothing. Also on a read-only space; there a log that is
 * deleted ends all waiting.
 *
 * Runs: processes
 * Link: --wrap=shm__point
 */
#include "logs.h"

enum { SEGMENT = 2, OLD = 2 * SEGMENT };
enum { HEAD_BYTES = sizeof(struct shm_log_main) + sizeof(struct shm_log_shard) + OLD * (sizeof(struct shm_record) + 8) + 64 };

static const char *stops_at;
static shm_log *late;
static shm_seen copied; /* of record 0, before */
static u32 looked;
static u64 gone, next_then;
static int status_then;

void __wrap_shm__point(const char *name);

/* Somebody is at a named point, with the work half done. */
void __wrap_shm__point(const char *name) {
  struct letter letter = {0, 0};
  u64 first, next;
  u32 behind;
  shm_seen seen;
  u8 key = 5;
  if (!stops_at || strcmp(name, stops_at) != 0) return;
  stops_at = NULL;
  looked++;
  int status = see_letter(late, gone, &letter, &behind);
  if (status != status_then) FAIL("at %s: record %llu: %s", name, (unsigned long long)gone, shm_error_name(status));
  if (status == SHM_OK) SAME(letter.number, gone);
  int changed = strcmp(name, "log.floored") != 0 && strcmp(name, "log.purged") != 0; /* it is not touched yet */
  if (changed == shm_log_unchanged(&copied)) FAIL("at %s: what was copied counts: %d", name, !changed);
  shm_log_bounds(late, 0, &first, &next);
  SAME(next, next_then);
  for (u64 offset = first; offset < next; offset++) {
    status = see_letter(late, offset, &letter, &behind);
    if (status == SHM_NOT_FOUND) continue;
    OK(status);
    SAME(letter.number, offset);
  }
  OK(shm_log_see_key(late, 0, &key, 1, &seen));
  CHECK(seen.offset < next);
}

static void look_at(const char *point, u64 length, int readonly, u64 count, int status) {
  shm_space *space = make_space(2 << 20, 8), *other = NULL;
  shm_log *log = open_log(space, SEGMENT, 0);
  const u64 lengths[] = {length, length};
  for (u32 n = 0; n < OLD; n++) append_letters(log, lengths, 1, 5, n);
  OK(shm_space_open(test_directory, test_name, 0, 0, 0600, readonly ? SHM_OPEN_READONLY : 0, in_ns(LONG), &other));
  late = open_log(other, SEGMENT, 0);
  OK(shm_log_see(late, 0, 0, &copied));
  u32 before = looked;
  gone = 0, status_then = status, stops_at = point;
  next_then = OLD + (strcmp(point, "log.published") == 0 ? count : 0);
  if (count) {
    append_letters(log, lengths, count, 5, OLD);
  } else {
    u64 offset = 0, done, size_bytes;
    OK(shm_log_delete(log, 0, &offset, 1, UINT64_MAX, in_ns(LONG), &done, &size_bytes));
    SAME(done, 1);
  }
  SAME(looked, before + 1);
  be_healthy(space);
  shm_log_free(late);
  leave_space(other);
  shm_log_free(log);
  delete_log(space);
  end_space(space);
}

/* ---- a log that goes while somebody looks at it -------------------------------------------------------------------------- */
static struct shm__ref over; /* a block where the log was, in which everything says that it is alive */

static void *delete_soon(void *context) {
  shm_nap_ns(30 * MS);
  delete_log(context);
  OK(shm__block_alloc(context, HEAD_BYTES, in_ns(LONG), &over));
  u32 *words = (u32 *)shm__block_payload(context, over, HEAD_BYTES);
  for (u32 i = 0; i < HEAD_BYTES / sizeof *words; i++) words[i] = i % 2 ? 0 : SHM_LIFE_LIVE;
  return NULL;
}

static void end_waiting(int readonly) {
  shm_space *space = make_space(2 << 20, 8), *other;
  shm_log_free(open_log(space, SEGMENT, 0));
  OK(shm_space_open(test_directory, test_name, 0, 0, 0600, readonly ? SHM_OPEN_READONLY : 0, in_ns(LONG), &other));
  late = open_log(other, SEGMENT, 0);
  pthread_t thread;
  shm_seen seen;
  CHECK(pthread_create(&thread, NULL, delete_soon, space) == 0);
  u64 until_ns = in_ns(LONG);
  int status = SHM_EMPTY;
  while (status == SHM_EMPTY && shm_monotonic_ns() < until_ns) status = shm_log_wait(late, 0, 7, until_ns);
  IS(status, SHM_CLOSED);
  CHECK(shm_monotonic_ns() < until_ns - LONG / 2); /* it was told, and did not wait for its deadline */
  pthread_join(thread, NULL);
  memset(&seen, 0, sizeof seen);
  int entered = shm_log_enter(late);
  if (entered == SHM_OK) {
    shm_log_see(late, 0, 0, &seen);
    IS(shm_log_leave(late, SHM_OK), SHM_CLOSED);
  }
  CHECK(!shm_log_alive(late));
  IS(shm_log_wait(late, 0, 0, in_ns(LONG)), SHM_CLOSED);
  shm_log_free(late);
  leave_space(other);
  shm__block_free(space, over);
  end_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  for (int readonly = 0; readonly < 2; readonly++) {
    for (u64 length = 30; length < 3000; length += 2000) {
      look_at("log.floored", length, readonly, 1, SHM_OK);
      look_at("log.purged", length, readonly, 1, SHM_LAGGED);
      look_at("log.cleared", length, readonly, 1, SHM_LAGGED);
      look_at("log.filled", length, readonly, 1, SHM_LAGGED);
      look_at("log.joined", length, readonly, 2, SHM_LAGGED);
      look_at("log.written", length, readonly, 2, SHM_LAGGED);
      look_at("log.indexed", length, readonly, 2, SHM_LAGGED);
      look_at("log.published", length, readonly, 2, SHM_LAGGED);
      look_at("log.deleted", length, readonly, 0, SHM_NOT_FOUND);
    }
    end_waiting(readonly);
  }
  return 0;
}
