/* kills_books.h: what incarnations write down, in memory that outlives them. */
#ifndef TESTS_CRASH_KILLS_BOOKS_H
#define TESTS_CRASH_KILLS_BOOKS_H

#include "world.h"

enum { INCARNATIONS_MOST = 1 << 14, RECEIVED_MOST = 1 << 25 };

struct incarnation {
  volatile uint64_t begun, done; /* messages that it has begun to send or take, and has sent or taken */
  volatile uint64_t sends;       /* 1: a sender */
  volatile uint64_t holds;       /* the value that it has leased and entered; 0: none */
};

struct books {
  volatile uint64_t stop_sending, stop_receiving, births, received_count, longest_ns, counters[2];
  struct incarnation incarnations[INCARNATIONS_MOST];
  uint64_t received[RECEIVED_MOST]; /* ids */
};

/* What one receiver has had of each sender. */
struct followed {
  uint64_t last[INCARNATIONS_MOST];
};

struct sums {
  uint64_t lost,
      in_flight, /* messages sent and not received; messages that receivers were taking when they were killed */
      again;     /* values that came once more, whose leases the killed had */
};

struct books *open_books(void);
void note_blocking(struct books *books, uint64_t before_ns);
void enter_received(struct books *books, uint64_t id);

/* NULL, or what is wrong with this message coming now. */
const char *follow(struct followed *followed, uint64_t id, int without_gap);

/* Everything sent is received once, but for what the killed were taking. */
void balance(struct books *books, struct world *world, struct sums *sums);

#endif
