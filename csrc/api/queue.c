/* api/queue.c: queues, for callers outside. */
#include <stdlib.h>
#include <string.h>

#include "../types/queue.h"
#include "handle.h"
#include "options.h"
#include "values.h"

struct shm_queue {
  struct shm__handle handle;
  struct shm__queue core;
};

/* ---- opening and closing ---------------------------------------------------------------------------------------------- */
static int make_queue(struct shm__space *space, u32 id, const void *options, u64 deadline_ns, struct shm__ref *main) {
  const shm_queue_options *wanted = options;
  struct shm__queue_options made = {.maxsize = wanted->maxsize, .max_deliveries = wanted->max_deliveries};
  memcpy(made.codec, wanted->codec, sizeof made.codec);
  return shm__queue_make(space, id, &made, deadline_ns, main);
}

static int check_options(const struct shm__queue *queue, const shm_queue_options *wanted, u32 given) {
  if (given & SHM_GIVEN_MAXSIZE && wanted->maxsize != queue->maxsize) {
    return shm__mismatch("queue", "maxsize", queue->maxsize, wanted->maxsize);
  }
  if (given & SHM_GIVEN_MAX_DELIVERIES && wanted->max_deliveries != queue->max_deliveries) {
    return shm__mismatch("queue", "max_deliveries", queue->max_deliveries, wanted->max_deliveries);
  }
  return shm__check_codec("queue", queue->shared->codec, wanted->codec, given);
}

static int bind_queue(struct shm__handle **handle, u64 main, const void *options, u32 given) {
  struct shm_queue *made = (struct shm_queue *)*handle;
  int status = shm__queue_bind(made->handle.space, main, &made->core);
  made->core.closing = &made->handle.closing;
  return status == SHM_OK ? check_options(&made->core, options, given) : status;
}

int shm_queue_open(shm_space *space, const char *name, uint32_t name_length, const shm_queue_options *options,
                   uint32_t given, int create, uint64_t deadline_ns, shm_queue **queue) {
  struct shm__opening opening = {.kind = SHM_KIND_QUEUE, .size_bytes = sizeof **queue, .make = make_queue, .bind = bind_queue,
                                 .options = options, .given = given, .create = create};
  struct shm__handle *made;
  int status = shm__handle_make(&opening, space, name, name_length, deadline_ns, &made);
  if (status == SHM_OK) *queue = (struct shm_queue *)made;
  return status;
}

static void wake(void *queue) { shm__queue_wake(queue); }

void shm_queue_mark_closing(shm_queue *queue) { shm_store_release(&queue->handle.closing, 1); }

void shm_queue_close(shm_queue *queue) { shm__handle_close(&queue->handle, wake, &queue->core); }

void shm_queue_free(shm_queue *queue) {
  shm_queue_close(queue);
  free(queue);
}

int shm_queue_alive(shm_queue *queue) { return shm__handle_is_there(&queue->handle, &queue->core.shared->life); }

int shm_queue_is_shut(shm_queue *queue) { return shm_load_acquire(&queue->core.shared->stream) == SHM_STREAM_SHUT; }

/* ---- looking ---------------------------------------------------------------------------------------------------------- */
void shm_queue_get_options(shm_queue *queue, shm_queue_options *options) {
  *options = (shm_queue_options){.maxsize = queue->core.maxsize, .max_deliveries = queue->core.max_deliveries};
  memcpy(options->codec, queue->core.shared->codec, sizeof options->codec - 1);
}

int shm_queue_stat(shm_queue *queue, uint32_t lane, shm_queue_facts *facts) {
  struct shm__queue_facts found;
  int status = shm__handle_enter_to_look(&queue->handle);
  if (status != SHM_OK) return status;
  shm__queue_stat(&queue->core, lane & 1, &found);
  *facts = (shm_queue_facts){found.ready, found.leased, found.dead, found.size_bytes, found.waiting, found.unfinished};
  return shm__handle_leave_look(&queue->handle, &queue->core.shared->life, SHM_OK);
}

uint64_t shm_queue_length(shm_queue *queue, uint32_t lane) { return shm__fifo_length(&queue->core.lane[lane & 1].fifo); }

uint64_t shm_queue_unfinished(shm_queue *queue, uint32_t lane) {
  const struct shm__lane *of = &queue->core.lane[lane & 1];
  u64 finished = shm_load_acquire(&of->shared->finished), tail = shm_load_acquire(&of->fifo.in->tail);
  return tail > finished ? tail - finished : 0;
}

uint64_t shm_queue_leases(shm_queue *queue, uint32_t lane, shm_lease_facts *facts, uint64_t room) {
  if (shm__handle_enter_to_look(&queue->handle) != SHM_OK) return 0;
  u64 count = shm__queue_leases(&queue->core, lane & 1, facts, room);
  return shm__handle_leave_look(&queue->handle, &queue->core.shared->life, SHM_OK) == SHM_OK ? count : 0;
}

struct lease_gathering {
  shm_lease_facts *facts;
  u64 count, room;
};

static int gather_leases(const struct shm__space *space, const struct shm_entry *entry, void *context) {
  struct lease_gathering *gathering = context;
  struct shm__queue queue;
  if (entry->kind != SHM_KIND_QUEUE || shm__queue_bind((struct shm__space *)space, entry->main, &queue) != SHM_OK) return 0;
  for (u32 n = 0; n < SHM__LANES; n++) {
    gathering->count += shm__queue_leases(&queue, n, gathering->facts + gathering->count, gathering->room - gathering->count);
  }
  return gathering->count == gathering->room;
}

uint64_t shm_space_leases(shm_space *space, shm_lease_facts *facts, uint64_t room) {
  struct lease_gathering gathering = {.facts = facts, .room = room};
  shm__directory_walk(space, gather_leases, &gathering);
  return gathering.count;
}

/* ---- values in -------------------------------------------------------------------------------------------------------- */
int shm_queue_put_many(shm_queue *queue, uint32_t lane, const shm_piece *pieces, uint64_t count, uint32_t flags, shm_wait *wait,
                       uint64_t deadline_ns, uint64_t *done) {
  enum { BATCH = 32, BATCH_BYTES = 65536 }; /* no more memory at once than a queue of short values needs */
  struct shm__value values[BATCH];
  struct shm__space *space = queue->handle.space;
  *done = 0;
  int status = shm__handle_enter(&queue->handle);
  if (status != SHM_OK) return status;
  struct shm__waiter waiter = shm__waiter_of(wait);
  while (*done < count && status == SHM_OK) {
    u64 ready = 0, put = 0, ready_bytes = 0;
    while (ready < BATCH && ready_bytes < BATCH_BYTES && *done + ready < count && status == SHM_OK) {
      const shm_piece *piece = &pieces[*done + ready];
      ready_bytes += piece->length_bytes;
      status = shm__prepare(space, piece, deadline_ns, &values[ready]);
      ready += status == SHM_OK;
    }
    int putting = ready ? shm__queue_put(&queue->core, lane & 1, values, ready, flags & SHM_WAIT_BELL, &waiter, deadline_ns, &put)
                        : SHM_OK;
    for (u64 i = put; i < ready; i++) shm__block_free(space, values[i].block);
    *done += put;
    if (putting != SHM_OK || ready > 0) status = putting; /* what stopped us after some are ready may be over by now */
  }
  shm__keep_waiter(wait, &waiter);
  shm__handle_leave(&queue->handle);
  return status;
}

int shm_queue_put(shm_queue *queue, uint32_t lane, const void *data, uint64_t length_bytes, uint32_t codec, uint32_t flags,
                  shm_wait *wait, uint64_t deadline_ns) {
  struct shm__value value;
  shm_piece piece = {data, length_bytes, codec};
  u64 done;
  int status = shm__handle_enter(&queue->handle);
  if (status != SHM_OK) return status;
  struct shm__waiter waiter = shm__waiter_of(wait);
  status = shm__prepare(queue->handle.space, &piece, deadline_ns, &value);
  if (status == SHM_OK) {
    status = shm__queue_put(&queue->core, lane & 1, &value, 1, flags & SHM_WAIT_BELL, &waiter, deadline_ns, &done);
    if (done == 0) shm__block_free(queue->handle.space, value.block);
  }
  shm__keep_waiter(wait, &waiter);
  shm__handle_leave(&queue->handle);
  return status;
}

/* ---- values out ------------------------------------------------------------------------------------------------------- */
int shm_queue_take(shm_queue *queue, uint32_t lane, uint32_t flags, shm_wait *wait, uint64_t deadline_ns, shm_taken *taken) {
  struct shm__value value;
  struct shm__place place = {0};
  int status = shm__handle_enter(&queue->handle);
  if (status != SHM_OK) return status;
  struct shm__waiter waiter = shm__waiter_of(wait);
  status = shm__queue_take(&queue->core, lane & 1, flags, &waiter, deadline_ns, &value, &place);
  shm__keep_waiter(wait, &waiter);
  if (status == SHM_OK) shm__tell_taken(queue->handle.space, &value, &place, taken);
  if (!shm__stay_inside(flags, status, taken)) shm__handle_leave(&queue->handle);
  return status;
}

int shm_queue_probe_is_due(shm_queue *queue, uint32_t lane) { return shm__queue_probe_is_due(&queue->core, lane & 1); }

void shm_queue_probe(shm_queue *queue, uint32_t lane) {
  if (shm__handle_enter(&queue->handle) != SHM_OK) return;
  shm__queue_probe(&queue->core, lane & 1);
  shm__handle_leave(&queue->handle);
}

int shm_queue_leave(shm_queue *queue, uint32_t lane, uint32_t flags, shm_wait *wait, shm_taken *taken) {
  struct shm__value value;
  struct shm__place place = {0};
  if (!wait->block) return SHM_EMPTY;
  /* Not behind handle_enter: a handle that is being closed must leave its lines, too. */
  if (queue->handle.epoch != shm__fork_epoch || shm__enter(queue->handle.space) != SHM_OK) return SHM_EMPTY;
  struct shm__waiter waiter = shm__waiter_of(wait);
  int status = shm__queue_leave_line(&queue->core, lane & 1, flags, &waiter, &value, &place);
  shm__keep_waiter(wait, &waiter);
  if (status == SHM_OK) shm__tell_taken(queue->handle.space, &value, &place, taken);
  shm__leave(queue->handle.space);
  return status;
}

uint32_t shm_queue_take_more(shm_queue *queue, uint32_t lane, shm_taken *taken, uint32_t room) {
  struct shm__more more;
  u32 count = shm__queue_take_more(&queue->core, lane & 1, (u32)shm_min(room, SHM__MORE), more.values, more.places);
  return shm__tell_more(queue->handle.space, &more, count, taken);
}

void shm_queue_taken(shm_queue *queue, uint32_t lane, const shm_taken *taken, uint64_t count) {
  if (shm__enter_to_let_go(&queue->handle, taken) != SHM_OK) return;
  for (u64 i = 0; i < count; i++) {
    struct shm__place place = shm__place_of(&taken[i]);
    shm__queue_taken(&queue->core, lane & 1, &place);
  }
  shm__leave_let_go(&queue->handle, taken);
}

int shm_queue_ack(shm_queue *queue, uint32_t lane, const shm_taken *taken, uint64_t deadline_ns) {
  struct shm__place place = shm__place_of(taken);
  int status = shm__enter_to_let_go(&queue->handle, taken);
  if (status != SHM_OK) return status;
  status = shm__queue_ack(&queue->core, lane & 1, &place, deadline_ns);
  shm__leave_let_go(&queue->handle, taken);
  return status;
}

void shm_queue_nack(shm_queue *queue, uint32_t lane, const shm_taken *taken) {
  struct shm__place place = shm__place_of(taken);
  if (shm__enter_to_let_go(&queue->handle, taken) != SHM_OK) return;
  shm__queue_nack(&queue->core, lane & 1, &place);
  shm__leave_let_go(&queue->handle, taken);
}

/* ---- the rest --------------------------------------------------------------------------------------------------------- */
int shm_queue_task_done(shm_queue *queue, uint32_t lane, uint64_t deadline_ns) {
  int status = shm__handle_enter(&queue->handle);
  if (status != SHM_OK) return status;
  status = shm__queue_task_done(&queue->core, lane & 1, deadline_ns);
  shm__handle_leave(&queue->handle);
  return status;
}

int shm_queue_join(shm_queue *queue, uint32_t lane, uint64_t deadline_ns) {
  int status = shm__handle_enter(&queue->handle);
  if (status != SHM_OK) return status;
  status = shm__queue_join(&queue->core, lane & 1, deadline_ns);
  shm__handle_leave(&queue->handle);
  return status;
}

void shm_queue_arm_join(shm_queue *queue, uint32_t lane) {
  if (shm__handle_enter(&queue->handle) != SHM_OK) return;
  shm__event_arm_bell(queue->handle.space, queue->core.lane[lane & 1].join);
  shm__handle_leave(&queue->handle);
}

int shm_queue_shutdown(shm_queue *queue, int immediate, uint64_t deadline_ns) {
  int status = shm__handle_enter(&queue->handle);
  if (status != SHM_OK) return status;
  status = shm_queue_alive(queue) ? shm__queue_shutdown(&queue->core, immediate, deadline_ns) : SHM_CLOSED;
  shm__handle_leave(&queue->handle);
  return status;
}
