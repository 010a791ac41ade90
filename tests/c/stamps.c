/* Time stamps rise strictly, over all members and whatever their clocks do: no two are the same, each is larger than every
 * one that was had before it, and none is behind the clock.
 *
 * Runs: processes, threads
 * Link: --wrap=shm__realtime_ns --wrap=shm__realtime_tick_ns
 */
#include "harness.h"

enum { WORKERS = 4, EACH = 20000, TURNS = 2000 };

static u64 *stamps;
static u32 *turn;
static __thread struct chance clock_chance;

u64 __real_shm__realtime_ns(void);
u64 __wrap_shm__realtime_ns(void);
u64 __wrap_shm__realtime_tick_ns(void);

/* A clock that somebody sets back or forward by up to a minute now and then. */
u64 __wrap_shm__realtime_ns(void) {
  u64 now = __real_shm__realtime_ns();
  if (clock_chance.state == 0 || below(&clock_chance, 3)) return now;
  return now + below(&clock_chance, 120 * SECONDS) - 60 * SECONDS;
}

u64 __wrap_shm__realtime_tick_ns(void) { return __wrap_shm__realtime_ns(); }

static int compare(const void *a, const void *b) {
  u64 x = *(const u64 *)a, y = *(const u64 *)b;
  return x < y ? -1 : x > y;
}

static void take_turns(shm_space *space, u32 index) {
  for (u32 n = index; n < TURNS; n += WORKERS) {
    u64 deadline_ns = in_ns(LONG);
    while (shm_load_acquire(turn) != n) {
      CHECK(shm_monotonic_ns() < deadline_ns);
      shm_nap_ns(1000);
    }
    stamps[n] = shm_space_stamp(space);
    if (n) CHECK(stamps[n] > stamps[n - 1]);
    shm_add(turn, 1);
  }
}

static void work(u32 index, void *context) {
  shm_space *space = join_space();
  (void)context;
  clock_chance = chance_for(index);
  take_turns(space, index);
  meet(turn + 1, WORKERS);
  u64 *mine = stamps + index * EACH, last = 0;
  for (u32 i = 0; i < EACH; i++) {
    u64 earliest = __real_shm__realtime_ns() - 60 * SECONDS;
    mine[i] = shm_space_stamp(space);
    CHECK(mine[i] > last && mine[i] >= earliest);
    last = mine[i];
  }
  clock_chance.state = 0;
  leave_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  stamps = shared_memory(WORKERS * EACH * sizeof *stamps);
  turn = shared_memory(2 * sizeof *turn);
  shm_space *space = make_space(1 << 20, 8);
  run_workers(WORKERS, work, NULL);
  qsort(stamps, WORKERS * EACH, sizeof *stamps, compare);
  for (u32 i = 1; i < WORKERS * EACH; i++) CHECK(stamps[i] > stamps[i - 1]);
  u64 ahead = __real_shm__realtime_ns() + 1000 * SECONDS; /* somebody's clock was far ahead once */
  shm_store_relaxed(&space->header->stamp_ns, ahead);
  SAME(shm_space_stamp(space), ahead + 1);
  SAME(shm_space_stamp(space), ahead + 2);
  end_space(space);
  return 0;
}
