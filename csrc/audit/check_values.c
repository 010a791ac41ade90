/* check_values.c: queues and tuple spaces. */
#include "../core/members.h"
#include "../types/queue.h"
#include "../types/tuples_shard.h"
#include "audit.h"

struct value_check {
  struct shm__audit *audit;
  const char *name;
  u64 segment; /* the one that was met last */
};

static void check_cell(struct shm__fifo *fifo, u64 segment, struct shm_cell *cell, u64 index, void *context) {
  struct value_check *check = context;
  u64 word = shm_load_acquire(&cell->word), offset = shm__offset_of(fifo->space, cell);
  u32 state = shm__cell_state(word);
  if (segment != check->segment && segment != fifo->embedded) {
    shm__reach(check->audit, check->name, shm__block_ref(fifo->space, segment), fifo->id);
  }
  check->segment = segment;
  if (state == SHM_VALUE_FREE) return;
  if (state == SHM_VALUE_HELD && !shm__token_alive(fifo->space, shm__cell_token(word))) {
    shm__report(check->audit, check->name, offset, "value %llu is held by a dead member (token %u)", (unsigned long long)index,
                shm__cell_token(word));
  }
  if (cell->block) {
    shm__reach(check->audit, check->name, (struct shm__ref){cell->block, cell->block_gen}, fifo->id);
  } else if (cell->length_bytes > SHM_INLINE_BYTES) {
    shm__report(check->audit, check->name, offset, "value %llu has an impossible length", (unsigned long long)index);
  }
}

static void check_waiters(struct shm__audit *audit, const char *name, struct shm__fifo *fifo) {
  u64 left = audit->space->size_bytes / sizeof(struct shm_waiter);
  for (u64 at = shm_load_acquire(&fifo->line->first); at;) {
    struct shm_waiter *waiter = shm__block_header(audit->space, at) ? shm__at(audit->space, at, sizeof *waiter, 16) : NULL;
    if (!waiter || left-- == 0) {
      shm__report(audit, name, at, "the line of waiters is damaged");
      return;
    }
    if (!shm__token_alive(audit->space, waiter->owner)) {
      shm__report(audit, name, at, "a waiter belongs to a dead member (token %u)", waiter->owner);
    }
    at = shm_load_acquire(&waiter->next);
  }
}

static void check_fifo(struct shm__audit *audit, const char *name, struct shm__fifo *fifo) {
  struct value_check check = {.audit = audit, .name = name};
  shm__fifo_walk(fifo, UINT64_MAX, check_cell, &check);
  check_waiters(audit, name, fifo);
}

void shm__check_queue(struct shm__audit *audit, const char *name, u64 main) {
  struct shm__queue queue;
  if (shm__queue_bind(audit->space, main, &queue) != SHM_OK) {
    shm__report(audit, name, main, "%s", shm__error_text());
    return;
  }
  for (u32 n = 0; n < SHM__LANES; n++) {
    struct shm__lane *lane = &queue.lane[n];
    u64 offset = shm__offset_of(audit->space, lane->shared), tail = shm_load_acquire(&lane->fifo.in->tail);
    shm__check_lock_word(audit, name, &lane->shared->put_lock, "a put lock");
    shm__check_lock_word(audit, name, &lane->shared->take_lock, "a take lock");
    u64 finished = shm_load_acquire(&lane->shared->finished);
    if (finished > tail) {
      shm__report(audit, name, offset, "%llu values are done with, of %llu", (unsigned long long)finished,
                  (unsigned long long)tail);
    }
    check_fifo(audit, name, &lane->fifo);
  }
}

static void check_shard(struct shm__audit *audit, const char *name, struct shm__tuples *tuples, struct shm__shard *shard) {
  u64 left = audit->space->size_bytes / sizeof(struct shm_tuple);
  u32 keys = 0;
  shm__check_lock_word(audit, name, &shard->shared->put_lock, "a put lock");
  shm__check_lock_word(audit, name, &shard->shared->take_lock, "a take lock");
  u64 buckets = shm_load_acquire(&shard->shared->buckets);
  if (buckets) shm__reach(audit, name, shm__block_ref(audit->space, buckets), tuples->id);
  for (u64 at = shm_load_acquire(&shard->shared->first); at; keys++) {
    struct shm_key *entry = shm__table_entry(shard, at);
    struct shm__fifo fifo;
    if (!entry || left-- == 0 || !shm__tuples_fifo(tuples, shard, at, &fifo)) {
      shm__report(audit, name, at, "a list of keys is damaged");
      return;
    }
    shm__reach(audit, name, shm__block_ref(audit->space, at), tuples->id);
    check_fifo(audit, name, &fifo);
    at = shm_load_acquire(&entry->next);
  }
  if (keys != shm_load_relaxed(&shard->shared->keys)) {
    shm__report(audit, name, shm__offset_of(audit->space, shard->shared), "a shard counts %u keys, has %u", shard->shared->keys,
                keys);
  }
}

void shm__check_tuples(struct shm__audit *audit, const char *name, u64 main) {
  struct shm__tuples tuples;
  if (shm__tuples_bind(audit->space, main, &tuples) != SHM_OK) {
    shm__report(audit, name, main, "%s", shm__error_text());
    return;
  }
  for (u32 n = 0; n < tuples.shard_count; n++) {
    struct shm__shard shard = shm__tuples_shard(&tuples, n);
    check_shard(audit, name, &tuples, &shard);
  }
}
