/* patience.c: how long to spin before sleeping. A spin that ends with something costs less than a sleep; one that ends with
 * nothing takes the CPU from others. So it is long while it pays and short while it does not, and with one CPU there is none.
 */
#include "patience.h"

#include "../os/wait.h"

enum {
  SPIN_MOST = 2000, /* rounds, some 20 ns each */
  SPIN_LEAST = 20,
  SPIN_PAYS_NS = 30000,
  TRY_EVERY = 32, /* naps */
  NEAR_ROUNDS = 16,
  NEAR_TIMES = 16,
  HANG_BACK_ROUNDS = 64,
  YIELD_AFTER = 128,
  YIELD_EVERY = 64
};

/* One who catches up with a stream at every message pays for each cache line twice. If that happened NEAR_TIMES in a row,
 * and we send nothing ourselves (so nobody waits for our answer), hang back for about a microsecond: the other side gets
 * some messages ahead, and both run at full speed. */
static void hang_back(struct shm__space *space, struct shm__patience *patience) {
  u32 sends = shm_load_relaxed(&space->sends);
  if (sends != shm_load_relaxed(&patience->sends_seen)) shm_store_relaxed(&patience->near, 0);
  shm_store_relaxed(&patience->sends_seen, sends);
  if (shm_load_relaxed(&patience->near) < NEAR_TIMES) return;
  shm_store_relaxed(&patience->near, NEAR_TIMES / 2);
  for (int round = 0; round < HANG_BACK_ROUNDS; round++) shm_pause();
}

int shm__spin(struct shm__space *space, struct shm__patience *patience, int (*look)(void *context), void *context) {
  if (space->cpus < 2) return look(context);
  hang_back(space, patience);
  u32 most = shm_load_relaxed(&patience->sleepy) ? SPIN_LEAST : SPIN_MOST;
  for (u32 round = 0; round < most; round++) {
    int status = look(context);
    if (status != SHM_EMPTY) {
      shm_store_relaxed(&patience->near, round < NEAR_ROUNDS ? shm_load_relaxed(&patience->near) + 1 : 0);
      shm_store_relaxed(&patience->sleepy, round > YIELD_AFTER); /* it needed our CPU: rather sleep */
      return status;
    }
    shm_pause();
    if (round > YIELD_AFTER && round % YIELD_EVERY == 0) shm__yield(); /* the other side may want this very CPU */
  }
  shm_store_relaxed(&patience->near, 0);
  shm_store_relaxed(&patience->sleepy, 1);
  return SHM_EMPTY;
}

void shm__learn(struct shm__patience *patience, u64 waited_ns) {
  u32 naps = shm_load_relaxed(&patience->naps) + 1;
  shm_store_relaxed(&patience->naps, naps);
  shm_store_relaxed(&patience->sleepy, waited_ns > SPIN_PAYS_NS || naps % TRY_EVERY != 0); /* now and then, spin once more */
}

void shm__patience_sends(struct shm__space *space, struct shm__patience *patience) {
  u32 sends = shm_load_relaxed(&space->sends) + 1; /* a lost one is harmless */
  shm_store_relaxed(&space->sends, sends);
  shm_store_relaxed(&patience->sends_seen, sends);
}
