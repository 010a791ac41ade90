/* kills_values.c: see kills_values.h.
 *
 * Values are small and in blocks, one or many at a time; there is room for few, so that all wait for each other. Takers
 * take by copy or hold; from a queue they also lease, and acknowledge or give back; in a tuple space they also read. Of a
 * queue, values that were delivered too often go to the dead letters, and are taken from there.
 *
 * A lease is entered in the books before it is acknowledged: its value may come once more, and only if who had it was
 * killed. Everything else is entered after it was taken: it may be missing, and only if who took it was killed.
 */
#include "kills_values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BOUND = 8, DELIVERIES = 3, BATCH = 3, HOT_KEYS = 3, KEYS = 40, LONGEST = BLOCK_BYTES + 3000, FEW_NS = 20000000 };

const struct scene traffic_queue = {.name = "kills_queue", .size_bytes = MIXED_BYTES},
                   traffic_tuples = {.name = "kills_tuples", .size_bytes = MIXED_BYTES};

static shm_queue *queue;
static shm_tuples *tuples;
static uint64_t chance;

static uint64_t draw(uint64_t below) {
  chance ^= chance << 13, chance ^= chance >> 7, chance ^= chance << 17; /* xorshift64, Marsaglia 2003 */
  return chance % below;
}

/* Where: a lane of the queue, or a key. */
struct shelf {
  uint32_t lane, length;
  char key[16];
};

static struct shelf shelf_number(uint64_t number) {
  struct shelf shelf = {.lane = (uint32_t)number};
  shelf.length = (uint32_t)snprintf(shelf.key, sizeof shelf.key, "k%llu", (unsigned long long)number);
  return shelf;
}

static uint64_t shelves(void) { return queue ? 2 : KEYS; }
static uint64_t draw_key(void) { return draw(10) ? draw(HOT_KEYS) : draw(KEYS); }

int open_values(struct world *world) {
  shm_queue_options queue_options = {.maxsize = BOUND, .max_deliveries = DELIVERIES, .codec = "raw"};
  shm_tuples_options tuples_options = {.bound = BOUND, .codec = "raw"};
  queue = NULL, tuples = NULL;
  if (world->scene == &traffic_tuples) {
    return shm_tuples_open(world->space, "t", 1, &tuples_options, 0, 1, patience_ns(), &tuples);
  }
  return shm_queue_open(world->space, "q", 1, &queue_options, 0, 1, patience_ns(), &queue);
}

static void fail(struct world *world, const char *what, int status) {
  blame(world, "%s: %s %s", what, shm_error_name(status), shm_error_text());
}

/* ---- calls that give up at their deadline -------------------------------------------------------------------------------- */
static int leave(const struct shelf *at, uint32_t flags, shm_wait *wait, shm_taken *taken) {
  if (!wait->block) return SHM_EMPTY;
  if (queue) return shm_queue_leave(queue, at->lane, flags, wait, taken);
  return shm_tuples_leave(tuples, at->key, at->length, flags, wait, taken);
}

static int take(const struct shelf *at, uint32_t flags, uint64_t deadline_ns, shm_wait *wait, shm_taken *taken) {
  int status = queue ? shm_queue_take(queue, at->lane, flags, wait, deadline_ns, taken)
                     : shm_tuples_take(tuples, at->key, at->length, flags, wait, deadline_ns, taken);
  if (status == SHM_OK || !wait->block) return status;
  return leave(at, flags, wait, taken) == SHM_OK ? SHM_OK : status;
}

static void finish(const struct shelf *at, shm_taken *taken) {
  if (!taken->held) return;
  if (queue) shm_queue_taken(queue, at->lane, taken, 1);
  else shm_tuples_taken(tuples, at->key, at->length, taken, 1);
}

static uint64_t id_of(struct world *world, const shm_taken *taken) {
  return read_message(world, taken->data ? taken->data : taken->small, taken->length_bytes);
}

/* ---- putting ------------------------------------------------------------------------------------------------------------- */
static int put(const shm_piece *pieces, uint64_t count, uint64_t *done) {
  struct shelf at = shelf_number(queue ? 0 : draw_key());
  shm_wait wait = {0};
  shm_taken nothing;
  uint64_t deadline_ns = queue ? patience_ns() : shm_monotonic_ns() + FEW_NS; /* nobody may look at that key for long */
  int status = queue ? shm_queue_put_many(queue, 0, pieces, count, 0, &wait, deadline_ns, done)
                     : shm_tuples_out_many(tuples, at.key, at.length, pieces, count, 0, &wait, deadline_ns, done);
  leave(&at, 0, &wait, &nothing);
  return status;
}

void put_values(struct world *world, struct incarnation *self, struct books *books, uint64_t number, uint64_t seed) {
  static uint8_t bytes[BATCH][LONGEST];
  shm_piece pieces[BATCH];
  chance = seed;
  while (!books->stop_sending && !world->failure[0]) {
    uint64_t count = draw(8) ? 1 : BATCH, done = 0, before_ns = shm_monotonic_ns();
    for (uint64_t i = 0; i < count; i++) {
      uint64_t size_bytes = draw(3) ? SMALL_BYTES + draw(50) : BLOCK_BYTES + draw(3000);
      fill_message(bytes[i], number << 32 | (self->done + 1 + i), size_bytes);
      pieces[i] = (shm_piece){.data = bytes[i], .length_bytes = size_bytes};
    }
    self->begun = self->done + count;
    int status = put(pieces, count, &done);
    note_blocking(books, before_ns);
    if (status != SHM_OK && !(tuples && status == SHM_FULL)) fail(world, "putting", status);
    self->done += done;
    self->begun = self->done;
  }
}

/* ---- taking -------------------------------------------------------------------------------------------------------------- */
static int lease_one(struct world *world, struct incarnation *self, struct books *books, const struct shelf *at,
                     uint64_t deadline_ns) {
  shm_wait wait = {0};
  shm_taken taken;
  int status = take(at, SHM_TAKE_LEASE, deadline_ns, &wait, &taken);
  if (status != SHM_OK) return status;
  uint64_t id = id_of(world, &taken);
  if (draw(4) == 0) {
    shm_queue_nack(queue, at->lane, &taken);
    return SHM_OK;
  }
  self->holds = id;
  enter_received(books, id);
  if (draw(4) == 0) shm_nap_ns(draw(300000));
  status = shm_queue_ack(queue, at->lane, &taken, patience_ns());
  self->holds = 0;
  if (status != SHM_OK) fail(world, "acknowledging", status);
  return SHM_OK;
}

static int read_one(struct world *world, const struct shelf *at, uint64_t deadline_ns) {
  shm_wait wait = {0};
  shm_taken taken, nothing;
  int status = take(at, SHM_TAKE_READ, deadline_ns, &wait, &taken);
  if (status != SHM_OK) return status;
  id_of(world, &taken);
  leave(at, SHM_TAKE_READ, &wait, &nothing);
  return SHM_OK;
}

/* Who is killed while it holds a value has not taken it: that may not be missing. Who takes by copy seldom waits, so that
 * few values may be. */
static int take_one(struct world *world, struct incarnation *self, struct books *books, const struct shelf *at,
                    uint64_t deadline_ns) {
  uint32_t flags = draw(2) ? SHM_TAKE_HOLD : 0;
  shm_wait wait = {0};
  shm_taken taken;
  self->begun = self->done + !flags;
  int status = take(at, flags, flags || draw(8) == 0 ? deadline_ns : 0, &wait, &taken);
  if (status == SHM_OK) {
    uint64_t id = id_of(world, &taken);
    if (flags && draw(3) == 0) shm_nap_ns(draw(300000));
    if (flags && tuples && draw(4) == 0) {
      shm_tuples_return(tuples, at->key, at->length, &taken);
    } else {
      self->begun = self->done + 1;
      finish(at, &taken);
      enter_received(books, id);
    }
  }
  self->begun = self->done;
  return status;
}

void take_values(struct world *world, struct incarnation *self, struct books *books, uint64_t seed) {
  chance = seed;
  while (!world->failure[0]) {
    struct shelf at = shelf_number(queue ? draw(4) == 0 : draw_key());
    uint64_t before_ns = shm_monotonic_ns(), kind = draw(3);
    uint64_t deadline_ns = queue ? before_ns + FEW_NS / (1 + 9 * at.lane) : before_ns + draw(FEW_NS / 10);
    int status = kind == 0 && queue ? lease_one(world, self, books, &at, deadline_ns)
                 : kind == 0        ? read_one(world, &at, deadline_ns)
                                    : take_one(world, self, books, &at, deadline_ns);
    note_blocking(books, before_ns);
    if (status == SHM_EMPTY && books->stop_receiving) return;
    int gave_up = status == SHM_EMPTY || status == SHM_TIMEOUT || status == SHM_BUSY;
    if (status != SHM_OK && !gave_up) fail(world, "taking", status);
  }
}

/* ---- the books ----------------------------------------------------------------------------------------------------------- */
static void take_what_is_left(struct world *world, struct books *books) {
  for (uint64_t number = 0; number < shelves() && !world->failure[0]; number++) {
    struct shelf at = shelf_number(number);
    for (int status = SHM_OK; status == SHM_OK;) {
      shm_wait wait = {0};
      shm_taken taken;
      status = take(&at, 0, 0, &wait, &taken);
      if (status == SHM_OK) enter_received(books, id_of(world, &taken)), finish(&at, &taken);
      else if (status != SHM_EMPTY) fail(world, "taking what is left", status);
    }
  }
}

static int compare_ids(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

/* Every value came once; once more for each of the killed who had leased it. */
static void check_doubles(struct world *world, struct books *books, uint64_t count, struct sums *sums) {
  for (uint64_t at = 1; at < count; at++) {
    uint64_t id = books->received[at], allowed = 0;
    if (id == 0 || id != books->received[at - 1]) continue;
    for (uint64_t number = 0; number < books->births; number++) allowed += books->incarnations[number].holds == id;
    sums->again++;
    for (uint64_t back = at; back > 0 && books->received[back - 1] == id; back--) {
      if (allowed-- == 0) {
        blame(world, "value %llu of incarnation %llu came twice", (unsigned long long)(id & UINT32_MAX),
              (unsigned long long)(id >> 32));
        return;
      }
    }
  }
}

static void check_numbers(struct world *world, struct books *books, uint64_t count, struct sums *sums) {
  uint64_t at = 0;
  while (at < count && books->received[at] == 0) at++; /* killed between the count and the entry */
  for (uint64_t number = 0; number < books->births; number++) {
    const struct incarnation *one = &books->incarnations[number];
    uint64_t came = 0, last = 0;
    if (!one->sends) sums->in_flight += one->begun - one->done;
    for (; at < count && books->received[at] >> 32 == number; at++) {
      uint64_t value = books->received[at] & UINT32_MAX;
      if (value == 0 || value > one->begun) {
        blame(world, "value %llu of incarnation %llu came, which had begun %llu", (unsigned long long)value,
              (unsigned long long)number, (unsigned long long)one->begun);
      }
      came += value <= one->done && value != last;
      last = value;
    }
    if (one->sends) sums->lost += one->done - came;
  }
  if (at != count) blame(world, "values came from nobody");
  if (sums->lost > sums->in_flight) {
    blame(world, "%llu values are lost, %llu were being taken by the killed", (unsigned long long)sums->lost,
          (unsigned long long)sums->in_flight);
  }
}

static void check_end(struct world *world) {
  shm_queue_facts facts;
  shm_tuples_facts all;
  if (queue) {
    for (uint32_t lane = 0; lane < 2; lane++) {
      int status = shm_queue_stat(queue, lane, &facts);
      if (status != SHM_OK || facts.ready || facts.leased || facts.waiting) {
        blame(world, "lane %u has %llu values, %llu leases and %llu waiting at the end", lane,
              (unsigned long long)facts.ready, (unsigned long long)facts.leased, (unsigned long long)facts.waiting);
      }
      if (shm_queue_length(queue, lane)) blame(world, "lane %u has a length at the end", lane);
    }
    shm_queue_free(queue);
    shm_space_delete(world->space, SHM_KIND_QUEUE, "q", 1, patience_ns());
  } else {
    int status = shm_tuples_stat(tuples, patience_ns(), &all);
    if (status != SHM_OK || all.values || all.keys || all.waiting) {
      blame(world, "%llu values are there at the end", (unsigned long long)all.values);
    }
    shm_tuples_free(tuples);
    shm_space_delete(world->space, SHM_KIND_TUPLES, "t", 1, patience_ns());
  }
  queue = NULL, tuples = NULL;
}

void balance_values(struct world *world, struct books *books, struct sums *sums) {
  int status = open_values(world);
  if (status != SHM_OK) fail(world, "opening", status);
  if (status == SHM_OK) take_what_is_left(world, books);
  uint64_t count = books->received_count;
  if (count > RECEIVED_MOST) blame(world, "more values than the books can hold");
  if (world->failure[0]) return;
  qsort(books->received, count, sizeof *books->received, compare_ids);
  check_doubles(world, books, count, sums);
  check_numbers(world, books, count, sums);
  check_end(world);
}
