/* queue.h: work handed over, with leases and dead letters; see queue.c. */
#ifndef SHM_TYPES_QUEUE_H
#define SHM_TYPES_QUEUE_H

#include "../core/patience.h"
#include "../core/wake.h"
#include "../include/shmspace.h"
#include "fifo_wait.h"

enum { SHM__LANES = 2 };

/* A lane as this process sees it. */
struct shm__lane {
  struct shm_lane *shared;
  struct shm__fifo fifo;
  struct shm__event join;
};

/* A queue (lane 0) or its dead letters (lane 1) as this process sees it. */
struct shm__queue {
  struct shm__space *space;
  struct shm_queue_main *shared;
  struct shm__lane lane[SHM__LANES];
  struct shm__patience patience;
  u64 maxsize;
  u32 id, max_deliveries;
  const u32 *closing; /* set when the handle is being closed: calls under way leave; NULL: never */
};

struct shm__queue_options {
  u64 maxsize;
  u32 max_deliveries;
  char codec[32];
};

struct shm__queue_facts {
  u64 ready, leased, dead, size_bytes, waiting, unfinished;
};

extern const struct shm__type shm__queue_type;

int shm__queue_make(struct shm__space *space, u32 id, const struct shm__queue_options *options, u64 deadline_ns,
                    struct shm__ref *main);
int shm__queue_bind(struct shm__space *space, u64 main, struct shm__queue *queue);

/* Put values[0..count) in order; *done are in. SHM_FULL: no room before the deadline, *wait stands in line. */
int shm__queue_put(struct shm__queue *queue, u32 lane, const struct shm__value *values, u64 count, int bell,
                   struct shm__waiter *wait, u64 deadline_ns, u64 *done);

/* Take the next value. Without SHM_TAKE_HOLD and SHM_TAKE_LEASE inline ones are copied and gone; others are held at *place.
 * SHM_EMPTY: none before the deadline, *wait stands in line; SHM_CLOSED; SHM_INTERRUPTED, SHM_TIMEOUT, SHM_BUSY. */
int shm__queue_take(struct shm__queue *queue, u32 lane, u32 flags, struct shm__waiter *wait, u64 deadline_ns,
                    struct shm__value *value, struct shm__place *place);
/* Look now and then whether somebody has died who holds a value. */
void shm__queue_probe(struct shm__queue *queue, u32 lane);
int shm__queue_probe_is_due(struct shm__queue *queue, u32 lane);
/* Leave the line. SHM_OK: at the last moment a value was given, as by take; SHM_EMPTY. */
int shm__queue_leave_line(struct shm__queue *queue, u32 lane, u32 flags, struct shm__waiter *wait, struct shm__value *value,
                          struct shm__place *place);

/* Take further values at once, up to room, without waiting: each is held at its place. How many. */
u32 shm__queue_take_more(struct shm__queue *queue, u32 lane, u32 room, struct shm__value *values, struct shm__place *places);
/* What is held at place: taken for good; a lease: and done with. Or it goes back. */
void shm__queue_taken(struct shm__queue *queue, u32 lane, const struct shm__place *place);
int shm__queue_ack(struct shm__queue *queue, u32 lane, const struct shm__place *place, u64 deadline_ns);
void shm__queue_nack(struct shm__queue *queue, u32 lane, const struct shm__place *place);

/* One value that was taken is done with. SHM_INVALID: more often than something was put. */
int shm__queue_task_done(struct shm__queue *queue, u32 lane, u64 deadline_ns);
/* Wait until all are. SHM_EMPTY: not before the deadline. */
int shm__queue_join(struct shm__queue *queue, u32 lane, u64 deadline_ns);

int shm__queue_shutdown(struct shm__queue *queue, int immediate, u64 deadline_ns);
void shm__queue_stat(struct shm__queue *queue, u32 lane, struct shm__queue_facts *facts);
/* Who has leases, since when; how many were found. Without a lock, for people. */
u64 shm__queue_leases(struct shm__queue *queue, u32 lane, shm_lease_facts *facts, u64 room);
void shm__queue_wake(struct shm__queue *queue);

#endif
