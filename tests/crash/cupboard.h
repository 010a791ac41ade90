/* cupboard.h: the store "s" of a scene: the survivor makes and fills it, the victim changes keys in it step by step, and the
 * survivor reads it and compares. See cupboard.c; the verdict is in cupboard_judge.c.
 */
#ifndef TESTS_CRASH_CUPBOARD_H
#define TESTS_CRASH_CUPBOARD_H

#include "acts.h"

enum { CUP_KEYS = 12, CUP_B = 8, CUP_LONG = 11, STEPS_MOST = 14, CUP_EVENTS_MOST = 96, CUP_NAME_MOST = 240, CUP_HOLDER = 7 };
enum { FIT_BYTES = 24, ITEM_BYTES = 190, VALUE_BYTES = 300, LONG_BYTES = 900 }; /* all inline; event in a block; both in blocks */

/* Keys 0 to CUP_B - 1 begin with 'a', the others with 'b'; the last one is long. */
enum cup_op {
  CUP_NONE, CUP_SET, CUP_INCR, CUP_REMOVE, CUP_REMOVE_A, CUP_CLEAR, CUP_SWEEP,
  CUP_LOCK, CUP_UNLOCK, CUP_WATCH, CUP_FOLLOW, CUP_UNWATCH, CUP_DROP
};
struct cup_step {
  enum cup_op op;
  uint32_t key;
  uint64_t size; /* bytes of the value; what is added */
  int silent, expires; /* expires: it has when the victim acts */
};

struct goods {
  uint32_t shards, feed;
  struct cup_step before[STEPS_MOST], steps[STEPS_MOST], other[STEPS_MOST];
  int forgetful; /* events may be lost: the ring is small, or memory short */
  int full;      /* no memory is left when the victim acts */
  int locks;     /* key 0 is locked and given up */
  int told;      /* whoever locks it next is told that its owner died */
  int drops;     /* the act deletes the store */
};

/* What a key has: nothing, bytes with an id, or an integer. */
struct cup_value {
  uint64_t id, size;
  int64_t number;
};

struct cup_event {
  uint32_t op, key;
  struct cup_value value;
};

struct cup_events {
  struct cup_event of[CUP_EVENTS_MOST];
  uint64_t count;
};

struct cupboard {
  const struct goods *goods; /* NULL: there is none, or it has been judged */
  shm_store *store;
  shm_watch *watch, *mine; /* of the survivor, from before the death; of the victim */
  struct cup_events seen;  /* by the survivor's watch */
  uint64_t seqs[CUP_KEYS], seq; /* of the last event of each key, and of all */
  uint64_t lost;
  struct cup_step after[CUP_EVENTS_MOST]; /* what the survivor has done since */
  uint64_t afters;
  uint64_t least_other, least_victim; /* changes of the steps that a death cut short, which have been seen */
};
extern struct cupboard cupboard;

void make_cupboard(struct world *world, const struct goods *goods); /* survivor, first of all */
void open_cupboard(struct world *world);                            /* victim */
int open_cupboard_again(struct world *world, int create);
void close_cupboard(void);
void judge_cupboard(struct world *world); /* survivor, after the death */
void free_hoard(struct world *world);     /* the survivor gives back the memory that was to be short */
void let_sweep(struct world *world);      /* what has expired is looked for the next time */

uint32_t cup_key(uint32_t key, char *name); /* its length */
uint32_t cup_key_of(const uint8_t *name, uint32_t length); /* CUP_KEYS: none */
uint64_t cup_count(const struct cup_step *steps);
int cup_do(struct world *world, const struct cup_step *step, uint64_t id);
static inline uint64_t cup_id(enum role who, uint64_t step) { return MINE(who) + step + 1; }

/* What the victim, or the other one, does: its steps. */
void cup_steps(struct world *world);
void cup_lock_first(struct world *world); /* ready: it has the lock of key 0 */

/* Sleepers: for the lock of key 0; for an event. */
void cup_wait_for_lock(struct world *world);
void cup_wait_for_event(struct world *world);
int cup_never(struct world *world);
int cup_no_event(struct world *world);
void cup_help_with_event(struct world *world);

#endif
