/* clock.c: see clock.h. */
#include "clock.h"

#include <stdio.h>
#include <time.h>

static u64 read_clock(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (u64)now.tv_sec * 1000000000ull + (u64)now.tv_nsec;
}

u64 shm__monotonic_ns(void) { return read_clock(CLOCK_MONOTONIC); }

u64 shm__boottime_ns(void) { return read_clock(CLOCK_BOOTTIME); }

u64 shm__boottime_shift_ns(void) {
  FILE *file = fopen("/proc/self/timens_offsets", "re");
  long long seconds = 0, ns = 0;
  char line[128];
  while (file && fgets(line, sizeof line, file)) {
    if (sscanf(line, "boottime %lld %lld", &seconds, &ns) == 2) break;
  }
  if (file) fclose(file);
  return (u64)(seconds * 1000000000 + ns);
}

u64 shm__realtime_ns(void) { return read_clock(CLOCK_REALTIME); }

u64 shm__monotonic_tick_ns(void) { return read_clock(CLOCK_MONOTONIC_COARSE); }

u64 shm__realtime_tick_ns(void) { return read_clock(CLOCK_REALTIME_COARSE); }
