/* fifo_look.c: the oldest value of a fifo, read without a lock, as in a space that may only be read.
 *
 * Others work meanwhile, and any memory may become something else. So what is read counts only if the cell's word is the same
 * before and behind the copy: READY with the value's index. It leaves that state before anything of the value changes.
 */
#include <stdlib.h>

#include "fifo.h"

enum { ROUNDS = 64 };

/* Copy what lies in a cell. SHM_OK: it counts if the word is unchanged. */
static int copy_cell(const struct shm__fifo *fifo, const struct shm_cell *cell, struct shm__value *value, u8 **copy) {
  value->length_bytes = shm_load_relaxed(&cell->length_bytes);
  value->codec = shm_load_relaxed(&cell->codec);
  value->block = (struct shm__ref){shm_load_relaxed(&cell->block), shm_load_relaxed(&cell->block_gen)};
  if (!value->block.offset) {
    if (value->length_bytes > SHM_INLINE_BYTES) return SHM_CORRUPTED;
    shm_copy_racing(value->data, cell->data, value->length_bytes);
    return SHM_OK;
  }
  const u8 *bytes = value->length_bytes <= fifo->longest_bytes ? shm__block_payload(fifo->space, value->block, value->length_bytes)
                                                               : NULL;
  if (!bytes) return SHM_CORRUPTED;
  u8 *grown = realloc(*copy, value->length_bytes);
  if (!grown) return shm__fail(SHM_SPACE_FULL, "no memory for a value of %llu bytes", (unsigned long long)value->length_bytes);
  *copy = grown;
  shm_copy_racing(grown, bytes, value->length_bytes);
  return SHM_OK;
}

/* One walk from head on. SHM_BUSY: it met something that was changing. */
static int look_once(const struct shm__fifo *fifo, struct shm__value *value, u8 **copy) {
  const struct shm_fifo_out *out = fifo->out;
  u64 head = shm_load_acquire(&out->head), start = shm_load_acquire(&out->current), index = head, at = start;
  u64 left = fifo->space->size_bytes / sizeof(struct shm_cell);
  while (left-- > 0) {
    u32 cells;
    const struct shm_segment *segment = shm__segment_at(fifo, at, &cells);
    if (!segment) return SHM_BUSY;
    const struct shm_cell *cell = (const struct shm_cell *)(segment + 1) +
                                  ((index - shm_load_relaxed(&segment->base)) & (cells - 1));
    u64 word = shm_load_acquire(&cell->word); /* SYNC fifo.publish */
    if (word == shm__cell_word(index, SHM_VALUE_READY, 0)) {
      int status = copy_cell(fifo, cell, value, copy);
      shm_fence_acquire(); /* SYNC fifo.done: the copy is made before the word is looked at again */
      return shm_load_relaxed(&cell->word) == word ? status : SHM_BUSY;
    }
    u64 next = shm_load_acquire(&segment->next); /* SYNC fifo.segment */
    const struct shm_segment *after = next ? shm__segment_at(fifo, next, &cells) : NULL;
    if (next && !after) return SHM_BUSY;
    if (after && (int64_t)(index - shm_load_relaxed(&after->base)) >= 0) {
      at = next;
      continue;
    }
    int32_t age = shm__cell_age(word, index);
    if (age < 0 || (age == 0 && shm__cell_state(word) == SHM_VALUE_FREE)) {
      if (after && shm_load_acquire(&cell->word) != word) return SHM_BUSY;
      if (after) { /* what lay between them has been let go of; see find_ready */
        at = next;
        index = shm_load_relaxed(&after->base);
        continue;
      }
      return shm_load_acquire(&out->head) == head && shm_load_acquire(&out->current) == start ? SHM_EMPTY : SHM_BUSY;
    }
    index++; /* held by somebody, or taken */
  }
  return SHM_BUSY;
}

int shm__fifo_look(const struct shm__fifo *fifo, struct shm__value *value, u8 **copy) {
  for (u32 round = 0; round < ROUNDS; round++) {
    int status = look_once(fifo, value, copy);
    if (status != SHM_BUSY) return status;
    shm_pause();
  }
  return SHM_BUSY;
}
