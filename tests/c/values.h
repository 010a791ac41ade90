/* values.h: queues, tuple spaces and their values in the test programs. */
#ifndef SHM_TEST_VALUES_H
#define SHM_TEST_VALUES_H

#include "channels.h"

static inline shm_queue *open_queue(shm_space *space, u64 maxsize, u32 max_deliveries) {
  shm_queue *queue = NULL;
  shm_queue_options options = {.maxsize = maxsize, .max_deliveries = max_deliveries, .codec = "raw"};
  OK(shm_queue_open(space, "q", 1, &options, 0, 1, in_ns(LONG), &queue));
  return queue;
}

static inline shm_tuples *open_tuples(shm_space *space, u64 bound) {
  shm_tuples *tuples = NULL;
  shm_tuples_options options = {.bound = bound, .codec = "raw"};
  OK(shm_tuples_open(space, "t", 1, &options, 0, 1, in_ns(LONG), &tuples));
  return tuples;
}

/* A queue if key is NULL, else the values at this key. */
struct shelf {
  shm_queue *queue;
  shm_tuples *tuples;
  const char *key;
  u32 lane;
};

static inline u32 key_length(const struct shelf *shelf) { return (u32)strlen(shelf->key); }

static inline int shelf_put(const struct shelf *shelf, const void *data, u64 length, u32 flags, shm_wait *wait, u64 deadline_ns) {
  if (!shelf->key) return shm_queue_put(shelf->queue, shelf->lane, data, length, 0, flags, wait, deadline_ns);
  return shm_tuples_out(shelf->tuples, shelf->key, key_length(shelf), data, length, 0, flags, wait, deadline_ns);
}

static inline int shelf_take(const struct shelf *shelf, u32 flags, shm_wait *wait, u64 deadline_ns, shm_taken *taken) {
  if (!shelf->key) return shm_queue_take(shelf->queue, shelf->lane, flags, wait, deadline_ns, taken);
  return shm_tuples_take(shelf->tuples, shelf->key, key_length(shelf), flags, wait, deadline_ns, taken);
}

static inline int shelf_leave(const struct shelf *shelf, u32 flags, shm_wait *wait, shm_taken *taken) {
  if (!wait->block) return SHM_EMPTY;
  if (!shelf->key) return shm_queue_leave(shelf->queue, shelf->lane, flags, wait, taken);
  return shm_tuples_leave(shelf->tuples, shelf->key, key_length(shelf), flags, wait, taken);
}

static inline void shelf_taken(const struct shelf *shelf, shm_taken *taken) {
  if (!taken->held) return;
  if (!shelf->key) shm_queue_taken(shelf->queue, shelf->lane, taken, 1);
  else shm_tuples_taken(shelf->tuples, shelf->key, key_length(shelf), taken, 1);
}

static inline void shelf_return(const struct shelf *shelf, shm_taken *taken) {
  if (!shelf->key) shm_queue_nack(shelf->queue, shelf->lane, taken);
  else shm_tuples_return(shelf->tuples, shelf->key, key_length(shelf), taken);
}

static inline u64 shelf_length(const struct shelf *shelf) {
  if (!shelf->key) return shm_queue_length(shelf->queue, shelf->lane);
  return (u64)shm_tuples_length(shelf->tuples, shelf->key, key_length(shelf));
}

static inline struct letter letter_in(const shm_taken *taken) {
  return read_letter(taken->data ? taken->data : taken->small, taken->length_bytes);
}

/* As a caller that gives up at its deadline does it: what comes at the last moment has come. */
static inline int put_value(const struct shelf *shelf, u64 length, u32 sender, u32 number, u64 deadline_ns) {
  static __thread u8 data[LETTER_MOST];
  shm_wait wait = {0};
  shm_taken nothing;
  write_letter(data, length, sender, number);
  int status = shelf_put(shelf, data, length, 0, &wait, deadline_ns);
  shelf_leave(shelf, 0, &wait, &nothing);
  return status;
}

/* What is in *taken stays held, or pinned by *wait, if it is. */
static inline int hold_value(const struct shelf *shelf, u32 flags, shm_wait *wait, shm_taken *taken, u64 deadline_ns) {
  int status = shelf_take(shelf, flags, wait, deadline_ns, taken);
  if (status == SHM_OK || !wait->block) return status;
  return shelf_leave(shelf, flags, wait, taken) == SHM_OK ? SHM_OK : status;
}

static inline int take_value(const struct shelf *shelf, u32 flags, struct letter *letter, u64 deadline_ns) {
  shm_wait wait = {0};
  shm_taken taken, nothing;
  int status = hold_value(shelf, flags, &wait, &taken, deadline_ns);
  if (status != SHM_OK) return status;
  *letter = letter_in(&taken);
  if (flags & SHM_TAKE_READ) shelf_leave(shelf, flags, &wait, &nothing);
  else shelf_taken(shelf, &taken);
  return SHM_OK;
}

static inline void expect_value(const struct shelf *shelf, u32 flags, u32 number) {
  struct letter letter = {0, 0};
  OK(take_value(shelf, flags, &letter, 0));
  SAME(letter.number, number);
}

static inline shm_queue_facts queue_facts(shm_queue *queue) {
  shm_queue_facts facts;
  OK(shm_queue_stat(queue, 0, &facts));
  return facts;
}

static inline void delete_structure(shm_space *space, u32 kind) {
  OK(shm_space_delete(space, kind, kind == SHM_KIND_QUEUE ? "q" : "t", 1, in_ns(LONG)));
}

#endif
