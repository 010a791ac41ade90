/* store_feed.h: the events of a store's shard; see store_feed.c. */
#ifndef SHM_TYPES_STORE_FEED_H
#define SHM_TYPES_STORE_FEED_H

#include "store_shard.h"

/* Does a change of this key give an event? flags: SHM_WRITE_*. */
int shm__feed_wants(const struct shm__store *store, u32 flags, const struct shm__key *key);
/* See that the shard has a ring, if there is memory for one. Without a lock. SHM_OK, also without memory; as shm__lock. */
int shm__feed_make(struct shm__drawer *drawer, u64 deadline_ns);
/* Does key and value fit into a slot? */
static inline int shm__feed_fits(u32 key_length, u64 length_bytes) {
  return key_length <= sizeof(((struct shm_feed *)0)->data) && length_bytes <= sizeof(((struct shm_feed *)0)->data) - key_length;
}

/* ---- with the lock ---- */
static inline int shm__feed_is_there(const struct shm__drawer *drawer) { return shm_load_acquire(&drawer->shared->feed) != 0; }
/* Publish the event of the change that stands in the shard; once, however often it is called. */
void shm__feed_publish(struct shm__drawer *drawer, u64 at, u32 op, struct shm__waste *waste);
/* Was this item kept for the event that tells of its removal? */
int shm__feed_keeps(const struct shm__drawer *drawer, u64 at);
/* Forget all events: their memory is needed. */
void shm__feed_forget(struct shm__drawer *drawer);
void shm__feed_repair(struct shm__drawer *drawer);
void shm__feed_teardown(struct shm__drawer *drawer);

/* ---- without ---- */
/* An event as it was copied: the key and then the value in *bytes, made larger by realloc. SHM_OK; SHM_EMPTY: not yet;
 * SHM_LAGGED: no longer. */
int shm__feed_read(const struct shm__drawer *drawer, u64 number, shm_event *event, u8 **bytes, u64 *room_bytes);
/* The stamp of an event; 0: it is not there any more, or was lost. */
u64 shm__feed_stamp(const struct shm__drawer *drawer, u64 number);
/* How many events there were before the oldest that can still be there. */
u64 shm__feed_first(const struct shm__drawer *drawer);

#endif
