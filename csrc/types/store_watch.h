/* store_watch.h: a private cursor over the events of a store; see store_watch.c. */
#ifndef SHM_TYPES_STORE_WATCH_H
#define SHM_TYPES_STORE_WATCH_H

#include "../core/patience.h"
#include "store.h"

/* Where a watch is in a shard: the number of the next event, and of the one behind the last that was there when it looked. */
struct shm__lookout {
  u64 next, tail;
};

struct shm__watch {
  struct shm__store *store;
  u8 *glob; /* NULL: every key */
  u32 glob_length, first, count; /* shards that are looked at */
  struct shm__lookout *lookouts; /* of each of these shards */
  u64 lost;                      /* not told yet */
  u32 overtaken;                 /* it was, and has not caught up since */
  u64 holder;                    /* under which it is counted; 0: it is not */
  u8 *bytes;                     /* of the event that was given last */
  u64 room_bytes;
  u32 stuck, stuck_shard;        /* owner of a shard's lock who was waited for in vain */
  u64 stuck_next;                /* and at which event */
  u32 closing;
  struct shm__patience patience;
};

/* from_seq 0: from now on. holder: a number of this process, not used before. */
int shm__watch_open(struct shm__store *store, const struct shm__glob *glob, int from_seq, u64 seq, u64 holder, u64 deadline_ns,
                    struct shm__watch *watch);
void shm__watch_close(struct shm__watch *watch);
/* The next event: SHM_OK; SHM_LAGGED: event->lost; SHM_EMPTY; SHM_CLOSED; SHM_INTERRUPTED. */
int shm__watch_next(struct shm__watch *watch, u64 deadline_ns, shm_event *event);

#endif
