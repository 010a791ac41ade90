/* kills_stores.h: the work on a store "s" of which the workers are killed, and its books. */
#ifndef TESTS_CRASH_KILLS_STORES_H
#define TESTS_CRASH_KILLS_STORES_H

#include "kills_books.h"

extern const struct scene traffic_store;

/* SHM_OK, or why it could not be opened. */
int open_store(struct world *world);
void change_keys(struct world *world, struct incarnation *self, struct books *books, uint64_t number, uint64_t chance);
void watch_keys(struct world *world, struct books *books, uint64_t chance);

/* When all workers have ended: the survivor reads what is left, compares, and deletes the store. */
void balance_store(struct world *world, struct books *books, struct sums *sums);

#endif
