/* kills_values.h: the work on a queue "q" or a tuple space "t" of which the workers are killed, and its books. */
#ifndef TESTS_CRASH_KILLS_VALUES_H
#define TESTS_CRASH_KILLS_VALUES_H

#include "kills_books.h"

extern const struct scene traffic_queue, traffic_tuples;

/* SHM_OK, or why it could not be opened. */
int open_values(struct world *world);
void put_values(struct world *world, struct incarnation *self, struct books *books, uint64_t number, uint64_t chance);
void take_values(struct world *world, struct incarnation *self, struct books *books, uint64_t chance);

/* When all workers have ended: the survivor takes what is left, compares, and deletes the structure. */
void balance_values(struct world *world, struct books *books, struct sums *sums);

#endif
