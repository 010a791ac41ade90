/* blocks.h: memory with an owner. See blocks.c. */
#ifndef SHM_CORE_BLOCKS_H
#define SHM_CORE_BLOCKS_H

#include "space.h"

/* A reference that stays safe when the block is freed and used again: the generation tells. */
struct shm__ref {
  u64 offset; /* of the payload; 0 is none */
  u32 gen;
};

/* At least size_bytes, HELD by this member; not cleared. SHM_SPACE_FULL with its text, or as shm__lock. The region may
 * be grown (a system call), so no lock may be held. */
int shm__block_alloc(struct shm__space *space, u64 size_bytes, u64 deadline_ns, struct shm__ref *ref);

/* Free a block that this member holds. Never fails: what cannot be freed now (a stopped process has the class lock) is
 * freed later. */
void shm__block_free(struct shm__space *space, struct shm__ref ref);

/* Is it ours? */
int shm__block_held(struct shm__space *space, struct shm__ref ref);

/* One compare-and-swap each; 1 if it was so. */
int shm__block_link(struct shm__space *space, struct shm__ref ref, u32 id);  /* HELD(me) -> LINKED(id) */
int shm__block_hold(struct shm__space *space, struct shm__ref ref, u32 id);  /* LINKED(id) -> HELD(me) */
int shm__block_give(struct shm__space *space, struct shm__ref ref, u32 id, u32 token); /* LINKED(id) -> HELD(token) */
int shm__block_pass(struct shm__space *space, struct shm__ref ref, u32 from, u32 to); /* HELD(from) -> HELD(to) */

/* For repair: whoever holds it, a block of that generation that a published word refers to is the structure's. */
void shm__block_relink(struct shm__space *space, struct shm__ref ref, u32 id);

/* Free a block that the structure links, if it still does. */
void shm__block_drop(struct shm__space *space, struct shm__ref ref, u32 id);

/* The header if offset may be a payload, else NULL. */
struct shm_block *shm__block_header(const struct shm__space *space, u64 offset);

/* Reference to the block as it is now; offset 0 when there is none. */
struct shm__ref shm__block_ref(const struct shm__space *space, u64 offset);

/* Pointer to the payload if it is a block of that generation, not free, with room for size_bytes; else NULL. */
u8 *shm__block_payload(const struct shm__space *space, struct shm__ref ref, u64 size_bytes);

/* Call visit for every block that is not free, class by class under its lock. Stops when it returns non-zero. */
int shm__blocks_walk(struct shm__space *space, u64 deadline_ns,
                     int (*visit)(struct shm__space *space, struct shm__ref ref, u64 word, void *context), void *context);

/* Free all that a dead member holds. SHM_TIMEOUT: a stopped process is in the way, come again. */
int shm__blocks_reap(struct shm__space *space, u32 dead);

/* Fill the class table of a new region. */
void shm__blocks_init(struct shm__space *space);

/* Bytes in blocks that are in use (their strides). */
u64 shm__blocks_used_bytes(const struct shm__space *space);

static inline u32 shm__block_state(u64 word) { return (u32)(word >> SHM_BLOCK_STATE_BIT); }
static inline u32 shm__block_gen(u64 word) { return (u32)(word >> SHM_BLOCK_GENERATION_BIT) & SHM_BLOCK_GENERATIONS; }
static inline u32 shm__block_who(u64 word) { return (u32)word; }
static inline u64 shm__block_word(u32 state, u32 gen, u32 who) {
  return (u64)state << SHM_BLOCK_STATE_BIT | (u64)gen << SHM_BLOCK_GENERATION_BIT | who;
}

#endif
