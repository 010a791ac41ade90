/* channel.c: who may read what, when a stream ends, and how to wait; on top of ring.c. Ports are in channel_port.c.
 *
 * Invariants
 *   1. Readers look at stream only after finding nothing, and look for messages once more afterwards: whatever was sent
 *      before the end is read before the end is.
 *   2. all: a reader's cursor only rises. Two threads of one reader agree by compare-and-swap on it.
 *   3. A pin is set under the producer lock, before the cursor moves over the message.
 *
 * Crash table (died after ...)
 *   copying a message ("port.copied")         not taken
 *   pinning ("port.pinned")                   not taken; reap clears the port and its pins
 *   moving a cursor ("port.taken")            taken
 *   shutting down ("channel.shut")            sleepers' naps end within 100 ms
 */
#include "channel.h"

#include <string.h>

#include "../base/bits.h"
#include "../base/point.h"
#include "../core/members.h"
#include "../core/recover.h"
#include "../os/clock.h"
#include "../os/wait.h"

static int closed(const struct shm__channel *channel) {
  const struct shm__ring *ring = &channel->ring;
  return shm_load_acquire(&ring->shared->life) != SHM_LIFE_LIVE ||
         shm_load_acquire(&ring->space->header->life) != SHM_LIFE_LIVE || shm_load_relaxed(&channel->closing);
}

/* ---- waiting ------------------------------------------------------------------------------------------------------------ */
static void probe_in_turn(struct shm__channel *channel, u32 role, u64 now_ns) {
  u64 *probed_ns = &channel->ring.shared->probed_ns[role == SHM_PORT_WRITER];
  if (!channel->ring.space->readonly && shm__our_turn(probed_ns, SHM__NAP_NS / 2, now_ns)) shm__channel_probe(channel, role);
}

/* Wait until look says something else than SHM_EMPTY. SHM_OK: look again. SHM_EMPTY: the deadline has come.
 * role: whose death matters to us. */
static int wait_for(struct shm__channel *channel, struct shm__event event, int (*look)(void *channel), u32 role,
                    u32 what, u64 deadline_ns) {
  struct shm__space *space = channel->ring.space;
  if (deadline_ns == SHM__TRY) return SHM_EMPTY;
  int status = shm__spin(space, &channel->patience, look, channel);
  if (status != SHM_EMPTY) return SHM_OK;
  if (deadline_ns == SHM__SPIN) return SHM_EMPTY;
  u64 start_ns = shm__monotonic_ns(), now_ns = start_ns;
  for (; status == SHM_EMPTY; now_ns = shm__monotonic_ns()) {
    if (now_ns >= deadline_ns) {
      shm__learn(&channel->patience, now_ns - start_ns);
      probe_in_turn(channel, role, now_ns);
      return look(channel) == SHM_EMPTY ? SHM_EMPTY : SHM_OK;
    }
    u32 value = space->readonly ? shm_load_acquire(event.word) : shm__event_announce(event);
    status = look(channel); /* SYNC wake: look again behind the announcement */
    if (status != SHM_EMPTY) break;
    u64 nap_ns = shm__nap_length_ns(space, now_ns, deadline_ns);
    u32 place = space->readonly ? SHM_WAITS : shm__wait_show(space, channel->ring.id, what);
    enum shm__wait_result result = shm__futex_wait(event.word, value, nap_ns);
    if (!space->readonly) shm__wait_hide(space, place);
    if (result == SHM__WAIT_TIMEOUT) probe_in_turn(channel, role, shm__monotonic_ns());
    status = look(channel);
    if (result == SHM__WAIT_SIGNAL && status == SHM_EMPTY) return SHM_INTERRUPTED;
  }
  shm__learn(&channel->patience, shm__monotonic_ns() - start_ns);
  return SHM_OK;
}

/* ---- sending ------------------------------------------------------------------------------------------------------------ */
int shm__channel_look_room(void *handle) {
  struct shm__channel *channel = handle;
  struct shm__ring *ring = &channel->ring;
  struct shm_ring *shared = ring->shared;
  if (closed(channel) || shm_load_acquire(&shared->stream) == SHM_STREAM_SHUT) return SHM_CLOSED;
  u64 tail = shm_load_acquire(&shared->tail);
  if (ring->delivery == SHM_DELIVERY_ONE) {
    /* Signed: a reader may have taken a message whose writer died before he moved tail; the lock's heir moves it. */
    return (int64_t)(tail - shm_load_acquire(&shared->head)) < (int64_t)ring->capacity ? SHM_OK : SHM_EMPTY;
  }
  /* Ports may only be walked under the lock; a wrong answer costs one more look. */
  if (shm__ring_lock_producers(ring, SHM__TRY) != SHM_OK) return SHM_OK; /* let the sender find out */
  u64 room = shm__ring_room(ring);
  shm__unlock(&shared->producer_lock);
  return room ? SHM_OK : SHM_EMPTY;
}

/* Put in what fits, with the producer lock held. */
static int fill(struct shm__channel *channel, const struct shm__message *messages, u64 count, u64 deadline_ns, u64 *done) {
  struct shm__ring *ring = &channel->ring;
  while (*done < count) {
    u64 room = shm__ring_room(ring);
    if (room == 0) {
      if (ring->delivery == SHM_DELIVERY_ONE && (int64_t)(ring->shared->tail - ring->shared->seen_head) < 0) {
        return shm__fail(SHM_CORRUPTED, "head is at message %llu, beyond the last one",
                         (unsigned long long)ring->shared->seen_head);
      }
      if (ring->overflow != SHM_OVERFLOW_OLDEST) return SHM_FULL;
      int status = shm__ring_drop_oldest(ring, deadline_ns);
      if (status != SHM_OK) return status;
      room = 1;
    }
    for (; room > 0 && *done < count; room--) shm__ring_publish(ring, &messages[(*done)++]);
  }
  return SHM_OK;
}

int shm__channel_send(struct shm__channel *channel, const struct shm__message *messages, u64 count, u64 deadline_ns,
                      u64 *done) {
  struct shm__ring *ring = &channel->ring;
  struct shm_ring *shared = ring->shared;
  *done = 0;
  shm__patience_sends(ring->space, &channel->patience);
  for (;;) {
    u64 before = *done;
    int status = shm__ring_lock_producers(ring, deadline_ns);
    if (status != SHM_OK) return status;
    if (closed(channel) || shared->stream == SHM_STREAM_SHUT) {
      status = SHM_CLOSED;
    } else {
      status = fill(channel, messages, count, deadline_ns, done);
    }
    shm__unlock(&shared->producer_lock); /* SYNC wake: the fence between publishing and looking for sleepers */
    u64 came = *done - before;
    if (came) shm__event_notify(ring->space, ring->data, ring->delivery == SHM_DELIVERY_ALL ? UINT32_MAX : (u32)came);
    if (status != SHM_FULL || ring->overflow == SHM_OVERFLOW_ERROR) return status;
    status = wait_for(channel, ring->room, shm__channel_look_room, SHM_PORT_READER, SHM__WAITS_ROOM, deadline_ns);
    if (status == SHM_EMPTY) return SHM_FULL;
    if (status == SHM_CLOSED || status == SHM_INTERRUPTED) return status;
  }
}

/* ---- receiving ---------------------------------------------------------------------------------------------------------- */
static u64 *cursor_of(struct shm__channel *channel) { return channel->port ? &channel->port->cursor : &channel->cursor; }

static u64 wanted(struct shm__channel *channel) {
  if (channel->ring.delivery == SHM_DELIVERY_ONE) return shm_load_acquire(&channel->ring.shared->head);
  return shm_load_acquire(cursor_of(channel));
}

int shm__channel_look(void *handle) {
  struct shm__channel *channel = handle;
  struct shm__ring *ring = &channel->ring;
  int all = ring->delivery == SHM_DELIVERY_ALL, over = 0;
  if (shm_load_relaxed(&channel->owed)) return SHM_OK;
  for (;;) {
    u64 at = wanted(channel);
    /* Ready, or (all) overtaken, which is to be told. */
    if (shm__ring_ready(ring, at) || (all && shm_load_acquire(&ring->shared->tail) > at)) return SHM_OK;
    if (over && wanted(channel) == at) return SHM_END; /* invariant 1: looked once more, at the right place */
    if (closed(channel)) return SHM_CLOSED;
    if (shm_load_acquire(&ring->shared->stream) == SHM_STREAM_OPEN) return SHM_EMPTY;
    over = 1;
  }
}

/* Somebody waits for the room that we made. The fence is ours: a store to head or a cursor has none. */
static void tell_writers(struct shm__ring *ring) {
  if (ring->space->readonly) return;
  shm__event_notify(ring->space, ring->room, 1);
}

static int take_one(struct shm__channel *channel, void *buffer, u64 room_bytes, struct shm__message *message, u64 deadline_ns) {
  struct shm__ring *ring = &channel->ring;
  if (closed(channel)) return SHM_CLOSED;
  if (!shm__ring_ready(ring, shm_load_relaxed(&ring->shared->head))) return SHM_EMPTY; /* saves the lock; a later look decides */
  int status = shm__ring_lock_consumers(ring, deadline_ns);
  if (status != SHM_OK) return status;
  status = shm__ring_take(ring, room_bytes, message);
  shm__unlock(&ring->shared->consumer_lock); /* SYNC wake */
  if (status != SHM_OK) return status;
  tell_writers(ring);
  if (message->block.offset) {
    u8 *payload = shm__block_payload(ring->space, message->block, message->length_bytes);
    if (!payload) return shm__fail(SHM_CORRUPTED, "the block of a message was damaged while it was taken");
    if (message->length_bytes) memcpy(buffer, payload, message->length_bytes);
    shm__block_free(ring->space, message->block);
  } else if (message->length_bytes) {
    memcpy(buffer, message->data, message->length_bytes);
  }
  return SHM_OK;
}

/* The reader was overtaken: go on with the oldest message that is left. */
static int catch_up(struct shm__channel *channel, u64 at) {
  u64 discarded = shm_load_acquire(&channel->ring.shared->discarded), oldest = shm__ring_oldest(&channel->ring, at);
  if (oldest <= at) return shm__fail(SHM_CORRUPTED, "the reader is at message %llu, beyond the last one", (unsigned long long)at);
  if (!shm_cas(cursor_of(channel), &at, oldest)) return SHM_BUSY; /* another thread of this reader was quicker */
  u64 lost_from = shm_max(at, discarded); /* what a shutdown discarded is not lost */
  u64 lost = oldest > lost_from ? oldest - lost_from : 0;
  shm_store_relaxed(&channel->lost, lost); /* relaxed: of this handle */
  return lost ? SHM_LAGGED : SHM_BUSY;
}

/* A block message was read: perhaps everybody has, and it can go. */
static void retire_read(struct shm__ring *ring) {
  if (ring->space->readonly || shm__ring_lock_producers(ring, SHM__TRY) != SHM_OK) return;
  shm__ring_retire(ring);
  shm__unlock(&ring->shared->producer_lock);
}

static int take_all(struct shm__channel *channel, void *buffer, u64 room_bytes, struct shm__message *message) {
  struct shm__ring *ring = &channel->ring;
  if (shm_load_relaxed(&channel->owed) && shm_exchange(&channel->owed, 0)) return SHM_LAGGED; /* relaxed: of this handle */
  for (;;) {
    if (closed(channel)) return SHM_CLOSED;
    u64 at = shm_load_acquire(cursor_of(channel));
    int status = shm__ring_read(ring, at, buffer, room_bytes, message);
    if (status == SHM_LAGGED) status = catch_up(channel, at);
    if (status == SHM_BUSY) continue;
    if (status != SHM_OK) return status;
    SHM_POINT("port.copied");
    if (!shm_cas(cursor_of(channel), &at, at + 1)) continue; /* SYNC ring.cursor, SYNC wake */
    SHM_POINT("port.taken");
    if (channel->port) shm_add(&channel->port->received, 1);
    shm_fence_after_rmw();
    tell_writers(ring);
    if (message->block.offset) retire_read(ring);
    return SHM_OK;
  }
}

/* Call attempt until it finds something or the deadline has come. */
static int still_empty(struct shm__channel *channel, u64 deadline_ns) {
  int status = shm__channel_look(channel);
  if (status != SHM_EMPTY) return status;
  if (deadline_ns == SHM__TRY) return SHM_EMPTY;
  return wait_for(channel, channel->ring.data, shm__channel_look, SHM_PORT_WRITER, SHM__WAITS_MESSAGE, deadline_ns);
}

int shm__channel_recv(struct shm__channel *channel, void *buffer, u64 room_bytes, struct shm__message *message,
                      u64 deadline_ns) {
  for (;;) {
    int status = channel->ring.delivery == SHM_DELIVERY_ONE ? take_one(channel, buffer, room_bytes, message, deadline_ns)
                                                            : take_all(channel, buffer, room_bytes, message);
    if (status != SHM_EMPTY) return status;
    status = still_empty(channel, deadline_ns);
    if (status != SHM_OK) return status;
  }
}

static int take_some(struct shm__channel *channel, struct shm__message *messages, u64 count, u64 deadline_ns, u64 *done) {
  struct shm__ring *ring = &channel->ring;
  int status = SHM_OK;
  if (ring->delivery == SHM_DELIVERY_ALL) {
    while (*done < count && status == SHM_OK) {
      status = take_all(channel, messages[*done].data, SHM_INLINE_BYTES, &messages[*done]);
      *done += status == SHM_OK;
    }
    if (*done && status == SHM_LAGGED) shm_store_relaxed(&channel->owed, 1); /* first those from before the loss */
    return *done ? SHM_OK : status;
  }
  if (closed(channel)) return SHM_CLOSED;
  if (!shm__ring_ready(ring, shm_load_relaxed(&ring->shared->head))) return SHM_EMPTY;
  status = shm__ring_lock_consumers(ring, deadline_ns);
  if (status != SHM_OK) return status;
  while (*done < count) {
    struct shm_slot *slot = &ring->slots[ring->shared->head & ring->mask];
    if (shm_load_acquire(&slot->seq) != ring->shared->head + 1) status = SHM_EMPTY;
    else if (slot->block) status = SHM_SHORT; /* one by one */
    else status = shm__ring_take(ring, SHM_INLINE_BYTES, &messages[*done]);
    if (status != SHM_OK) break;
    ++*done;
  }
  shm__unlock(&ring->shared->consumer_lock); /* SYNC wake */
  if (*done == 0) return status;
  shm__event_notify(ring->space, ring->room, (u32)*done);
  return SHM_OK;
}

int shm__channel_recv_many(struct shm__channel *channel, struct shm__message *messages, u64 count, u64 deadline_ns,
                           u64 *done) {
  for (*done = 0;;) {
    int status = take_some(channel, messages, count, deadline_ns, done);
    if (status != SHM_EMPTY) return status;
    status = still_empty(channel, deadline_ns);
    if (status != SHM_OK) return status;
  }
}

/* ---- views -------------------------------------------------------------------------------------------------------------- */
static int view_one(struct shm__channel *channel, struct shm__message *message, const u8 **view, u64 deadline_ns) {
  struct shm__ring *ring = &channel->ring;
  int status = shm__ring_lock_consumers(ring, deadline_ns);
  if (status != SHM_OK) return status;
  struct shm_slot *slot = &ring->slots[ring->shared->head & ring->mask];
  int ready = shm_load_acquire(&slot->seq) == ring->shared->head + 1, inline_one = ready && slot->block == 0;
  status = !ready ? SHM_EMPTY : inline_one ? SHM_OK : shm__ring_take(ring, UINT64_MAX, message);
  shm__unlock(&ring->shared->consumer_lock); /* SYNC wake */
  if (status != SHM_OK || inline_one) return status;
  tell_writers(ring);
  *view = shm__block_payload(ring->space, message->block, message->length_bytes);
  return SHM_OK;
}

static int view_all(struct shm__channel *channel, struct shm__message *message, const u8 **view, u64 deadline_ns) {
  struct shm__ring *ring = &channel->ring;
  if (!channel->port || shm_load_relaxed(&channel->owed)) return SHM_OK; /* nothing to pin with; a loss is to be told */
  int status = shm__ring_lock_producers(ring, deadline_ns);
  if (status != SHM_OK) return status;
  u64 at = shm_load_acquire(&channel->port->cursor); /* another thread of this reader may move it */
  int pin = 0;
  while (pin < SHM_PINS && channel->port->pins[pin]) pin++;
  struct shm_slot *slot = &ring->slots[at & ring->mask];
  if (pin < SHM_PINS && at >= ring->shared->floor && shm__ring_ready(ring, at) && slot->block) {
    message->block = (struct shm__ref){slot->block, slot->block_gen};
    message->length_bytes = slot->length_bytes;
    message->codec = slot->codec;
    u8 *payload = shm__block_payload(ring->space, message->block, message->length_bytes);
    channel->port->pins[pin] = payload ? slot->block : 0;
    SHM_POINT("port.pinned");
    if (payload && shm_cas(&channel->port->cursor, &at, at + 1)) {
      *view = payload;
      shm_add(&channel->port->received, 1);
    } else {
      channel->port->pins[pin] = 0;
      status = payload ? SHM_EMPTY : SHM_OK; /* another thread of this reader was quicker */
    }
  }
  shm__unlock(&ring->shared->producer_lock); /* SYNC wake */
  if (*view) tell_writers(ring);
  return status;
}

int shm__channel_recv_view(struct shm__channel *channel, struct shm__message *message, const u8 **view, u64 deadline_ns) {
  for (*view = NULL;;) {
    if (closed(channel)) return SHM_CLOSED;
    int status = shm__channel_look(channel);
    if (status == SHM_OK) {
      status = channel->ring.delivery == SHM_DELIVERY_ONE ? view_one(channel, message, view, deadline_ns)
                                                          : view_all(channel, message, view, deadline_ns);
      if (status != SHM_EMPTY) return status;
      continue;
    }
    if (status == SHM_EMPTY) status = still_empty(channel, deadline_ns);
    if (status != SHM_OK) return status;
  }
}

int shm__channel_shutdown(struct shm__channel *channel, int immediate, u64 deadline_ns) {
  struct shm__ring *ring = &channel->ring;
  int status = shm__ring_lock_producers(ring, deadline_ns);
  if (status != SHM_OK) return status;
  shm_store_release(&ring->shared->stream, SHM_STREAM_SHUT);
  SHM_POINT("channel.shut");
  if (immediate) status = shm__ring_discard(ring, deadline_ns);
  shm__unlock(&ring->shared->producer_lock);
  shm__channel_wake(channel);
  return status;
}
