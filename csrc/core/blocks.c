/* blocks.c: memory with an owner.
 *
 * A block is a 16-byte header and a payload. Blocks of one size class lie in spans of pages; those too large for a class
 * have a span of their own (SHM_CLASS_HUGE).
 *
 * Invariants
 *   1. The header's word (state, generation, who) is the truth: FREE, HELD by a member, LINKED by a structure. Free lists
 *      and counts are hints, rebuilt from the words by whoever takes over the class lock of a dead member.
 *   2. FREE -> HELD and HELD -> FREE happen under the class lock (the pool lock for huge blocks). HELD <-> LINKED is one
 *      compare-and-swap by the holder, resp. by the holder of the lock of the structure.
 *   3. The generation rises with every allocation: a reference kept from before never matches again.
 *   4. Only the holder of the class lock gives a span back, and only when all its blocks are FREE.
 *   Lock order: class, then pool.
 *
 * Crash table (died after ...)
 *   unlinking from the free list ("blocks.popped")      FREE but not listed: the class is rebuilt by the lock's heir
 *   becoming HELD ("blocks.held")                       reap frees it
 *   becoming FREE ("blocks.freed")                      as in the first row
 *   taking empty spans off the list ("blocks.emptied")  as in the first row
 */
#include "blocks.h"

#include "../base/bits.h"
#include "../base/point.h"
#include "../os/clock.h"
#include "lock.h"
#include "members.h"
#include "pages.h"
#include "region.h"

enum { SMALL_CLASSES = 58, FREE_PATIENCE_NS = 2000000, DEFERRED_EVERY_NS = 1000000, REAP_PATIENCE_NS = 100000000 };

/* ---- size classes: 32, 48, then four to a doubling from 64 B to 704 KiB ------------------------------------------ */
static u64 class_stride(u32 size_class) {
  if (size_class < 2) return 32 + size_class * 16;
  u32 step = (size_class - 2) % 4, doubling = (size_class - 2) / 4;
  return ((4 + step) * 16ull) << doubling;
}

/* The first class whose stride is not below this; SHM_CLASS_HUGE when there is none. */
static u32 class_for(u64 stride_bytes) {
  if (stride_bytes <= 48) return stride_bytes <= 32 ? 0 : 1;
  if (stride_bytes <= 64) return 2;
  u32 doubling = 63 - (u32)__builtin_clzll((stride_bytes - 1) / 64); /* 64 << doubling < stride <= 128 << doubling */
  u64 step = 16ull << doubling, over = stride_bytes - (64ull << doubling);
  u32 size_class = 2 + doubling * 4 + (u32)((over + step - 1) / step);
  return size_class < SMALL_CLASSES ? size_class : SHM_CLASS_HUGE;
}

void shm__blocks_init(struct shm__space *space) {
  for (u32 c = 0; c < SMALL_CLASSES; c++) {
    u64 stride = class_stride(c);
    u64 want = stride <= 512 ? 4 * SHM_PAGE_BYTES : stride <= 8192 ? 8 * stride : stride <= 65536 ? 2 * stride : stride;
    u64 pages = (want + SHM_SPAN_PAD_BYTES + SHM_PAGE_BYTES - 1) / SHM_PAGE_BYTES;
    space->classes[c].stride_bytes = (u32)stride;
    space->classes[c].span_pages = (u32)pages;
    space->classes[c].span_blocks = (u32)((pages * SHM_PAGE_BYTES - SHM_SPAN_PAD_BYTES) / stride);
  }
}

/* Geometry comes from the code, not from the region: damaged class rows cannot lead us astray. */
static u64 span_pages_of(u32 size_class) {
  u64 stride = class_stride(size_class);
  u64 want = stride <= 512 ? 4 * SHM_PAGE_BYTES : stride <= 8192 ? 8 * stride : stride <= 65536 ? 2 * stride : stride;
  return (want + SHM_SPAN_PAD_BYTES + SHM_PAGE_BYTES - 1) / SHM_PAGE_BYTES;
}

static u32 span_blocks_of(u32 size_class) {
  return (u32)((span_pages_of(size_class) * SHM_PAGE_BYTES - SHM_SPAN_PAD_BYTES) / class_stride(size_class));
}

/* ---- references ---------------------------------------------------------------------------------------------------- */
struct shm_block *shm__block_header(const struct shm__space *space, u64 offset) {
  if (offset < space->pages_offset + SHM_SPAN_PAD_BYTES + SHM_BLOCK_HEADER_BYTES) return NULL;
  return shm__at(space, offset - SHM_BLOCK_HEADER_BYTES, SHM_BLOCK_HEADER_BYTES, 16);
}

struct shm__ref shm__block_ref(const struct shm__space *space, u64 offset) {
  struct shm_block *block = shm__block_header(space, offset);
  if (!block) return (struct shm__ref){0, 0};
  return (struct shm__ref){offset, shm__block_gen(shm_load_acquire(&block->word))};
}

static u64 payload_room(const struct shm_block *block) {
  u32 size_class = shm_load_relaxed(&block->size_class); /* relaxed: behind an acquire of the word that named the block */
  if (size_class < SMALL_CLASSES) return class_stride(size_class) - SHM_BLOCK_HEADER_BYTES;
  if (size_class != SHM_CLASS_HUGE) return 0;
  u64 span = (u64)shm_load_relaxed(&block->pages) * SHM_PAGE_BYTES;
  return span > SHM_PAGE_BYTES - 1 ? span - SHM_SPAN_PAD_BYTES - SHM_BLOCK_HEADER_BYTES : 0;
}

u8 *shm__block_payload(const struct shm__space *space, struct shm__ref ref, u64 size_bytes) {
  struct shm_block *block = shm__block_header(space, ref.offset);
  if (!block) return NULL;
  u64 word = shm_load_acquire(&block->word);
  if (shm__block_gen(word) != ref.gen || shm__block_state(word) == SHM_BLOCK_FREE) return NULL;
  if (size_bytes > payload_room(block)) return NULL;
  return shm__at(space, ref.offset, size_bytes, 16);
}

static int change_word(struct shm__space *space, struct shm__ref ref, u64 expected, u64 desired) {
  struct shm_block *block = shm__block_header(space, ref.offset);
  return block && shm_cas(&block->word, &expected, desired);
}

int shm__block_held(struct shm__space *space, struct shm__ref ref) {
  struct shm_block *block = shm__block_header(space, ref.offset);
  return block && shm_load_acquire(&block->word) == shm__block_word(SHM_BLOCK_HELD, ref.gen, space->token);
}

int shm__block_link(struct shm__space *space, struct shm__ref ref, u32 id) {
  return change_word(space, ref, shm__block_word(SHM_BLOCK_HELD, ref.gen, space->token),
                     shm__block_word(SHM_BLOCK_LINKED, ref.gen, id));
}

int shm__block_hold(struct shm__space *space, struct shm__ref ref, u32 id) {
  return change_word(space, ref, shm__block_word(SHM_BLOCK_LINKED, ref.gen, id),
                     shm__block_word(SHM_BLOCK_HELD, ref.gen, space->token));
}

int shm__block_give(struct shm__space *space, struct shm__ref ref, u32 id, u32 token) {
  return change_word(space, ref, shm__block_word(SHM_BLOCK_LINKED, ref.gen, id),
                     shm__block_word(SHM_BLOCK_HELD, ref.gen, token));
}

int shm__block_pass(struct shm__space *space, struct shm__ref ref, u32 from, u32 to) {
  return change_word(space, ref, shm__block_word(SHM_BLOCK_HELD, ref.gen, from),
                     shm__block_word(SHM_BLOCK_HELD, ref.gen, to));
}

void shm__block_relink(struct shm__space *space, struct shm__ref ref, u32 id) {
  struct shm_block *block = shm__block_header(space, ref.offset);
  if (!block) return;
  u64 word = shm_load_acquire(&block->word);
  while (shm__block_state(word) == SHM_BLOCK_HELD && shm__block_gen(word) == ref.gen) {
    if (shm_cas(&block->word, &word, shm__block_word(SHM_BLOCK_LINKED, ref.gen, id))) return;
  }
}

void shm__block_drop(struct shm__space *space, struct shm__ref ref, u32 id) {
  if (shm__block_hold(space, ref, id)) shm__block_free(space, ref);
}

/* ---- a class: its free list, rebuilt from the words --------------------------------------------------------------- */
static void push_free(struct shm__space *space, struct shm_class *class, u64 header_offset) {
  *(u64 *)(space->base + header_offset + SHM_BLOCK_HEADER_BYTES) = class->free_head;
  class->free_head = header_offset;
}

/* *generation: the highest of its blocks, if it is empty. */
static int span_is_empty(struct shm__space *space, u64 first, u32 size_class, u32 *generation) {
  *generation = 0;
  for (u32 i = 0; i < span_blocks_of(size_class); i++) {
    struct shm_block *block = (struct shm_block *)(space->base + first + i * class_stride(size_class));
    u64 word = shm_load_acquire(&block->word);
    if (shm__block_state(word) != SHM_BLOCK_FREE) return 0;
    *generation = shm_max(*generation, shm__block_gen(word));
  }
  return 1;
}

/* Rebuild list and count from the words; with release, spans without a used block go back to the pool. The class lock is
 * held; the pool lock is taken for each span released. */
static void rebuild_class(struct shm__space *space, u32 size_class, int release) {
  struct shm_class *class = &space->classes[size_class];
  u64 used = 0, top = shm__pages_top(space), blocks = span_blocks_of(size_class), stride = class_stride(size_class);
  class->free_head = 0;
  for (u64 page = 0; page < top; page++) {
    u64 word = shm__page_word(space, page);
    if (shm__page_state(word) != SHM_PAGE_SPAN) continue;
    if (shm__page_class(word) == size_class && page + span_pages_of(size_class) <= top) {
      u64 first = shm__page_offset(space, page) + SHM_SPAN_PAD_BYTES;
      u32 generation;
      SHM_POINT("blocks.emptied");
      if (release && span_is_empty(space, first, size_class, &generation) &&
          shm__pages_release(space, page, generation, shm__monotonic_ns() + FREE_PATIENCE_NS) == SHM_OK) {
        page += span_pages_of(size_class) - 1;
        continue;
      }
      for (u64 i = blocks; i-- > 0;) {
        struct shm_block *block = (struct shm_block *)(space->base + first + i * stride);
        if (shm__block_state(shm_load_acquire(&block->word)) == SHM_BLOCK_FREE) {
          push_free(space, class, first + i * stride);
        } else {
          used++;
        }
      }
    }
    u64 count = shm__page_count(word);
    if (count > 1 && count <= top - page) page += count - 1;
  }
  shm_store_relaxed(&class->used_blocks, used); /* relaxed: a hint for who has no lock */
}

static int lock_class(struct shm__space *space, u32 size_class, u64 deadline_ns) {
  int status = shm__lock(space, &space->classes[size_class].lock, deadline_ns, 0);
  if (status == SHM__REPAIR) {
    rebuild_class(space, size_class, 0);
    status = SHM_OK;
  }
  return status;
}

/* Take the first free block of the class, whose lock is held; 0 offset when there is none. */
static struct shm__ref pop_free(struct shm__space *space, u32 size_class) {
  struct shm_class *class = &space->classes[size_class];
  for (int round = 0; round < 2; round++) {
    u64 header_offset = class->free_head;
    if (header_offset == 0) break;
    struct shm_block *block = shm__block_header(space, header_offset + SHM_BLOCK_HEADER_BYTES);
    u64 word = block ? shm_load_acquire(&block->word) : 0;
    if (block && shm__block_state(word) == SHM_BLOCK_FREE && shm_load_relaxed(&block->size_class) == size_class &&
        shm__at(space, header_offset, class_stride(size_class), 16)) {
      class->free_head = *(u64 *)(block + 1);
      SHM_POINT("blocks.popped");
      u32 gen = (shm__block_gen(word) + 1) & SHM_BLOCK_GENERATIONS;
      shm_store_release(&block->word, shm__block_word(SHM_BLOCK_HELD, gen, space->token));
      SHM_POINT("blocks.held");
      shm_store_relaxed(&class->used_blocks, class->used_blocks + 1);
      return (struct shm__ref){header_offset + SHM_BLOCK_HEADER_BYTES, gen};
    }
    rebuild_class(space, size_class, 0); /* a damaged hint: the words are the truth */
  }
  return (struct shm__ref){0, 0};
}

static int alloc_small(struct shm__space *space, u32 size_class, u64 deadline_ns, struct shm__ref *ref) {
  struct shm_class *class = &space->classes[size_class];
  int status = lock_class(space, size_class, deadline_ns);
  if (status != SHM_OK) return status;
  *ref = pop_free(space, size_class);
  if (ref->offset == 0) {
    u64 page;
    status = shm__pages_carve(space, span_pages_of(size_class), size_class, class_stride(size_class),
                              span_blocks_of(size_class), deadline_ns, &page);
    if (status == SHM_OK) {
      u64 first = shm__page_offset(space, page) + SHM_SPAN_PAD_BYTES;
      for (u64 i = span_blocks_of(size_class); i-- > 0;) push_free(space, class, first + i * class_stride(size_class));
      *ref = pop_free(space, size_class);
    }
  }
  shm__unlock(&class->lock);
  return status;
}

static int alloc_huge(struct shm__space *space, u64 pages, u64 deadline_ns, struct shm__ref *ref) {
  u64 page;
  int status = shm__pages_carve(space, pages, SHM_CLASS_HUGE, 0, 1, deadline_ns, &page);
  if (status != SHM_OK) return status;
  *ref = shm__block_ref(space, shm__page_offset(space, page) + SHM_SPAN_PAD_BYTES + SHM_BLOCK_HEADER_BYTES);
  return SHM_OK;
}

/* Give empty spans back to the pool, unless nothing was freed since the last search. */
static void reclaim(struct shm__space *space, u64 deadline_ns) {
  u64 frees = 0;
  for (u32 c = 0; c < SMALL_CLASSES; c++) frees += shm_load_relaxed(&space->classes[c].frees); /* relaxed: a hint */
  if (frees == shm_load_relaxed(&space->pool->frees_seen)) return;
  for (u32 c = 0; c < SMALL_CLASSES; c++) {
    if (lock_class(space, c, deadline_ns) != SHM_OK) continue;
    rebuild_class(space, c, 1);
    shm__unlock(&space->classes[c].lock);
  }
  shm_store_relaxed(&space->pool->frees_seen, frees); /* afterwards: who comes meanwhile must not think it is done */
}

static void free_deferred(struct shm__space *space, u64 every_ns);

int shm__block_alloc(struct shm__space *space, u64 size_bytes, u64 deadline_ns, struct shm__ref *ref) {
  free_deferred(space, DEFERRED_EVERY_NS);
  if (size_bytes > space->size_bytes) return shm__region_full(space, size_bytes);
  u64 stride = shm_max(size_bytes + SHM_BLOCK_HEADER_BYTES, 32);
  u32 size_class = class_for(stride);
  int huge = size_class == SHM_CLASS_HUGE;
  u64 pages = huge ? (stride + SHM_SPAN_PAD_BYTES + SHM_PAGE_BYTES - 1) / SHM_PAGE_BYTES : span_pages_of(size_class);
  for (int reclaimed = 0;;) {
    int status = huge ? alloc_huge(space, pages, deadline_ns, ref) : alloc_small(space, size_class, deadline_ns, ref);
    if (status == SHM_OK && !shm__block_payload(space, *ref, size_bytes)) {
      return shm__fail(SHM_CORRUPTED, "%s: page words or committed_bytes are damaged", space->path);
    }
    if (status != SHM_SPACE_FULL) return status;
    status = shm__region_grow(space, pages * SHM_PAGE_BYTES);
    if (status == SHM_OK) continue;
    if (status != SHM_SPACE_FULL || reclaimed) return status;
    free_deferred(space, 0);
    reclaim(space, deadline_ns);
    reclaimed = 1; /* once more in any case: somebody else may have given back what we need */
  }
}

/* ---- freeing ---------------------------------------------------------------------------------------------------------- */
static int try_free(struct shm__space *space, struct shm__ref ref, u64 deadline_ns) {
  struct shm_block *block = shm__block_header(space, ref.offset);
  if (!block) return SHM_OK;
  u32 size_class = shm_load_relaxed(&block->size_class);
  u64 held = shm__block_word(SHM_BLOCK_HELD, ref.gen, space->token), freed = shm__block_word(SHM_BLOCK_FREE, ref.gen, 0);
  if (size_class == SHM_CLASS_HUGE) {
    u64 start = ref.offset - SHM_SPAN_PAD_BYTES - SHM_BLOCK_HEADER_BYTES - space->pages_offset;
    if (start % SHM_PAGE_BYTES || shm_load_acquire(&block->word) != held) return SHM_OK;
    return shm__pages_release(space, start / SHM_PAGE_BYTES, 0, deadline_ns);
  }
  if (size_class >= SMALL_CLASSES) return SHM_OK; /* a damaged header: leave the block to check() */
  int status = lock_class(space, size_class, deadline_ns);
  if (status != SHM_OK) return status;
  struct shm_class *class = &space->classes[size_class];
  if (shm_cas(&block->word, &held, freed)) {
    SHM_POINT("blocks.freed");
    push_free(space, class, ref.offset - SHM_BLOCK_HEADER_BYTES);
    shm_store_relaxed(&class->used_blocks, class->used_blocks - (class->used_blocks > 0));
    shm_store_relaxed(&class->frees, class->frees + 1);
  }
  shm__unlock(&class->lock);
  return SHM_OK;
}

/* The list of blocks to free later runs through their payloads: offset of the next, generation of this one. */
static void defer_free(struct shm__space *space, struct shm__ref ref) {
  u64 *payload = (u64 *)(space->base + ref.offset);
  u64 head = shm_load_relaxed(&space->deferred);
  payload[1] = ref.gen;
  do {
    payload[0] = head;
  } while (!shm_cas(&space->deferred, &head, ref.offset));
}

/* Not again within every_ns of the last time: the list may be long, and a stopped process stay stopped. */
static void free_deferred(struct shm__space *space, u64 every_ns) {
  if (!shm_load_relaxed(&space->deferred)) return;
  u64 now_ns = shm__monotonic_ns();
  if (now_ns - shm_load_relaxed(&space->deferred_ns) < every_ns) return;
  shm_store_relaxed(&space->deferred_ns, now_ns); /* relaxed: a hint of this process */
  u64 offset = shm_exchange(&space->deferred, 0);
  while (offset) {
    u64 *payload = shm__at(space, offset, 16, 16);
    if (!payload) return;
    struct shm__ref ref = {offset, (u32)payload[1]};
    offset = payload[0];
    if (try_free(space, ref, SHM__TRY) != SHM_OK) defer_free(space, ref);
  }
}

void shm__block_free(struct shm__space *space, struct shm__ref ref) {
  if (ref.offset == 0) return;
  if (try_free(space, ref, SHM__TRY) == SHM_OK) return;
  /* Nobody waits for a stopped process twice. */
  u64 deadline_ns = shm_load_relaxed(&space->deferred) ? SHM__TRY : shm__monotonic_ns() + FREE_PATIENCE_NS;
  if (deadline_ns == SHM__TRY || try_free(space, ref, deadline_ns) != SHM_OK) defer_free(space, ref);
}

/* ---- walking ---------------------------------------------------------------------------------------------------------- */
typedef int visitor(struct shm__space *space, struct shm__ref ref, u64 word, void *context);

static int visit_span(struct shm__space *space, u64 page, u64 blocks, u64 stride, visitor *visit, void *context) {
  u64 first = shm__page_offset(space, page) + SHM_SPAN_PAD_BYTES;
  for (u64 i = 0; i < blocks; i++) {
    struct shm_block *block = (struct shm_block *)(space->base + first + i * stride);
    u64 word = shm_load_acquire(&block->word);
    if (shm__block_state(word) == SHM_BLOCK_FREE) continue;
    struct shm__ref ref = {first + i * stride + SHM_BLOCK_HEADER_BYTES, shm__block_gen(word)};
    if (visit(space, ref, word, context)) return 1;
  }
  return 0;
}

int shm__blocks_walk(struct shm__space *space, u64 deadline_ns, visitor *visit, void *context) {
  u64 top = shm__pages_top(space);
  for (u64 page = 0; page < top; page++) {
    u64 word = shm__page_word(space, page), count = shm__page_count(word);
    if (shm__page_state(word) != SHM_PAGE_SPAN) continue;
    u32 size_class = shm__page_class(word);
    if (count == 0 || count > top - page || (size_class >= SMALL_CLASSES && size_class != SHM_CLASS_HUGE)) continue;
    int huge = size_class == SHM_CLASS_HUGE, status = SHM_OK;
    if (!huge && count != span_pages_of(size_class)) continue;
    u32 *lock = huge ? &space->pool->lock : &space->classes[size_class].lock;
    if (!space->readonly) {
      status = huge ? shm__lock(space, lock, deadline_ns, 0) : lock_class(space, size_class, deadline_ns);
      if (status < 0) return status;
      if (status == SHM__REPAIR) shm__pages_repair(space);
    }
    int stop = shm__page_word(space, page) == word &&
               visit_span(space, page, huge ? 1 : span_blocks_of(size_class), huge ? 0 : class_stride(size_class), visit,
                          context);
    if (!space->readonly) shm__unlock(lock);
    if (stop) return 1;
    page += count - 1;
  }
  return SHM_OK;
}

struct harvest {
  u32 dead, count;
  struct shm__ref found[256];
  u32 who[256];
};

static int gather_dead(struct shm__space *space, struct shm__ref ref, u64 word, void *context) {
  struct harvest *harvest = context;
  u32 who = shm__block_who(word);
  if (shm__block_state(word) != SHM_BLOCK_HELD || !shm__token_gone_with(space, who, harvest->dead)) return 0;
  harvest->who[harvest->count] = who;
  harvest->found[harvest->count++] = ref;
  return harvest->count == sizeof harvest->found / sizeof harvest->found[0];
}

/* Free one of what was found; 1 unless it is still there: damaged, or a stopped process has its lock. */
static int reap_block(struct shm__space *space, struct shm__ref ref, u32 who) {
  struct shm_block *block = shm__block_header(space, ref.offset);
  u64 theirs = shm__block_word(SHM_BLOCK_HELD, ref.gen, who), ours = shm__block_word(SHM_BLOCK_HELD, ref.gen, space->token);
  /* Taken over first, freed outside the walk's locks: dying in between leaves it to our own reaper. */
  if (who == space->token || change_word(space, ref, theirs, ours)) shm__block_free(space, ref);
  return block && shm_load_acquire(&block->word) != ours;
}

int shm__blocks_reap(struct shm__space *space, u32 dead) {
  struct harvest harvest = {.dead = dead};
  for (;;) {
    harvest.count = 0;
    if (dead == space->token) shm_store_relaxed(&space->deferred, 0); /* they are all found here */
    int status = shm__blocks_walk(space, shm__monotonic_ns() + REAP_PATIENCE_NS, gather_dead, &harvest);
    if (status < 0) return status;
    if (harvest.count == 0) return SHM_OK;
    u32 freed = 0;
    for (u32 i = 0; i < harvest.count; i++) freed += (u32)reap_block(space, harvest.found[i], harvest.who[i]);
    if (freed == 0) return SHM_TIMEOUT;
  }
}

u64 shm__blocks_used_bytes(const struct shm__space *space) {
  u64 used = 0, spans = 0;
  for (u32 c = 0; c < SMALL_CLASSES; c++) used += shm_load_relaxed(&space->classes[c].used_blocks) * class_stride(c);
  u64 top = shm__pages_top(space);
  for (u64 page = 0; page < top; page++) {
    u64 word = shm__page_word(space, page), count = shm__page_count(word);
    if (shm__page_state(word) != SHM_PAGE_SPAN || count == 0 || count > top - page) continue;
    if (shm__page_class(word) == SHM_CLASS_HUGE) spans += count * SHM_PAGE_BYTES;
    page += count - 1;
  }
  return used + spans;
}
