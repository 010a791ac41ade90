/* kills_logs.h: the work on a log "r" of which the workers are killed, and its books. */
#ifndef TESTS_CRASH_KILLS_LOGS_H
#define TESTS_CRASH_KILLS_LOGS_H

#include "kills_books.h"

extern const struct scene traffic_log;

/* SHM_OK, or why it could not be opened. */
int open_log(struct world *world);
void append_records(struct world *world, struct incarnation *self, struct books *books, uint64_t number, uint64_t chance);
void read_records(struct world *world, struct books *books, uint64_t chance);

/* When all workers have ended: the survivor reads what is left, compares, and deletes the log. */
void balance_log(struct world *world, struct books *books, struct sums *sums);

#endif
