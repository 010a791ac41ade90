/* fifo_wait.h: blocked calls on a fifo, in the order they came; see fifo_wait.c. */
#ifndef SHM_TYPES_FIFO_WAIT_H
#define SHM_TYPES_FIFO_WAIT_H

#include "fifo.h"

enum { SHM__WAKES = 32 };

/* Waiters to be woken once no lock is held. */
struct shm__wakes {
  u64 waiter[SHM__WAKES]; /* payload offsets */
  u32 slot[SHM__WAKES];   /* member slot whose bell is to be rung; or SHM__NO_BELL */
  u32 count;
};

#define SHM__NO_BELL UINT32_MAX

/* A waiter of this process: a call that may have to wait. Zeroed at first; while it has a ref it stands in line, across
 * calls. */
struct shm__waiter {
  struct shm__ref ref; /* offset 0: none */
  struct shm_waiter *shared;
};

/* A new one, not yet in line. */
int shm__waiter_make(struct shm__space *space, u32 kind, int bell, u64 deadline_ns, struct shm__waiter *waiter);
/* Does it stand in no line? Whoever was told something may still be in it, until who told him gives up the take lock. */
int shm__waiter_is_out(const struct shm__waiter *waiter);
/* Free one that is in no line. */
void shm__waiter_free(struct shm__space *space, struct shm__waiter *waiter);

/* ---- with the take lock ---- */
void shm__waiters_add(struct shm__fifo *fifo, const struct shm__waiter *waiter);
/* Put a reader in line that has found its value: it pins the value's block. */
void shm__waiters_pin(struct shm__fifo *fifo, const struct shm__waiter *waiter, const struct shm__value *value);
/* Give what is ready to those who wait for it, and room to those who wait for that. 1: there is more to do than *wakes has
 * room for, or the next value must be buried first: wake, lock again and call again. */
int shm__waiters_settle(struct shm__fifo *fifo, struct shm__wakes *wakes);
/* There is room for so many: let as many of those who wait for it try. As settle. */
int shm__waiters_admit(struct shm__fifo *fifo, u64 room, struct shm__wakes *wakes);
/* The structure is shut down: all leave. As settle. */
int shm__waiters_close(struct shm__fifo *fifo, struct shm__wakes *wakes);
/* Take ours out of the line, wherever it stands; if it was shown a block that nobody else looks at any more, that is
 * returned, HELD by us, to be freed. */
struct shm__ref shm__waiters_remove(struct shm__fifo *fifo, const struct shm__waiter *waiter);
/* A waiter that looks at this block has it from now on. */
void shm__waiters_inherit(struct shm__fifo *fifo, struct shm__ref block);
void shm__waiters_recover(struct shm__fifo *fifo, u32 dead);
void shm__waiters_repair(struct shm__fifo *fifo);
u64 shm__waiters_count(struct shm__fifo *fifo); /* that take or read; without the lock: about */

/* Take for a newcomer: those in line come first. As shm__fifo_take; SHM_BUSY: unlock, wake, and come again. */
int shm__fifo_serve(struct shm__fifo *fifo, int keep, struct shm__value *value, struct shm__place *place, struct shm__wakes *wakes,
                    struct shm__garbage *garbage);

/* Take what there is for a newcomer, up to room: all of it is held. How many. A full *wakes: serve the line again. */
u32 shm__fifo_serve_many(struct shm__fifo *fifo, u32 room, struct shm__value *values, struct shm__place *places,
                         struct shm__wakes *wakes, struct shm__garbage *garbage);

/* ---- without a lock ---- */
/* Let all who wait look around: whether their handle or the structure was closed. */
void shm__waiters_nudge(struct shm__fifo *fifo);
/* Sleep until it is not WAITING (SHM_OK), it is time to look around (SHM_EMPTY), or a signal came (SHM_INTERRUPTED). */
int shm__waiter_sleep(const struct shm__space *space, const struct shm__waiter *waiter, u64 deadline_ns);
void shm__wakes_send(struct shm__space *space, struct shm__wakes *wakes);
/* We do not come back to it: its state from before. SHM_WAIT_WAITING: it is out, and swept by others. */
u32 shm__waiter_give_up(const struct shm__waiter *waiter);
#endif
