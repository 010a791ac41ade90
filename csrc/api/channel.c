/* api/channel.c: channels, readers and writers, for callers outside: opening, closing, looking. */
#include "channel.h"

#include <stdlib.h>
#include <string.h>

#include "../core/members.h"
#include "../os/clock.h"
#include "../os/wait.h"
#include "options.h"

/* ---- opening ------------------------------------------------------------------------------------------------------------ */
#define CAPACITY_MOST (1ull << 40) /* messages; more fit into no space */

static int make_ring(struct shm__space *space, u32 id, const void *options, u64 deadline_ns, struct shm__ref *main) {
  const shm_channel_options *wanted = options;
  if (wanted->capacity == 0 || wanted->capacity > CAPACITY_MOST || wanted->replay > wanted->capacity ||
      wanted->delivery > SHM_DELIVERY_ALL || wanted->overflow > SHM_OVERFLOW_OLDEST) {
    return shm__fail(SHM_INVALID, "no channel can have capacity=%llu, replay=%llu, delivery %u and overflow %u",
                     (unsigned long long)wanted->capacity, (unsigned long long)wanted->replay, wanted->delivery,
                     wanted->overflow);
  }
  struct shm__ring_options made = {.capacity = wanted->capacity,
                                   .replay = wanted->replay,
                                   .max_message_bytes = wanted->max_message_bytes,
                                   .delivery = wanted->delivery,
                                   .overflow = wanted->overflow};
  memcpy(made.codec, wanted->codec, sizeof made.codec);
  return shm__ring_make(space, id, &made, deadline_ns, main);
}

static int check_options(const struct shm__ring *ring, const shm_channel_options *wanted, u32 given) {
  static const char *const deliveries[] = {"one", "all"}, *const overflows[] = {"wait", "error", "oldest"};
  if (given & SHM_GIVEN_CAPACITY && wanted->capacity != ring->capacity) {
    return shm__mismatch("channel", "capacity", ring->capacity, wanted->capacity);
  }
  if (given & SHM_GIVEN_REPLAY && wanted->replay != ring->replay) {
    return shm__mismatch("channel", "replay", ring->replay, wanted->replay);
  }
  if (given & SHM_GIVEN_MAX_MESSAGE && wanted->max_message_bytes != ring->max_message_bytes) {
    return shm__mismatch("channel", "max_message", ring->max_message_bytes, wanted->max_message_bytes);
  }
  if (given & SHM_GIVEN_DELIVERY && wanted->delivery != ring->delivery) {
    return shm__fail(SHM_MISMATCH, "the channel was made with delivery=\"%s\"; delivery=\"%s\" was asked for",
                     deliveries[ring->delivery], deliveries[wanted->delivery & 1]);
  }
  if (given & SHM_GIVEN_OVERFLOW && wanted->overflow != ring->overflow) {
    return shm__fail(SHM_MISMATCH, "the channel was made with overflow=\"%s\"; overflow=\"%s\" was asked for",
                     overflows[ring->overflow], overflows[wanted->overflow <= 2 ? wanted->overflow : 0]);
  }
  return shm__check_codec("channel", ring->shared->codec, wanted->codec, given);
}

/* A read-only space cannot keep the structure with a bit: it looks whether it is still the one it opened. */
static int open_readonly(struct shm__space *space, const char *name, u32 name_length, const shm_channel_options *options, u32 given,
                         shm_channel *channel) {
  for (;;) {
    int status = shm__directory_sight(space, SHM_KIND_CHANNEL, name, name_length, &channel->sight);
    if (status != SHM_OK) return status;
    status = shm__ring_bind(space, channel->sight.main, &channel->core.ring);
    if (status == SHM_OK) status = check_options(&channel->core.ring, options, given);
    if (shm__directory_still_there(space, &channel->sight)) return status;
  }
}

int shm_channel_open(shm_space *space, const char *name, uint32_t name_length, const shm_channel_options *options,
                     uint32_t given, int create, uint64_t deadline_ns, shm_channel **channel) {
  shm_channel *made = calloc(1, sizeof *made);
  if (!made) return shm__fail(SHM_SPACE_FULL, "no memory");
  struct shm__maker maker = {make_ring, options};
  int status = shm__enter(space);
  if (status == SHM_OK) {
    if (space->readonly) {
      status = open_readonly(space, name, name_length, options, given, made);
    } else {
      status = shm__directory_open(space, SHM_KIND_CHANNEL, name, name_length, create ? &maker : NULL, deadline_ns,
                                   &made->structure);
      if (status == SHM_OK) status = shm__ring_bind(space, made->structure->main, &made->core.ring);
      if (status == SHM_OK) status = check_options(&made->core.ring, options, given);
    }
    if (status != SHM_OK && made->structure) shm__directory_release(space, made->structure);
    shm__reap_suspect(space);
    shm__leave(space);
  }
  if (status != SHM_OK) {
    free(made);
    return status;
  }
  made->epoch = space->epoch;
  *channel = made;
  return SHM_OK;
}

/* A place in the stream: a port, or on a read-only space a cursor of our own. */
static int take_place(shm_channel *made, shm_channel *parent, u32 role, u64 deadline_ns) {
  struct shm__space *space = parent->core.ring.space;
  if (!shm_channel_alive(parent)) return SHM_CLOSED;
  if (space->readonly) {
    if (role == SHM_PORT_WRITER || parent->core.ring.delivery == SHM_DELIVERY_ONE) return SHM_READ_ONLY;
    made->core.cursor = shm__channel_first(&made->core);
    return SHM_OK;
  }
  int status = shm__directory_share(space, parent->structure, deadline_ns);
  if (status != SHM_OK) return status;
  made->structure = parent->structure;
  status = shm__channel_open_port(&made->core, role, deadline_ns);
  if (status != SHM_OK) shm__directory_release(space, made->structure);
  return status;
}

static int open_port(shm_channel *parent, u32 role, u64 deadline_ns, shm_channel **channel) {
  shm_channel *made = calloc(1, sizeof *made);
  if (!made) return shm__fail(SHM_SPACE_FULL, "no memory");
  int status = shm__channel_enter(parent);
  if (status == SHM_OK) {
    made->core.ring = parent->core.ring;
    made->sight = parent->sight;
    made->epoch = parent->epoch;
    status = take_place(made, parent, role, deadline_ns);
    shm__channel_leave(parent);
  }
  if (status != SHM_OK) {
    free(made);
    return status;
  }
  *channel = made;
  return SHM_OK;
}

int shm_channel_open_reader(shm_channel *parent, uint64_t deadline_ns, shm_channel **reader) {
  return open_port(parent, SHM_PORT_READER, deadline_ns, reader);
}

int shm_channel_open_writer(shm_channel *parent, uint64_t deadline_ns, shm_channel **writer) {
  return open_port(parent, SHM_PORT_WRITER, deadline_ns, writer);
}

/* ---- closing ------------------------------------------------------------------------------------------------------------ */
void shm_channel_mark_closing(shm_channel *channel) { shm_store_release(&channel->core.closing, 1); }

void shm__channel_let_go(shm_channel *channel) {
  struct shm__space *space = channel->core.ring.space;
  if (shm__enter(space) != SHM_OK) return;
  /* Taken first: of two threads one lets go. */
  struct shm__structure *structure = shm_exchange(&channel->structure, NULL);
  if (structure) {
    if (shm__channel_close_port(&channel->core)) {
      shm_store_release(&channel->structure, structure); /* views are in use: their end comes back here */
    } else {
      shm__directory_release(space, structure);
    }
  }
  shm__leave(space);
}

void shm_channel_close(shm_channel *channel) {
  shm_channel_mark_closing(channel);
  struct shm__space *space = channel->core.ring.space;
  if (channel->epoch != shm__fork_epoch) return; /* the parent's; its memory is freed with the handle */
  while (shm_load_acquire(&channel->busy)) { /* calls under way leave at their next look */
    if (!space->readonly) shm__channel_wake(&channel->core);
    shm__nap_ns(100000);
  }
  shm__channel_let_go(channel);
}

void shm_channel_free(shm_channel *channel) {
  shm_channel_close(channel);
  free(channel);
}

int shm_channel_alive(shm_channel *channel) {
  struct shm__space *space = channel->core.ring.space;
  if (shm_load_acquire(&space->header->life) != SHM_LIFE_LIVE || shm_load_acquire(&channel->core.closing)) return 0;
  /* On a read-only space its memory may be something else by now: the word counts only if it is there behind it. */
  int alive = shm_load_acquire(&channel->core.ring.shared->life) == SHM_LIFE_LIVE;
  return alive && (!space->readonly || shm__directory_still_there(space, &channel->sight));
}

/* ---- looking ------------------------------------------------------------------------------------------------------------ */
void shm_channel_get_options(shm_channel *channel, shm_channel_options *options) {
  const struct shm__ring *ring = &channel->core.ring;
  *options = (shm_channel_options){.capacity = ring->capacity, .replay = ring->replay, .max_message_bytes = ring->max_message_bytes,
                                   .delivery = ring->delivery, .overflow = ring->overflow};
  memcpy(options->codec, ring->shared->codec, sizeof options->codec - 1);
}

static void sum_ports(struct shm__ring *ring, u64 *received) {
  u64 left = ring->space->size_bytes / sizeof(struct shm_port);
  for (u64 at = shm_load_acquire(&ring->shared->ports); at && left-- > 0;) {
    struct shm_port *port = shm__ring_port(ring, at);
    if (!port) return;
    *received += shm_load_relaxed(&port->received); /* a statistic */
    at = shm_load_acquire(&port->next);
  }
}

int shm_channel_stat(shm_channel *channel, shm_channel_facts *facts) {
  int status = shm__channel_enter(channel);
  if (status != SHM_OK) return status;
  struct shm__ring *ring = &channel->core.ring;
  struct shm_ring *shared = ring->shared;
  int locked = !ring->space->readonly && shm__ring_lock_producers(ring, shm__monotonic_ns() + 50000000) == SHM_OK;
  *facts = (shm_channel_facts){.capacity = ring->capacity,
                               .sent = shm_load_acquire(&shared->tail),
                               .dropped = shm_load_relaxed(&shared->dropped),
                               .readers = shm_load_relaxed(&shared->readers),
                               .writers = shm_load_relaxed(&shared->writers)};
  shm__ring_waiting(ring, &facts->waiting, &facts->size_bytes);
  if (ring->delivery == SHM_DELIVERY_ONE) {
    u64 gone = facts->dropped + shm_load_acquire(&shared->discarded), head = shm_load_acquire(&shared->head);
    facts->received = head > gone ? head - gone : 0;
  } else {
    facts->received = shared->received_all;
    sum_ports(ring, &facts->received);
    if (facts->readers == 0) facts->waiting = facts->size_bytes = 0;
  }
  if (locked) shm__unlock(&shared->producer_lock);
  shm__channel_leave(channel);
  return SHM_OK;
}

uint64_t shm_channel_lost(shm_channel *channel) { return shm_load_relaxed(&channel->core.lost); }

uint32_t shm_channel_peers(shm_channel *channel, int writers, uint32_t *tokens, uint32_t room) {
  if (shm__channel_enter(channel) != SHM_OK) return 0;
  u32 count = shm__channel_peers(&channel->core, writers ? SHM_PORT_WRITER : SHM_PORT_READER, tokens, room);
  shm__channel_leave(channel);
  return count;
}

void shm_channel_probe(shm_channel *channel, int writers) {
  if (shm__channel_enter(channel) != SHM_OK) return;
  shm__channel_probe(&channel->core, writers ? SHM_PORT_WRITER : SHM_PORT_READER);
  shm__channel_leave(channel);
}

int shm_channel_look(shm_channel *reader) {
  int status = shm__channel_enter(reader);
  if (status != SHM_OK) return status;
  status = shm__channel_look(&reader->core);
  shm__channel_leave(reader);
  return status;
}

int shm_channel_look_room(shm_channel *writer) {
  if (writer->core.ring.space->readonly) return SHM_READ_ONLY;
  int status = shm__channel_enter(writer);
  if (status != SHM_OK) return status;
  status = shm__channel_look_room(&writer->core);
  shm__channel_leave(writer);
  return status;
}

void shm_channel_arm(shm_channel *channel, int room) {
  if (channel->core.ring.space->readonly || shm__channel_enter(channel) != SHM_OK) return;
  shm__event_arm_bell(channel->core.ring.space, room ? channel->core.ring.room : channel->core.ring.data);
  shm__channel_leave(channel);
}
