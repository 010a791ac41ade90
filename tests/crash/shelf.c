/* shelf.c: see shelf.h. */
#include "shelf.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "core/directory.h"
#include "types/queue.h"
#include "types/tuples_shard.h"

enum { MANY_MOST = 32 };

struct shelf shelf;

static uint64_t size_of(uint64_t id) {
  if (shelf.stock->size_bytes != MIXED_BYTES) return shelf.stock->size_bytes;
  return id % 2 ? SMALL_BYTES : BLOCK_BYTES;
}

int open_shelf_again(struct world *world, int create) {
  const struct stock *stock = shelf.stock;
  shm_queue_options queue = {.maxsize = stock->bound, .max_deliveries = stock->max_deliveries, .codec = "raw"};
  shm_tuples_options tuples = {.bound = stock->bound, .codec = "raw"};
  shelf.queue = NULL, shelf.tuples = NULL;
  return shelf_is_queue() ? shm_queue_open(world->space, "q", 1, &queue, 0, create, patience_ns(), &shelf.queue)
                          : shm_tuples_open(world->space, "t", 1, &tuples, 0, create, patience_ns(), &shelf.tuples);
}

void open_shelf(struct world *world) {
  if (open_shelf_again(world, 1) != SHM_OK) blame(world, "opening the shelf: %s", shm_error_text());
}

void close_shelf(void) {
  if (shelf.queue) shm_queue_free(shelf.queue);
  if (shelf.tuples) shm_tuples_free(shelf.tuples);
  shelf.queue = NULL, shelf.tuples = NULL;
}

/* ---- making -------------------------------------------------------------------------------------------------------------- */
static void find_keys(void) {
  uint64_t found = 0;
  for (unsigned n = 0; found < SHELF_KEYS; n++) {
    char key[16];
    snprintf(key, sizeof key, "key %u", n);
    if (shm__fnv1a(key, strlen(key)) % SHARDS == 0) memcpy(shelf.keys[found++], key, sizeof key);
  }
}

static int leave(uint32_t lane, uint64_t key, uint32_t flags, shm_wait *wait, shm_taken *taken) {
  if (shelf_is_queue()) return shm_queue_leave(shelf.queue, lane, flags, wait, taken);
  return shm_tuples_leave(shelf.tuples, shelf.keys[key], shelf_key_length(key), flags, wait, taken);
}

static int put_id(uint64_t key, uint64_t id, uint32_t flags, shm_wait *wait, uint64_t deadline_ns) {
  static uint8_t bytes[BIG_BYTES];
  uint64_t size_bytes = size_of(id);
  fill_message(bytes, id, size_bytes);
  return shelf_is_queue() ? shm_queue_put(shelf.queue, 0, bytes, size_bytes, 0, flags, wait, deadline_ns)
                          : shm_tuples_out(shelf.tuples, shelf.keys[key], shelf_key_length(key), bytes, size_bytes, 0, flags, wait,
                                           deadline_ns);
}

static int put_at_once(uint64_t key, uint64_t id, uint64_t deadline_ns) {
  shm_wait wait = {0};
  shm_taken nothing;
  int status = put_id(key, id, 0, &wait, deadline_ns);
  if (wait.block) leave(0, key, 0, &wait, &nothing);
  return status;
}

/* Memory of the sizes that will be needed is carved already: that is not what the scenes of shelves are about. */
static void warm_memory(struct world *world) {
  static const uint64_t sizes[] = {sizeof(struct shm_waiter), BLOCK_BYTES, 280, 480, 800, 2400, 9600, 34000};
  struct shm__ref ref;
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    if (shm__block_alloc(world->space, sizes[i], patience_ns(), &ref) == SHM_OK) shm__block_free(world->space, ref);
  }
}

void make_shelf(struct world *world, const struct stock *stock) {
  memset(&shelf, 0, sizeof shelf);
  shelf.stock = stock;
  find_keys();
  warm_memory(world);
  open_shelf(world);
  if (world->failure[0]) return;
  for (uint64_t key = 0; key < (shelf_is_queue() ? 1 : stock->keys); key++) {
    for (uint64_t n = 0; n < stock->values; n++) {
      int status = put_at_once(key, ++shelf.ids, patience_ns());
      if (status != SHM_OK) blame(world, "filling the shelf: %s", shm_error_name(status));
    }
  }
}

/* ---- putting ------------------------------------------------------------------------------------------------------------- */
static uint64_t next_id(const struct world *world) { return MINE(world->me) + progress_of((struct world *)world)->put + 1; }

int shelf_put(struct world *world, uint64_t key, uint64_t deadline_ns) {
  struct progress *progress = progress_of(world);
  uint64_t before_ns = shm_monotonic_ns();
  int status = put_at_once(key, next_id(world), deadline_ns);
  progress->blocked_ns = shm_monotonic_ns() - before_ns;
  progress->status = status;
  if (status == SHM_OK) progress->put++;
  return status;
}

int shelf_put_many(struct world *world, uint64_t key, uint64_t count) {
  static uint8_t bytes[MANY_MOST][BLOCK_BYTES];
  shm_piece pieces[MANY_MOST];
  shm_wait wait = {0};
  uint64_t done = 0;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t id = next_id(world) + i, size_bytes = size_of(id);
    fill_message(bytes[i], id, size_bytes);
    pieces[i] = (shm_piece){bytes[i], size_bytes, 0};
  }
  int status = shelf_is_queue()
                   ? shm_queue_put_many(shelf.queue, 0, pieces, count, 0, &wait, 0, &done)
                   : shm_tuples_out_many(shelf.tuples, shelf.keys[key], shelf_key_length(key), pieces, count, 0, &wait, 0, &done);
  progress_of(world)->put += done;
  return status;
}

/* ---- taking -------------------------------------------------------------------------------------------------------------- */
uint64_t shelf_id(struct world *world, const shm_taken *taken) {
  return read_message(world, taken->data ? taken->data : taken->small, taken->length_bytes);
}

static int try_hold(uint32_t lane, uint64_t key, uint32_t flags, shm_wait *wait, uint64_t deadline_ns, shm_taken *taken) {
  if (shelf_is_queue()) return shm_queue_take(shelf.queue, lane, flags, wait, deadline_ns, taken);
  return shm_tuples_take(shelf.tuples, shelf.keys[key], shelf_key_length(key), flags, wait, deadline_ns, taken);
}

int shelf_hold(struct world *world, uint32_t lane, uint64_t key, uint32_t flags, uint64_t deadline_ns, shm_taken *taken) {
  shm_wait wait = {0};
  int status = try_hold(lane, key, flags, &wait, deadline_ns, taken);
  if (status != SHM_OK && wait.block && leave(lane, key, flags, &wait, taken) == SHM_OK) status = SHM_OK;
  if (status == SHM_OK) shelf_id(world, taken);
  return status;
}

static void note(struct world *world, uint64_t id) {
  struct progress *progress = progress_of(world);
  if (progress->tooks < TOOK_MOST) progress->took[progress->tooks++] = id;
}

void shelf_taken(struct world *world, uint32_t lane, uint64_t key, shm_taken *taken) {
  uint64_t id = shelf_id(world, taken);
  if (taken->held && shelf_is_queue()) shm_queue_taken(shelf.queue, lane, taken, 1);
  else if (taken->held) shm_tuples_taken(shelf.tuples, shelf.keys[key], shelf_key_length(key), taken, 1);
  note(world, id);
}

void shelf_ack(struct world *world, shm_taken *taken) {
  uint64_t id = shelf_id(world, taken);
  if (shm_queue_ack(shelf.queue, 0, taken, patience_ns()) != SHM_OK) return;
  progress_of(world)->finished++;
  note(world, id);
}

int shelf_take(struct world *world, uint64_t key, uint32_t flags, uint64_t deadline_ns) {
  shm_taken taken;
  struct progress *progress = progress_of(world);
  uint64_t before_ns = shm_monotonic_ns();
  int status = shelf_hold(world, 0, key, flags, deadline_ns, &taken);
  progress->blocked_ns = shm_monotonic_ns() - before_ns;
  progress->status = status;
  if (status == SHM_OK) shelf_taken(world, 0, key, &taken);
  return status;
}

void shelf_take_many(struct world *world, uint64_t key) {
  static shm_taken taken[MANY_MOST];
  uint64_t ids[MANY_MOST], count = shelf_hold(world, 0, key, SHM_TAKE_HOLD, 0, taken) == SHM_OK;
  if (count == 0) return;
  for (uint32_t more = 1; more > 0 && count < MANY_MOST; count += more) {
    uint32_t room = (uint32_t)(MANY_MOST - count);
    more = shelf_is_queue() ? shm_queue_take_more(shelf.queue, 0, &taken[count], room)
                            : shm_tuples_take_more(shelf.tuples, shelf.keys[key], shelf_key_length(key), &taken[count], room);
  }
  for (uint64_t i = 0; i < count; i++) ids[i] = shelf_id(world, &taken[i]);
  if (shelf_is_queue()) shm_queue_taken(shelf.queue, 0, taken, count);
  else shm_tuples_taken(shelf.tuples, shelf.keys[key], shelf_key_length(key), taken, count);
  for (uint64_t i = 0; i < count; i++) note(world, ids[i]);
}

int shelf_look(struct world *world, uint64_t key, uint64_t deadline_ns, shm_wait *wait, shm_taken *taken) {
  struct progress *progress = progress_of(world);
  uint64_t before_ns = shm_monotonic_ns();
  int status = try_hold(0, key, SHM_TAKE_READ, wait, deadline_ns, taken);
  progress->blocked_ns = shm_monotonic_ns() - before_ns;
  progress->status = status;
  if (status == SHM_OK) shelf_id(world, taken);
  else if (wait->block) shelf_look_away(key, wait);
  return status;
}

void shelf_look_away(uint64_t key, shm_wait *wait) {
  shm_taken nothing;
  leave(0, key, SHM_TAKE_READ, wait, &nothing);
}

void shelf_stand(struct world *world, uint32_t flags) {
  shm_taken taken;
  int status = try_hold(0, 0, flags | SHM_WAIT_BELL, &shelf.line, 0, &taken);
  if (status != SHM_EMPTY || !shelf.line.block) blame(world, "nobody stands in line: %s", shm_error_name(status));
}

int shelf_is_served(struct world *world, uint32_t flags, uint64_t deadline_ns, shm_taken *taken) {
  int status = try_hold(0, 0, flags | SHM_WAIT_BELL, &shelf.line, deadline_ns, taken);
  if (status != SHM_OK && shelf.line.block && leave(0, 0, flags, &shelf.line, taken) == SHM_OK) status = SHM_OK;
  if (status == SHM_OK) shelf_id(world, taken);
  return status == SHM_OK;
}

void shelf_leave_line(struct world *world, uint32_t flags) {
  shm_taken taken;
  if (leave(0, 0, flags, &shelf.line, &taken) == SHM_OK) shelf_taken(world, 0, 0, &taken);
}

void shelf_stand_to_put(struct world *world) {
  int status = put_id(0, next_id(world), SHM_WAIT_BELL, &shelf.line, 0);
  if (status != SHM_FULL || !shelf.line.block) blame(world, "nobody stands in line for room: %s", shm_error_name(status));
}

void shelf_put_standing(struct world *world) {
  if (put_id(0, next_id(world), SHM_WAIT_BELL, &shelf.line, 0) == SHM_OK) progress_of(world)->put++;
  else shelf_leave_line(world, 0);
}

/* ---- sleepers, and what they wait for ------------------------------------------------------------------------------------ */
static int bind_queue(struct world *world, struct shm__queue *queue) {
  const struct shm_entry *entry = shm__directory_look(world->space, SHM_KIND_QUEUE, "q", 1);
  return entry && shm__queue_bind(world->space, entry->main, queue) == SHM_OK;
}

static int bind_tuples(struct world *world, struct shm__tuples *tuples) {
  const struct shm_entry *entry = shm__directory_look(world->space, SHM_KIND_TUPLES, "t", 1);
  return entry && shm__tuples_bind(world->space, entry->main, tuples) == SHM_OK;
}

uint64_t shelf_forgotten(struct world *world) {
  struct shm__tuples tuples;
  uint64_t forgotten = 0;
  if (shelf_is_queue() || !bind_tuples(world, &tuples)) return 0;
  for (uint32_t n = 0; n < tuples.shard_count; n++) forgotten += tuples.shards[n].keys - tuples.shards[n].idle;
  return forgotten;
}

static void count(struct world *world, struct shm__fifo_facts *facts) {
  struct shm__queue queue;
  struct shm__tuples tuples;
  struct shm__fifo fifo;
  *facts = (struct shm__fifo_facts){0};
  if (shelf_is_queue()) {
    if (bind_queue(world, &queue)) shm__fifo_stat(&queue.lane[0].fifo, facts);
    return;
  }
  struct shm__key key = shm__key_of(shelf.keys[0], shelf_key_length(0));
  if (!bind_tuples(world, &tuples)) return;
  struct shm__shard shard = shm__tuples_shard_of(&tuples, &key);
  u64 at = shm__table_find(&shard, &key);
  if (at && shm__tuples_fifo(&tuples, &shard, at, &fifo)) shm__fifo_stat(&fifo, facts);
}

int nothing_to_take(struct world *world) {
  struct shm__fifo_facts facts;
  count(world, &facts);
  return facts.ready + facts.held == 0; /* held: by the victim, who is dead */
}

int no_room(struct world *world) {
  struct shm__fifo_facts facts;
  count(world, &facts);
  return facts.ready + facts.held >= shelf.stock->bound; /* it may come back */
}

int not_finished(struct world *world) {
  struct shm__queue queue;
  return bind_queue(world, &queue) && queue.lane[0].shared->intent == SHM_INTENT_NONE && shm_queue_unfinished(shelf.queue, 0) > 0;
}

int not_shut(struct world *world) {
  (void)world;
  return !(shelf_is_queue() ? shm_queue_is_shut(shelf.queue) : shm_tuples_is_shut(shelf.tuples));
}

void help_with_a_value(struct world *world) {
  int status = TIMED(world, shelf_put(world, 0, patience_ns()));
  if (status != SHM_OK) blame(world, "helping with a value: %s", shm_error_name(status));
}

void help_with_room(struct world *world) {
  int status = TIMED(world, shelf_take(world, 0, SHM_TAKE_HOLD, patience_ns()));
  if (status != SHM_OK) blame(world, "helping with room: %s", shm_error_name(status));
}

void help_to_finish(struct world *world) {
  while (TIMED(world, shm_queue_task_done(shelf.queue, 0, patience_ns())) == SHM_OK) progress_of(world)->finished++;
}

void help_to_shut(struct world *world) {
  int status = shelf_is_queue() ? TIMED(world, shm_queue_shutdown(shelf.queue, 0, patience_ns()))
                                : TIMED(world, shm_tuples_shutdown(shelf.tuples, 0, patience_ns()));
  if (status != SHM_OK) blame(world, "helping to shut: %s", shm_error_name(status));
}
