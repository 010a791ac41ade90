/* channel.h: delivery, end of stream and waiting on top of a ring; see channel.c. */
#ifndef SHM_TYPES_CHANNEL_H
#define SHM_TYPES_CHANNEL_H

#include "../core/patience.h"
#include "ring.h"

/* A reader or writer of this process, or the channel itself (port 0) for calls without a handle. */
struct shm__channel {
  struct shm__ring ring;
  struct shm_port *port; /* NULL: none */
  struct shm__ref port_ref;
  u64 cursor;            /* all, on a read-only space: our place, since we have no port */
  u64 lost;              /* messages lost at the last SHM_LAGGED */
  u32 owed;              /* that SHM_LAGGED is still to be told */
  struct shm__patience patience;
  u32 closing;           /* this handle is being closed: calls under way leave */
};

extern const struct shm__type shm__channel_type;

/* Open a port of this role. Close it: 1 if it has to stay for the sake of views that are in use; then once more when
 * they are not. */
int shm__channel_open_port(struct shm__channel *channel, u32 role, u64 deadline_ns);
int shm__channel_close_port(struct shm__channel *channel);

/* Number of the first message that a reader opened now gets. */
u64 shm__channel_first(struct shm__channel *channel);

/* Write messages[0..count) in order; *done are in. A message whose block is set owns it until it is in.
 * SHM_OK: all are in. Else why the next one is not: SHM_FULL, SHM_CLOSED, SHM_BUSY, SHM_TIMEOUT, SHM_INTERRUPTED. */
int shm__channel_send(struct shm__channel *channel, const struct shm__message *messages, u64 count, u64 deadline_ns,
                      u64 *done);

/* Take the next message into buffer. SHM_SHORT: message->length_bytes are needed, nothing was taken. */
int shm__channel_recv(struct shm__channel *channel, void *buffer, u64 room_bytes, struct shm__message *message,
                      u64 deadline_ns);

/* Take up to count messages that fit inline; waits for the first only. SHM_SHORT: the first one does not fit inline. */
int shm__channel_recv_many(struct shm__channel *channel, struct shm__message *messages, u64 count, u64 deadline_ns,
                           u64 *done);

/* Take the next message without copying: a block stays ours (one) or is pinned (all) until shm__channel_unpin.
 * *view is NULL when the message is inline, or could not be pinned: then it is in no buffer yet, and was not taken. */
int shm__channel_recv_view(struct shm__channel *channel, struct shm__message *message, const u8 **view, u64 deadline_ns);
void shm__channel_unpin(struct shm__channel *channel, struct shm__ref block);

/* Wake all who sleep on the channel: they look at closing and the stream. */
void shm__channel_wake(struct shm__channel *channel);

/* No more input; what waits can be drained, or is discarded. */
int shm__channel_shutdown(struct shm__channel *channel, int immediate, u64 deadline_ns);

/* Is something to take (SHM_OK), nothing yet (SHM_EMPTY), or over (SHM_END, SHM_CLOSED)? And is there room? */
int shm__channel_look(void *channel);
int shm__channel_look_room(void *channel);

/* Tokens of the members with open ports of this role, each once; how many. */
u32 shm__channel_peers(struct shm__channel *channel, u32 role, u32 *tokens, u32 room);

/* Reap members with open ports that have died. */
void shm__channel_probe(struct shm__channel *channel, u32 role);

#endif
