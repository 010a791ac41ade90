/* ring.c: messages in order, each with a 64-bit number.
 *
 * Message n lies in slot n & mask; up to 80 bytes inline, longer ones in a block that the slot refers to. Writers
 * serialise on producer_lock. With delivery "one", readers serialise on consumer_lock and share head; with "all" they
 * take no lock: each has a cursor in its port (or privately, on a read-only space).
 *
 * Invariants
 *   1. slot.seq == n + 1 says that the slot holds message n whole; that one store publishes it. tail follows.
 *   2. one: head <= tail <= head + capacity. A slot is written again only when head has passed it: that one store takes
 *      the message. Messages [head, tail) have their blocks LINKED.
 *   3. all: a slot that is about to change has seq 0 first, so a reader that copies from it notices afterwards.
 *      Messages [retired, tail) own their blocks; below retired they are freed, or handed to who pins them.
 *   4. Writers and readers exchange only slots, tail and head: one of each never wait for each other's lock.
 *   5. seen_head is never above what a reader still needs.
 *
 * Who writes what: slots, tail, seen_head, retired, floor, ports: the producer lock's holder. head: the consumer lock's.
 * A cursor: its port's owner.
 * Lock order: producer_lock, consumer_lock, then those of core.
 *
 * Crash table (died after ...)                        survivors see                  who repairs it
 *   filling the slot ("ring.filled")                  nothing: seq is not n + 1      reap frees the block it held
 *   linking the block ("ring.linked")                 nothing                        heir of producer_lock drops it
 *   publishing ("ring.published")                     the message; tail is behind    heir of producer_lock moves tail
 *   moving tail ("ring.moved")                        the message                    heir of producer_lock, nothing to do
 *   holding the block to take it ("ring.held")        the message, still unread      heir of consumer_lock links it again
 *   moving head ("ring.taken")                        it is taken                    reap frees the block
 *   unpublishing a retired slot ("ring.unpublished")  an old message is gone         heir of producer_lock drops its block
 *   dropping the oldest ("ring.dropped")              it is gone                     reap frees the block
 *
 * Model: tests/model/ring.pml.
 */
#include "ring.h"

#include <string.h>

#include "../base/bits.h"
#include "../base/point.h"

enum { PREFETCH = 4 }; /* slots */

int shm__ring_make(struct shm__space *space, u32 id, const struct shm__ring_options *options, u64 deadline_ns,
                   struct shm__ref *main) {
  u64 slots = shm_power_of_two(options->capacity);
  if (slots > space->size_bytes / sizeof(struct shm_slot)) {
    return shm__fail(SHM_SPACE_FULL, "a channel of capacity %llu does not fit into %s, which has %llu bytes",
                     (unsigned long long)options->capacity, space->path, (unsigned long long)space->size_bytes);
  }
  u64 start = shm_round_up(sizeof(struct shm_ring), SHM_LINE_BYTES);
  int status = shm__block_alloc(space, start + slots * sizeof(struct shm_slot) + SHM_LINE_BYTES, deadline_ns, main);
  if (status != SHM_OK) return status;
  struct shm_ring *ring = (struct shm_ring *)(space->base + main->offset);
  u64 misaligned = (main->offset + start) % SHM_LINE_BYTES; /* payloads are 64-aligned, slots want a line pair each */
  if (misaligned) start += SHM_LINE_BYTES - misaligned;
  memset(ring, 0, start + slots * sizeof(struct shm_slot));
  ring->life = SHM_LIFE_LIVE;
  ring->id = id;
  ring->capacity = options->capacity;
  ring->slot_count = slots;
  ring->replay = options->replay;
  ring->max_message_bytes = options->max_message_bytes;
  ring->slots_offset = start;
  ring->delivery = options->delivery;
  ring->overflow = options->overflow;
  memcpy(ring->codec, options->codec, sizeof ring->codec);
  return SHM_OK;
}

int shm__ring_bind(struct shm__space *space, u64 main, struct shm__ring *ring) {
  struct shm_ring *shared = shm__block_header(space, main) ? shm__at(space, main, sizeof *shared, 16) : NULL;
  if (!shared) return shm__fail(SHM_CORRUPTED, "%s: a directory entry points outside the region", space->path);
  u64 slots = shared->slot_count, start = shared->slots_offset;
  *ring = (struct shm__ring){.space = space,
                             .shared = shared,
                             .mask = slots - 1,
                             .capacity = shared->capacity,
                             .replay = shared->replay,
                             .max_message_bytes = shared->max_message_bytes,
                             .id = shared->id,
                             .delivery = shared->delivery,
                             .overflow = shared->overflow,
                             .data = {&shared->data_event, shared->data_bells},
                             .room = {&shared->room_event, shared->room_bells}};
  int sane = slots > 0 && (slots & (slots - 1)) == 0 && slots <= space->size_bytes / sizeof(struct shm_slot) &&
             ring->capacity > 0 && ring->capacity <= slots && ring->replay <= ring->capacity &&
             start >= sizeof *shared && start <= 2 * sizeof *shared && ring->delivery <= SHM_DELIVERY_ALL &&
             ring->overflow <= SHM_OVERFLOW_OLDEST && ring->id != 0;
  struct shm__ref ref = shm__block_ref(space, main);
  if (!sane || !shm__block_payload(space, ref, start + slots * sizeof(struct shm_slot))) {
    return shm__fail(SHM_CORRUPTED, "%s: the ring at offset %llu is damaged", space->path, (unsigned long long)main);
  }
  ring->slots = shm__at(space, main + start, slots * sizeof(struct shm_slot), 16);
  return ring->slots ? SHM_OK : SHM_CORRUPTED;
}

/* ---- ports, as far as the ring must know them ------------------------------------------------------------------------ */
struct shm_port *shm__ring_port(const struct shm__ring *ring, u64 offset) {
  return shm__block_header(ring->space, offset) ? shm__at(ring->space, offset, sizeof(struct shm_port), 16) : NULL;
}

/* Loop over the chain; bounded, since bytes may be damaged. */
#define EACH_PORT(ring, port)                                                                                          \
  u64 at_ = shm_load_acquire(&(ring)->shared->ports), left_ = (ring)->space->size_bytes / sizeof(struct shm_port);     \
  for (struct shm_port *port; at_ && left_-- > 0 && (port = shm__ring_port((ring), at_)); at_ = port->next)

u64 shm__ring_slowest(struct shm__ring *ring) {
  u64 slowest = ring->shared->tail;
  EACH_PORT(ring, port) {
    if (shm_load_acquire(&port->role) != SHM_PORT_READER) continue; /* nor those marked as closed */
    u64 cursor = shm_load_acquire(&port->cursor); /* SYNC ring.cursor: the reader has copied what is below it */
    if (cursor < slowest) slowest = cursor;
  }
  return slowest;
}

u32 shm__ring_pinned(struct shm__ring *ring, u64 block, const struct shm_port *but) {
  EACH_PORT(ring, port) {
    for (int pin = 0; port != but && pin < SHM_PINS; pin++) {
      if ((shm_load_acquire(&port->pins[pin]) & ~(u64)SHM_PIN_OVER) == block) return shm_load_acquire(&port->owner);
    }
  }
  return 0;
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */
u64 shm__ring_room(struct shm__ring *ring) {
  struct shm_ring *shared = ring->shared;
  u64 used = shared->tail - shared->seen_head;
  if (used >= ring->capacity) {
    /* SYNC ring.head: below head the readers have copied out, the slots may be written again */
    shared->seen_head = ring->delivery == SHM_DELIVERY_ONE ? shm_load_acquire(&shared->head) : shm__ring_slowest(ring);
    if (ring->delivery == SHM_DELIVERY_ALL) shared->seen_head = shm_max(shared->seen_head, shared->floor);
    used = shared->tail - shared->seen_head;
  }
  return used < ring->capacity ? ring->capacity - used : 0;
}

/* Free the block of a slot that nobody can read any more, or hand it to a member that pins it. */
static void give_back(struct shm__ring *ring, struct shm_slot *slot) {
  struct shm__ref block = {slot->block, slot->block_gen};
  u32 pinner = shm__ring_pinned(ring, block.offset, NULL);
  struct shm_block *header = pinner ? shm__block_header(ring->space, block.offset) : NULL;
  u64 linked = shm__block_word(SHM_BLOCK_LINKED, block.gen, ring->id);
  if (header) {
    shm_cas(&header->word, &linked, shm__block_word(SHM_BLOCK_HELD, block.gen, pinner));
  } else {
    shm__block_drop(ring->space, block, ring->id);
  }
  slot->block = 0;
}

/* All: message n is over for everybody. */
static void retire_slot(struct shm__ring *ring, u64 n) {
  struct shm_slot *slot = &ring->slots[n & ring->mask];
  u64 seq = shm_load_relaxed(&slot->seq); /* relaxed: we hold the producer lock */
  if ((seq != n + 1 && seq != 0) || slot->block == 0) return;
  shm_store_relaxed(&slot->seq, 0);
  shm_fence_full(); /* SYNC ring.retire: readers look at seq again after copying */
  SHM_POINT("ring.unpublished");
  give_back(ring, slot);
  if (ring->shared->linked_blocks > 0) ring->shared->linked_blocks--;
}

/* All: give the blocks of messages below limit back. */
static void retire_until(struct shm__ring *ring, u64 limit) {
  struct shm_ring *shared = ring->shared;
  if (limit > shared->tail) return;
  u64 n = shared->retired;
  if (limit > n && limit - n > ring->mask + 1) n = limit - ring->mask - 1; /* older slots are used again already */
  for (; n < limit && shared->linked_blocks > 0; n++) retire_slot(ring, n);
  if (shared->retired < limit) shm_store_relaxed(&shared->retired, limit); /* relaxed: a hint for who has no lock */
}

void shm__ring_retire(struct shm__ring *ring) {
  struct shm_ring *shared = ring->shared;
  if (ring->delivery != SHM_DELIVERY_ALL || shared->linked_blocks == 0) return;
  u64 keep = shared->tail - shm_min(shared->tail, ring->replay);
  retire_until(ring, shm_min(keep, shm_max(shm__ring_slowest(ring), shared->floor)));
}

void shm__ring_publish(struct shm__ring *ring, const struct shm__message *message) {
  struct shm_ring *shared = ring->shared;
  u64 n = shared->tail;
  struct shm_slot *slot = &ring->slots[n & ring->mask];
  /* The slots ahead are in the reader's cache: ask for them now, not when the unlock has to wait for them. */
  const u8 *ahead = (const u8 *)&ring->slots[(n + PREFETCH) & ring->mask];
  __builtin_prefetch(ahead, 1);
  __builtin_prefetch(ahead + 64, 1);
  if (ring->delivery == SHM_DELIVERY_ALL) {
    if (n >= ring->capacity) retire_until(ring, n + 1 - ring->capacity);
    shm_store_relaxed(&slot->seq, 0);
    shm_fence_release(); /* SYNC ring.overwrite: a reader copying the old message sees seq change */
  }
  slot->block = message->block.offset;
  slot->block_gen = message->block.gen;
  slot->codec = message->codec;
  slot->length_bytes = message->length_bytes;
  if (message->block.offset == 0) memcpy(slot->data, message->data, message->length_bytes);
  SHM_POINT("ring.filled");
  if (message->block.offset) {
    shm__block_link(ring->space, message->block, ring->id);
    SHM_POINT("ring.linked");
    shared->linked_blocks++;
  }
  shm_store_release(&slot->seq, n + 1); /* SYNC ring.publish: the slot and the payload are whole */
  SHM_POINT("ring.published");
  shm_store_release(&shared->tail, n + 1);
  SHM_POINT("ring.moved");
}

/* All: readers go on at message floor; what is below it is lost to them. */
static void raise_floor(struct shm__ring *ring, u64 floor) {
  struct shm_ring *shared = ring->shared;
  if (floor <= shared->floor || floor > shared->tail) return;
  u64 slowest = shm_max(shm__ring_slowest(ring), shared->floor);
  shm_store_release(&shared->floor, floor);
  shared->seen_head = shm_max(shared->seen_head, floor);
  if (floor > slowest) shm_add(&shared->dropped, floor - slowest);
  SHM_POINT("ring.dropped");
}

/* One: take the oldest message away from the readers. */
static int drop_head(struct shm__ring *ring, u64 deadline_ns) {
  int status = shm__ring_lock_consumers(ring, deadline_ns);
  if (status != SHM_OK) return status;
  struct shm__message message;
  status = shm__ring_take(ring, UINT64_MAX, &message);
  if (status == SHM_OK) shm_add(&ring->shared->dropped, 1);
  SHM_POINT("ring.dropped");
  shm__unlock(&ring->shared->consumer_lock);
  if (status == SHM_OK) shm__block_free(ring->space, message.block);
  return status == SHM_EMPTY ? SHM_OK : status;
}

int shm__ring_drop_oldest(struct shm__ring *ring, u64 deadline_ns) {
  if (ring->delivery == SHM_DELIVERY_ONE) return drop_head(ring, deadline_ns);
  raise_floor(ring, ring->shared->tail + 1 - ring->capacity);
  return SHM_OK;
}

int shm__ring_drop_first(struct shm__ring *ring, u64 deadline_ns) {
  struct shm_ring *shared = ring->shared;
  if (ring->delivery == SHM_DELIVERY_ONE) return drop_head(ring, deadline_ns);
  u64 oldest = shm_max(shm_max(shared->retired, shared->floor), shared->tail > ring->capacity ? shared->tail - ring->capacity : 0);
  raise_floor(ring, oldest + 1);
  retire_until(ring, shm_min(oldest + 1, shared->tail));
  return SHM_OK;
}

int shm__ring_discard(struct shm__ring *ring, u64 deadline_ns) {
  struct shm_ring *shared = ring->shared;
  if (ring->delivery == SHM_DELIVERY_ALL) {
    shm_store_release(&shared->discarded, shared->tail);
    shm_store_release(&shared->floor, shared->tail);
    retire_until(ring, shared->tail);
    return SHM_OK;
  }
  int status = shm__ring_lock_consumers(ring, deadline_ns);
  if (status != SHM_OK) return status;
  struct shm__message message;
  while (shm__ring_take(ring, UINT64_MAX, &message) == SHM_OK) {
    shared->discarded++;
    shm__block_free(ring->space, message.block);
  }
  shm__unlock(&shared->consumer_lock);
  return SHM_OK;
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */
int shm__ring_take(struct shm__ring *ring, u64 room_bytes, struct shm__message *message) {
  struct shm_ring *shared = ring->shared;
  u64 n = shared->head;
  struct shm_slot *slot = &ring->slots[n & ring->mask];
  if (shm_load_acquire(&slot->seq) != n + 1) return SHM_EMPTY; /* SYNC ring.publish */
  message->length_bytes = slot->length_bytes;
  message->codec = slot->codec;
  message->block = (struct shm__ref){slot->block, slot->block_gen};
  if (message->length_bytes > (message->block.offset ? ring->max_message_bytes : SHM_INLINE_BYTES)) {
    return shm__fail(SHM_CORRUPTED, "message %llu has an impossible length", (unsigned long long)n);
  }
  if (message->length_bytes > room_bytes) return SHM_SHORT;
  if (message->block.offset == 0) {
    memcpy(message->data, slot->data, message->length_bytes);
  } else if (!shm__block_payload(ring->space, message->block, message->length_bytes) ||
             !shm__block_hold(ring->space, message->block, ring->id)) {
    return shm__fail(SHM_CORRUPTED, "message %llu has no block", (unsigned long long)n);
  } else {
    SHM_POINT("ring.held");
  }
  shm_store_release(&shared->head, n + 1); /* SYNC ring.head: the message is ours, its slot may be written again */
  SHM_POINT("ring.taken");
  return SHM_OK;
}

/* Copy the fields and bytes of the slot that was just found to hold message at. */
SHM_NO_TSAN static int copy_slot(struct shm__ring *ring, const struct shm_slot *slot, void *buffer, u64 room_bytes,
                                 struct shm__message *message) {
  message->length_bytes = slot->length_bytes;
  message->codec = slot->codec;
  message->block = (struct shm__ref){slot->block, slot->block_gen};
  if (message->length_bytes > (message->block.offset ? ring->max_message_bytes : SHM_INLINE_BYTES)) return SHM_CORRUPTED;
  if (message->length_bytes > room_bytes) return SHM_SHORT;
  if (message->block.offset == 0) {
    shm_copy_racing(buffer, slot->data, message->length_bytes);
    return SHM_OK;
  }
  u8 *payload = shm__block_payload(ring->space, message->block, message->length_bytes);
  if (!payload) return SHM_CORRUPTED;
  shm_copy_racing(buffer, payload, message->length_bytes);
  return SHM_OK;
}

int shm__ring_read(struct shm__ring *ring, u64 at, void *buffer, u64 room_bytes, struct shm__message *message) {
  struct shm_slot *slot = &ring->slots[at & ring->mask];
  if (at < shm_load_acquire(&ring->shared->floor)) return SHM_LAGGED;
  if (shm_load_acquire(&slot->seq) == at + 1) { /* SYNC ring.publish */
    int status = copy_slot(ring, slot, buffer, room_bytes, message);
    shm_fence_acquire(); /* SYNC ring.overwrite, ring.retire: the copy is done before seq is looked at again */
    if (shm_load_acquire(&slot->seq) == at + 1) { /* acquire: who finds 0 must find the tail that goes with it, too */
      return status == SHM_CORRUPTED ? shm__fail(status, "message %llu is damaged", (unsigned long long)at) : status;
    }
    return SHM_LAGGED;
  }
  if (shm_load_acquire(&ring->shared->tail) <= at) return SHM_EMPTY;
  return shm_load_acquire(&slot->seq) == at + 1 ? SHM_BUSY : SHM_LAGGED; /* published in between: come again */
}

u64 shm__ring_oldest(const struct shm__ring *ring, u64 at) {
  u64 tail = shm_load_acquire(&ring->shared->tail), floor = shm_load_acquire(&ring->shared->floor);
  u64 oldest = shm_max(floor, tail > ring->capacity ? tail - ring->capacity : 0);
  for (u64 n = shm_max(oldest, at + 1); n < tail; n++) {
    if (shm__ring_ready(ring, n)) return n; /* retired ones are gone for those without a port */
  }
  return tail;
}

void shm__ring_waiting(struct shm__ring *ring, u64 *messages, u64 *size_bytes) {
  struct shm_ring *shared = ring->shared;
  u64 tail = shm_load_acquire(&shared->tail), from;
  if (ring->delivery == SHM_DELIVERY_ONE) {
    from = shm_load_acquire(&shared->head);
  } else {
    from = shm_max(shm__ring_slowest(ring), shm_load_acquire(&shared->floor));
  }
  *messages = tail > from ? shm_min(tail - from, ring->capacity) : 0;
  *size_bytes = 0;
  for (u64 n = tail - *messages; n < tail; n++) {
    struct shm_slot *slot = &ring->slots[n & ring->mask];
    if (shm_load_acquire(&slot->seq) == n + 1) *size_bytes += shm_load_relaxed(&slot->length_bytes); /* a statistic */
  }
}

/* ---- repair ---------------------------------------------------------------------------------------------------------- */
void shm__ring_repair_producers(struct shm__ring *ring) {
  struct shm_ring *shared = ring->shared;
  for (u64 i = 0; i <= ring->mask && shm__ring_ready(ring, shared->tail); i++) shm_store_release(&shared->tail, shared->tail + 1);
  /* The slot that was being filled. Of a full ring it is still the oldest message, untouched. */
  struct shm_slot *slot = &ring->slots[shared->tail & ring->mask];
  int untouched = ring->delivery == SHM_DELIVERY_ALL ? shm_load_relaxed(&slot->seq) != 0
                                                     : shared->tail - shm_load_acquire(&shared->head) > ring->mask;
  if (slot->block && !untouched) give_back(ring, slot);
  shared->linked_blocks = 0;
  u64 from = shm_max(shared->retired, shared->tail > ring->mask ? shared->tail - ring->mask - 1 : 0);
  for (u64 n = from; n < shared->tail; n++) {
    slot = &ring->slots[n & ring->mask];
    shared->linked_blocks += slot->block != 0;
    if (ring->delivery != SHM_DELIVERY_ALL || shm_load_relaxed(&slot->seq) != 0) continue;
    retire_slot(ring, n);
    shared->retired = n + 1; /* slots are retired in order: whoever did this had come as far */
  }
  u32 writers = 0, readers = 0;
  EACH_PORT(ring, port) {
    shm__block_relink(ring->space, shm__block_ref(ring->space, at_), ring->id);
    writers += shm__port_role(port) == SHM_PORT_WRITER;
    readers += shm__port_role(port) == SHM_PORT_READER;
  }
  shared->writers = writers;
  shared->readers = readers;
  shared->seen_head = 0; /* looked up by the next writer */
}

void shm__ring_repair_consumers(struct shm__ring *ring) {
  struct shm_slot *slot = &ring->slots[ring->shared->head & ring->mask];
  if (shm_load_acquire(&slot->seq) != ring->shared->head + 1 || slot->block == 0) return;
  shm__block_relink(ring->space, (struct shm__ref){slot->block, slot->block_gen}, ring->id);
}

int shm__ring_lock_producers(struct shm__ring *ring, u64 deadline_ns) {
  int status = shm__lock(ring->space, &ring->shared->producer_lock, deadline_ns, ring->id);
  if (__builtin_expect(status != SHM__REPAIR, 1)) return status;
  shm__ring_repair_producers(ring);
  return SHM_OK;
}

int shm__ring_lock_consumers(struct shm__ring *ring, u64 deadline_ns) {
  int status = shm__lock(ring->space, &ring->shared->consumer_lock, deadline_ns, ring->id);
  if (__builtin_expect(status != SHM__REPAIR, 1)) return status;
  shm__ring_repair_consumers(ring);
  return SHM_OK;
}

void shm__ring_teardown(struct shm__ring *ring) {
  for (u64 i = 0; i <= ring->mask; i++) {
    struct shm_slot *slot = &ring->slots[i];
    if (slot->block) shm__block_drop(ring->space, (struct shm__ref){slot->block, slot->block_gen}, ring->id);
  }
  EACH_PORT(ring, port) shm__block_drop(ring->space, shm__block_ref(ring->space, at_), ring->id);
}
