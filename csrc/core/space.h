/* space.h: a space as this process sees it, and the one function that turns an offset of the region into a pointer.
 *
 * Layers above get everything shared through this struct. What INIT fields say is copied here once, checked, at
 * attach: a later change of the region cannot make us leave it.
 */
#ifndef SHM_CORE_SPACE_H
#define SHM_CORE_SPACE_H

#include "../base/atomics.h"
#include "../base/err.h"

#define SHM__NEVER UINT64_MAX /* deadline: wait for ever */
#define SHM__TRY 0ull         /* deadline: do not sleep; SHM_BUSY when a lock is taken */
#define SHM__SPIN 1ull        /* deadline: spin as long as it pays, but do not sleep */
#define SHM__REPAIR 1         /* a lock was taken, and what it guards must be repaired first */

struct shm__space;

/* What core must know of a structure kind to bury the dead; all are idempotent and may be killed anywhere. main is the
 * payload offset of the structure's main block. */
struct shm__type {
  u32 kind;
  /* Hand back what the dead member (token) held in it. SHM_TIMEOUT: a stopped process is in the way, come again. */
  int (*recover)(struct shm__space *space, u64 main, u32 dead);
  /* Give the blocks back that it links, before its main block goes. */
  void (*teardown)(struct shm__space *space, u64 main);
  /* Mark it deleted and wake all who sleep on it. */
  void (*retire)(struct shm__space *space, u64 main);
  /* Wake all who sleep on it. */
  void (*wake)(struct shm__space *space, u64 main);
  /* May it vanish when nobody has it open any more? NULL: never. */
  int (*idle)(struct shm__space *space, u64 main);
};

struct shm__space {
  u8 *base;
  u64 size_bytes, pages_offset, page_count;
  struct shm_header *header;
  struct shm_member *members;
  struct shm_directory *directory;
  struct shm_class *classes;
  struct shm_pool *pool;
  u64 *page_words;
  u64 page_words_offset;
  u32 member_count;
  u32 token, slot;  /* who we are; token 0 on a read-only space */
  u32 epoch;        /* fork epoch in which the token was claimed */
  u32 readonly;
  u64 clock_shift_ns; /* of our time namespace */
  u32 cpus;         /* usable when we attached */
  u32 sends;        /* messages this process sent; a hint */
  u32 suspect;      /* token of a dead member whose lock was taken over and who is still to be reaped */
  u32 blocker;      /* token of the member whose lock a call of ours waited for in vain; for people */
  u32 closing, busy; /* close waits until no slow call is under way */
  u64 deferred;     /* payload offset of the first block to free later: its class lock was held by a stopped process */
  u64 deferred_ns;  /* when they were last tried */
  int region_fd, member_fd;
  u64 device, inode;
  const struct shm__type *const *types; /* NULL-terminated */
  struct shm__structure *structures;    /* attached ones; guarded by the directory lock */
  struct shm__space *next;              /* all spaces of this process, for fork */
  char path[4400];
};

/* Counts forks that this process descends from since the library was loaded. */
extern u32 shm__fork_epoch;

/* Pointer to length bytes at offset, or NULL when they are not all committed, or misaligned. */
static inline void *shm__at(const struct shm__space *space, u64 offset, u64 length, u64 alignment) {
  u64 end = shm_load_acquire(&space->header->committed_bytes); /* SYNC region.grow: partner in shm__region_grow */
  if (end > space->size_bytes) end = space->size_bytes;
  if (offset < SHM_HEADER_BYTES || offset > end || length > end - offset || offset % alignment != 0) return NULL;
  return space->base + offset;
}

static inline u64 shm__offset_of(const struct shm__space *space, const void *pointer) {
  return (u64)((const u8 *)pointer - space->base);
}

static inline u32 shm__token_slot(u32 token) { return token & ((1u << SHM_SLOT_BITS) - 1); }

/* Hold off close while a call that released the interpreter's lock is inside; SHM_CLOSED when closing has begun,
 * SHM_FORKED in a child that has not attached. */
static inline int shm__enter(struct shm__space *space) {
  if (space->epoch != shm__fork_epoch && !space->readonly) return SHM_FORKED;
  shm_add(&space->busy, 1);
  if (!shm_load_acquire(&space->closing)) return SHM_OK;
  shm_add(&space->busy, (u32)-1);
  return SHM_CLOSED;
}

static inline void shm__leave(struct shm__space *space) { shm_add(&space->busy, (u32)-1); }

#endif
