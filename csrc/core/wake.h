/* wake.h: event words: sleeping until something may have changed, without lost wake-ups. See wake.c. */
#ifndef SHM_CORE_WAKE_H
#define SHM_CORE_WAKE_H

#include "space.h"

/* An event of a structure: its word, and the map of members whose event loop waits for it. */
struct shm__event {
  u32 *word;
  u64 *bells;
};

/* Announce that the caller is going to sleep; the value to sleep on. Look at the condition again before sleeping. */
u32 shm__event_announce(struct shm__event event);

/* Announce that this member's event loop waits: its bell is rung once. Look at the condition again afterwards. */
void shm__event_arm_bell(struct shm__space *space, struct shm__event event);

void shm__event_notify_slow(struct shm__space *space, struct shm__event event, u32 count);

/* Wake up to count sleepers. The caller has published the change and then done a full fence (an unlock is one). */
static inline void shm__event_notify(struct shm__space *space, struct shm__event event, u32 count) {
  /* SYNC wake: look for announcements behind the fence; the partner announces, fences, looks at the condition */
  if (__builtin_expect(shm_load_relaxed(event.word) & (SHM_EVENT_SLEEPERS | SHM_EVENT_BELLS), 0)) {
    shm__event_notify_slow(space, event, count);
  }
}

#endif
