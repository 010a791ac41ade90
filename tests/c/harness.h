/* harness.h: what the test programs of this directory share.
 *
 * A program is started as "program MODE DIRECTORY NAME": it may make one space, DIRECTORY/shmspace.NAME, and destroys it.
 * MODE says what its workers are: processes, or threads of one process that open the space once each. Exit status 0 is a
 * pass, SKIPPED says that it cannot run here, everything else where and why it failed. Chance comes from SHMSPACE_SEED,
 * which a failure prints.
 */
#ifndef SHM_TEST_HARNESS_H
#define SHM_TEST_HARNESS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../csrc/core/space.h"
#include "../../csrc/include/shmspace.h"

enum { SKIPPED = 77 };

#define MS 1000000ull
#define SECONDS 1000000000ull
#define LONG (30 * SECONDS) /* nothing that works takes so long */

static const char *test_directory, *test_name;
static int as_threads;
static u64 test_seed;

/* ---- saying what went wrong ------------------------------------------------------------------------------------------- */
__attribute__((noreturn, format(printf, 3, 4), unused)) static void fail_at(const char *file, int line, const char *format,
                                                                            ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  fprintf(stderr, "%s:%d: %s (pid %d, SHMSPACE_SEED=%llu)\n", file, line, text, (int)getpid(),
          (unsigned long long)test_seed);
  fflush(stderr);
  _exit(1);
}

__attribute__((unused)) static void status_is(const char *file, int line, const char *call, int found, int expected) {
  if (found == expected) return;
  const char *said = shm_error_name(found), *wanted = shm_error_name(expected);
  fail_at(file, line, "%s: %s (%d), not %s: %s", call, said ? said : "?", found, wanted ? wanted : "?", shm_error_text());
}

__attribute__((unused)) static void same_number(const char *file, int line, const char *what, u64 found, u64 expected) {
  if (found != expected) {
    fail_at(file, line, "%s is %llu, not %llu", what, (unsigned long long)found, (unsigned long long)expected);
  }
}

#define FAIL(...) fail_at(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) FAIL("not so: %s", #condition);                                                                  \
  } while (0)
#define IS(call, expected) status_is(__FILE__, __LINE__, #call, (call), (expected))
#define OK(call) IS(call, SHM_OK)
#define SAME(found, expected) same_number(__FILE__, __LINE__, #found, (found), (expected))

/* ---- beginning and end ------------------------------------------------------------------------------------------------ */
__attribute__((unused)) static void begin(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: %s processes|threads DIRECTORY NAME\n", argv[0]);
    exit(2);
  }
  as_threads = strcmp(argv[1], "threads") == 0;
  test_directory = argv[2], test_name = argv[3];
  const char *seed = getenv("SHMSPACE_SEED");
  test_seed = seed ? strtoull(seed, NULL, 10) : shm_monotonic_ns() ^ (u64)getpid() << 40;
}

static inline u64 in_ns(u64 wait_ns) { return shm_monotonic_ns() + wait_ns; }

/* A space that is made if it is not there; 0 members: the default. */
__attribute__((unused)) static shm_space *make_space(u64 size_bytes, u32 members) {
  shm_space *space = NULL;
  OK(shm_space_open(test_directory, test_name, size_bytes, members, 0600, SHM_OPEN_CREATE, in_ns(LONG), &space));
  return space;
}

/* The space that is there. */
__attribute__((unused)) static shm_space *join_space(void) {
  shm_space *space = NULL;
  OK(shm_space_open(test_directory, test_name, 0, 0, 0600, 0, in_ns(LONG), &space));
  return space;
}

static inline u32 token_of(shm_space *space) { return space->token; }

__attribute__((unused)) static void leave_space(shm_space *space) {
  shm_space_close(space);
  shm_space_free(space);
}

__attribute__((unused)) static void be_healthy(shm_space *space) {
  shm_problem problems[8];
  int64_t count = shm_space_check(space, problems, 8);
  if (count) FAIL("check() found %lld: %s: %s (%s)", (long long)count, problems[0].structure, problems[0].what, problems[0].where);
}

/* The last one: the region must be whole. */
__attribute__((unused)) static void end_space(shm_space *space) {
  be_healthy(space);
  leave_space(space);
  OK(shm_space_destroy(test_directory, test_name));
}

__attribute__((unused)) static u64 used_bytes(shm_space *space) {
  shm_space_facts facts;
  shm_space_stat(space, &facts);
  return facts.used_bytes;
}

/* ---- workers ---------------------------------------------------------------------------------------------------------- */
/* Zeroed memory that workers and the first process share. */
__attribute__((unused)) static void *shared_memory(size_t size_bytes) {
  void *memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) FAIL("mmap");
  return memory;
}

/* A child that does this and ends; it does not outlive us. */
__attribute__((unused)) static pid_t start_child(void (*work)(void *context), void *context) {
  fflush(NULL);
  pid_t parent = getpid(), child = fork();
  if (child < 0) FAIL("fork");
  if (child > 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  work(context);
  fflush(NULL);
  _exit(0);
}

__attribute__((unused)) static void end_child(pid_t child) {
  int status;
  if (waitpid(child, &status, 0) != child) FAIL("waitpid");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) FAIL("a child ended with status %x", (unsigned)status);
}

__attribute__((unused)) static void kill_child(pid_t child) {
  int status;
  kill(child, SIGKILL);
  if (waitpid(child, &status, 0) != child) FAIL("waitpid");
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) FAIL("a child ended by itself with status %x", (unsigned)status);
}

struct worker {
  void (*work)(u32 index, void *context);
  void *context;
  u32 index;
  pthread_t thread;
  pid_t process;
};

__attribute__((unused)) static void *worker_thread(void *argument) {
  struct worker *worker = argument;
  worker->work(worker->index, worker->context);
  return NULL;
}

__attribute__((unused)) static void worker_process(void *argument) { worker_thread(argument); }

__attribute__((unused)) static void start_worker(struct worker *worker) {
  if (!as_threads) {
    worker->process = start_child(worker_process, worker);
  } else if (pthread_create(&worker->thread, NULL, worker_thread, worker) != 0) {
    FAIL("pthread_create");
  }
}

__attribute__((unused)) static void end_worker(struct worker *worker) {
  if (!as_threads) end_child(worker->process);
  else if (pthread_join(worker->thread, NULL) != 0) FAIL("pthread_join");
}

/* Let count workers do this, each with its index, at the same time. */
__attribute__((unused)) static void run_workers(u32 count, void (*work)(u32 index, void *context), void *context) {
  struct worker workers[64];
  CHECK(count <= 64);
  for (u32 i = 0; i < count; i++) {
    workers[i] = (struct worker){.work = work, .context = context, .index = i};
    start_worker(&workers[i]);
  }
  for (u32 i = 0; i < count; i++) end_worker(&workers[i]);
}

/* Nobody goes on before all count have come; *gate begins as 0 and can be passed again and again. */
__attribute__((unused)) static void meet(u32 *gate, u32 count) {
  u32 came = shm_add(gate, 1), target = (came / count + 1) * count;
  u64 deadline_ns = in_ns(LONG), nap_ns = 20000;
  for (; shm_load_acquire(gate) < target; nap_ns += nap_ns / 8) {
    if (shm_monotonic_ns() > deadline_ns) FAIL("waited for the others in vain");
    shm_nap_ns(nap_ns < 5 * MS ? nap_ns : 5 * MS);
  }
}

/* Wait until *word is at least value. */
__attribute__((unused)) static void await(u32 *word, u32 value) {
  u64 deadline_ns = in_ns(LONG), nap_ns = 20000;
  for (; shm_load_acquire(word) < value; nap_ns += nap_ns / 8) {
    if (shm_monotonic_ns() > deadline_ns) FAIL("waited in vain for %u, have %u", value, shm_load_acquire(word));
    shm_nap_ns(nap_ns < 5 * MS ? nap_ns : 5 * MS);
  }
}

/* ---- chance ----------------------------------------------------------------------------------------------------------- */
struct chance {
  u64 state;
};

static inline struct chance chance_for(u32 index) {
  return (struct chance){(test_seed + 1) * 0x9e3779b97f4a7c15ull ^ (index + 1) * 0xbf58476d1ce4e5b9ull};
}

static inline u64 draw(struct chance *chance) { /* splitmix64 (Vigna, public domain) */
  u64 z = (chance->state += 0x9e3779b97f4a7c15ull);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return z ^ z >> 31;
}

static inline u64 below(struct chance *chance, u64 limit) { return draw(chance) % limit; }

/* 1 to 2^bits, each order of magnitude as likely as any other. */
static inline u64 draw_size(struct chance *chance, u32 bits) {
  u64 top = 1ull << below(chance, bits + 1);
  return top <= 1 ? 1 : top / 2 + 1 + below(chance, top / 2);
}

#endif
