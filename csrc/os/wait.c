/* wait.c: see wait.h. */
#define _GNU_SOURCE
#include "wait.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum shm__wait_result shm__futex_wait(u32 *word, u32 expected, u64 nap_ns) {
  struct timespec nap = {.tv_sec = (time_t)(nap_ns / 1000000000ull), .tv_nsec = (long)(nap_ns % 1000000000ull)};
  /* FUTEX_WAIT takes a relative time of CLOCK_MONOTONIC. */
  if (syscall(SYS_futex, word, FUTEX_WAIT, expected, &nap, NULL, 0) == 0) return SHM__WAIT_WOKEN;
  if (errno == ETIMEDOUT) return SHM__WAIT_TIMEOUT;
  if (errno == EINTR) return SHM__WAIT_SIGNAL;
  return SHM__WAIT_WOKEN; /* EAGAIN: the word had changed already */
}

u32 shm__futex_wake(u32 *word, u32 count) {
  long woken = syscall(SYS_futex, word, FUTEX_WAKE, count > INT_MAX ? INT_MAX : (int)count, NULL, NULL, 0);
  return woken > 0 ? (u32)woken : 0;
}

u32 shm__usable_cpus(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 2; /* more than 1,024 CPUs */
  return (u32)CPU_COUNT(&set);
}

void shm__yield(void) { sched_yield(); }

void shm__nap_ns(u64 nap_ns) {
  struct timespec nap = {.tv_sec = (time_t)(nap_ns / 1000000000ull), .tv_nsec = (long)(nap_ns % 1000000000ull)};
  nanosleep(&nap, NULL);
}
