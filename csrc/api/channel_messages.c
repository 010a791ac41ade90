/* api/channel_messages.c: messages in and out, copied and by view, for callers outside. */
#include "channel.h"

#include <string.h>

#include "../os/clock.h"

enum { SLICE_NS = 100000000 };

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
  if (status == SHM_OK) status = shm__channel_enter(writer);
  if (status != SHM_OK) return status;
  status = prepare(&writer->core, data, length_bytes, codec, deadline_ns, &message);
  if (status == SHM_OK) {
    status = shm__channel_send(&writer->core, &message, 1, deadline_ns, &done);
    if (done == 0) shm__block_free(writer->core.ring.space, message.block);
  }
  shm__channel_leave(writer);
  return status;
}

int shm_channel_send_many(shm_channel *writer, const shm_piece *pieces, uint64_t count, uint64_t deadline_ns, uint64_t *done) {
  enum { BATCH = 32, BATCH_BYTES = 65536 }; /* no more memory at once than a queue of short messages needs */
  struct shm__message messages[BATCH];
  int status = shm__channel_enter(writer);
  *done = 0;
  if (status != SHM_OK) return status;
  while (*done < count && status == SHM_OK) {
    u64 ready = 0, sent = 0, ready_bytes = 0;
    while (ready < BATCH && ready_bytes < BATCH_BYTES && *done + ready < count && status == SHM_OK) {
      const shm_piece *piece = &pieces[*done + ready];
      ready_bytes += piece->length_bytes;
      status = check_writable(writer, piece->length_bytes);
      if (status == SHM_OK) {
        status = prepare(&writer->core, piece->data, piece->length_bytes, piece->codec, deadline_ns, &messages[ready]);
      }
      ready += status == SHM_OK;
    }
    int sending = ready ? shm__channel_send(&writer->core, messages, ready, deadline_ns, &sent) : SHM_OK;
    for (u64 i = sent; i < ready; i++) shm__block_free(writer->core.ring.space, messages[i].block);
    *done += sent;
    if (sending != SHM_OK || ready > 0) status = sending; /* what stopped us after some are ready may be over by now */
  }
  shm__channel_leave(writer);
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
  int status = shm__channel_enter(reader);
  if (status != SHM_OK) return status;
  do {
    status = check_readable(reader);
    if (status != SHM_OK) break;
    status = confirm(reader, shm__channel_recv(&reader->core, buffer, room_bytes, &message, slice_end(reader, deadline_ns)));
  } while (status == SHM_EMPTY && has_time(reader, deadline_ns));
  shm__channel_leave(reader);
  if (status == SHM_OK || status == SHM_SHORT) {
    *length_bytes = message.length_bytes;
    *codec = message.codec;
  }
  return status;
}

void shm_channel_lag_again(shm_channel *reader) { shm_store_relaxed(&reader->core.owed, 1); }

int shm_channel_recv_many(shm_channel *reader, shm_small *messages, uint64_t count, uint64_t deadline_ns, uint64_t *done) {
  _Static_assert(sizeof(shm_small) == sizeof(struct shm__message), "shm_small is a message");
  int status = shm__channel_enter(reader);
  *done = 0;
  if (status != SHM_OK) return status;
  do {
    status = check_readable(reader);
    if (status != SHM_OK) break;
    u64 end_ns = slice_end(reader, deadline_ns);
    status = confirm(reader, shm__channel_recv_many(&reader->core, (struct shm__message *)messages, count, end_ns, done));
  } while (status == SHM_EMPTY && has_time(reader, deadline_ns));
  if (status == SHM_CLOSED) *done = 0;
  shm__channel_leave(reader);
  return status;
}

/* ---- views -------------------------------------------------------------------------------------------------------------- */
int shm_channel_reserve(shm_channel *writer, uint64_t length_bytes, uint64_t deadline_ns, shm_view *view) {
  struct shm__ref ref = {0, 0};
  int status = check_writable(writer, length_bytes);
  if (status == SHM_OK) status = shm__channel_enter(writer);
  if (status != SHM_OK) return status;
  status = alloc_payload(&writer->core, length_bytes, deadline_ns, &ref);
  if (status == SHM_OK) {
    *view = (shm_view){.length_bytes = length_bytes, .block = ref.offset, .block_gen = ref.gen,
                       .data = shm__block_payload(writer->core.ring.space, ref, length_bytes)};
  }
  shm__channel_leave(writer);
  return status;
}

int shm_channel_commit(shm_channel *writer, const shm_view *view, uint64_t deadline_ns) {
  struct shm__message message = {.length_bytes = view->length_bytes, .codec = view->codec,
                                 .block = {view->block, view->block_gen}};
  u64 done;
  int status = shm__channel_enter(writer);
  if (status != SHM_OK) return status;
  if (!shm__block_held(writer->core.ring.space, message.block)) {
    status = shm__fail(SHM_INVALID, "what was reserved belongs to another process: reserve and send in the same one");
  } else {
    status = shm__channel_send(&writer->core, &message, 1, deadline_ns, &done);
  }
  shm__channel_leave(writer);
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
  int status = shm__channel_enter(reader);
  if (status != SHM_OK) return status;
  do {
    status = check_readable(reader);
    if (status != SHM_OK) break;
    status = confirm(reader, shm__channel_recv_view(&reader->core, &message, &payload, slice_end(reader, deadline_ns)));
  } while (status == SHM_EMPTY && has_time(reader, deadline_ns));
  shm__channel_leave(reader);
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
  if (shm_load_acquire(&reader->core.closing)) shm__channel_let_go(reader);
}

int shm_channel_shutdown(shm_channel *channel, int immediate, uint64_t deadline_ns) {
  if (channel->core.ring.space->readonly) return SHM_READ_ONLY;
  int status = shm__channel_enter(channel);
  if (status != SHM_OK) return status;
  status = shm_channel_alive(channel) ? shm__channel_shutdown(&channel->core, immediate, deadline_ns) : SHM_CLOSED;
  shm__channel_leave(channel);
  return status;
}
