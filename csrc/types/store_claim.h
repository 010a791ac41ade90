/* store_claim.h: locks of keys, and watches: what members have in a store while they live; see store_claim.c. */
#ifndef SHM_TYPES_STORE_CLAIM_H
#define SHM_TYPES_STORE_CLAIM_H

#include "store_shard.h"

/* Memory for one, HELD by us, with its key. */
int shm__claim_alloc(struct shm__store *store, u32 kind, const struct shm__key *key, u64 deadline_ns, struct shm__ref *ref);
/* Sleep until a key's lock may be free that `owner` has; value: of the event store->locks, announced before the shards were
 * looked at last. SHM_OK: look again; SHM_LOCKED: the deadline has come; SHM_CLOSED; SHM_INTERRUPTED. No lock may be held. */
int shm__claim_wait(struct shm__store *store, u32 owner, u32 value, u64 deadline_ns);

/* ---- with the shard's lock ---- */
/* The lock of a key; NULL: there is none. *at: its payload offset. */
struct shm_claim *shm__claim_find(const struct shm__drawer *drawer, const struct shm__key *key, u64 *at);
/* Token of who has a lock in this shard that matches, is not free and not this holder's; 0: nobody. */
u32 shm__claim_blocks(const struct shm__drawer *drawer, const struct shm__key *key, const struct shm__glob *glob, u64 holder);
void shm__claim_add(struct shm__drawer *drawer, struct shm__ref ref, u64 holder);
void shm__claim_take(const struct shm__drawer *drawer, struct shm_claim *claim, u64 holder);
/* Take it out of the list; HELD by us then, to be freed. */
struct shm__ref shm__claim_remove(struct shm__drawer *drawer, u64 at);
/* The watch of this holder; 0: none. */
u64 shm__claim_watch(const struct shm__drawer *drawer, u64 holder);
u64 shm__claim_count(const struct shm__drawer *drawer, u32 kind); /* of the living */
/* Locks that the living have, for people; how many, up to room. Without the lock: about. */
u64 shm__claim_list(const struct shm__drawer *drawer, shm_key_lock *locks, u64 room);
void shm__claim_recover(struct shm__drawer *drawer, u32 dead);
void shm__claim_repair(struct shm__drawer *drawer);
void shm__claim_teardown(struct shm__drawer *drawer);

#endif
