/* tuples_look.c: looking into a tuple space; without a lock where it may only be read.
 *
 * Entries come and go meanwhile: what was found counts if the shard's changes are the same before and behind. A value found
 * without a change of those is judged by its fifo (fifo_look.c). Who dies in the middle of a change leaves them odd until
 * somebody who may write comes by: then there is nothing to be seen, SHM_BUSY.
 */
#include <stdlib.h>

#include "tuples_shard.h"

enum { ROUNDS = 1000 };

struct sight {
  struct shm__shard shard;
  struct shm__fifo fifo;
  u64 changes, entry;
};

static int find(struct shm__tuples *tuples, const struct shm__key *key, struct sight *sight) {
  sight->shard = shm__tuples_shard_of(tuples, key);
  if (!shm__table_steady(&sight->shard, &sight->changes)) return 0;
  sight->entry = shm__table_find(&sight->shard, key);
  if (sight->entry && !shm__tuples_fifo(tuples, &sight->shard, sight->entry, &sight->fifo)) sight->entry = 0;
  return 1;
}

int shm__tuples_look(struct shm__tuples *tuples, const struct shm__key *key, struct shm__value *value, u8 **copy) {
  struct sight sight;
  for (u32 round = 0; round < ROUNDS; round++) {
    if (!find(tuples, key, &sight)) continue;
    int status = sight.entry ? shm__fifo_look(&sight.fifo, value, copy) : SHM_EMPTY;
    if (shm__table_unchanged(&sight.shard, sight.changes) && status != SHM_BUSY) return status;
    shm_pause();
  }
  return SHM_BUSY;
}

int shm__tuples_count(struct shm__tuples *tuples, const struct shm__key *key, u64 *values, u64 *waiting) {
  struct shm__shard shard = shm__tuples_shard_of(tuples, key);
  struct sight sight;
  int locked = !tuples->space->readonly, status = locked ? shm__tuples_lock_to_end(shm__tuples_lock_take, tuples, &shard) : SHM_OK;
  if (status != SHM_OK) return status;
  status = SHM_BUSY;
  for (u32 round = 0; round < ROUNDS && status == SHM_BUSY; round++) {
    if (!find(tuples, key, &sight)) continue;
    *values = sight.entry ? shm__fifo_length(&sight.fifo) : 0;
    *waiting = sight.entry ? shm__waiters_count(&sight.fifo) : 0;
    if (shm__table_unchanged(&sight.shard, sight.changes)) status = SHM_OK;
  }
  if (locked) shm__unlock(&shard.shared->take_lock);
  return status;
}
