/* tuples.h: keyed bags of values, first in first out; see tuples.c. */
#ifndef SHM_TYPES_TUPLES_H
#define SHM_TYPES_TUPLES_H

#include "../core/patience.h"
#include "../include/shmspace.h"
#include "fifo_wait.h"
#include "table.h"

/* A tuple space as this process sees it. */
struct shm__tuples {
  struct shm__space *space;
  struct shm_tuples_main *shared;
  struct shm_shard *shards;
  struct shm__patience patience;
  u64 bound;
  u32 id, shard_count;
  const u32 *closing; /* set when the handle is being closed: calls under way leave; NULL: never */
};

struct shm__tuples_options {
  u64 bound;
  char codec[32];
};

struct shm__tuples_facts {
  u64 keys, values, size_bytes, waiting;
};

extern const struct shm__type shm__tuples_type;

int shm__tuples_make(struct shm__space *space, u32 id, const struct shm__tuples_options *options, u64 deadline_ns,
                     struct shm__ref *main);
int shm__tuples_bind(struct shm__space *space, u64 main, struct shm__tuples *tuples);

/* Put values[0..count) under the key, in order; *done are in. SHM_FULL: no room before the deadline. */
int shm__tuples_out(struct shm__tuples *tuples, const struct shm__key *key, const struct shm__value *values, u64 count, int bell,
                    struct shm__waiter *wait, u64 deadline_ns, u64 *done);

/* Take the key's oldest value. Without SHM_TAKE_HOLD an inline one is copied and gone; else it is held at *place until
 * shm__tuples_taken or shm__tuples_return. SHM_EMPTY: none before the deadline, *wait stands in line; SHM_CLOSED;
 * SHM_INTERRUPTED, SHM_TIMEOUT, SHM_BUSY. */
int shm__tuples_take(struct shm__tuples *tuples, const struct shm__key *key, u32 flags, struct shm__waiter *wait,
                     u64 deadline_ns, struct shm__value *value, struct shm__place *place);
/* Look now and then whether somebody has died who holds a value. */
void shm__tuples_probe(struct shm__tuples *tuples, const struct shm__key *key);
/* Look at it. A value that is not inline is copied by the caller: *wait is then a waiter that pins its block, until
 * shm__tuples_leave_line. */
int shm__tuples_read(struct shm__tuples *tuples, const struct shm__key *key, int bell, struct shm__waiter *wait,
                     u64 deadline_ns, struct shm__value *value);
/* Leave the line. SHM_OK: at the last moment a value was given, as by take; SHM_EMPTY. */
int shm__tuples_leave_line(struct shm__tuples *tuples, const struct shm__key *key, u32 flags, struct shm__waiter *wait,
                           struct shm__value *value, struct shm__place *place);
/* Take further values of the key at once, up to room, without waiting: each is held at its place. How many. */
u32 shm__tuples_take_more(struct shm__tuples *tuples, const struct shm__key *key, u32 room, struct shm__value *values,
                          struct shm__place *places);
/* What is held at place: taken for good, or not at all. */
void shm__tuples_taken(struct shm__tuples *tuples, const struct shm__key *key, const struct shm__place *place);
void shm__tuples_return(struct shm__tuples *tuples, const struct shm__key *key, const struct shm__place *place);

/* Without a lock, in a read-only space: the oldest value as by shm__fifo_look. */
int shm__tuples_look(struct shm__tuples *tuples, const struct shm__key *key, struct shm__value *value, u8 **copy);
/* How many values there are, and how many wait for one. */
int shm__tuples_count(struct shm__tuples *tuples, const struct shm__key *key, u64 *values, u64 *waiting);

int shm__tuples_shutdown(struct shm__tuples *tuples, int immediate, u64 deadline_ns);
int shm__tuples_stat(struct shm__tuples *tuples, u64 deadline_ns, struct shm__tuples_facts *facts);
/* Call visit for every key of a shard that has values, with its put lock held, until it returns non-zero, which is given. In
 * a read-only space it may be SHM_BUSY: keys came or went, begin again. */
int shm__tuples_walk(struct shm__tuples *tuples, u32 shard, u64 deadline_ns,
                     int (*visit)(const u8 *key, u32 length, u64 values, void *context), void *context);
/* Give the memory of idle entries back. */
void shm__tuples_reclaim(struct shm__tuples *tuples);
void shm__tuples_wake(struct shm__tuples *tuples);

#endif
