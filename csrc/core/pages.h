/* pages.h: the page pool: runs of free pages and spans of blocks. See pages.c. */
#ifndef SHM_CORE_PAGES_H
#define SHM_CORE_PAGES_H

#include "space.h"

/* Carve a span of count pages. Before it is published, its block headers are made: blocks of stride_bytes, FREE, or one
 * block HELD by us when size_class is SHM_CLASS_HUGE. *page is its first page.
 * SHM_SPACE_FULL: no such run below committed_bytes; grow and come again. Else as shm__lock. */
int shm__pages_carve(struct shm__space *space, u64 count, u32 size_class, u64 stride_bytes, u32 blocks, u64 deadline_ns,
                     u64 *page);

/* Give a span back; generation: the highest of its blocks. */
int shm__pages_release(struct shm__space *space, u64 page, u32 generation, u64 deadline_ns);

/* Repair the pool after its lock was taken over, or to count again. The lock is held. */
void shm__pages_repair(struct shm__space *space);

/* The word of a page: state << 56 | size class << 32 | pages. */
static inline u64 shm__page_word(const struct shm__space *space, u64 page) {
  return shm_load_acquire(&space->page_words[page]); /* SYNC pages.span */
}
static inline u32 shm__page_state(u64 word) { return (u32)(word >> SHM_PAGE_STATE_BIT); }
static inline u32 shm__page_class(u64 word) { return (u32)(word >> SHM_PAGE_CLASS_BIT) & 0xff; }
static inline u64 shm__page_count(u64 word) { return word & 0xffffffff; }

static inline u64 shm__page_offset(const struct shm__space *space, u64 page) {
  return space->pages_offset + page * SHM_PAGE_BYTES;
}

/* Pages whose words may be looked at without the lock. */
static inline u64 shm__pages_top(const struct shm__space *space) {
  u64 top = shm_load_acquire(&space->pool->top_pages); /* SYNC pages.top */
  return top < space->page_count ? top : space->page_count;
}

#endif
