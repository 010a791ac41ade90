/* check_log.c: logs and sharded logs. */
#include "../types/log.h"
#include "audit.h"

static void check_slot(struct shm__audit *audit, const char *name, struct shm__log *log, u64 i) {
  struct shm_record *slot = shm__log_slot(log, i);
  u64 word = shm_load_acquire(&slot->word), offset = shm__offset_of(audit->space, slot),
      tail = shm_load_acquire(&log->shared->tail);
  u64 index = word / 2 - 1;
  if (word == 0) return;
  if (index % (2 * log->segment) != i) {
    shm__report(audit, name, offset, "record %llu is in slot %llu", (unsigned long long)index, (unsigned long long)i);
  } else if (index >= tail) {
    shm__report(audit, name, offset, "record %llu is there, and the next is %llu", (unsigned long long)index,
                (unsigned long long)tail);
  }
  if (word & SHM_RECORD_DELETED) return;
  if (slot->block) {
    shm__reach(audit, name, (struct shm__ref){slot->block, slot->block_gen}, log->id);
  } else if ((u64)slot->key_bytes + slot->data_bytes > SHM_RECORD_INLINE) {
    shm__report(audit, name, offset, "record %llu has an impossible length", (unsigned long long)index);
  }
}

static void check_shard(struct shm__audit *audit, const char *name, struct shm__log *log) {
  struct shm_log_shard *shared = log->shared;
  u64 offset = shm__offset_of(audit->space, shared), first = shm_load_acquire(&shared->first),
      tail = shm_load_acquire(&shared->tail);
  shm__check_lock_word(audit, name, &shared->lock, "its lock");
  if (shared->slots_block) shm__reach(audit, name, (struct shm__ref){shared->slots_block, shared->slots_gen}, log->id);
  if (!shm__log_has_slots(log)) {
    if (shm_load_acquire(&shared->slots) || tail) shm__report(audit, name, offset, "the memory of its records is damaged");
    return;
  }
  for (u64 i = 0; i < 2 * log->segment; i++) check_slot(audit, name, log, i);
  u64 records = shared->records[0] + shared->records[1];
  if (records > (tail > first ? tail - first : 0)) {
    shm__report(audit, name, offset, "it counts %llu records, has at most %llu", (unsigned long long)records,
                (unsigned long long)(tail > first ? tail - first : 0));
  }
}

void shm__check_log(struct shm__audit *audit, const char *name, u64 main) {
  struct shm__log log;
  for (u32 n = 0; n == 0 || n < log.main->shards; n++) {
    if (shm__log_bind(audit->space, main, n, &log) != SHM_OK) {
      shm__report(audit, name, main, "%s", shm__error_text());
      return;
    }
    check_shard(audit, name, &log);
  }
}
