/* stamp.c: the clock of a space, and time stamps.
 *
 * Time is the kernel's boot clock, which never steps, and an offset in the region that makes it the time since the epoch. The
 * offset only rises: where the time of day is set forward the first one to notice raises it for all, where it is set back
 * stamps run ahead until it has come after.
 *
 * Stamps of the whole space are drawn from one word. Stamps apart need none: those of a part have a remainder of their own
 * modulo the number of parts, so no two are the same; and whoever begins when another stamp has been given reads a later
 * clock, by more than a stamp is ahead of it (less than SHM__STAMP_PARTS ns).
 *
 * Dying before the compare-and-swap takes nothing, after it leaves a gap: stamps only rise.
 */
#include "stamp.h"

#include "../base/bits.h"
#include "../os/clock.h"

enum { STEP_NS = 20000000 }; /* the clock's last tick may be some milliseconds old */

u64 shm__space_clock(const struct shm__space *space) { return shm__boottime_ns() - space->clock_shift_ns; }

/* The best of some tries: between two looks at clocks we may be put aside. */
u64 shm__clock_offset(u64 shift_ns) {
  u64 offset = 0, shortest_ns = UINT64_MAX;
  for (int i = 0; i < 5; i++) {
    u64 before_ns = shm__boottime_ns(), now_ns = shm__realtime_ns(), took_ns = shm__boottime_ns() - before_ns;
    if (took_ns >= shortest_ns) continue;
    shortest_ns = took_ns;
    offset = now_ns - (before_ns + took_ns / 2 - shift_ns);
  }
  return offset;
}

static u64 now_of(struct shm__space *space) {
  u64 offset = shm_load_acquire(&space->header->clock_offset), clock_ns = shm__space_clock(space);
  if (__builtin_expect((int64_t)(shm__realtime_tick_ns() - (clock_ns + offset)) < STEP_NS, 1)) return clock_ns + offset;
  u64 raised = shm__clock_offset(space->clock_shift_ns);
  while ((int64_t)(raised - offset) > 0 && !shm_cas(&space->header->clock_offset, &offset, raised)) {
  }
  return clock_ns + shm_max(offset, raised);
}

u64 shm__stamp(struct shm__space *space) {
  u64 last = shm_load_relaxed(&space->header->stamp_ns), next; /* relaxed: the compare-and-swap decides */
  do {
    next = shm_max(now_of(space), last + 1);
  } while (!shm_cas(&space->header->stamp_ns, &last, next));
  return next;
}

u64 shm__stamp_apart(struct shm__space *space, u64 *last, u32 part, u32 parts) {
  u64 next = shm_max(now_of(space), *last + 1);
  next += (part - next) & (parts - 1);
  *last = next;
  return next;
}
