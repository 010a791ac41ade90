/* pages.c: the page pool.
 *
 * Pages [0, top) are a sequence of free runs and spans; the word of a head says which, and how many pages. Words of
 * other pages are stale run words, never span words, so a walk that looks at every page and steps over spans only sees
 * every span, without the lock.
 *
 * Invariants
 *   1. Every change is one store to the word of a head: splitting (the rest's head is written first), releasing,
 *      merging, raising top. There is nothing to undo after a death; only the counts and the cursor are rebuilt.
 *   2. The headers of a span's blocks are whole before its word says span.
 *   3. A span's word is changed by the holder of the pool lock only.
 *
 * Crash table (died after ...)
 *   writing the rest's head ("pages.split")      the run is still whole
 *   writing block headers ("pages.filled")       as above; the bytes are of nobody
 *   publishing the span ("pages.carved")         blocks are FREE (the class rebuilds its list) or HELD by the dead
 *   freeing the only block of a span ("pages.freed")  heir of the pool lock releases the span
 *   releasing ("pages.released")                 the run is free
 */
#include "pages.h"

#include "../base/bits.h"
#include "../base/point.h"
#include "lock.h"

#define GENERATIONS ((u64)SHM_BLOCK_GENERATIONS)
#define GENERATION (GENERATIONS << SHM_BLOCK_GENERATION_BIT) /* of a block's word */

static u64 make_word(u32 state, u32 size_class, u64 count) {
  return (u64)state << SHM_PAGE_STATE_BIT | (u64)size_class << SHM_PAGE_CLASS_BIT | count;
}

static void set_word(struct shm__space *space, u64 page, u64 word) {
  shm_store_release(&space->page_words[page], word); /* SYNC pages.span: publishes the block headers of a span */
}

/* Pages that have memory by now. */
static u64 committed_pages(const struct shm__space *space) {
  u64 end = shm_load_acquire(&space->header->committed_bytes); /* SYNC region.grow */
  if (end <= space->pages_offset) return 0;
  return shm_min((end - space->pages_offset) / SHM_PAGE_BYTES, space->page_count);
}

/* Pages of the head at page; damaged words count as one page, so that every walk ends. */
static u64 head_pages(u64 word, u64 page, u64 top) {
  u64 count = shm__page_count(word);
  return count == 0 || count > top - page ? 1 : count;
}

static void raise_top(struct shm__space *space) {
  u64 top = shm__pages_top(space), now = committed_pages(space);
  if (now <= top) return;
  set_word(space, top, make_word(SHM_PAGE_RUN, 0, now - top));
  shm_store_release(&space->pool->top_pages, now); /* SYNC pages.top: publishes the words below it */
}

/* Merge the free runs that follow page into one; its length. */
static u64 merge_run(struct shm__space *space, u64 page, u64 top) {
  u64 count = head_pages(shm__page_word(space, page), page, top), merged = count;
  while (page + merged < top) {
    u64 word = shm__page_word(space, page + merged);
    if (shm__page_state(word) != SHM_PAGE_RUN) break;
    merged += head_pages(word, page + merged, top);
  }
  if (merged != count) {
    set_word(space, page, make_word(SHM_PAGE_RUN, 0, merged));
    if (space->pool->cursor_pages > page && space->pool->cursor_pages < page + merged) space->pool->cursor_pages = page;
  }
  return merged;
}

/* First head in [from, until) with a run of count pages; until if there is none. */
static u64 find_run(struct shm__space *space, u64 from, u64 until, u64 count) {
  u64 top = shm__pages_top(space);
  for (u64 page = from; page < until;) {
    u64 word = shm__page_word(space, page);
    if (shm__page_state(word) == SHM_PAGE_RUN) {
      u64 pages = merge_run(space, page, top);
      if (pages >= count) return page;
      page += pages;
    } else {
      page += head_pages(word, page, top);
    }
  }
  return until;
}

/* The word of the block of a span that has only one. */
static u64 *huge_word(struct shm__space *space, u64 page) {
  return &((struct shm_block *)(space->base + shm__page_offset(space, page) + SHM_SPAN_PAD_BYTES))->word;
}

static void fill_headers(struct shm__space *space, u64 page, u64 count, u32 size_class, u64 stride_bytes, u32 blocks) {
  u64 generation = (space->pool->generation += 1) & GENERATIONS;
  int huge = size_class == SHM_CLASS_HUGE;
  u64 state = huge ? SHM_BLOCK_HELD : SHM_BLOCK_FREE, who = huge ? space->token : 0;
  u8 *first = space->base + shm__page_offset(space, page) + SHM_SPAN_PAD_BYTES;
  for (u32 i = 0; i < blocks; i++) {
    struct shm_block *block = (struct shm_block *)(first + i * stride_bytes);
    block->size_class = size_class;
    block->pages = (u32)count;
    /* relaxed: the span word publishes it */
    shm_store_relaxed(&block->word, state << SHM_BLOCK_STATE_BIT | generation << SHM_BLOCK_GENERATION_BIT | who);
  }
}

int shm__pages_carve(struct shm__space *space, u64 count, u32 size_class, u64 stride_bytes, u32 blocks, u64 deadline_ns,
                     u64 *page) {
  struct shm_pool *pool = space->pool;
  int status = shm__lock(space, &pool->lock, deadline_ns, 0);
  if (status < 0) return status;
  if (status == SHM__REPAIR) shm__pages_repair(space);
  raise_top(space);
  u64 top = shm__pages_top(space), cursor = pool->cursor_pages <= top ? pool->cursor_pages : 0;
  u64 found = find_run(space, cursor, top, count);
  if (found == top) found = find_run(space, 0, cursor, count) < cursor ? find_run(space, 0, cursor, count) : top;
  if (found == top) {
    shm__unlock(&pool->lock);
    return SHM_SPACE_FULL;
  }
  u64 run = shm__page_count(shm__page_word(space, found));
  if (run > count) set_word(space, found + count, make_word(SHM_PAGE_RUN, 0, run - count));
  SHM_POINT("pages.split");
  fill_headers(space, found, count, size_class, stride_bytes, blocks);
  SHM_POINT("pages.filled");
  set_word(space, found, make_word(SHM_PAGE_SPAN, size_class, count));
  SHM_POINT("pages.carved");
  pool->used_pages += count;
  pool->cursor_pages = found + count;
  *page = found;
  shm__unlock(&pool->lock);
  return SHM_OK;
}

int shm__pages_release(struct shm__space *space, u64 page, u32 generation, u64 deadline_ns) {
  struct shm_pool *pool = space->pool;
  int status = shm__lock(space, &pool->lock, deadline_ns, 0);
  if (status < 0) return status;
  if (status == SHM__REPAIR) shm__pages_repair(space);
  /* Blocks made of these pages anew get generations that these have never had. */
  if ((pool->generation & GENERATIONS) < generation) pool->generation = (pool->generation & ~GENERATIONS) | generation;
  u64 word = shm__page_word(space, page), count = head_pages(word, page, shm__pages_top(space));
  if (shm__page_class(word) == SHM_CLASS_HUGE) {
    u64 *block_word = huge_word(space, page);
    shm_store_release(block_word, shm_load_relaxed(block_word) & GENERATION); /* FREE: no reference matches any more */
    SHM_POINT("pages.freed");
  }
  set_word(space, page, make_word(SHM_PAGE_RUN, 0, count));
  SHM_POINT("pages.released");
  pool->used_pages -= shm_min(count, pool->used_pages);
  if (page < pool->cursor_pages) pool->cursor_pages = page; /* low addresses first: the region stays dense */
  shm__unlock(&pool->lock);
  return SHM_OK;
}

void shm__pages_repair(struct shm__space *space) {
  u64 used = 0, top = shm__pages_top(space);
  for (u64 page = 0; page < top;) {
    u64 word = shm__page_word(space, page), count = head_pages(word, page, top);
    int huge = shm__page_class(word) == SHM_CLASS_HUGE;
    if (shm__page_state(word) == SHM_PAGE_SPAN && huge && *huge_word(space, page) >> SHM_BLOCK_STATE_BIT == SHM_BLOCK_FREE) {
      set_word(space, page, make_word(SHM_PAGE_RUN, 0, count)); /* its release was interrupted */
    } else if (shm__page_state(word) == SHM_PAGE_SPAN) {
      used += count;
    }
    page += count;
  }
  space->pool->used_pages = used;
  space->pool->cursor_pages = 0;
}
