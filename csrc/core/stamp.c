/* stamp.c: see stamp.h. Dying before the compare-and-swap takes nothing, after it leaves a gap: stamps only rise. */
#include "stamp.h"

#include "../base/bits.h"
#include "../os/clock.h"

u64 shm__stamp(struct shm__space *space) {
  u64 last = shm_load_relaxed(&space->header->stamp_ns); /* relaxed: the compare-and-swap decides */
  for (;;) {
    u64 next = shm_max(shm__realtime_ns(), last + 1);
    if (shm_cas(&space->header->stamp_ns, &last, next)) return next;
  }
}
