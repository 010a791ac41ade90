/* records_judge.c: what must hold of a log after a death, at once and when it has been found out.
 *
 *   - Every record that there was is whole, under its offset; none is missing between the first and the next, but for
 *     those that were being deleted; below the first none can be read. Only the segments' rule, a purge for an append
 *     that died, and deletions raise the first.
 *   - What was appended before is there. What was being appended is there wholly, or not at all.
 *   - What keys and times lead to is what a scan finds.
 *   - Behind the repair the sums fit, what is missing from the floor on was deleted; the next append is done at once, and
 *     check() finds nothing. When the log is deleted no block is left (judge.c).
 */
#include <stdio.h>
#include <string.h>

#include "records.h"

enum { PROBLEMS = 4 };

struct scan {
  uint64_t first, next, count, size_bytes;
  uint64_t offsets[RECORDS_MOST], ids[RECORDS_MOST];
  int64_t times[RECORDS_MOST];
};

static uint64_t shard(void) { return ledger.volume->shard; }

static int is_deletable(uint64_t offset) {
  for (uint64_t i = 0; i < ledger.volume->deletes; i++) {
    if (ledger.volume->deleted[i] == offset - FIRST_OFFSET) return 1;
  }
  return 0;
}

static int was_deleted(struct world *world, uint64_t offset) {
  return is_deletable(offset) && (world->progress[VICTIM].finished || world->progress[OTHER].finished);
}

/* The first record that the segments keep when next is the next one. */
static uint64_t kept(uint64_t next) {
  uint64_t count = next - FIRST_OFFSET, last_segment = count ? (count - 1) / ledger.volume->segment : 0;
  return FIRST_OFFSET + (last_segment ? (last_segment - 1) * ledger.volume->segment : 0);
}

/* ---- reading all of it ---------------------------------------------------------------------------------------------- */
static void look_below(struct world *world, uint64_t first) {
  shm_seen seen;
  for (uint64_t offset = first > FIRST_OFFSET + 5 ? first - 5 : FIRST_OFFSET; offset < first; offset++) {
    int status = shm_log_see(ledger.log, (uint32_t)shard(), offset, &seen);
    if (status != SHM_LAGGED) blame(world, "record %llu below the first: %s", (unsigned long long)offset, shm_error_name(status));
  }
}

static void scan_all(struct world *world, struct scan *scan) {
  shm_seen seen;
  *scan = (struct scan){0};
  shm_log_bounds(ledger.log, (uint32_t)shard(), &scan->first, &scan->next);
  if (scan->next - scan->first > 2 * ledger.volume->segment) {
    blame(world, "it has the records %llu to %llu", (unsigned long long)scan->first, (unsigned long long)scan->next);
    return;
  }
  for (uint64_t offset = scan->first; offset < scan->next; offset++) {
    int status = TIMED(world, shm_log_see(ledger.log, (uint32_t)shard(), offset, &seen));
    if (status == SHM_NOT_FOUND && is_deletable(offset)) continue;
    if (status != SHM_OK) {
      blame(world, "reading record %llu: %s %s", (unsigned long long)offset, shm_error_name(status), shm_error_text());
      return;
    }
    if (was_deleted(world, offset)) blame(world, "record %llu was deleted, and is there", (unsigned long long)offset);
    uint64_t i = scan->count++;
    scan->offsets[i] = offset;
    scan->ids[i] = ledger_id(world, &seen);
    scan->times[i] = seen.time_ns;
    scan->size_bytes += shm_log_record_bytes(seen.key_bytes, seen.data_bytes);
    if (i && scan->times[i] <= scan->times[i - 1]) blame(world, "the stamp of record %llu is too old", (unsigned long long)offset);
  }
  look_below(world, scan->first);
  int status = shm_log_see(ledger.log, (uint32_t)shard(), scan->next, &seen);
  if (status != SHM_EMPTY) blame(world, "reading the next record: %s", shm_error_name(status));
}

/* ---- what must be there --------------------------------------------------------------------------------------------- */
/* The id of what is at this place if the other one has appended so many, and the victim so many; 0: nothing. */
static uint64_t id_at(struct world *world, uint64_t n, uint64_t others, uint64_t victims) {
  if (n < ledger.volume->records) return n + 1;
  n -= ledger.volume->records;
  if (n < others) return MINE(OTHER) + 1 + n;
  n -= others;
  if (n < victims) return MINE(VICTIM) + 1 + n;
  n -= victims;
  return n < world->progress[SURVIVOR].put ? MINE(SURVIVOR) + 1 + n : 0;
}

static int fits_scan(struct world *world, const struct scan *scan, uint64_t others, uint64_t victims) {
  uint64_t count = ledger.volume->records + others + victims + world->progress[SURVIVOR].put;
  if (scan->next != FIRST_OFFSET + count) return 0;
  for (uint64_t i = 0; i < scan->count; i++) {
    if (scan->ids[i] != id_at(world, scan->offsets[i] - FIRST_OFFSET, others, victims)) return 0;
  }
  return 1;
}

/* Whoever died has appended what it was at, or not; from now on that is known. */
static void judge_order(struct world *world, const struct scan *scan) {
  struct progress *other = &world->progress[OTHER], *victim = &world->progress[VICTIM];
  const struct volume *volume = ledger.volume;
  for (int o = 0; o < 2; o++) {
    for (int v = 0; v < 2; v++) {
      uint64_t others = other->put + (o ? volume->other_batch : 0), victims = victim->put + (v ? volume->batch : 0);
      if (!fits_scan(world, scan, others, victims)) continue;
      other->put = others, victim->put = victims;
      return;
    }
  }
  blame(world, "records %llu to %llu: %llu there are, the last is %llu; not what was appended", (unsigned long long)scan->first,
        (unsigned long long)scan->next, (unsigned long long)scan->count,
        (unsigned long long)(scan->count ? scan->ids[scan->count - 1] : 0));
}

static void judge_first(struct world *world, const struct scan *scan) {
  const struct volume *volume = ledger.volume;
  uint64_t batch = volume->batch > volume->other_batch ? volume->batch : volume->other_batch;
  if (!ledger.most) ledger.most = kept(scan->next + batch) < scan->next ? kept(scan->next + batch) : scan->next;
  uint64_t least = kept(scan->next), most = ledger.most > least ? ledger.most : least;
  uint64_t floor = shm_log_floor(ledger.log, (uint32_t)shard());
  if (least < ledger.first) least = ledger.first;
  ledger.first = scan->first;
  while (most < scan->next && is_deletable(most)) most++;
  if (scan->first < least || scan->first > most) {
    blame(world, "the first record is %llu, must be %llu to %llu", (unsigned long long)scan->first, (unsigned long long)least,
          (unsigned long long)most);
  }
  if (scan->first < scan->next && was_deleted(world, scan->first)) blame(world, "the first record was deleted");
  if (!world->reaped) return; /* a purge may be half done */
  if (floor > scan->first) blame(world, "the floor %llu is above the first", (unsigned long long)floor);
  for (uint64_t offset = floor; offset < scan->first; offset++) {
    if (!is_deletable(offset)) blame(world, "record %llu is said to be deleted, was purged", (unsigned long long)offset);
  }
}

static void judge_keys(struct world *world, const struct scan *scan) {
  for (uint64_t id = 1; id <= 4 * KEYS && ledger.volume->keyed; id++) { /* each key comes up */
    char key[16], other[16];
    uint32_t flags, length = ledger_key(id, key, &flags), other_flags;
    uint64_t newest = 0;
    shm_seen seen = {0};
    if (!(flags & SHM_HAS_KEY)) continue;
    for (uint64_t i = 0; i < scan->count; i++) {
      uint32_t other_length = ledger_key(scan->ids[i], other, &other_flags);
      if (other_flags == flags && other_length == length && memcmp(key, other, length) == 0) newest = scan->offsets[i];
    }
    int status = TIMED(world, shm_log_see_key(ledger.log, (uint32_t)shard(), key, length, &seen));
    if (status != (newest ? SHM_OK : SHM_NOT_FOUND) || (newest && seen.offset != newest)) {
      blame(world, "key \"%.*s\" leads to %llu (%s), the newest is %llu", (int)length, key, (unsigned long long)seen.offset,
            shm_error_name(status), (unsigned long long)newest);
    }
  }
}

static void judge_times(struct world *world, const struct scan *scan) {
  shm_seen seen;
  for (uint64_t i = 0; i < scan->count; i++) {
    int status = TIMED(world, shm_log_see_time(ledger.log, (uint32_t)shard(), scan->times[i], &seen));
    if (status != SHM_OK || seen.offset != scan->offsets[i]) {
      blame(world, "the time of record %llu does not lead to it: %s", (unsigned long long)scan->offsets[i], shm_error_name(status));
    }
  }
  int64_t behind_ns = scan->count ? scan->times[scan->count - 1] + 1 : 0;
  int status = shm_log_see_time(ledger.log, (uint32_t)shard(), behind_ns, &seen);
  if (status != SHM_NOT_FOUND) blame(world, "a time behind the last: %s", shm_error_name(status));
}

/* Whoever plans deletions, and then makes them unless there were others, must be told of those that were cut short. */
static void judge_deletions(struct world *world, const struct scan *scan) {
  uint64_t missing = 0;
  for (uint64_t offset = scan->first, i = 0; offset < scan->next; offset++) {
    if (i < scan->count && scan->offsets[i] == offset) i++;
    else missing++;
  }
  if (missing && shm_log_deletions(ledger.log, (uint32_t)shard()) == 0) blame(world, "%d deletions are not counted", (int)missing);
}

static void judge_sums(struct world *world, const struct scan *scan) {
  shm_log_facts facts;
  int status = shm_log_stat(ledger.log, (uint32_t)shard(), &facts);
  if (status != SHM_OK || facts.records != scan->count || facts.size_bytes != scan->size_bytes) {
    blame(world, "it counts %llu records of %llu bytes, has %llu of %llu", (unsigned long long)facts.records,
          (unsigned long long)facts.size_bytes, (unsigned long long)scan->count, (unsigned long long)scan->size_bytes);
  }
}

static void judge_all(struct world *world) {
  static struct scan scan;
  if (world->failure[0]) return;
  scan_all(world, &scan);
  if (world->failure[0]) return;
  judge_order(world, &scan);
  judge_first(world, &scan);
  judge_keys(world, &scan);
  judge_times(world, &scan);
  if (world->reaped) judge_sums(world, &scan);
  if (world->reaped) judge_deletions(world, &scan);
}

/* ---- the verdict ------------------------------------------------------------------------------------------------------ */
static void check(struct world *world) {
  shm_problem problems[PROBLEMS];
  int64_t count = shm_space_check(world->space, problems, PROBLEMS);
  if (count != 0) {
    blame(world, "check() of the log: %lld problems: %s (%s)", (long long)count, count > 0 ? problems[0].what : shm_error_text(),
          count > 0 ? problems[0].where : "");
  }
}

/* Over two more segments, so that all that was there is overwritten; the log is judged all the while. */
static void work_on(struct world *world) {
  const struct volume *volume = ledger.volume;
  for (uint64_t n = 0; n < 2 * volume->segment + 1 && !world->failure[0]; n++) {
    int status = TIMED(world, ledger_append(world, 1, patience_ns()));
    if (status != SHM_OK) blame(world, "the survivor's append: %s %s", shm_error_name(status), shm_error_text());
    if (n < 2 || n == 2 * volume->segment) judge_all(world);
  }
}

/* The survivor has it open: that it was deleted can be seen by that every call says so. */
static int is_there(struct world *world) {
  if (ledger.log) return !ledger.volume->drops || shm_log_alive(ledger.log);
  int status = TIMED(world, open_ledger_again(world, 0));
  int gone = status == SHM_NOT_FOUND && ledger.volume->drops;
  if (status != SHM_OK && !gone) blame(world, "opening the log again: %s", shm_error_text());
  return status == SHM_OK;
}

void judge_ledger(struct world *world) {
  if (!ledger.volume) return;
  int reaped = world->reaped, drops = ledger.volume->drops, there = is_there(world);
  if (there) judge_all(world);
  if (there && !reaped && !drops) {
    int status = TIMED(world, ledger_append(world, 1, patience_ns()));
    if (status != SHM_OK) blame(world, "the survivor's append, at once: %s %s", shm_error_name(status), shm_error_text());
    judge_all(world);
  }
  TIMED(world, (shm_space_reap_dead(world->space), 0));
  world->reaped = 1;
  check(world);
  if (there && is_there(world)) {
    judge_all(world);
    work_on(world);
    check(world);
  } else if (ledger.log) {
    int status = TIMED(world, ledger_append(world, 1, patience_ns()));
    if (status != SHM_CLOSED) blame(world, "an append to the deleted log: %s", shm_error_name(status));
  }
  world->reaped = reaped;
  close_ledger();
  shm_space_delete(world->space, ledger_kind(), "r", 1, patience_ns());
  ledger.volume = NULL;
}
