/* ring.h: messages in order, with a number each; see ring.c. */
#ifndef SHM_TYPES_RING_H
#define SHM_TYPES_RING_H

#include "../core/blocks.h"
#include "../core/lock.h"
#include "../core/wake.h"

/* A ring as this process sees it: INIT fields are copied and checked when it is bound. */
struct shm__ring {
  struct shm__space *space;
  struct shm_ring *shared;
  struct shm_slot *slots;
  u64 mask, capacity, replay, max_message_bytes;
  u32 id, delivery, overflow;
  struct shm__event data, room;
};

/* A message on its way in or out. */
struct shm__message {
  u64 length_bytes;
  struct shm__ref block; /* offset 0: inline */
  u32 codec;
  u8 data[SHM_INLINE_BYTES];
};

struct shm__ring_options {
  u64 capacity, replay, max_message_bytes;
  u32 delivery, overflow;
  char codec[32];
};

/* A new ring in a block of its own, HELD by us. */
int shm__ring_make(struct shm__space *space, u32 id, const struct shm__ring_options *options, u64 deadline_ns,
                   struct shm__ref *main);

/* SHM_CORRUPTED when the bytes at payload offset main cannot be a ring. */
int shm__ring_bind(struct shm__space *space, u64 main, struct shm__ring *ring);

/* Locks; they repair what a dead owner left. Status as shm__lock, without SHM__REPAIR. */
int shm__ring_lock_producers(struct shm__ring *ring, u64 deadline_ns);
int shm__ring_lock_consumers(struct shm__ring *ring, u64 deadline_ns);
void shm__ring_repair_producers(struct shm__ring *ring);
void shm__ring_repair_consumers(struct shm__ring *ring);

/* With the producer lock held: */
u64 shm__ring_room(struct shm__ring *ring);                                   /* messages that fit now */
int shm__ring_drop_oldest(struct shm__ring *ring, u64 deadline_ns);           /* make room for one in a full ring */
int shm__ring_drop_first(struct shm__ring *ring, u64 deadline_ns);            /* the oldest unread, full or not */
void shm__ring_publish(struct shm__ring *ring, const struct shm__message *message);
void shm__ring_retire(struct shm__ring *ring);                                /* all: free blocks nobody needs */
int shm__ring_discard(struct shm__ring *ring, u64 deadline_ns);               /* everything unread */
u64 shm__ring_slowest(struct shm__ring *ring);                                /* all: the slowest reader's cursor */

/* One: with the consumer lock held, take the next message: inline bytes are copied, a block becomes HELD by us.
 * SHM_EMPTY; SHM_SHORT when it is longer than room_bytes (length_bytes says how long); SHM_CORRUPTED. */
int shm__ring_take(struct shm__ring *ring, u64 room_bytes, struct shm__message *message);

/* All: read message number at, without a lock, into buffer. SHM_EMPTY: not there yet; SHM_LAGGED: no longer there. */
int shm__ring_read(struct shm__ring *ring, u64 at, void *buffer, u64 room_bytes, struct shm__message *message);

/* Is there a message with this number, or one that overtook it? A look without a lock. */
static inline int shm__ring_ready(const struct shm__ring *ring, u64 at) {
  return shm_load_acquire(&ring->slots[at & ring->mask].seq) == at + 1; /* SYNC ring.publish */
}

/* The first message that a reader who wants number at can still get. */
u64 shm__ring_oldest(const struct shm__ring *ring, u64 at);

/* Messages and bytes that wait. */
void shm__ring_waiting(struct shm__ring *ring, u64 *messages, u64 *size_bytes);

/* Is the block at this payload offset pinned by a port other than but? The producer lock is held. The pinning member's
 * token, or 0. */
u32 shm__ring_pinned(struct shm__ring *ring, u64 block, const struct shm_port *but);

/* The port at this payload offset, or NULL when it cannot be one. */
struct shm_port *shm__ring_port(const struct shm__ring *ring, u64 offset);

static inline u32 shm__port_role(const struct shm_port *port) { return shm_load_acquire(&port->role) & SHM_PORT_ROLE; }

/* Blocks of messages, before the ring itself is freed. */
void shm__ring_teardown(struct shm__ring *ring);

#endif
