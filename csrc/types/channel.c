/* channel.c: who may read what, when a stream ends, and how to wait; on top of ring.c.
 *
 * A port is an open reader or writer: a block in the ring's chain of ports, owned by a member. The chain changes under
 * the producer lock, by one store each time.
 *
 * Invariants
 *   1. stream is ENDED when the last writer port goes (closed, or its owner reaped), before it leaves the chain; OPEN
 *      again with the next one; SHUT for good. A channel that never had a writer port stays OPEN.
 *   2. Readers look at stream only after finding nothing, and look for messages once more afterwards: whatever was sent
 *      before the end is read before the end is.
 *   3. all: a reader's cursor only rises. Two threads of one reader agree by compare-and-swap on it.
 *   4. A pin is set, cleared, and honoured under the producer lock. A retired block belongs to one of those who pin it.
 *
 * Crash table (died after ...)
 *   filling a port ("port.filled")            HELD by the dead: reaped
 *   publishing it ("port.published")          heir of producer_lock links and counts it; reap closes it
 *   declaring the end ("port.ended")          true: its owner was the last writer, and is dead
 *   holding its block to close it ("port.held")  heir links it again; reap closes it again
 *   stepping over it ("port.unlinked")        the block is HELD by the dead: reaped
 *   pinning ("port.pinned")                   not taken; reap clears the port and its pins
 *   moving a cursor ("port.taken")            taken
 *   handing a pinned block on ("port.handed") it belongs to the other one
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

enum {
  NAP_NS = 100000000,
  SPIN_MOST = 2000, /* rounds, some 20 ns each */
  SPIN_LEAST = 20,
  SPIN_PAYS_NS = 30000,
  NEAR_ROUNDS = 16,
  NEAR_TIMES = 16,
  HANG_BACK_ROUNDS = 64,
  RECOVER_PATIENCE_NS = 100000000,
  PEERS_PROBED = 64
};

static int closed(const struct shm__channel *channel) {
  const struct shm__ring *ring = &channel->ring;
  return shm_load_acquire(&ring->shared->life) != SHM_LIFE_LIVE ||
         shm_load_acquire(&ring->space->header->life) != SHM_LIFE_LIVE || shm_load_relaxed(&channel->closing);
}

static void wake_all(struct shm__ring *ring) {
  shm_fence_full(); /* SYNC wake */
  shm__event_notify(ring->space, ring->data, UINT32_MAX);
  shm__event_notify(ring->space, ring->room, UINT32_MAX);
}

/* ---- ports ------------------------------------------------------------------------------------------------------------ */
static u64 first_cursor(struct shm__ring *ring) {
  u64 tail = shm_load_acquire(&ring->shared->tail);
  u64 cursor = tail - shm_min(tail, ring->replay);
  return shm_max(cursor, shm_load_acquire(&ring->shared->floor));
}

int shm__channel_open_port(struct shm__channel *channel, u32 role, u64 deadline_ns) {
  struct shm__ring *ring = &channel->ring;
  struct shm_ring *shared = ring->shared;
  struct shm__ref ref;
  int status = shm__block_alloc(ring->space, sizeof(struct shm_port), deadline_ns, &ref);
  if (status != SHM_OK) return status;
  struct shm_port *port = (struct shm_port *)(ring->space->base + ref.offset);
  memset(port, 0, sizeof *port);
  port->owner = ring->space->token;
  port->role = role;
  port->since_ns = shm__realtime_ns();
  status = shm__ring_lock_producers(ring, deadline_ns);
  if (status != SHM_OK) {
    shm__block_free(ring->space, ref);
    return status;
  }
  if (role == SHM_PORT_READER) {
    port->cursor = first_cursor(ring);
    shared->seen_head = ring->delivery == SHM_DELIVERY_ALL ? shm_min(shared->seen_head, port->cursor) : shared->seen_head;
  }
  port->next = shared->ports;
  SHM_POINT("port.filled");
  shm_store_release(&shared->ports, ref.offset); /* SYNC ring.ports: publishes the port */
  SHM_POINT("port.published");
  shm__block_link(ring->space, ref, ring->id);
  if (role == SHM_PORT_WRITER) {
    shared->writers++;
    if (shared->stream == SHM_STREAM_ENDED) shm_store_release(&shared->stream, SHM_STREAM_OPEN);
  } else {
    shared->readers++;
  }
  shm__unlock(&shared->producer_lock);
  channel->port = port;
  channel->port_ref = ref;
  return SHM_OK;
}

/* A member lets go of a retired block: the next one who pins it gets it, else it is freed. The producer lock is held. */
static void let_go(struct shm__ring *ring, u64 offset, const struct shm_port *port, u32 owner) {
  struct shm_block *block = shm__block_header(ring->space, offset);
  if (!block) return;
  u64 word = shm_load_acquire(&block->word);
  if (shm__block_state(word) != SHM_BLOCK_HELD || shm__block_who(word) != owner) return; /* still in the ring */
  u32 other = shm__ring_pinned(ring, offset, port);
  u32 heir = other ? other : ring->space->token;
  if (heir != owner && !shm_cas(&block->word, &word, shm__block_word(SHM_BLOCK_HELD, shm__block_gen(word), heir))) return;
  SHM_POINT("port.handed");
  if (!other) shm__block_free(ring->space, (struct shm__ref){offset, shm__block_gen(word)});
}

/* Take a port out of the chain and free it. The producer lock is held. */
static void remove_port(struct shm__ring *ring, u64 offset) {
  struct shm_ring *shared = ring->shared;
  u64 *link = &shared->ports, left = ring->space->size_bytes / sizeof(struct shm_port);
  while (*link != offset) {
    struct shm_port *before = shm__ring_port(ring, *link);
    if (!before || left-- == 0) return; /* not there (any more), or a damaged chain */
    link = &before->next;
  }
  struct shm_port *port = shm__ring_port(ring, offset);
  if (!port) return;
  u32 owner = port->owner;
  for (int pin = 0; pin < SHM_PINS; pin++) {
    u64 block = port->pins[pin];
    port->pins[pin] = 0;
    if (block) let_go(ring, block, port, owner);
  }
  if (port->role == SHM_PORT_WRITER) {
    if (shared->writers <= 1 && shared->stream == SHM_STREAM_OPEN) shm_store_release(&shared->stream, SHM_STREAM_ENDED);
    SHM_POINT("port.ended");
    shared->writers -= shared->writers > 0;
  } else {
    shared->readers -= shared->readers > 0;
    shared->received_all += port->received;
  }
  struct shm__ref ref = shm__block_ref(ring->space, offset);
  shm__block_hold(ring->space, ref, ring->id);
  SHM_POINT("port.held");
  shm_store_release(link, port->next); /* SYNC ring.ports */
  SHM_POINT("port.unlinked");
  shm__block_free(ring->space, ref);
}

void shm__channel_close_port(struct shm__channel *channel) {
  struct shm__ring *ring = &channel->ring;
  if (!channel->port) return;
  if (shm__ring_lock_producers(ring, shm__monotonic_ns() + RECOVER_PATIENCE_NS) == SHM_OK) {
    remove_port(ring, channel->port_ref.offset);
    shm__ring_retire(ring);
    shm__unlock(&ring->shared->producer_lock);
    wake_all(ring);
  } /* else a stopped process has the lock: the port goes when this member leaves */
  channel->port = NULL;
}

/* ---- death ------------------------------------------------------------------------------------------------------------ */
static int recover(struct shm__space *space, u64 main, u32 dead) {
  struct shm__ring ring;
  if (shm__ring_bind(space, main, &ring) != SHM_OK) return SHM_OK; /* damaged: check() reports it, reap goes on */
  if (shm__lock_inherit(space, &ring.shared->consumer_lock, dead)) {
    shm__ring_repair_consumers(&ring);
    shm__unlock(&ring.shared->consumer_lock);
  }
  int status = SHM_OK;
  if (shm__lock_inherit(space, &ring.shared->producer_lock, dead)) {
    shm__ring_repair_producers(&ring);
  } else {
    status = shm__ring_lock_producers(&ring, shm__monotonic_ns() + RECOVER_PATIENCE_NS);
    if (status != SHM_OK) return status;
  }
  u64 at = ring.shared->ports, left = space->size_bytes / sizeof(struct shm_port);
  while (at && left-- > 0) {
    struct shm_port *port = shm__ring_port(&ring, at);
    if (!port) break;
    u64 next = port->next;
    if (shm_load_acquire(&port->owner) == dead) remove_port(&ring, at);
    at = next;
  }
  shm__ring_retire(&ring);
  shm__unlock(&ring.shared->producer_lock);
  wake_all(&ring);
  return SHM_OK;
}

static void teardown(struct shm__space *space, u64 main) {
  struct shm__ring ring;
  if (shm__ring_bind(space, main, &ring) == SHM_OK) shm__ring_teardown(&ring);
}

static void wake(struct shm__space *space, u64 main) {
  struct shm__ring ring;
  if (shm__ring_bind(space, main, &ring) == SHM_OK) wake_all(&ring);
}

static void retire(struct shm__space *space, u64 main) {
  struct shm__ring ring;
  if (shm__ring_bind(space, main, &ring) != SHM_OK) return;
  shm_store_release(&ring.shared->life, SHM_LIFE_DELETED);
  wake_all(&ring);
}

const struct shm__type shm__channel_type = {SHM_KIND_CHANNEL, recover, teardown, retire, wake, NULL};

void shm__channel_wake(struct shm__channel *channel) { wake_all(&channel->ring); }

u32 shm__channel_peers(struct shm__channel *channel, u32 role, u32 *tokens, u32 room) {
  struct shm__ring *ring = &channel->ring;
  u32 count = 0;
  int locked = !ring->space->readonly && shm__ring_lock_producers(ring, SHM__TRY) == SHM_OK;
  if (!locked && !ring->space->readonly) return 0;
  u64 at = shm_load_acquire(&ring->shared->ports), left = ring->space->size_bytes / sizeof(struct shm_port); /* SYNC ring.ports */
  while (at && left-- > 0 && count < room) {
    struct shm_port *port = shm__ring_port(ring, at);
    if (!port) break;
    u32 owner = shm_load_acquire(&port->owner), known = 0;
    while (known < count && tokens[known] != owner) known++;
    if (port->role == role && known == count) tokens[count++] = owner;
    at = port->next;
  }
  if (locked) shm__unlock(&ring->shared->producer_lock);
  return count;
}

void shm__channel_probe(struct shm__channel *channel, u32 role) {
  struct shm__space *space = channel->ring.space;
  u32 tokens[PEERS_PROBED];
  if (space->readonly) return;
  u32 count = shm__channel_peers(channel, role, tokens, PEERS_PROBED);
  for (u32 i = 0; i < count; i++) {
    if (!shm__token_alive(space, tokens[i])) shm__reap(space, tokens[i]);
  }
}

/* ---- waiting ------------------------------------------------------------------------------------------------------------ */
/* One who catches up with a stream at every message pays for each cache line twice. If that happened NEAR_TIMES in a row,
 * and we send nothing ourselves (so nobody waits for our answer), hang back for about a microsecond: the other side gets
 * some messages ahead, and both run at full speed. */
static void hang_back(struct shm__channel *channel) {
  u32 sends = shm_load_relaxed(&channel->ring.space->sends);
  if (sends != channel->sends_seen) channel->near = 0;
  channel->sends_seen = sends;
  if (channel->near < NEAR_TIMES) return;
  channel->near = NEAR_TIMES / 2;
  for (int round = 0; round < HANG_BACK_ROUNDS; round++) shm_pause();
}

/* Spin while look says SHM_EMPTY. */
static int spin(struct shm__channel *channel, int (*look)(struct shm__channel *)) {
  if (channel->ring.space->cpus < 2) return look(channel);
  hang_back(channel);
  u32 rounds = shm_load_relaxed(&channel->spin); /* relaxed: a private hint; 0 in a new handle */
  for (u32 round = 0; round < (rounds ? rounds : SPIN_MOST); round++) {
    int status = look(channel);
    if (status != SHM_EMPTY) {
      channel->near = round < NEAR_ROUNDS ? channel->near + 1 : 0;
      return status;
    }
    shm_pause();
  }
  channel->near = 0;
  return SHM_EMPTY;
}

/* How long to spin next time: all the way when this wait turned out short, ever less when it was long. */
static void learn(struct shm__channel *channel, u64 waited_ns) {
  u32 rounds = shm_load_relaxed(&channel->spin);
  rounds = waited_ns < SPIN_PAYS_NS ? SPIN_MOST : (rounds ? rounds : SPIN_MOST) / 2;
  shm_store_relaxed(&channel->spin, (u32)shm_max(rounds, SPIN_LEAST));
}

/* Wait until look says something else than SHM_EMPTY. SHM_OK: look again. SHM_EMPTY: the deadline has come.
 * role: whose death matters to us. */
static int wait_for(struct shm__channel *channel, struct shm__event event, int (*look)(struct shm__channel *), u32 role,
                    u32 what, u64 deadline_ns) {
  struct shm__space *space = channel->ring.space;
  if (deadline_ns == SHM__TRY) return SHM_EMPTY;
  int status = spin(channel, look);
  if (status != SHM_EMPTY) return SHM_OK;
  if (deadline_ns == SHM__SPIN) return SHM_EMPTY;
  u64 start_ns = shm__monotonic_ns(), now_ns = start_ns;
  for (; status == SHM_EMPTY; now_ns = shm__monotonic_ns()) {
    if (now_ns >= deadline_ns) {
      shm__channel_probe(channel, role);
      return look(channel);
    }
    u32 value = space->readonly ? shm_load_acquire(event.word) : shm__event_announce(event);
    status = look(channel); /* SYNC wake: look again behind the announcement */
    if (status != SHM_EMPTY) break;
    u64 nap_ns = shm_min(deadline_ns - now_ns, space->readonly ? 1000000 : NAP_NS); /* nobody can wake a read-only one */
    u32 place = space->readonly ? SHM_WAITS : shm__wait_show(space, channel->ring.id, what);
    enum shm__wait_result result = shm__futex_wait(event.word, value, nap_ns);
    if (!space->readonly) shm__wait_hide(space, place);
    if (result == SHM__WAIT_TIMEOUT) shm__channel_probe(channel, role);
    status = look(channel);
    if (result == SHM__WAIT_SIGNAL && status == SHM_EMPTY) return SHM_INTERRUPTED;
  }
  learn(channel, shm__monotonic_ns() - start_ns);
  return SHM_OK;
}

/* ---- sending ------------------------------------------------------------------------------------------------------------ */
int shm__channel_look_room(struct shm__channel *channel) {
  struct shm__ring *ring = &channel->ring;
  struct shm_ring *shared = ring->shared;
  if (closed(channel) || shm_load_acquire(&shared->stream) == SHM_STREAM_SHUT) return SHM_CLOSED;
  u64 tail = shm_load_acquire(&shared->tail);
  if (ring->delivery == SHM_DELIVERY_ONE) return tail - shm_load_acquire(&shared->head) < ring->capacity ? SHM_OK : SHM_EMPTY;
  /* Ports may only be walked under the lock; a wrong answer costs one more look. */
  if (shm__ring_lock_producers(ring, SHM__TRY) != SHM_OK) return SHM_EMPTY;
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
  shm_store_relaxed(&ring->space->sends, shm_load_relaxed(&ring->space->sends) + 1); /* a hint: a lost one is harmless */
  channel->sends_seen = ring->space->sends;
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

int shm__channel_look(struct shm__channel *channel) {
  struct shm__ring *ring = &channel->ring;
  u64 at = wanted(channel);
  if (shm__ring_ready(ring, at)) return SHM_OK;
  if (closed(channel)) return SHM_CLOSED;
  if (ring->delivery == SHM_DELIVERY_ALL && shm_load_acquire(&ring->shared->tail) > at) return SHM_OK;
  if (shm_load_acquire(&ring->shared->stream) == SHM_STREAM_OPEN) return SHM_EMPTY;
  return shm__ring_ready(ring, wanted(channel)) ? SHM_OK : SHM_END; /* invariant 2 */
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
    memcpy(buffer, payload, message->length_bytes);
    shm__block_free(ring->space, message->block);
  } else {
    memcpy(buffer, message->data, message->length_bytes);
  }
  return SHM_OK;
}

/* The reader was overtaken: go on with the oldest message that is left. */
static int catch_up(struct shm__channel *channel, u64 at) {
  u64 discarded = shm_load_acquire(&channel->ring.shared->discarded), oldest = shm__ring_oldest(&channel->ring, at);
  if (!shm_cas(cursor_of(channel), &at, oldest)) return SHM_BUSY; /* another thread of this reader was quicker */
  if (oldest <= at) return SHM_BUSY;
  u64 lost_from = shm_max(at, discarded); /* what a shutdown discarded is not lost */
  channel->lost = oldest > lost_from ? oldest - lost_from : 0;
  return channel->lost ? SHM_LAGGED : SHM_BUSY;
}

/* A block message was read: perhaps everybody has, and it can go. */
static void retire_read(struct shm__ring *ring) {
  if (ring->space->readonly || shm__ring_lock_producers(ring, SHM__TRY) != SHM_OK) return;
  shm__ring_retire(ring);
  shm__unlock(&ring->shared->producer_lock);
}

static int take_all(struct shm__channel *channel, void *buffer, u64 room_bytes, struct shm__message *message) {
  struct shm__ring *ring = &channel->ring;
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
    return *done ? SHM_OK : status;
  }
  if (closed(channel)) return SHM_CLOSED;
  if (!shm__ring_ready(ring, shm_load_relaxed(&ring->shared->head))) return SHM_EMPTY;
  status = shm__ring_lock_consumers(ring, deadline_ns);
  if (status != SHM_OK) return status;
  while (*done < count) {
    struct shm_slot *slot = &ring->slots[ring->shared->head & ring->mask];
    if (shm_load_acquire(&slot->seq) == ring->shared->head + 1 && slot->block) status = SHM_SHORT; /* one by one */
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
  int inline_one = shm_load_acquire(&slot->seq) == ring->shared->head + 1 && slot->block == 0;
  status = inline_one ? SHM_OK : shm__ring_take(ring, UINT64_MAX, message);
  shm__unlock(&ring->shared->consumer_lock); /* SYNC wake */
  if (status != SHM_OK || inline_one) return status;
  tell_writers(ring);
  *view = shm__block_payload(ring->space, message->block, message->length_bytes);
  return SHM_OK;
}

static int view_all(struct shm__channel *channel, struct shm__message *message, const u8 **view, u64 deadline_ns) {
  struct shm__ring *ring = &channel->ring;
  if (!channel->port) return SHM_OK; /* nothing to pin with */
  int status = shm__ring_lock_producers(ring, deadline_ns);
  if (status != SHM_OK) return status;
  u64 at = channel->port->cursor;
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
      status = payload ? SHM_BUSY : SHM_OK;
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
      if (status != SHM_EMPTY && status != SHM_BUSY) return status;
      continue;
    }
    if (status == SHM_EMPTY) status = still_empty(channel, deadline_ns);
    if (status != SHM_OK) return status;
  }
}

void shm__channel_unpin(struct shm__channel *channel, struct shm__ref block) {
  struct shm__ring *ring = &channel->ring;
  if (ring->delivery == SHM_DELIVERY_ONE) {
    shm__block_free(ring->space, block);
    return;
  }
  if (!channel->port || shm__ring_lock_producers(ring, shm__monotonic_ns() + RECOVER_PATIENCE_NS) != SHM_OK) return;
  for (int pin = 0; pin < SHM_PINS; pin++) {
    if (channel->port->pins[pin] != block.offset) continue;
    channel->port->pins[pin] = 0;
    /* Other ports, and other pins of ours on the same block, keep it. */
    let_go(ring, block.offset, NULL, ring->space->token);
    break;
  }
  shm__ring_retire(ring);
  shm__unlock(&ring->shared->producer_lock);
}

int shm__channel_shutdown(struct shm__channel *channel, int immediate, u64 deadline_ns) {
  struct shm__ring *ring = &channel->ring;
  int status = shm__ring_lock_producers(ring, deadline_ns);
  if (status != SHM_OK) return status;
  shm_store_release(&ring->shared->stream, SHM_STREAM_SHUT);
  SHM_POINT("channel.shut");
  if (immediate) shm__ring_discard(ring, deadline_ns);
  shm__unlock(&ring->shared->producer_lock);
  wake_all(ring);
  return SHM_OK;
}
