/* api/channel.c: channels, readers and writers, for callers outside: checks handles and options, calls types/channel. */
#include "../types/channel.h"

#include <stdlib.h>
#include <string.h>

#include "../core/directory.h"
#include "../core/members.h"
#include "../core/recover.h"
#include "../include/shmspace.h"
#include "../os/clock.h"
#include "../os/wait.h"

struct shm_channel {
  struct shm__channel core;
  struct shm__structure *structure; /* NULL in a reader or writer: its parent keeps the structure open */
  u32 epoch;                        /* fork epoch in which it was opened */
  u32 busy;                         /* calls under way that may sleep or copy for long */
};

static int enter(shm_channel *channel) {
  if (channel->epoch != shm__fork_epoch) return SHM_FORKED;
  shm_add(&channel->busy, 1);
  if (!shm_load_acquire(&channel->core.closing)) return SHM_OK;
  shm_add(&channel->busy, (u32)-1);
  return SHM_CLOSED;
}

static void leave(shm_channel *channel) {
  shm__reap_suspect(channel->core.ring.space);
  shm_add(&channel->busy, (u32)-1);
}

/* ---- opening ------------------------------------------------------------------------------------------------------------ */
enum { SLICE_NS = 100000000 };

#define CAPACITY_MOST (1ull << 40) /* messages; more fit into no space */

static int make_ring(struct shm__space *space, u32 id, void *options, u64 deadline_ns, struct shm__ref *main) {
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

static int mismatch(const char *option, u64 found, u64 asked) {
  return shm__fail(SHM_MISMATCH, "the channel was made with %s=%llu; %s=%llu was asked for", option,
                   (unsigned long long)found, option, (unsigned long long)asked);
}

static int check_options(const struct shm__ring *ring, const shm_channel_options *wanted, u32 given) {
  static const char *const deliveries[] = {"one", "all"}, *const overflows[] = {"wait", "error", "oldest"};
  if (given & SHM_GIVEN_CAPACITY && wanted->capacity != ring->capacity) {
    return mismatch("capacity", ring->capacity, wanted->capacity);
  }
  if (given & SHM_GIVEN_REPLAY && wanted->replay != ring->replay) return mismatch("replay", ring->replay, wanted->replay);
  if (given & SHM_GIVEN_MAX_MESSAGE && wanted->max_message_bytes != ring->max_message_bytes) {
    return mismatch("max_message", ring->max_message_bytes, wanted->max_message_bytes);
  }
  if (given & SHM_GIVEN_DELIVERY && wanted->delivery != ring->delivery) {
    return shm__fail(SHM_MISMATCH, "the channel was made with delivery=\"%s\"; delivery=\"%s\" was asked for",
                     deliveries[ring->delivery], deliveries[wanted->delivery & 1]);
  }
  if (given & SHM_GIVEN_OVERFLOW && wanted->overflow != ring->overflow) {
    return shm__fail(SHM_MISMATCH, "the channel was made with overflow=\"%s\"; overflow=\"%s\" was asked for",
                     overflows[ring->overflow], overflows[wanted->overflow <= 2 ? wanted->overflow : 0]);
  }
  if (given & SHM_GIVEN_CODEC && strncmp(wanted->codec, (const char *)ring->shared->codec, sizeof wanted->codec) != 0) {
    return shm__fail(SHM_MISMATCH, "the channel was made with codec=\"%.32s\"; codec=\"%.32s\" was asked for",
                     (const char *)ring->shared->codec, wanted->codec);
  }
  return SHM_OK;
}

/* A read-only space cannot keep the structure with a bit: it looks whether it is still the one it opened. */
static int open_readonly(struct shm__space *space, const char *name, u32 name_length, shm_channel *channel) {
  channel->core.deletions = shm_load_acquire(&space->header->deletions); /* SYNC directory.deletions */
  const struct shm_entry *entry = shm__directory_look(space, SHM_KIND_CHANNEL, name, name_length);
  if (!entry) {
    return shm__fail(SHM_NOT_FOUND, "%s has no channel named %.*s", space->path, (int)name_length, name);
  }
  return shm__ring_bind(space, entry->main, &channel->core.ring);
}

int shm_channel_open(shm_space *space, const char *name, uint32_t name_length, const shm_channel_options *options,
                     uint32_t given, int create, uint64_t deadline_ns, shm_channel **channel) {
  shm_channel *made = calloc(1, sizeof *made);
  if (!made) return shm__fail(SHM_SPACE_FULL, "no memory");
  shm_channel_options wanted = *options;
  struct shm__maker maker = {make_ring, &wanted};
  int status = shm__enter(space);
  if (status == SHM_OK) {
    if (space->readonly) {
      status = open_readonly(space, name, name_length, made);
    } else {
      status = shm__directory_open(space, SHM_KIND_CHANNEL, name, name_length, create ? &maker : NULL, deadline_ns, &made->structure);
      if (status == SHM_OK) status = shm__ring_bind(space, made->structure->main, &made->core.ring);
    }
    if (status == SHM_OK) status = check_options(&made->core.ring, options, given);
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

static int open_port(shm_channel *parent, u32 role, u64 deadline_ns, shm_channel **channel) {
  int status = enter(parent);
  if (status != SHM_OK) return status;
  shm_channel *made = calloc(1, sizeof *made);
  if (!made) status = shm__fail(SHM_SPACE_FULL, "no memory");
  if (status == SHM_OK) {
    made->core.ring = parent->core.ring;
    made->core.deletions = parent->core.deletions;
    made->epoch = parent->epoch;
    if (shm_channel_alive(parent) == 0) status = SHM_CLOSED;
    else if (!parent->core.ring.space->readonly) status = shm__channel_open_port(&made->core, role, deadline_ns);
    else if (role == SHM_PORT_WRITER || parent->core.ring.delivery == SHM_DELIVERY_ONE) status = SHM_READ_ONLY;
    else made->core.cursor = shm__channel_first(&made->core);
  }
  leave(parent);
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

void shm_channel_close(shm_channel *channel) {
  shm_channel_mark_closing(channel);
  struct shm__space *space = channel->core.ring.space;
  if (channel->epoch != shm__fork_epoch) return; /* the parent's; its memory is freed with the handle */
  while (shm_load_acquire(&channel->busy)) { /* calls under way leave at their next look */
    if (!space->readonly) shm__channel_wake(&channel->core);
    shm__nap_ns(100000);
  }
  if (space->readonly || shm__enter(space) != SHM_OK) return;
  if (channel->core.port) shm__channel_close_port(&channel->core);
  if (channel->structure) shm__directory_release(space, channel->structure);
  channel->structure = NULL;
  shm__leave(space);
}

void shm_channel_free(shm_channel *channel) {
  shm_channel_close(channel);
  free(channel);
}

struct search {
  const shm_channel *channel;
  int found;
};

static int is_it(const struct shm__space *space, const struct shm_entry *entry, void *context) {
  struct search *search = context;
  const struct shm__ring *ring = &search->channel->core.ring;
  search->found = entry->kind == SHM_KIND_CHANNEL && entry->id == ring->id && entry->main == shm__offset_of(space, ring->shared);
  return search->found;
}

/* Without our bit in the directory: is the structure still the one that we opened? Something was deleted since. */
static int still_there(shm_channel *channel) {
  struct shm__space *space = channel->core.ring.space;
  u64 deletions = shm_load_acquire(&space->header->deletions); /* SYNC directory.deletions */
  while (deletions != shm_load_relaxed(&channel->core.deletions)) {
    struct search search = {channel, 0};
    int found = shm__directory_walk(space, is_it, &search) == SHM_OK && search.found;
    u64 now = shm_load_acquire(&space->header->deletions);
    if (!found && now == deletions) return 0; /* else the chain may have changed under our feet */
    if (found) shm_store_relaxed(&channel->core.deletions, deletions); /* relaxed: of this process only, a hint */
    deletions = now;
  }
  return 1;
}

int shm_channel_alive(shm_channel *channel) {
  struct shm__space *space = channel->core.ring.space;
  if (shm_load_acquire(&channel->core.ring.shared->life) != SHM_LIFE_LIVE || shm_load_acquire(&space->header->life) != SHM_LIFE_LIVE ||
      shm_load_acquire(&channel->core.closing)) {
    return 0;
  }
  return !space->readonly || still_there(channel);
}

/* ---- looking ------------------------------------------------------------------------------------------------------------ */
void shm_channel_get_options(shm_channel *channel, shm_channel_options *options) {
  const struct shm__ring *ring = &channel->core.ring;
  *options = (shm_channel_options){.capacity = ring->capacity, .replay = ring->replay, .max_message_bytes = ring->max_message_bytes,
                                   .delivery = ring->delivery, .overflow = ring->overflow};
  memcpy(options->codec, ring->shared->codec, sizeof options->codec - 1);
}

SHM_NO_TSAN static void sum_ports(struct shm__ring *ring, u64 *received) {
  u64 left = ring->space->size_bytes / sizeof(struct shm_port);
  for (u64 at = shm_load_acquire(&ring->shared->ports); at && left-- > 0;) {
    struct shm_port *port = shm__ring_port(ring, at);
    if (!port) return;
    *received += shm_load_relaxed(&port->received); /* a statistic */
    at = shm_load_acquire(&port->next);
  }
}

int shm_channel_stat(shm_channel *channel, shm_channel_facts *facts) {
  int status = enter(channel);
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
  leave(channel);
  return SHM_OK;
}

uint64_t shm_channel_lost(shm_channel *channel) { return shm_load_relaxed(&channel->core.lost); }

uint32_t shm_channel_peers(shm_channel *channel, int writers, uint32_t *tokens, uint32_t room) {
  if (enter(channel) != SHM_OK) return 0;
  u32 count = shm__channel_peers(&channel->core, writers ? SHM_PORT_WRITER : SHM_PORT_READER, tokens, room);
  leave(channel);
  return count;
}

void shm_channel_probe(shm_channel *channel, int writers) {
  if (enter(channel) != SHM_OK) return;
  shm__channel_probe(&channel->core, writers ? SHM_PORT_WRITER : SHM_PORT_READER);
  leave(channel);
}

int shm_channel_look(shm_channel *reader) {
  if (reader->epoch != shm__fork_epoch) return SHM_FORKED;
  return shm__channel_look(&reader->core);
}

int shm_channel_look_room(shm_channel *writer) {
  if (writer->epoch != shm__fork_epoch) return SHM_FORKED;
  return shm__channel_look_room(&writer->core);
}

void shm_channel_arm(shm_channel *channel, int room) {
  if (channel->core.ring.space->readonly || enter(channel) != SHM_OK) return;
  shm__event_arm_bell(channel->core.ring.space, room ? channel->core.ring.room : channel->core.ring.data);
  leave(channel);
}

/* ---- messages ----------------------------------------------------------------------------------------------------------- */
/* Fit to be sent? */
static int check_writable(shm_channel *writer, u64 length_bytes) {
  const struct shm__ring *ring = &writer->core.ring;
  if (writer->epoch != shm__fork_epoch) return SHM_FORKED;
  if (ring->space->readonly) return SHM_READ_ONLY;
  if (length_bytes > ring->max_message_bytes) {
    return shm__fail(SHM_TOO_LARGE, "a message of %llu bytes is longer than max_message=%llu; make the channel with a larger one",
                     (unsigned long long)length_bytes, (unsigned long long)ring->max_message_bytes);
  }
  return SHM_OK;
}

/* A block for a message. With overflow "oldest", messages are dropped until there is memory. */
static int alloc_payload(struct shm__channel *channel, u64 length_bytes, u64 deadline_ns, struct shm__ref *ref) {
  struct shm__ring *ring = &channel->ring;
  for (;;) {
    int status = shm__block_alloc(ring->space, length_bytes, deadline_ns, ref);
    if (status != SHM_SPACE_FULL) return status;
    int locked = shm__ring_lock_producers(ring, deadline_ns);
    if (locked != SHM_OK) return locked;
    u64 before = shm__blocks_used_bytes(ring->space), dropped = ring->shared->dropped;
    shm__ring_retire(ring);
    if (ring->overflow == SHM_OVERFLOW_OLDEST && shm__blocks_used_bytes(ring->space) == before) {
      shm__ring_drop_first(ring, deadline_ns);
    }
    int freed = ring->shared->dropped != dropped || shm__blocks_used_bytes(ring->space) != before;
    shm__unlock(&ring->shared->producer_lock);
    if (!freed) return status;
  }
}

/* Make the message: short ones inline, longer ones in a block of ours. */
static int prepare(struct shm__channel *channel, const void *data, u64 length_bytes, u32 codec, u64 deadline_ns,
                   struct shm__message *message) {
  message->length_bytes = length_bytes;
  message->codec = codec;
  message->block = (struct shm__ref){0, 0};
  if (length_bytes <= SHM_INLINE_BYTES) {
    if (length_bytes) memcpy(message->data, data, length_bytes);
    return SHM_OK;
  }
  int status = alloc_payload(channel, length_bytes, deadline_ns, &message->block);
  if (status == SHM_OK) memcpy(shm__block_payload(channel->ring.space, message->block, length_bytes), data, length_bytes);
  return status;
}

int shm_channel_send(shm_channel *writer, const void *data, uint64_t length_bytes, uint32_t codec, uint64_t deadline_ns) {
  struct shm__message message;
  u64 done;
  int status = check_writable(writer, length_bytes);
  if (status == SHM_OK) status = enter(writer);
  if (status != SHM_OK) return status;
  status = prepare(&writer->core, data, length_bytes, codec, deadline_ns, &message);
  if (status == SHM_OK) {
    status = shm__channel_send(&writer->core, &message, 1, deadline_ns, &done);
    if (done == 0) shm__block_free(writer->core.ring.space, message.block);
  }
  leave(writer);
  return status;
}

int shm_channel_send_many(shm_channel *writer, const shm_piece *pieces, uint64_t count, uint64_t deadline_ns, uint64_t *done) {
  enum { BATCH = 32, BATCH_BYTES = 65536 }; /* no more memory at once than a queue of short messages needs */
  struct shm__message messages[BATCH];
  int status = enter(writer);
  *done = 0;
  if (status != SHM_OK) return status;
  while (*done < count && status == SHM_OK) {
    u64 ready = 0, sent = 0, ready_bytes = 0;
    while (ready < BATCH && ready_bytes < BATCH_BYTES && *done + ready < count && status == SHM_OK) {
      const shm_piece *piece = &pieces[*done + ready];
      ready_bytes += piece->length_bytes;
      status = check_writable(writer, piece->length_bytes);
      if (status == SHM_OK) status = prepare(&writer->core, piece->data, piece->length_bytes, piece->codec, deadline_ns, &messages[ready]);
      ready += status == SHM_OK;
    }
    int sending = ready ? shm__channel_send(&writer->core, messages, ready, deadline_ns, &sent) : SHM_OK;
    for (u64 i = sent; i < ready; i++) shm__block_free(writer->core.ring.space, messages[i].block);
    *done += sent;
    if (sending != SHM_OK || ready > 0) status = sending; /* what stopped us after some are ready may be over by now */
  }
  leave(writer);
  return status;
}

/* On a read-only space: messages can be looked at, not taken; and the structure may go without our bit. */
static int check_readable(shm_channel *reader) {
  const struct shm__ring *ring = &reader->core.ring;
  if (!ring->space->readonly) return SHM_OK;
  if (ring->delivery == SHM_DELIVERY_ONE) return SHM_READ_ONLY;
  return shm_channel_alive(reader) ? SHM_OK : SHM_CLOSED;
}

/* On a read-only space: what was found counts only if the structure was there all the while. */
static int confirm(shm_channel *reader, int status) {
  if (!reader->core.ring.space->readonly) return status;
  shm_fence_acquire(); /* SYNC directory.deletions: the copy is done before they are looked at again */
  return shm_channel_alive(reader) ? status : SHM_CLOSED;
}

/* And nobody tells a sleeper that it has gone: he looks now and then. */
static u64 slice_end(const shm_channel *reader, u64 deadline_ns) {
  if (!reader->core.ring.space->readonly || deadline_ns <= SHM__SPIN) return deadline_ns;
  u64 end_ns = shm__monotonic_ns() + SLICE_NS;
  return end_ns < deadline_ns ? end_ns : deadline_ns;
}

static int has_time(const shm_channel *reader, u64 deadline_ns) {
  return reader->core.ring.space->readonly && deadline_ns > SHM__SPIN && shm__monotonic_ns() < deadline_ns;
}

int shm_channel_recv(shm_channel *reader, void *buffer, uint64_t room_bytes, uint64_t *length_bytes, uint32_t *codec,
                     uint64_t deadline_ns) {
  struct shm__message message;
  int status = enter(reader);
  if (status != SHM_OK) return status;
  do {
    status = check_readable(reader);
    if (status != SHM_OK) break;
    status = confirm(reader, shm__channel_recv(&reader->core, buffer, room_bytes, &message, slice_end(reader, deadline_ns)));
  } while (status == SHM_EMPTY && has_time(reader, deadline_ns));
  leave(reader);
  if (status == SHM_OK || status == SHM_SHORT) {
    *length_bytes = message.length_bytes;
    *codec = message.codec;
  }
  return status;
}

int shm_channel_recv_many(shm_channel *reader, shm_small *messages, uint64_t count, uint64_t deadline_ns, uint64_t *done) {
  _Static_assert(sizeof(shm_small) == sizeof(struct shm__message), "shm_small is a message");
  int status = enter(reader);
  *done = 0;
  if (status != SHM_OK) return status;
  do {
    status = check_readable(reader);
    if (status != SHM_OK) break;
    u64 end_ns = slice_end(reader, deadline_ns);
    status = confirm(reader, shm__channel_recv_many(&reader->core, (struct shm__message *)messages, count, end_ns, done));
  } while (status == SHM_EMPTY && has_time(reader, deadline_ns));
  if (status == SHM_CLOSED) *done = 0;
  leave(reader);
  return status;
}

/* ---- views -------------------------------------------------------------------------------------------------------------- */
int shm_channel_reserve(shm_channel *writer, uint64_t length_bytes, uint64_t deadline_ns, shm_view *view) {
  struct shm__ref ref = {0, 0};
  int status = check_writable(writer, length_bytes);
  if (status == SHM_OK) status = enter(writer);
  if (status != SHM_OK) return status;
  status = alloc_payload(&writer->core, length_bytes, deadline_ns, &ref);
  if (status == SHM_OK) {
    *view = (shm_view){.length_bytes = length_bytes, .block = ref.offset, .block_gen = ref.gen,
                       .data = shm__block_payload(writer->core.ring.space, ref, length_bytes)};
  }
  leave(writer);
  return status;
}

int shm_channel_commit(shm_channel *writer, const shm_view *view, uint64_t deadline_ns) {
  struct shm__message message = {.length_bytes = view->length_bytes, .codec = view->codec,
                                 .block = {view->block, view->block_gen}};
  u64 done;
  int status = enter(writer);
  if (status != SHM_OK) return status;
  status = shm__channel_send(&writer->core, &message, 1, deadline_ns, &done);
  leave(writer);
  return status;
}

void shm_channel_abort(shm_channel *writer, const shm_view *view) {
  struct shm__space *space = writer->core.ring.space;
  if (writer->epoch != shm__fork_epoch || shm__enter(space) != SHM_OK) return; /* freed when this member leaves */
  shm__block_free(space, (struct shm__ref){view->block, view->block_gen});
  shm__leave(space);
}

int shm_channel_recv_view(shm_channel *reader, shm_view *view, uint64_t deadline_ns) {
  struct shm__message message;
  const u8 *payload = NULL;
  int status = enter(reader);
  if (status != SHM_OK) return status;
  do {
    status = check_readable(reader);
    if (status != SHM_OK) break;
    status = confirm(reader, shm__channel_recv_view(&reader->core, &message, &payload, slice_end(reader, deadline_ns)));
  } while (status == SHM_EMPTY && has_time(reader, deadline_ns));
  leave(reader);
  *view = (shm_view){0};
  if (status == SHM_OK && payload) {
    *view = (shm_view){.length_bytes = message.length_bytes, .block = message.block.offset, .block_gen = message.block.gen,
                       .codec = message.codec, .data = (void *)payload};
  }
  return status;
}

void shm_channel_unpin(shm_channel *reader, const shm_view *view) {
  struct shm__space *space = reader->core.ring.space;
  if (reader->epoch != shm__fork_epoch || shm__enter(space) != SHM_OK) return; /* let go when this member leaves */
  shm__channel_unpin(&reader->core, (struct shm__ref){view->block, view->block_gen});
  shm__leave(space);
}

int shm_channel_shutdown(shm_channel *channel, int immediate, uint64_t deadline_ns) {
  if (channel->core.ring.space->readonly) return SHM_READ_ONLY;
  int status = enter(channel);
  if (status != SHM_OK) return status;
  status = shm_channel_alive(channel) ? shm__channel_shutdown(&channel->core, immediate, deadline_ns) : SHM_CLOSED;
  leave(channel);
  return status;
}
