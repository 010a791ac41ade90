/* channel_port.c: open readers and writers of a channel, and what becomes of them when their process dies.
 *
 * A port is a block in the ring's chain of ports, owned by a member. The chain changes under the producer lock, by one
 * store each time.
 *
 * Invariants
 *   1. stream is ENDED when the last writer port goes (closed, or its owner reaped), before it leaves the chain; OPEN
 *      again with the next one; SHUT for good. A channel that never had a writer port stays OPEN.
 *   2. A pin is set, cleared, and honoured under the producer lock. A retired block belongs to one of those who pin it.
 *   3. Closing and unpinning wait a moment only for the producer lock, which a stopped process may have: then the port is
 *      marked GONE or LEFT and holds nobody up from there on, or the pin is marked OVER, and is honoured until it is
 *      cleared. The next who opens, closes, looks for dead peers or reaps sweeps them. An owner never touches again what
 *      he marked GONE or OVER.
 *
 * Crash table (died after ...)
 *   filling a port ("port.filled")            HELD by the dead: reaped
 *   publishing it ("port.published")          heir of producer_lock links and counts it; reap closes it
 *   declaring the end ("port.ended")          true: its owner was the last writer, and is dead
 *   holding its block to close it ("port.held")  heir links it again; reap closes it again
 *   stepping over it ("port.unlinked")        the block is HELD by the dead: reaped
 *   handing a pinned block on ("port.handed") it belongs to the other one
 *   marking a port ("port.marked")            it is removed as if its owner lived
 */
#include "channel.h"

#include <string.h>

#include "../base/bits.h"
#include "../base/point.h"
#include "../core/members.h"
#include "../core/recover.h"
#include "../os/clock.h"

enum { RECOVER_PATIENCE_NS = 100000000, PEERS_PROBED = 64 };

static void wake_all(struct shm__ring *ring) {
  shm_fence_full(); /* SYNC wake */
  shm__event_notify(ring->space, ring->data, UINT32_MAX);
  shm__event_notify(ring->space, ring->room, UINT32_MAX);
}

/* ---- ports ------------------------------------------------------------------------------------------------------------ */
u64 shm__channel_first(struct shm__channel *channel) {
  struct shm__ring *ring = &channel->ring;
  u64 tail = shm_load_acquire(&ring->shared->tail);
  u64 cursor = tail - shm_min(tail, ring->replay);
  /* A writer that died when it had retired the oldest message, for one that never came, costs the history that message.
   * relaxed: who has the producer lock sees it all, others see a hint. */
  cursor = shm_max(cursor, shm_load_relaxed(&ring->shared->retired));
  return shm_max(cursor, shm_load_acquire(&ring->shared->floor));
}

/* The producer lock is held. */
static void count_reader_out(struct shm__ring *ring, const struct shm_port *port) {
  if (shm__port_role(port) != SHM_PORT_READER) return;
  ring->shared->readers -= ring->shared->readers > 0;
  ring->shared->received_all += port->received;
}

/* A reader is closed, but its views are in use. The producer lock is held. */
static void keep_only_pins(struct shm__ring *ring, struct shm_port *port) {
  u32 role = shm_load_acquire(&port->role);
  count_reader_out(ring, port);
  while (!shm_cas(&port->role, &role, SHM_PORT_PINS | (role & SHM_PORT_GONE))) {
  }
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
    if (port->pins[pin]) let_go(ring, port->pins[pin] & ~(u64)SHM_PIN_OVER, port, owner);
    port->pins[pin] = 0; /* only now: of one who dies before, the next reaper hands the block on */
  }
  if (shm__port_role(port) == SHM_PORT_WRITER) {
    if (shared->writers <= 1 && shared->stream == SHM_STREAM_OPEN) shm_store_release(&shared->stream, SHM_STREAM_ENDED);
    SHM_POINT("port.ended");
    shared->writers -= shared->writers > 0;
  }
  count_reader_out(ring, port);
  struct shm__ref ref = shm__block_ref(ring->space, offset);
  shm__block_hold(ring->space, ref, ring->id);
  SHM_POINT("port.held");
  shm_store_release(link, port->next); /* SYNC ring.ports */
  SHM_POINT("port.unlinked");
  shm__block_free(ring->space, ref);
}

/* Remove what was marked without the lock, which is held now; 1 if there was something. */
static int sweep(struct shm__ring *ring) {
  u64 at = ring->shared->ports, left = ring->space->size_bytes / sizeof(struct shm_port);
  int found = 0;
  while (at && left-- > 0) {
    struct shm_port *port = shm__ring_port(ring, at);
    if (!port) break;
    u64 next = port->next;
    u32 role = shm_load_acquire(&port->role);
    for (int pin = 0; pin < SHM_PINS; pin++) {
      u64 block = shm_load_acquire(&port->pins[pin]);
      if (!(block & SHM_PIN_OVER)) continue;
      let_go(ring, block & ~(u64)SHM_PIN_OVER, port, port->owner);
      shm_store_release(&port->pins[pin], 0);
    }
    if (role & SHM_PORT_GONE) remove_port(ring, at);
    else if (role & SHM_PORT_LEFT) keep_only_pins(ring, port);
    found |= (role & (SHM_PORT_GONE | SHM_PORT_LEFT)) != 0;
    at = next;
  }
  return found;
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
    port->cursor = shm__channel_first(channel);
    shared->seen_head = ring->delivery == SHM_DELIVERY_ALL ? shm_min(shared->seen_head, port->cursor) : shared->seen_head;
  }
  sweep(ring);
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

/* A lock of the ring, for what no signal may stop; a stopped process that has it may. */
static int lock_to_end(struct shm__ring *ring, int (*lock)(struct shm__ring *ring, u64 deadline_ns)) {
  u64 deadline_ns = shm__monotonic_ns() + RECOVER_PATIENCE_NS;
  int status;
  do {
    status = lock(ring, deadline_ns);
  } while (status == SHM_INTERRUPTED);
  return status;
}

static int has_pins(const struct shm_port *port) {
  int pinned = 0;
  for (int pin = 0; pin < SHM_PINS; pin++) pinned |= port->pins[pin] != 0 && !(port->pins[pin] & SHM_PIN_OVER);
  return pinned;
}

/* Without the producer lock: a stopped process has it. Pins are set and cleared by our own calls only, and none is left. */
static int mark_port(struct shm__channel *channel) {
  int pinned = has_pins(channel->port);
  shm_or(&channel->port->role, pinned ? SHM_PORT_LEFT : SHM_PORT_GONE);
  SHM_POINT("port.marked");
  if (!pinned) channel->port = NULL;
  return pinned;
}

int shm__channel_close_port(struct shm__channel *channel) {
  struct shm__ring *ring = &channel->ring;
  int pinned = 0, status = lock_to_end(ring, shm__ring_lock_producers);
  if (status == SHM_OK) {
    sweep(ring);
    pinned = channel->port && has_pins(channel->port);
    if (pinned) {
      keep_only_pins(ring, channel->port);
    } else if (channel->port) {
      remove_port(ring, channel->port_ref.offset);
      channel->port = NULL; /* under the lock: another thread may have come to close it too */
    }
    shm__ring_retire(ring);
    shm__unlock(&ring->shared->producer_lock);
  } else if (channel->port) {
    pinned = mark_port(channel);
  }
  wake_all(ring);
  return pinned;
}

/* ---- death ------------------------------------------------------------------------------------------------------------ */
static int recover(struct shm__space *space, u64 main, u32 dead) {
  struct shm__ring ring;
  if (shm__ring_bind(space, main, &ring) != SHM_OK) return SHM_OK; /* damaged: check() reports it, reap goes on */
  int status = SHM_OK;
  if (shm__lock_inherit(space, &ring.shared->consumer_lock, dead)) {
    shm__ring_repair_consumers(&ring);
  } else {
    /* Whoever has taken the lock over from the dead links the message again that the dead had hold of. Until that is done
     * its block is no garbage: go on behind that. */
    status = lock_to_end(&ring, shm__ring_lock_consumers);
  }
  if (status == SHM_OK) shm__unlock(&ring.shared->consumer_lock);
  if (shm__lock_inherit(space, &ring.shared->producer_lock, dead)) {
    shm__ring_repair_producers(&ring);
  } else {
    int locked = lock_to_end(&ring, shm__ring_lock_producers);
    if (locked != SHM_OK) return locked;
  }
  u64 at = ring.shared->ports, left = space->size_bytes / sizeof(struct shm_port);
  while (at && left-- > 0) {
    struct shm_port *port = shm__ring_port(&ring, at);
    if (!port) break;
    u64 next = port->next;
    if (shm_load_acquire(&port->owner) == dead) remove_port(&ring, at);
    at = next;
  }
  sweep(&ring);
  shm__ring_retire(&ring);
  shm__unlock(&ring.shared->producer_lock);
  wake_all(&ring);
  return status; /* a stopped consumer is in the way: the dead one's blocks must wait, his ports need not */
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
    if (shm_load_relaxed(&port->role) == role && known == count) tokens[count++] = owner;
    at = shm_load_acquire(&port->next);
  }
  if (locked) shm__unlock(&ring->shared->producer_lock);
  return count;
}

/* Reap the owner of a lock if he has died: nobody else might need that lock to notice. */
static void probe_lock(struct shm__space *space, const u32 *word) {
  u32 owner = shm_load_relaxed(word) & SHM_TOKEN_MASK; /* relaxed: only a suspicion, reap looks for itself */
  if (owner && !shm__token_alive(space, owner)) shm__reap(space, owner);
}

void shm__channel_probe(struct shm__channel *channel, u32 role) {
  struct shm__space *space = channel->ring.space;
  u32 tokens[PEERS_PROBED];
  if (space->readonly) return;
  probe_lock(space, &channel->ring.shared->producer_lock);
  probe_lock(space, &channel->ring.shared->consumer_lock);
  if (shm__ring_lock_producers(&channel->ring, SHM__TRY) == SHM_OK) {
    int found = sweep(&channel->ring);
    shm__unlock(&channel->ring.shared->producer_lock);
    if (found) wake_all(&channel->ring);
  }
  u32 count = shm__channel_peers(channel, role, tokens, PEERS_PROBED);
  for (u32 i = 0; i < count; i++) {
    if (!shm__token_alive(space, tokens[i])) shm__reap(space, tokens[i]);
  }
}

/* ---- pins ------------------------------------------------------------------------------------------------------------- */
void shm__channel_unpin(struct shm__channel *channel, struct shm__ref block) {
  struct shm__ring *ring = &channel->ring;
  if (ring->delivery == SHM_DELIVERY_ONE) {
    shm__block_free(ring->space, block);
    return;
  }
  int locked = lock_to_end(ring, shm__ring_lock_producers) == SHM_OK;
  for (int pin = 0; channel->port && pin < SHM_PINS; pin++) {
    if (channel->port->pins[pin] != block.offset) continue;
    if (!locked) { /* a stopped process has it: whoever has it next lets go */
      shm_store_release(&channel->port->pins[pin], block.offset | SHM_PIN_OVER);
      return;
    }
    let_go(ring, block.offset, channel->port, ring->space->token); /* other ports keep it; we have only this pin on it */
    channel->port->pins[pin] = 0;
    break;
  }
  if (!locked) return;
  shm__ring_retire(ring);
  shm__unlock(&ring->shared->producer_lock);
}
