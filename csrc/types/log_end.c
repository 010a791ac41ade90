/* log_end.c: what becomes of a log when members die, when it is deleted, and when all are to wake up; see log.c. */
#include "../core/recover.h"
#include "log.h"

/* Call visit for every shard of the log at main. */
static void each_shard(struct shm__space *space, u64 main, void (*visit)(struct shm__log *log, void *context), void *context) {
  struct shm__log log;
  for (u32 n = 0; shm__log_bind(space, main, n, &log) == SHM_OK; n++) {
    visit(&log, context);
    if (n + 1 >= log.main->shards) return;
  }
}

static void inherit(struct shm__log *log, void *context) {
  int *status = context;
  int one = shm__log_lock_to_end(log); /* what the dead was about to do is finished by whoever has it next */
  if (one == SHM_OK) shm__unlock(&log->shared->lock);
  else *status = SHM_TIMEOUT; /* a stopped process is in the way: come again */
}

static int recover(struct shm__space *space, u64 main, u32 dead) {
  int status = SHM_OK;
  (void)dead;
  each_shard(space, main, inherit, &status);
  return status;
}

static void drop_all(struct shm__log *log, void *context) {
  (void)context;
  if (shm__log_has_slots(log)) {
    for (u64 i = 0; i < 2 * log->segment; i++) {
      struct shm_record *slot = shm__log_slot(log, i);
      if (slot->block) shm__block_drop(log->space, (struct shm__ref){slot->block, slot->block_gen}, log->id);
    }
  }
  struct shm_log_shard *shared = log->shared;
  if (shared->slots_block) shm__block_drop(log->space, (struct shm__ref){shared->slots_block, shared->slots_gen}, log->id);
}

static void teardown(struct shm__space *space, u64 main) { each_shard(space, main, drop_all, NULL); }

static void notify(struct shm__log *log, void *context) {
  (void)context;
  shm_fence_full(); /* SYNC wake */
  shm__event_notify(log->space, log->event, UINT32_MAX);
}

static void wake(struct shm__space *space, u64 main) { each_shard(space, main, notify, NULL); }

static void retire(struct shm__space *space, u64 main) {
  struct shm__log log;
  if (shm__log_bind(space, main, 0, &log) != SHM_OK) return;
  shm_store_release(&log.main->life, SHM_LIFE_DELETED);
  wake(space, main);
}

void shm__log_wake(struct shm__log *log) { notify(log, NULL); }

const struct shm__type shm__log_type = {SHM_KIND_LOG, recover, teardown, retire, wake, NULL};
const struct shm__type shm__sharded_log_type = {SHM_KIND_SHARDED_LOG, recover, teardown, retire, wake, NULL};
