/* wake.c: event words.
 *
 * A word holds two flags and a count that every event with a flag set advances. Sleeping:
 *     announce (set SLEEPERS), full fence, look at the condition, futex_wait(word, announced value)
 * Waking:
 *     publish the condition, full fence, look for flags; if set: advance the word, futex_wake
 *
 * Invariants
 *   1. A sleeper in the kernel's queue was announced when it went to sleep: the word then had SLEEPERS set, and was the
 *      value announced (futex_wait compares under the kernel's own lock).
 *   2. SLEEPERS is cleared only together with advancing the word, and everybody who slept before is woken afterwards:
 *      so nobody sleeps unannounced. It is cleared when a wake-up found fewer sleepers than it looked for.
 *   3. Doubling a wake-up is harmless: the condition is looked at again. Losing one costs a nap (at most 100 ms).
 *
 * Crash table (died after ...)
 *   publishing, before the flags are looked at ("wake.published")  sleepers' naps end within 100 ms
 *   advancing the word, before the wake-up ("wake.advanced")       as above
 *   clearing SLEEPERS, before the second wake-up ("wake.cleared")  as above
 *   clearing BELLS or a bell map, before ringing ("wake.bells")    event loops look again every 100 ms
 *   announcing ("wake.announced")                                  one useless wake-up, which clears the flag
 *
 * Model: tests/model/wake.pml.
 */
#include "wake.h"

#include <limits.h>

#include "../base/point.h"
#include "../os/wait.h"
#include "members.h"

u32 shm__event_announce(struct shm__event event) {
  u32 value = shm_or(event.word, SHM_EVENT_SLEEPERS) | SHM_EVENT_SLEEPERS;
  shm_fence_after_rmw(); /* SYNC wake */
  SHM_POINT("wake.announced");
  return value;
}

void shm__event_arm_bell(struct shm__space *space, struct shm__event event) {
  shm_or(&event.bells[space->slot / 64], 1ull << space->slot % 64);
  shm_or(event.word, SHM_EVENT_BELLS);
  shm_fence_after_rmw(); /* SYNC wake */
}

static void ring_bells(struct shm__space *space, struct shm__event event) {
  shm_and(event.word, ~(u32)SHM_EVENT_BELLS);
  for (u32 word = 0; word * 64 < space->member_count; word++) {
    if (shm_load_relaxed(&event.bells[word]) == 0) continue; /* relaxed: an armer sets the flag after its bit */
    u64 bits = shm_exchange(&event.bells[word], 0);
    SHM_POINT("wake.bells");
    for (; bits; bits &= bits - 1) shm__member_ring(space, word * 64 + (u32)__builtin_ctzll(bits));
  }
}

void shm__event_notify_slow(struct shm__space *space, struct shm__event event, u32 count) {
  SHM_POINT("wake.published");
  u32 value = shm_load_relaxed(event.word);
  if (value & SHM_EVENT_BELLS) ring_bells(space, event);
  if (!(value & SHM_EVENT_SLEEPERS)) return;
  value = shm_add(event.word, SHM_EVENT_STEP) + SHM_EVENT_STEP;
  SHM_POINT("wake.advanced");
  if (shm__futex_wake(event.word, count) >= count && count != UINT32_MAX) return; /* others may sleep on */
  /* Invariant 2: whoever slept on the value before this step is woken by the second call. */
  if (!shm_cas(event.word, &value, (value + SHM_EVENT_STEP) & ~(u32)SHM_EVENT_SLEEPERS)) return;
  SHM_POINT("wake.cleared");
  shm__futex_wake(event.word, INT_MAX);
}
