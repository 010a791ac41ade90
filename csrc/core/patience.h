/* patience.h: how long to spin before sleeping; see patience.c. */
#ifndef SHM_CORE_PATIENCE_H
#define SHM_CORE_PATIENCE_H

#include "space.h"

/* What a handle has learned. All are hints of this process, whichever thread has them: relaxed. */
struct shm__patience {
  u32 sleepy, naps;     /* spinning did not pay the last time; sleeps so far */
  u32 near, sends_seen; /* how often in a row the other side was just behind; see hang_back */
};

/* Spin while look says SHM_EMPTY: for long when that paid the last time, else for a moment. What look said last. */
int shm__spin(struct shm__space *space, struct shm__patience *patience, int (*look)(void *context), void *context);

/* We slept so long. */
void shm__learn(struct shm__patience *patience, u64 waited_ns);

/* How long to sleep now. Naps of all end together, on multiples of their length: an idle machine wakes ten times a second,
 * however many sleep. Who may only read cannot announce that he sleeps, so nobody wakes him: he looks more often. */
enum { SHM__NAP_NS = 100000000, SHM__READONLY_NAP_NS = 1000000 };
static inline u64 shm__nap_length_ns(const struct shm__space *space, u64 now_ns, u64 deadline_ns) {
  u64 nap_ns = space->readonly ? SHM__READONLY_NAP_NS : SHM__NAP_NS - now_ns % SHM__NAP_NS;
  return nap_ns < deadline_ns - now_ns ? nap_ns : deadline_ns - now_ns;
}

/* Of all who wait for something one in each period looks after the dead: 1 if that is we. *last_ns: when somebody did. */
static inline int shm__our_turn(u64 *last_ns, u64 period_ns, u64 now_ns) {
  u64 before_ns = shm_load_relaxed(last_ns); /* relaxed: the compare-and-swap decides */
  return now_ns - before_ns >= period_ns && shm_cas(last_ns, &before_ns, now_ns);
}

/* We are about to send. */
void shm__patience_sends(struct shm__space *space, struct shm__patience *patience);

#endif
