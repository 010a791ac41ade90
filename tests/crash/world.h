/* world.h: a space with one survivor, and victims to kill in it: what the crash programs have in common.
 *
 * A scene says what is there, what the victim does (`act`, in which it dies), and what must hold afterwards. The program
 * itself is the survivor. It forks the victim, which attaches, gets ready and stops; the survivor then puts messages
 * into the channel and lets the victim go on. After the death `judge` works with what is left and compares.
 *
 * Messages carry their id and a pattern. Ids: 1, 2, ... those of the survivor before the death; MINE(who) + 1, ... those
 * of a victim; RELIEF + 1 or AFTER + 1, ... those of the survivor
 * after it.
 */
#ifndef TESTS_CRASH_WORLD_H
#define TESTS_CRASH_WORLD_H

#include <stdint.h>
#include <sys/types.h>

#include "core/space.h"
#include "include/shmspace.h"

enum {
  SMALL_BYTES = 24,        /* fits into a slot */
  BLOCK_BYTES = 200,       /* needs a block */
  BIG_BYTES = 100000,      /* needs a block for which the region must grow */
  HUGE_BYTES = 1000 << 10, /* needs a span of its own */
  MIXED_BYTES = 0,         /* small and block in turn */
  PATIENCE_MS = 5000,      /* a survivor blocked for longer hangs */
  RELIEF = 900000,         /* what the survivor sends to whom nobody else sends any more */
  AFTER = 9000000
};
#define MINE(who) (1000000ull * (1 + (who)))

enum role { VICTIM, OTHER, NEXT, SURVIVOR, ROLES }; /* NEXT: in scenes where somebody comes after the victim */
enum other_role { NO_OTHER, DIES_BEFORE, SLEEPS };
enum needs { ANY_START, EMPTY_START, FULL_START, WAITING_START, ROOM_START, FEW_STARTS, ONE_FULL_START, ONE_START };

/* Written by the victims, read by the survivor: outlives them. */
enum { TOOK_MOST = 128 };
struct progress {
  volatile uint64_t sent, taken, done, opened, locked, told, blocked_ns;
  volatile int64_t status;
  volatile uint64_t put, finished, tooks, took[TOOK_MOST]; /* of a shelf: took: the values' ids */
};

/* The points that a victim passed in its act. */
enum { PASSED_MOST = 4096 };
struct passed {
  volatile uint64_t count;
  const char *volatile names[PASSED_MOST];
};

struct world;

struct scene {
  const char *name;
  uint32_t delivery, overflow;
  uint64_t replay, size_bytes; /* size of the messages; MIXED_BYTES */
  uint64_t space_bytes;        /* 0: the least */
  uint64_t sends, takes;       /* most that act puts in and takes out */
  enum needs needs;            /* the starts that make sense; FEW, ONE: the last two, the last one will do */
  int readers;                 /* all: readers that the survivor has, 1 if 0 */
  int shuts, deletes, locks;   /* act shuts the channel down, deletes it, works with the lock "l" */
  int empty_handed;            /* the victim does not have the channel open */
  int absent;                  /* the survivor does not have the channel open when act begins */
  int early;                   /* all: the survivor has read everything when act begins */
  int pins;                    /* early, and the second reader has pinned the first message that waited */
  int strange;                 /* act leaves another space than it found: only after() judges */
  int unattached;              /* act begins before the victim is a member */
  enum other_role other_role;
  const char *other;       /* the scene of which the other one does the act */
  const char *other_point; /* where it dies; NULL: at the end of its act */
  unsigned other_passages;
  void (*before)(struct world *world);    /* survivor, first of all */
  void (*ready)(struct world *world);     /* victim, before it may die */
  void (*act)(struct world *world);       /* victim */
  void (*meanwhile)(struct world *world); /* survivor, while the victim acts */
  void (*after)(struct world *world);     /* survivor, before it works on: what must hold in this scene besides */
  void (*drained)(struct world *world);   /* survivor, when the channel is empty */
  int (*in_vain)(struct world *world);    /* of a sleeper: it takes the survivor's help; NULL: it sleeps at the channel */
  void (*help)(struct world *world);      /* survivor: gives a sleeper what it waits for */
};

/* What has gone through the channel when act begins, and what waits in it. */
struct start {
  const char *name;
  uint64_t capacity, passed, waiting;
};

extern const struct start all_starts[]; /* the last one has no name */
int fits(const struct scene *scene, const struct start *start);

struct world {
  const char *directory, *name;
  const struct scene *scene;
  const struct start *start;
  enum role me;
  shm_space *space;
  shm_channel *channel, *reader, *second, *writer; /* reader, second: all only; of the survivor */
  shm_lock *lock;
  shm_view view;
  struct progress *progress; /* of each role */
  struct passed *passed;     /* by each role */
  pid_t pids[ROLES];         /* of the living, 0 when they have ended */
  const struct scene *next;  /* what NEXT does, NULL: there is none; and where it dies */
  const char *next_point;
  unsigned next_passages;
  int victim_stops; /* where it would die */
  int reaped;       /* the survivor has handed back what the dead had, before anything else */
  uint64_t baseline_bytes, longest_ns, relieved;
  char failure[512]; /* the first thing found wrong; "" while nothing is */
};

const struct scene *find_scene(const char *name);
const struct scene *other_scene(const struct scene *scene); /* NULL: there is no other one */
extern const struct scene *const channel_scenes[],
    *const all_delivery_scenes[], *const space_scenes[], *const wait_scenes[], *const reap_scenes[],
    *const queue_scenes[], *const tuples_scenes[], *const reap_value_scenes[], *const log_scenes[],
    *const store_scenes[], *const reap_store_scenes[];

/* ---- what victims and survivors do ---------------------------------------------------------------------------------- */
void blame(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
uint64_t patience_ns(void); /* the deadline of a call that must not hang */
uint64_t replay_of(const struct world *world);
uint64_t size_of_message(const struct scene *scene, uint64_t id);
void fill_message(uint8_t *bytes, uint64_t id, uint64_t size_bytes);
uint64_t read_message(struct world *world, const uint8_t *bytes, uint64_t size_bytes); /* its id; blames torn ones */
int open_channel(struct world *world, const char *name, int create, shm_channel **channel);
int open_channel_until(struct world *world, const char *name, int create, uint64_t deadline_ns, shm_channel **channel);
void attach(struct world *world); /* the victim's own membership, and the channel */
void hurry(int on);               /* from now on every look at the clock takes long: calls run into their deadlines */

/* A call of the survivor that may block: how long it did counts. */
#define TIMED(world, call)                                                                                             \
  ({                                                                                                                   \
    uint64_t start_ns_ = shm_monotonic_ns();                                                                           \
    __typeof__(call) result_ = (call);                                                                                 \
    uint64_t took_ns_ = shm_monotonic_ns() - start_ns_;                                                                \
    if (took_ns_ > (world)->longest_ns) (world)->longest_ns = took_ns_;                                                \
    result_;                                                                                                           \
  })

/* ---- staging ----------------------------------------------------------------------------------------------------------- */
void set_up(struct world *world, const char *directory, const char *name); /* once per program */
void make_world(struct world *world, const struct scene *scene, const struct start *start);
void unmake_world(struct world *world);

/* A process of its own that gets ready and stops; go_on lets it act. With a point it dies there. */
void fork_actor(struct world *world, enum role role, const struct scene *scene, const char *point, unsigned passages,
                int traced);
void go_on(struct world *world, enum role role);
void await_asleep(struct world *world, enum role role); /* sleeping in a call of shmspace, or dead */
int await_death(struct world *world, enum role role);   /* the signal; 0: it ended by itself, well */
int await_stop(struct world *world, enum role role);    /* 1: stopped; 0: ended */
void kill_actor(struct world *world, enum role role);

/* All that leads up to the victim's act: it is stopped, ready. */
void stage(struct world *world, const struct scene *scene, const struct start *start, const char *point,
           unsigned passages, int traced);
void meet_other(struct world *world); /* a sleeper must have come free by itself */
void relieve(struct world *world);    /* send a message to whoever sleeps for one */
void abandon(struct world *world);    /* staging went wrong: end everybody */

/* meanwhile, where only the clock decides what the victim passes: whether who wakes up acts before the victim is done. */
static inline void look_on(struct world *world) { (void)world; }

/* The verdict: work on, compare, clean up. reap_first: before anything else, or only at the end. */
void judge(struct world *world, int reap_first);

/* The places between which the victim is single-stepped. */
extern const char act_begins[], act_ends[];
#endif
