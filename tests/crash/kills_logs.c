/* kills_logs.c: see kills_logs.h.
 *
 * Records are small and in blocks, one or many at a time; the log keeps few, so that whoever reads is often overtaken. Who
 * appends also deletes records, anybody's. The key of a record is the number of its incarnation; its codec says where in
 * the publish it stands, and of how many.
 *
 *   whoever reads on       gets the records of each incarnation in order, without a gap unless it was overtaken or one was
 *                          deleted; each is whole, and all that were published with it are there when it is
 *   whoever has appended   finds its last record by its key, unless it has gone
 *   at the end             there were as many as were appended, but for those that the killed were appending: all of these
 *                          or none
 */
#include "kills_logs.h"

#include <stdio.h>
#include <string.h>

enum { SEGMENT = 16, BATCH = 5, LONG_BATCH = 2 * SEGMENT + 3, DELETED = 3, START = 1000, LONGEST = BLOCK_BYTES + 1500 };
enum { FEW_NS = 5000000, TRIES = 1000 };

const struct scene traffic_log = {.name = "kills_log", .size_bytes = MIXED_BYTES};

static shm_log *records;
static uint64_t chance;

static uint64_t draw(uint64_t below) {
  chance ^= chance << 13, chance ^= chance >> 7, chance ^= chance << 17; /* xorshift64, Marsaglia 2003 */
  return chance % below;
}

int open_log(struct world *world) {
  shm_log_options options = {.start_offset = START, .segment_size = SEGMENT, .max_record_bytes = 1 << 16, .rollover_bytes = 1 << 20,
                             .shards = 1, .flags = SHM_LOG_KEYS | SHM_LOG_TIMES, .codec = "raw"};
  return shm_log_open(world->space, SHM_KIND_LOG, "r", 1, &options, 0, 1, patience_ns(), &records);
}

static void fail(struct world *world, const char *what, int status) {
  blame(world, "%s: %s %s", what, shm_error_name(status), shm_error_text());
}

static uint32_t key_of(char *key, uint64_t number) { return (uint32_t)snprintf(key, 16, "%llu", (unsigned long long)number); }

/* ---- reading ------------------------------------------------------------------------------------------------------------- */
/* Copy what was seen: its id; 0: it has changed meanwhile. */
static uint64_t copy_record(struct world *world, const shm_seen *seen) {
  static uint8_t data[LONGEST];
  char key[16] = "", expected[16] = "";
  if (seen->key_bytes >= sizeof key || seen->data_bytes > sizeof data) {
    if (shm_log_unchanged(seen)) blame(world, "record %llu has an impossible length", (unsigned long long)seen->offset);
    return 0;
  }
  memcpy(key, seen->key, seen->key_bytes);
  memcpy(data, seen->data, seen->data_bytes);
  if (!shm_log_unchanged(seen)) return 0;
  uint64_t id = read_message(world, data, seen->data_bytes);
  key_of(expected, id >> 32);
  if (strcmp(key, expected) != 0) blame(world, "record %llu has the key of another", (unsigned long long)seen->offset);
  return id;
}

/* The record at an offset: its id, or 0 and why. */
static uint64_t read_at(struct world *world, uint64_t offset, int *status, uint32_t *place) {
  shm_seen seen;
  for (int n = 0; n < TRIES; n++) {
    *status = shm_log_see(records, 0, offset, &seen);
    if (*status != SHM_OK) return 0;
    *place = seen.codec;
    uint64_t id = copy_record(world, &seen);
    if (id) return id;
  }
  blame(world, "record %llu changes all the time", (unsigned long long)offset);
  return 0;
}

static void look_up(struct world *world, uint64_t number) {
  char key[16];
  uint32_t length = key_of(key, number);
  shm_seen seen;
  int status = shm_log_see_key(records, 0, key, length, &seen);
  if (status != SHM_OK && status != SHM_NOT_FOUND) fail(world, "looking up a key", status);
  uint64_t id = status == SHM_OK ? copy_record(world, &seen) : 0;
  if (id && id >> 32 != number) blame(world, "the key %llu leads to another", (unsigned long long)number);
}

/* What was published with this one is there: the records behind it, one after the other. */
static void check_publish(struct world *world, uint64_t offset, uint64_t id, uint32_t place) {
  uint64_t first, next, behind = (place & 255) - 1 - (place >> 8);
  uint32_t other_place;
  int status;
  shm_log_bounds(records, 0, &first, &next);
  if (next <= offset + behind) {
    blame(world, "record %llu is there, %llu more were published with it, the next is %llu", (unsigned long long)offset,
          (unsigned long long)behind, (unsigned long long)next);
    return;
  }
  if (behind == 0) return;
  uint64_t other = read_at(world, offset + behind, &status, &other_place);
  if (other && other != id + behind) blame(world, "what was published at once stands apart");
  if (!other && status != SHM_LAGGED && status != SHM_NOT_FOUND) fail(world, "reading what was published at once", status);
}

void read_records(struct world *world, struct books *books, uint64_t seed) {
  static struct followed followed;
  uint64_t first, next, position;
  uint32_t place;
  int status, whole = 0;
  chance = seed;
  shm_log_bounds(records, 0, &position, &next);
  while (!world->failure[0]) {
    uint64_t id = read_at(world, position, &status, &place), before_ns = shm_monotonic_ns();
    if (id) {
      const char *wrong = follow(&followed, id, whole);
      if (wrong) blame(world, "record %llu of incarnation %llu %s", (unsigned long long)(id & UINT32_MAX),
                       (unsigned long long)(id >> 32), wrong);
      check_publish(world, position, id, place);
      shm_add(&books->received_count, 1);
      position++;
      if (draw(200) == 0) shm_nap_ns(draw(300000)); /* to be overtaken */
    } else if (status == SHM_EMPTY) {
      if (!whole) memset(&followed, 0, sizeof followed);
      whole = 1; /* all that comes is read from now on, unless it is overtaken, or one is deleted */
      if (books->stop_receiving) return;
      status = shm_log_wait(records, 0, position, before_ns + FEW_NS);
      if (status != SHM_OK && status != SHM_EMPTY) fail(world, "waiting", status);
    } else if (status == SHM_LAGGED) {
      shm_log_bounds(records, 0, &first, &next);
      if (first <= position) {
        blame(world, "lagged at %llu, and the first is %llu", (unsigned long long)position, (unsigned long long)first);
      }
      position = first, whole = 0;
    } else if (status == SHM_NOT_FOUND) {
      position++, whole = 0;
    } else {
      fail(world, "reading", status);
    }
    note_blocking(books, before_ns);
    if (draw(4) == 0) look_up(world, draw(books->births));
  }
}

/* ---- appending ----------------------------------------------------------------------------------------------------------- */
static int append_some(struct world *world, struct incarnation *self, uint64_t number, uint64_t count, uint64_t *first) {
  static uint8_t bytes[LONG_BATCH][LONGEST];
  shm_append pieces[LONG_BATCH];
  char key[16];
  uint32_t length = key_of(key, number);
  (void)world;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t size_bytes = draw(3) ? SMALL_BYTES + draw(50) : BLOCK_BYTES + draw(1000);
    fill_message(bytes[i], number << 32 | (self->done + 1 + i), size_bytes);
    pieces[i] = (shm_append){.key = key, .key_bytes = length, .data = bytes[i], .data_bytes = size_bytes,
                             .codec = (uint32_t)(i << 8 | count), .flags = SHM_HAS_KEY | SHM_HAS_DATA};
  }
  self->begun = self->done + count;
  int status = shm_log_append(records, 0, pieces, count, patience_ns(), first);
  if (status == SHM_OK) self->done += count;
  return status;
}

/* The last record of this incarnation, by its key. */
static void find_own(struct world *world, struct incarnation *self, uint64_t number, uint64_t last) {
  char key[16];
  uint32_t length = key_of(key, number), place;
  uint64_t id = 0, expected = number << 32 | self->done;
  shm_seen seen;
  int status = SHM_OK;
  for (int n = 0; n < TRIES && !id && status == SHM_OK; n++) {
    status = shm_log_see_key(records, 0, key, length, &seen);
    if (status == SHM_OK) id = copy_record(world, &seen);
  }
  if (id == expected || world->failure[0]) return;
  read_at(world, last, &status, &place);
  if (status != SHM_LAGGED && status != SHM_NOT_FOUND) {
    blame(world, "the key of incarnation %llu leads to record %llu of it, not to %llu, which is there", (unsigned long long)number,
          (unsigned long long)(id & UINT32_MAX), (unsigned long long)self->done);
  }
}

static void delete_some(struct world *world) {
  uint64_t first, next, offsets[DELETED], count = 1 + draw(DELETED), done, size_bytes;
  shm_log_bounds(records, 0, &first, &next);
  if (first == next) return;
  uint64_t from = draw(2) ? first : first + draw(next - first);
  for (uint64_t i = 0; i < count; i++) offsets[i] = from + i;
  int status = shm_log_delete(records, 0, offsets, count, UINT64_MAX, patience_ns(), &done, &size_bytes);
  if (status != SHM_OK) fail(world, "deleting", status);
}

void append_records(struct world *world, struct incarnation *self, struct books *books, uint64_t number, uint64_t seed) {
  chance = seed;
  while (!books->stop_sending && !world->failure[0]) {
    uint64_t kind = draw(40), first = 0, before_ns = shm_monotonic_ns();
    uint64_t count = kind == 0 ? LONG_BATCH : kind < 8 ? 2 + draw(BATCH - 1) : 1;
    int status = append_some(world, self, number, count, &first);
    if (status != SHM_OK) fail(world, "appending", status);
    else find_own(world, self, number, first + count - 1);
    if (draw(10) == 0) delete_some(world);
    note_blocking(books, before_ns);
    if (draw(4) == 0) shm_nap_ns(draw(100000));
  }
}

/* ---- the books ----------------------------------------------------------------------------------------------------------- */
void balance_log(struct world *world, struct books *books, struct sums *sums) {
  uint64_t first, next, least = START, most = START, count = 0;
  uint32_t place;
  shm_log_facts facts;
  int status = open_log(world);
  if (status != SHM_OK) {
    fail(world, "opening", status);
    return;
  }
  for (uint64_t n = 0; n < books->births; n++) {
    if (books->incarnations[n].sends) least += books->incarnations[n].done, most += books->incarnations[n].begun;
  }
  shm_log_bounds(records, 0, &first, &next);
  sums->in_flight = most - least;
  if (next < least || next > most) {
    blame(world, "%llu records were appended, %llu to %llu must be", (unsigned long long)(next - START),
          (unsigned long long)(least - START), (unsigned long long)(most - START));
  }
  for (uint64_t offset = first; offset < next && !world->failure[0]; offset++) {
    uint64_t id = read_at(world, offset, &status, &place);
    if (!id && (status != SHM_NOT_FOUND || offset == first)) fail(world, "reading what is left", status);
    if (id && (id & UINT32_MAX) > books->incarnations[id >> 32].begun) blame(world, "a record is there that nobody appended");
    if (id) check_publish(world, offset, id, place);
    count += id != 0;
  }
  status = shm_log_stat(records, 0, &facts);
  if (status != SHM_OK || facts.records != count) {
    blame(world, "it counts %llu records, has %llu", (unsigned long long)facts.records, (unsigned long long)count);
  }
  shm_log_free(records);
  shm_space_delete(world->space, SHM_KIND_LOG, "r", 1, patience_ns());
  records = NULL;
}
