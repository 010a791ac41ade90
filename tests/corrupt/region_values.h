/* region_values.h: queues and tuple spaces in the region of region.h, which includes it. */
#ifndef SHM_TEST_CORRUPT_REGION_VALUES_H
#define SHM_TEST_CORRUPT_REGION_VALUES_H

enum { QUEUE_ROOM = 40, KEY_ROOM = 4, SHARD_KEYS = 12, SHARDS = 64 };

struct shelves {
  shm_queue *queue, *narrow; /* narrow: room for one */
  shm_tuples *tuples;
  shm_wait pinning, waiting;
  shm_taken leased;
};

/* Where values are: a lane of a queue, or a key. */
struct spot {
  shm_queue *queue;
  shm_tuples *tuples;
  u32 lane;
  const char *key;
};

static shm_queue *open_one_queue(shm_space *space, const char *name, u64 maxsize) {
  shm_queue_options options = {.maxsize = maxsize, .max_deliveries = 2, .codec = "raw"};
  shm_queue *queue = NULL;
  int status = CALL(shm_queue_open, space, name, (u32)strlen(name), &options, 0, 1, soon(), &queue);
  return status == SHM_OK ? queue : NULL;
}

static void open_shelves(struct shelves *shelves, shm_space *space) {
  shm_tuples_options options = {.bound = KEY_ROOM, .codec = "raw"};
  memset(shelves, 0, sizeof *shelves);
  shelves->queue = open_one_queue(space, "q", QUEUE_ROOM);
  shelves->narrow = open_one_queue(space, "n", 1);
  if (CALL(shm_tuples_open, space, "t", 1, &options, 0, 1, soon(), &shelves->tuples) != SHM_OK) shelves->tuples = NULL;
}

/* Long enough to stand in line and be told. */
static u64 at_once(void) { return shm_monotonic_ns() + PATIENCE_NS / 40; }

/* ---- calls that may wait ------------------------------------------------------------------------------------------------- */
static int put_at(const struct spot *at, u64 length, u32 flags, shm_wait *wait, u64 deadline_ns) {
  if (at->queue) return CALL(shm_queue_put, at->queue, at->lane, region_buffer, length, 3, flags, wait, deadline_ns);
  if (!at->tuples) return SHM_CLOSED;
  return CALL(shm_tuples_out, at->tuples, at->key, (u32)strlen(at->key), region_buffer, length, 3, flags, wait, deadline_ns);
}

static int take_at(const struct spot *at, u32 flags, shm_wait *wait, u64 deadline_ns, shm_taken *taken) {
  int status = SHM_CLOSED;
  if (at->queue) status = CALL(shm_queue_take, at->queue, at->lane, flags, wait, deadline_ns, taken);
  else if (at->tuples) status = CALL(shm_tuples_take, at->tuples, at->key, (u32)strlen(at->key), flags, wait, deadline_ns, taken);
  if (status != SHM_OK) return status;
  const u8 *bytes = taken->data ? taken->data : taken->small;
  if (!taken->data && taken->length_bytes > sizeof taken->small) WRONG("take", 0);
  if (taken->length_bytes) region_buffer[0] ^= bytes[0] ^ bytes[taken->length_bytes - 1];
  return SHM_OK;
}

static int leave_at(const struct spot *at, u32 flags, shm_wait *wait, shm_taken *taken) {
  if (!wait->block) return SHM_EMPTY;
  if (at->queue) return CALL(shm_queue_leave, at->queue, at->lane, flags, wait, taken);
  return CALL(shm_tuples_leave, at->tuples, at->key, (u32)strlen(at->key), flags, wait, taken);
}

static void finish_at(const struct spot *at, shm_taken *taken, int back) {
  if (!taken->held) return;
  if (at->queue && back) DO(shm_queue_nack, at->queue, at->lane, taken);
  else if (at->queue) DO(shm_queue_taken, at->queue, at->lane, taken, 1);
  else if (back) DO(shm_tuples_return, at->tuples, at->key, (u32)strlen(at->key), taken);
  else DO(shm_tuples_taken, at->tuples, at->key, (u32)strlen(at->key), taken, 1);
}

/* Put one, or take or read one, and have done with it. */
static void put_one(const struct spot *at, u64 length, u64 deadline_ns) {
  shm_wait wait = {0};
  shm_taken nothing;
  put_at(at, length, 0, &wait, deadline_ns);
  leave_at(at, 0, &wait, &nothing);
}

static int take_one_at(const struct spot *at, u32 flags, u64 deadline_ns, int back) {
  shm_wait wait = {0};
  shm_taken taken, nothing;
  int status = take_at(at, flags, &wait, deadline_ns, &taken);
  if (status != SHM_OK && wait.block) status = leave_at(at, flags, &wait, &taken);
  if (status == SHM_OK && (flags & SHM_TAKE_READ)) leave_at(at, flags, &wait, &nothing);
  else if (status == SHM_OK && (flags & SHM_TAKE_LEASE) && !back) CALL(shm_queue_ack, at->queue, at->lane, &taken, soon());
  else if (status == SHM_OK) finish_at(at, &taken, back);
  return status;
}

/* ---- making them --------------------------------------------------------------------------------------------------------- */
/* Number n of the keys of one shard. */
static const char *crowded_key(u32 n) {
  static char key[16];
  for (u32 i = 0, found = 0;; i++) {
    snprintf(key, sizeof key, "k%u", i);
    if (shm__fnv1a((const u8 *)key, strlen(key)) % SHARDS == 0 && found++ == n) return key;
  }
}

/* Values in two segments, leased, and buried; takers, readers and putters in line; a pinned block; a shard with chains. Who
 * made it dies, and is never heard of again. */
static void fill_shelves(struct shelves *shelves) {
  static const u64 lengths[] = {300, 20, 0, 60};
  static shm_wait waits[5];
  shm_taken taken;
  const u32 stay = SHM_WAIT_BELL;
  struct spot queue = {.queue = shelves->queue}, narrow = {.queue = shelves->narrow},
              values = {.tuples = shelves->tuples, .key = "a"}, empty = {.tuples = shelves->tuples, .key = "b"},
              full = {.tuples = shelves->tuples, .key = "c"};
  for (u32 i = 0; i < 20; i++) put_one(&queue, lengths[i % 4], soon());
  for (u32 i = 0; i < 2; i++) take_one_at(&queue, SHM_TAKE_LEASE, 0, 1); /* twice: too often */
  for (u32 i = 0; i < 2; i++) take_at(&queue, i ? 0 : SHM_TAKE_LEASE, &waits[4], 0, i ? &taken : &shelves->leased);
  for (u32 i = 0; i < 2; i++) take_at(&narrow, stay, &waits[i], 0, &taken);
  for (u32 i = 0; i < 3; i++) put_one(&values, lengths[i], soon());
  take_at(&values, SHM_TAKE_READ, &shelves->pinning, 0, &taken);
  take_at(&empty, stay, &waits[2], 0, &taken);
  take_at(&empty, stay | SHM_TAKE_READ, &shelves->waiting, 0, &taken);
  for (u32 i = 0; i < KEY_ROOM; i++) put_one(&full, lengths[1], soon());
  put_at(&full, 10, stay, &waits[3], 0);
  for (u32 i = 0; i < SHARD_KEYS; i++) {
    struct spot crowded = {.tuples = shelves->tuples, .key = crowded_key(i)};
    put_one(&crowded, lengths[1], soon());
    if (i < 2) take_one_at(&crowded, 0, 0, 0); /* idle */
  }
}

/* ---- using them ---------------------------------------------------------------------------------------------------------- */
static void look_at_queue(shm_queue *queue) {
  shm_queue_options options;
  shm_queue_facts facts;
  shm_lease_facts leases[4];
  if (!queue) return;
  DO(shm_queue_get_options, queue, &options);
  DO(shm_queue_alive, queue);
  DO(shm_queue_is_shut, queue);
  for (u32 lane = 0; lane < 2; lane++) {
    CALL(shm_queue_stat, queue, lane, &facts);
    DO(shm_queue_length, queue, lane);
    DO(shm_queue_unfinished, queue, lane);
    if (DO(shm_queue_leases, queue, lane, leases, 4) > 4) WRONG("shm_queue_leases", 0);
    DO(shm_queue_probe, queue, lane);
  }
}

static void look_at_tuples(shm_tuples *tuples) {
  shm_tuples_options options;
  shm_tuples_facts facts;
  u64 size_bytes;
  u8 *keys = NULL;
  if (!tuples) return;
  DO(shm_tuples_get_options, tuples, &options);
  DO(shm_tuples_alive, tuples);
  CALL(shm_tuples_stat, tuples, soon(), &facts);
  if (CALL(shm_tuples_keys, tuples, "k", 1, soon(), &keys, &size_bytes) == SHM_OK) DO(shm_tuples_free_keys, keys);
  for (u32 i = 0; i < 3; i++) {
    DO(shm_tuples_length, tuples, &"abc"[i], 1);
    DO(shm_tuples_waiting, tuples, &"abc"[i], 1);
    DO(shm_tuples_probe, tuples, &"abc"[i], 1);
  }
}

static void look_at_shelves(struct shelves *shelves) {
  look_at_queue(shelves->queue);
  look_at_queue(shelves->narrow);
  look_at_tuples(shelves->tuples);
}

static void use_queue(shm_queue *queue) {
  struct spot at = {.queue = queue}, dead = {.queue = queue, .lane = 1};
  shm_piece pieces[] = {{region_buffer, 10, 1}, {region_buffer, 1000, 2}, {region_buffer, 0, 0}};
  shm_wait wait = {0};
  shm_taken nothing;
  u64 done;
  if (!queue) return;
  static const u32 flags[] = {0, SHM_TAKE_HOLD, SHM_TAKE_LEASE, SHM_TAKE_LEASE, 0, SHM_TAKE_LEASE};
  for (u32 i = 0; i < ROUNDS; i++) {
    put_one(&at, i * 40, i ? 0 : at_once());
    take_one_at(&at, flags[i], i ? 0 : at_once(), i == 3 || i == 5);
  }
  CALL(shm_queue_put_many, queue, 0, pieces, 3, 0, &wait, 0, &done);
  leave_at(&at, 0, &wait, &nothing);
  if (done > 3) WRONG("shm_queue_put_many", (int)done);
  take_one_at(&dead, SHM_TAKE_LEASE, 0, 1);
  take_one_at(&dead, 0, 0, 0);
  CALL(shm_queue_task_done, queue, 0, soon());
  CALL(shm_queue_join, queue, 0, at_once());
  DO(shm_queue_arm_join, queue, 0);
}

static void use_tuples(shm_tuples *tuples) {
  static const char *const keys[] = {"a", "b", "c", "new"};
  static const u32 flags[] = {0, SHM_TAKE_READ, SHM_TAKE_HOLD, SHM_TAKE_READ};
  shm_piece pieces[] = {{region_buffer, 10, 1}, {region_buffer, 1000, 2}};
  shm_wait wait = {0};
  shm_taken nothing;
  u64 done;
  if (!tuples) return;
  for (u32 i = 0; i < 4; i++) {
    struct spot at = {.tuples = tuples, .key = keys[i]};
    for (u32 k = 0; k < 4; k++) take_one_at(&at, flags[k], k ? 0 : at_once(), i == 2);
    put_one(&at, i * 50, i ? 0 : at_once());
  }
  struct spot at = {.tuples = tuples, .key = "b"};
  CALL(shm_tuples_out_many, tuples, "b", 1, pieces, 2, 0, &wait, 0, &done);
  leave_at(&at, 0, &wait, &nothing);
  for (u32 i = 0; i < SHARD_KEYS + 3; i++) { /* entries come, and idle ones go */
    struct spot crowded = {.tuples = tuples, .key = crowded_key(i)};
    if (i >= SHARD_KEYS) put_one(&crowded, 20, 0);
    take_one_at(&crowded, i % 2 ? SHM_TAKE_HOLD : 0, 0, 0);
  }
}

/* Hold on to a value, a block, and a place in line. */
__attribute__((unused)) static void hold_shelves(struct shelves *shelves) {
  struct spot queue = {.queue = shelves->queue}, values = {.tuples = shelves->tuples, .key = "a"},
              empty = {.tuples = shelves->tuples, .key = "b"};
  shm_taken taken;
  shm_wait wait = {0};
  take_at(&queue, SHM_TAKE_LEASE, &wait, 0, &shelves->leased);
  take_at(&values, SHM_TAKE_READ, &shelves->pinning, 0, &taken);
  take_at(&empty, SHM_WAIT_BELL, &shelves->waiting, 0, &taken);
}

static void let_shelves_go(struct shelves *shelves) {
  struct spot queue = {.queue = shelves->queue}, values = {.tuples = shelves->tuples, .key = "a"},
              empty = {.tuples = shelves->tuples, .key = "b"};
  shm_taken taken = {0};
  if (leave_at(&empty, 0, &shelves->waiting, &taken) == SHM_OK) finish_at(&empty, &taken, 0);
  leave_at(&values, SHM_TAKE_READ, &shelves->pinning, &taken);
  finish_at(&queue, &shelves->leased, 1);
  shelves->leased.held = 0;
}

static void use_shelves(struct shelves *shelves) {
  look_at_shelves(shelves);
  use_queue(shelves->queue);
  use_queue(shelves->narrow);
  use_tuples(shelves->tuples);
}

static void end_shelves(struct shelves *shelves, shm_space *space) {
  let_shelves_go(shelves);
  if (shelves->queue) CALL(shm_queue_shutdown, shelves->queue, 1, soon());
  if (shelves->narrow) CALL(shm_queue_shutdown, shelves->narrow, 0, soon());
  if (shelves->tuples) CALL(shm_tuples_shutdown, shelves->tuples, 1, soon());
  use_queue(shelves->queue); /* what that says when it is shut down */
  CALL(shm_space_delete, space, SHM_KIND_QUEUE, "q", 1, soon());
  CALL(shm_space_delete, space, SHM_KIND_TUPLES, "t", 1, soon());
  look_at_shelves(shelves);
  if (shelves->queue) DO(shm_queue_free, shelves->queue);
  if (shelves->narrow) DO(shm_queue_free, shelves->narrow);
  if (shelves->tuples) DO(shm_tuples_free, shelves->tuples);
}

#endif
