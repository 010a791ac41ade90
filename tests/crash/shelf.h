/* shelf.h: the queue "q" or the tuple space "t" of a scene: the survivor makes and fills it, the victim works with it, and
 * the survivor empties it and compares. See shelf.c; the verdict is in shelf_judge.c.
 */
#ifndef TESTS_CRASH_SHELF_H
#define TESTS_CRASH_SHELF_H

#include "acts.h"

enum { SHELF_KEYS = 16, SHARDS = 64 };

/* What there is. Values have the ids 1, 2, ...; a tuple space has `values` of them at each of the first `keys` keys. */
struct stock {
  uint32_t kind; /* SHM_KIND_QUEUE, SHM_KIND_TUPLES */
  uint64_t bound, values, keys;
  uint32_t max_deliveries;
  int deletes, shuts;          /* the act deletes it, shuts it down */
  uint64_t size_bytes;         /* of the values; MIXED_BYTES */
  uint64_t puts, takes;        /* most that are half put, half taken or discarded when somebody dies */
  uint64_t holds;              /* those that it holds all the while, which come back */
};

struct shelf {
  const struct stock *stock; /* NULL: there is none, or it has been judged */
  shm_queue *queue;
  shm_tuples *tuples;
  char keys[SHELF_KEYS][16];
  uint64_t ids; /* of what was there at first */
  shm_wait line; /* where it stands */
  shm_wait pin;  /* what the survivor looks at */
  shm_taken pinned;
  uint64_t pinned_id;
};
extern struct shelf shelf;

void make_shelf(struct world *world, const struct stock *stock); /* survivor, first of all */
void open_shelf(struct world *world);                            /* victim */
int open_shelf_again(struct world *world, int create);
void close_shelf(void);
void judge_shelf(struct world *world); /* survivor, after the death */

static inline int shelf_is_queue(void) { return shelf.stock->kind == SHM_KIND_QUEUE; }
static inline uint32_t shelf_key_length(uint64_t key) { return (uint32_t)__builtin_strlen(shelf.keys[key]); }

/* What is done with it; each notes what it has done. Keys: those of one shard, by number; a queue has one. */
int shelf_put(struct world *world, uint64_t key, uint64_t deadline_ns);
int shelf_put_many(struct world *world, uint64_t key, uint64_t count);
int shelf_hold(struct world *world, uint32_t lane, uint64_t key, uint32_t flags, uint64_t deadline_ns, shm_taken *taken);
void shelf_taken(struct world *world, uint32_t lane, uint64_t key, shm_taken *taken);
int shelf_take(struct world *world, uint64_t key, uint32_t flags, uint64_t deadline_ns);
/* As many as there are, at once. */
void shelf_take_many(struct world *world, uint64_t key);
void shelf_ack(struct world *world, shm_taken *taken);
int shelf_look(struct world *world, uint64_t key, uint64_t deadline_ns, shm_wait *wait, shm_taken *taken);
void shelf_look_away(uint64_t key, shm_wait *wait);
/* Stand in line, and go on; flags: SHM_TAKE_READ, or SHM_TAKE_HOLD. Then come back to it. To put: with the next value. */
void shelf_stand(struct world *world, uint32_t flags);
int shelf_is_served(struct world *world, uint32_t flags, uint64_t deadline_ns, shm_taken *taken);
void shelf_stand_to_put(struct world *world);
void shelf_put_standing(struct world *world);
void shelf_leave_line(struct world *world, uint32_t flags);
uint64_t shelf_id(struct world *world, const shm_taken *taken); /* of a value; blames torn ones */

/* Is there nothing that a sleeper could take, or look at; no room that he could put into; is it not all finished, not shut
 * down: so that it takes help? And the help. Looks without touching. */
uint64_t shelf_forgotten(struct world *world); /* entries of a tuple space that is empty, but not known to be idle */
int nothing_to_take(struct world *world);
int no_room(struct world *world);
int not_finished(struct world *world);
int not_shut(struct world *world);
void help_with_a_value(struct world *world);
void help_with_room(struct world *world);
void help_to_finish(struct world *world);
void help_to_shut(struct world *world);

#endif
