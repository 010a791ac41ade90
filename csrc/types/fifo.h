/* fifo.h: values in order, taken one by one, given back when their taker dies; see fifo.c. Waiters are in fifo_wait.c. */
#ifndef SHM_TYPES_FIFO_H
#define SHM_TYPES_FIFO_H

#include "../core/blocks.h"
#include "../core/lock.h"

/* A fifo as this process sees it. Its two locks are its owner's: several fifos may share them. */
struct shm__fifo {
  struct shm__space *space;
  struct shm_fifo_in *in;
  struct shm_fifo_out *out;
  struct shm_fifo_line *line;
  u64 bound;         /* most values that may be ready; 0: any number */
  u64 embedded;      /* payload offset of a segment that is part of the owner's block; 0: none */
  u64 longest_bytes; /* of a value */
  u32 id, cells_most;
  u32 deliveries_most; /* leases on a value before it is buried; 0: any number */
  int crossed;       /* the last take has left a segment behind: collect */
};

/* A value on its way in or out. */
struct shm__value {
  u64 length_bytes;
  struct shm__ref block; /* offset 0: inline */
  u32 codec;
  u8 data[SHM_INLINE_BYTES];
};

/* Where a value lies that this member holds. */
struct shm__place {
  struct shm_cell *cell; /* NULL: nothing is held */
  struct shm_fifo_line *line;
  u64 segment, index;
  u32 cells;             /* of its segment */
};

enum { SHM__GROW = 2 };  /* status: a segment must be added first */
enum { SHM__GARBAGE = 8 }; /* segments let go at once */

/* Segments that are no longer part of a fifo: HELD by us, to be freed once no lock is held. */
struct shm__garbage {
  struct shm__ref segment[SHM__GARBAGE + 2];
  u32 count;
};

/* Prepare a first or a further segment; the memory of an embedded one, or a new block HELD by us. */
void shm__segment_init(struct shm_segment *segment, u64 base, u32 cells);
int shm__segment_alloc(struct shm__space *space, u32 cells, u64 deadline_ns, struct shm__ref *ref);
static inline u64 shm__segment_bytes(u32 cells) { return sizeof(struct shm_segment) + (u64)cells * sizeof(struct shm_cell); }
void shm__fifo_init(struct shm__fifo *fifo, u64 first);

/* ---- with the put lock ---- */
u64 shm__fifo_room(struct shm__fifo *fifo);
/* SHM_OK; SHM__GROW: there is no cell; SHM_CORRUPTED. Does not look at the bound. */
int shm__fifo_put(struct shm__fifo *fifo, const struct shm__value *value);
/* Add a segment, which is given away; cells it should have: shm__fifo_next_cells. */
u32 shm__fifo_next_cells(struct shm__fifo *fifo);
void shm__fifo_grow(struct shm__fifo *fifo, struct shm__ref segment, u32 cells);
int shm__fifo_is_full(struct shm__fifo *fifo); /* the next value needs a segment */
/* For the heir of the lock: was the value that was being put with this index published? Forgets its block if it was not. */
int shm__fifo_was_put(struct shm__fifo *fifo, u64 index);
void shm__fifo_repair_in(struct shm__fifo *fifo);

/* ---- with the take lock ---- */
/* Take the oldest value. Inline and not to be kept: it is copied and gone. Else it is held at *place until shm__fifo_done or
 * shm__fifo_return; what is inline then lies in the cell. SHM_EMPTY; SHM_CORRUPTED. */
int shm__fifo_take(struct shm__fifo *fifo, int keep, struct shm__value *value, struct shm__place *place);
/* Hold the oldest values, up to room, before the first that was delivered too often. How many. */
u32 shm__fifo_take_many(struct shm__fifo *fifo, u32 room, struct shm__value *values, struct shm__place *places);
/* Look at the oldest value: its fields, and its bytes if it is inline. SHM_EMPTY; SHM_CORRUPTED. */
int shm__fifo_peek(struct shm__fifo *fifo, struct shm__value *value);
/* As take, for another member, who holds it then. */
int shm__fifo_grant(struct shm__fifo *fifo, u32 token, struct shm__place *place);
/* What this member holds at place was not taken after all: it is ready again, where it was. */
void shm__fifo_return(struct shm__fifo *fifo, const struct shm__place *place);
/* The same for all that was given back without the lock; 1 if there was any. */
int shm__fifo_regain(struct shm__fifo *fifo);
/* Let go of segments that are used up. */
void shm__fifo_collect(struct shm__fifo *fifo, struct shm__garbage *garbage);
/* Leases so far on the oldest value; 0 if there is none. */
u32 shm__fifo_deliveries(struct shm__fifo *fifo);
/* Come to the last segment if nothing is ready. */
static inline void shm__fifo_advance(struct shm__fifo *fifo) { (void)shm__fifo_deliveries(fifo); }
/* Make ready what the dead hold; how many values. */
u64 shm__fifo_recover(struct shm__fifo *fifo, u32 dead);
void shm__fifo_repair_out(struct shm__fifo *fifo);

/* What a spinner looks at: a word that changes when a value is put. */
struct shm__glance {
  const u64 *word;
  u64 seen;
};
struct shm__glance shm__fifo_glance(struct shm__fifo *fifo); /* after SHM_EMPTY */
int shm__glance_again(void *glance); /* SHM_OK: it has changed; SHM_EMPTY. Without a lock. */

/* ---- without a lock ---- */
/* The segment at this offset, or NULL when there can be none. *cells: read once; who has no lock may find the segment let go
 * of, and its memory something else. */
struct shm_segment *shm__segment_at(const struct shm__fifo *fifo, u64 offset, u32 *cells);
static inline struct shm_segment *shm__segment(const struct shm__fifo *fifo, u64 offset) {
  u32 cells;
  return shm__segment_at(fifo, offset, &cells);
}
static inline struct shm_cell *shm__cell_of(struct shm_segment *segment, u64 index) {
  return (struct shm_cell *)(segment + 1) + ((index - segment->base) & (segment->cells - 1));
}
/* Steps after which a walk over damaged bytes ends. */
static inline u64 shm__fifo_most_steps(const struct shm__fifo *fifo) {
  return 2 * fifo->space->size_bytes / sizeof(struct shm_cell);
}
/* Look at the oldest value without taking part: its fields, and its bytes, which if they are not inline go to *copy, made or
 * made larger by realloc. SHM_EMPTY; SHM_BUSY: it changed all the while; SHM_CORRUPTED; SHM_SPACE_FULL. */
int shm__fifo_look(const struct shm__fifo *fifo, struct shm__value *value, u8 **copy);
/* The cell with this index; place->cell is NULL when there is none. */
struct shm__place shm__fifo_place(struct shm__fifo *fifo, u64 segment, u64 index);
/* What lies at a place that is held by us. */
int shm__fifo_read_held(struct shm__fifo *fifo, const struct shm__place *place, struct shm__value *value);
/* It is taken for good. Its block, HELD by us, is to be freed; nothing if a waiter has inherited that. */
struct shm__ref shm__fifo_done(struct shm__fifo *fifo, const struct shm__place *place);
/* As done, but the block belongs to another value of the structure now. Behind an intent: the value is damaged if that cannot
 * be finished. */
void shm__fifo_forget(struct shm__fifo *fifo, const struct shm__place *place);
/* It was not taken after all: as shm__fifo_return, by whoever has the take lock next. */
void shm__fifo_give_back(struct shm__fifo *fifo, const struct shm__place *place);
/* Values that are ready. */
static inline u64 shm__fifo_length(struct shm__fifo *fifo) {
  u64 taken = shm_load_acquire(&fifo->out->taken), tail = shm_load_acquire(&fifo->in->tail);
  return tail > taken ? tail - taken : 0;
}

/* Nothing ready or held, and nobody waits. With both locks. */
int shm__fifo_is_idle(struct shm__fifo *fifo);
/* Give back all blocks: nobody uses it any more. */
void shm__fifo_teardown(struct shm__fifo *fifo);

/* Call visit for every cell of the segments that begin below limit, with the index in its word. */
typedef void shm__cell_visitor(struct shm__fifo *fifo, u64 segment, struct shm_cell *cell, u64 index, void *context);
void shm__fifo_walk(struct shm__fifo *fifo, u64 limit, shm__cell_visitor *visit, void *context);

struct shm__fifo_facts {
  u64 ready, held, leased, size_bytes;
};
/* What is in it. With the take lock, or about. */
void shm__fifo_stat(struct shm__fifo *fifo, struct shm__fifo_facts *facts);

void shm__garbage_free(struct shm__space *space, struct shm__garbage *garbage);

static inline u64 shm__cell_word(u64 index, u32 state, u32 token) { return index << 32 | (u64)state << 30 | token; }
static inline u32 shm__cell_state(u64 word) { return (u32)(word >> 30) & 3; }
static inline u32 shm__cell_token(u64 word) { return (u32)word & SHM_TOKEN_MASK; }
/* The word's index against this one: negative: older. */
static inline int32_t shm__cell_age(u64 word, u64 index) { return (int32_t)((u32)(word >> 32) - (u32)index); }

#endif
