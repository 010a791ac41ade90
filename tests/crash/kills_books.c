/* kills_books.c: see kills_books.h. */
#define _GNU_SOURCE
#include "kills_books.h"

#include <stdlib.h>
#include <sys/mman.h>

struct books *open_books(void) {
  void *at =
      mmap(NULL, sizeof(struct books), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) exit(2);
  return at;
}

void note_blocking(struct books *books, uint64_t before_ns) {
  uint64_t took_ns = shm_monotonic_ns() - before_ns, longest_ns = books->longest_ns;
  while (took_ns > longest_ns && !shm_cas(&books->longest_ns, &longest_ns, took_ns)) continue;
}

void enter_received(struct books *books, uint64_t id) {
  uint64_t at = shm_add(&books->received_count, 1);
  if (at < RECEIVED_MOST) books->received[at] = id;
}

const char *follow(struct followed *followed, uint64_t id, int without_gap) {
  uint64_t number = id >> 32, message = id & UINT32_MAX;
  if (number >= INCARNATIONS_MOST) return "is of nobody";
  uint64_t last = followed->last[number];
  followed->last[number] = message;
  if (message <= last) return "comes too late or twice";
  return without_gap && last && message != last + 1 ? "does not follow the one before" : NULL;
}

static int compare_ids(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

void balance(struct books *books, struct world *world, struct sums *sums) {
  uint64_t count = books->received_count, at = 0;
  if (count > RECEIVED_MOST) {
    blame(world, "more messages than the books can hold");
    return;
  }
  qsort(books->received, count, sizeof *books->received, compare_ids);
  while (at < count && books->received[at] == 0) at++; /* killed between the count and the entry: as if being taken */
  for (uint64_t number = 0; number < books->births; number++) {
    const struct incarnation *one = &books->incarnations[number];
    if (!one->sends) {
      sums->in_flight += one->begun - one->done;
      continue;
    }
    uint64_t came = 0;
    for (; at < count && books->received[at] >> 32 == number; at++) {
      uint64_t message = books->received[at] & UINT32_MAX;
      if (at && books->received[at] == books->received[at - 1]) blame(world, "a message came twice");
      if (message == 0 || message > one->begun) {
        blame(world, "message %llu of incarnation %llu came, which had begun %llu", (unsigned long long)message,
              (unsigned long long)number, (unsigned long long)one->begun);
      }
      came += message <= one->done;
    }
    sums->lost += one->done - came;
  }
  if (at != count) blame(world, "messages came from nobody");
  if (sums->lost > sums->in_flight) {
    blame(world, "%llu messages are lost, %llu were being taken by the killed", (unsigned long long)sums->lost,
          (unsigned long long)sums->in_flight);
  }
}
