/* records.h: the log "r" of a scene, or one shard of the sharded log "r": the survivor makes and fills it, the victim
 * appends to it and deletes from it, and the survivor reads it and compares. See records.c; the verdict is in
 * records_judge.c.
 */
#ifndef TESTS_CRASH_RECORDS_H
#define TESTS_CRASH_RECORDS_H

#include "acts.h"

enum { KEYS = 3, DELETES_MOST = 8, RECORDS_MOST = 64, FIRST_OFFSET = 100 };

/* What there is. Records have the ids 1, 2, ...; record n is at offset FIRST_OFFSET + n - 1. */
struct volume {
  uint32_t shards, shard; /* 0: a log */
  uint64_t segment, records, size_bytes; /* of the data; MIXED_BYTES */
  uint64_t batch, other_batch;           /* that are appended at once, by the victim and by the other one */
  uint64_t deletes, deleted[DELETES_MOST]; /* offsets - FIRST_OFFSET that an act deletes, in its order */
  int keyed, drops;                        /* with a key index; the act deletes the log */
};

struct ledger {
  const struct volume *volume; /* NULL: there is none, or it has been judged */
  shm_log *log;
  uint64_t first, most; /* what was the first; the highest that it may be for the sake of an append that died */
};
extern struct ledger ledger;

void make_ledger(struct world *world, const struct volume *volume); /* survivor, first of all */
void open_ledger(struct world *world);                              /* victim */
int open_ledger_again(struct world *world, int create);
void close_ledger(void);
void judge_ledger(struct world *world); /* survivor, after the death */

static inline uint32_t ledger_kind(void) { return ledger.volume->shards ? SHM_KIND_SHARDED_LOG : SHM_KIND_LOG; }

/* What is done with it; each notes what it has done. */
int ledger_append(struct world *world, uint64_t count, uint64_t deadline_ns);
int ledger_append_ids(struct world *world, uint64_t id, uint64_t count, uint64_t deadline_ns);
void ledger_delete(struct world *world);
void ledger_wait(struct world *world);
uint32_t ledger_key(uint64_t id, char *key, uint32_t *flags); /* its length */
/* The record that was seen, copied: its id; 0: it has changed meanwhile. Blames a torn one, or one with another's key. */
uint64_t ledger_id(struct world *world, const shm_seen *seen);

int nothing_to_read(struct world *world); /* of a sleeper; and the help */
void help_with_a_record(struct world *world);

#endif
