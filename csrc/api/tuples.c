/* api/tuples.c: tuple spaces, for callers outside. */
#include <stdlib.h>
#include <string.h>

#include "../os/clock.h"
#include "../types/tuples.h"
#include "handle.h"
#include "options.h"
#include "values.h"

struct shm_tuples {
  struct shm__handle handle;
  struct shm__tuples core;
};

/* ---- opening and closing ---------------------------------------------------------------------------------------------- */
static int make_tuples(struct shm__space *space, u32 id, const void *options, u64 deadline_ns, struct shm__ref *main) {
  const shm_tuples_options *wanted = options;
  struct shm__tuples_options made = {.bound = wanted->bound};
  memcpy(made.codec, wanted->codec, sizeof made.codec);
  return shm__tuples_make(space, id, &made, deadline_ns, main);
}

static int check_options(const struct shm__tuples *tuples, const shm_tuples_options *wanted, u32 given) {
  if (given & SHM_GIVEN_BOUND && wanted->bound != tuples->bound) {
    return shm__fail(SHM_MISMATCH, "the tuple space was made with bound=%llu; bound=%llu was asked for (0 is None)",
                     (unsigned long long)tuples->bound, (unsigned long long)wanted->bound);
  }
  return shm__check_codec("tuple space", tuples->shared->codec, wanted->codec, given);
}

static int bind_tuples(struct shm__handle **handle, u64 main, const void *options, u32 given) {
  struct shm_tuples *made = (struct shm_tuples *)*handle;
  int status = shm__tuples_bind(made->handle.space, main, &made->core);
  made->core.closing = &made->handle.closing;
  return status == SHM_OK ? check_options(&made->core, options, given) : status;
}

int shm_tuples_open(shm_space *space, const char *name, uint32_t name_length, const shm_tuples_options *options,
                   uint32_t given, int create, uint64_t deadline_ns, shm_tuples **tuples) {
  struct shm__opening opening = {.kind = SHM_KIND_TUPLES, .size_bytes = sizeof **tuples, .make = make_tuples, .bind = bind_tuples,
                                 .options = options, .given = given, .create = create};
  struct shm__handle *made;
  int status = shm__handle_make(&opening, space, name, name_length, deadline_ns, &made);
  if (status == SHM_OK) *tuples = (struct shm_tuples *)made;
  return status;
}

static void wake(void *tuples) { shm__tuples_wake(tuples); }

void shm_tuples_mark_closing(shm_tuples *tuples) { shm_store_release(&tuples->handle.closing, 1); }

void shm_tuples_close(shm_tuples *tuples) { shm__handle_close(&tuples->handle, wake, &tuples->core); }

void shm_tuples_free(shm_tuples *tuples) {
  shm_tuples_close(tuples);
  free(tuples);
}

int shm_tuples_alive(shm_tuples *tuples) { return shm__handle_is_there(&tuples->handle, &tuples->core.shared->life); }

int shm_tuples_is_shut(shm_tuples *tuples) { return shm_load_acquire(&tuples->core.shared->stream) == SHM_STREAM_SHUT; }

/* ---- looking ---------------------------------------------------------------------------------------------------------- */
void shm_tuples_get_options(shm_tuples *tuples, shm_tuples_options *options) {
  *options = (shm_tuples_options){.bound = tuples->core.bound};
  memcpy(options->codec, tuples->core.shared->codec, sizeof options->codec - 1);
}

int shm_tuples_stat(shm_tuples *tuples, uint64_t deadline_ns, shm_tuples_facts *facts) {
  struct shm__tuples_facts found;
  int status = shm__handle_enter_to_look(&tuples->handle);
  if (status != SHM_OK) return status;
  status = shm__tuples_stat(&tuples->core, deadline_ns, &found);
  *facts = (shm_tuples_facts){found.keys, found.values, found.size_bytes, found.waiting};
  return shm__handle_leave_look(&tuples->handle, &tuples->core.shared->life, status);
}

static int count(shm_tuples *tuples, const void *key, uint32_t key_length, u64 *values, u64 *waiting) {
  struct shm__key wanted = shm__key_of(key, key_length);
  int status = shm__handle_enter_to_look(&tuples->handle);
  if (status != SHM_OK) return status;
  status = shm__tuples_count(&tuples->core, &wanted, values, waiting);
  return shm__handle_leave_look(&tuples->handle, &tuples->core.shared->life, status);
}

int64_t shm_tuples_length(shm_tuples *tuples, const void *key, uint32_t key_length) {
  u64 values = 0, waiting = 0;
  int status = count(tuples, key, key_length, &values, &waiting);
  return status == SHM_OK ? (int64_t)values : status;
}

int64_t shm_tuples_waiting(shm_tuples *tuples, const void *key, uint32_t key_length) {
  u64 values = 0, waiting = 0;
  int status = count(tuples, key, key_length, &values, &waiting);
  return status == SHM_OK ? (int64_t)waiting : status;
}

struct key_list {
  u8 *bytes;
  u64 used_bytes, room_bytes;
  const u8 *prefix;
  u32 prefix_length;
};

/* Each key as its length (u32) and its bytes. */
static int list_key(const u8 *key, u32 length, u64 values, void *context) {
  struct key_list *list = context;
  (void)values;
  if (length < list->prefix_length || memcmp(key, list->prefix, list->prefix_length) != 0) return 0;
  u64 need = list->used_bytes + sizeof length + length;
  if (need > list->room_bytes) {
    u64 room = need * 2 + 4096;
    u8 *grown = realloc(list->bytes, room);
    if (!grown) return shm__fail(SHM_SPACE_FULL, "no memory for a list of keys");
    list->bytes = grown;
    list->room_bytes = room;
  }
  memcpy(list->bytes + list->used_bytes, &length, sizeof length);
  memcpy(list->bytes + list->used_bytes + sizeof length, key, length);
  list->used_bytes = need;
  return 0;
}

int shm_tuples_keys(shm_tuples *tuples, const void *prefix, uint32_t prefix_length, uint64_t deadline_ns, uint8_t **keys,
                    uint64_t *size_bytes) {
  struct key_list list = {.prefix = prefix, .prefix_length = prefix_length};
  int status = shm__handle_enter_to_look(&tuples->handle);
  if (status != SHM_OK) return status;
  for (u32 n = 0; n < tuples->core.shard_count && status == SHM_OK;) {
    u64 before = list.used_bytes;
    status = shm__tuples_walk(&tuples->core, n, deadline_ns, list_key, &list);
    if (status == SHM_OK) n++;
    if (status != SHM_BUSY || shm__monotonic_ns() >= deadline_ns) continue;
    list.used_bytes = before; /* on a read-only space: keys came or went */
    status = SHM_OK;
  }
  status = shm__handle_leave_look(&tuples->handle, &tuples->core.shared->life, status);
  if (status != SHM_OK) {
    free(list.bytes);
    return status;
  }
  *keys = list.bytes;
  *size_bytes = list.used_bytes;
  return SHM_OK;
}

void shm_tuples_free_keys(uint8_t *keys) { free(keys); }

/* ---- values in -------------------------------------------------------------------------------------------------------- */
static int prepare(shm_tuples *tuples, const shm_piece *piece, u64 deadline_ns, struct shm__value *value) {
  int status = shm__prepare(tuples->handle.space, piece, deadline_ns, value);
  if (status != SHM_SPACE_FULL) return status;
  shm__tuples_reclaim(&tuples->core);
  return shm__prepare(tuples->handle.space, piece, deadline_ns, value);
}

int shm_tuples_out_many(shm_tuples *tuples, const void *key, uint32_t key_length, const shm_piece *pieces, uint64_t count,
                        uint32_t flags, shm_wait *wait, uint64_t deadline_ns, uint64_t *done) {
  enum { BATCH = 32, BATCH_BYTES = 65536 }; /* no more memory at once than a bag of short values needs */
  struct shm__value values[BATCH];
  struct shm__key wanted = shm__key_of(key, key_length);
  *done = 0;
  int status = shm__handle_enter(&tuples->handle);
  if (status != SHM_OK) return status;
  struct shm__waiter waiter = shm__waiter_of(wait);
  while (*done < count && status == SHM_OK) {
    u64 ready = 0, put = 0, ready_bytes = 0;
    while (ready < BATCH && ready_bytes < BATCH_BYTES && *done + ready < count && status == SHM_OK) {
      const shm_piece *piece = &pieces[*done + ready];
      ready_bytes += piece->length_bytes;
      status = prepare(tuples, piece, deadline_ns, &values[ready]);
      ready += status == SHM_OK;
    }
    int putting = SHM_OK;
    if (ready) putting = shm__tuples_out(&tuples->core, &wanted, values, ready, flags & SHM_WAIT_BELL, &waiter, deadline_ns, &put);
    for (u64 i = put; i < ready; i++) shm__block_free(tuples->handle.space, values[i].block);
    *done += put;
    if (putting != SHM_OK || ready > 0) status = putting; /* what stopped us after some are ready may be over by now */
  }
  shm__keep_waiter(wait, &waiter);
  shm__handle_leave(&tuples->handle);
  return status;
}

int shm_tuples_out(shm_tuples *tuples, const void *key, uint32_t key_length, const void *data, uint64_t length_bytes,
                   uint32_t codec, uint32_t flags, shm_wait *wait, uint64_t deadline_ns) {
  struct shm__value value;
  struct shm__key wanted = shm__key_of(key, key_length);
  shm_piece piece = {data, length_bytes, codec};
  u64 done = 0;
  int status = shm__handle_enter(&tuples->handle);
  if (status != SHM_OK) return status;
  struct shm__waiter waiter = shm__waiter_of(wait);
  status = prepare(tuples, &piece, deadline_ns, &value);
  if (status == SHM_OK) {
    status = shm__tuples_out(&tuples->core, &wanted, &value, 1, flags & SHM_WAIT_BELL, &waiter, deadline_ns, &done);
    if (done == 0) shm__block_free(tuples->handle.space, value.block);
  }
  shm__keep_waiter(wait, &waiter);
  shm__handle_leave(&tuples->handle);
  return status;
}

/* ---- values out ------------------------------------------------------------------------------------------------------- */
/* On a read-only space: a copy, which the wait keeps until it is left, since nobody can be told that we look. */
static int look(shm_tuples *tuples, const struct shm__key *key, uint32_t flags, shm_wait *wait, u64 deadline_ns, shm_taken *taken) {
  struct shm__value value;
  u8 *copy = NULL;
  if (!(flags & SHM_TAKE_READ)) return SHM_READ_ONLY;
  for (;;) {
    int status = shm__handle_enter_to_look(&tuples->handle);
    if (status != SHM_OK) {
      free(copy);
      return status;
    }
    status = shm__tuples_look(&tuples->core, key, &value, &copy);
    if (status == SHM_EMPTY && shm_tuples_is_shut(tuples)) status = SHM_CLOSED;
    status = shm__handle_leave_look(&tuples->handle, &tuples->core.shared->life, status);
    if (status == SHM_OK) break;
    int waits = (status == SHM_EMPTY || status == SHM_BUSY) && deadline_ns > SHM__SPIN && shm__monotonic_ns() < deadline_ns;
    if (!waits) {
      free(copy);
      return status;
    }
    shm__nap_ns(SHM__READONLY_NAP_NS); /* nobody wakes who cannot stand in line */
  }
  *taken = (shm_taken){.length_bytes = value.length_bytes, .codec = value.codec};
  if (value.block.offset) {
    taken->data = copy;
    *wait = (shm_wait){.block = value.block.offset, .waiter = copy};
  } else {
    memcpy(taken->small, value.data, value.length_bytes);
    free(copy);
  }
  return SHM_OK;
}

int shm_tuples_take(shm_tuples *tuples, const void *key, uint32_t key_length, uint32_t flags, shm_wait *wait, uint64_t deadline_ns,
                    shm_taken *taken) {
  struct shm__value value;
  struct shm__place place = {0};
  struct shm__key wanted = shm__key_of(key, key_length);
  int status = shm__handle_enter(&tuples->handle);
  if (status == SHM_READ_ONLY) return look(tuples, &wanted, flags, wait, deadline_ns, taken);
  if (status != SHM_OK) return status;
  struct shm__waiter waiter = shm__waiter_of(wait);
  if (flags & SHM_TAKE_READ) {
    status = shm__tuples_read(&tuples->core, &wanted, flags & SHM_WAIT_BELL, &waiter, deadline_ns, &value);
  } else {
    status = shm__tuples_take(&tuples->core, &wanted, flags, &waiter, deadline_ns, &value, &place);
  }
  shm__keep_waiter(wait, &waiter);
  if (status == SHM_OK) shm__tell_taken(tuples->handle.space, &value, &place, taken);
  if (!shm__stay_inside(flags, status, taken)) shm__handle_leave(&tuples->handle);
  return status;
}

void shm_tuples_probe(shm_tuples *tuples, const void *key, uint32_t key_length) {
  struct shm__key wanted = shm__key_of(key, key_length);
  if (shm__handle_enter(&tuples->handle) != SHM_OK) return;
  shm__tuples_probe(&tuples->core, &wanted);
  shm__handle_leave(&tuples->handle);
}

int shm_tuples_leave(shm_tuples *tuples, const void *key, uint32_t key_length, uint32_t flags, shm_wait *wait,
                     shm_taken *taken) {
  struct shm__value value;
  struct shm__place place = {0};
  struct shm__key wanted = shm__key_of(key, key_length);
  if (!wait->block) return SHM_EMPTY;
  if (tuples->handle.space->readonly) {
    free(wait->waiter); /* what we looked at */
    *wait = (shm_wait){0};
    return SHM_EMPTY;
  }
  /* Not behind handle_enter: a handle that is being closed must leave its lines, too. */
  if (tuples->handle.epoch != shm__fork_epoch || shm__enter(tuples->handle.space) != SHM_OK) return SHM_EMPTY;
  struct shm__waiter waiter = shm__waiter_of(wait);
  int status = shm__tuples_leave_line(&tuples->core, &wanted, flags, &waiter, &value, &place);
  shm__keep_waiter(wait, &waiter);
  if (status == SHM_OK) shm__tell_taken(tuples->handle.space, &value, &place, taken);
  shm__leave(tuples->handle.space);
  return status;
}

uint32_t shm_tuples_take_more(shm_tuples *tuples, const void *key, uint32_t key_length, shm_taken *taken, uint32_t room) {
  struct shm__more more;
  struct shm__key wanted = shm__key_of(key, key_length);
  u32 count = shm__tuples_take_more(&tuples->core, &wanted, (u32)shm_min(room, SHM__MORE), more.values, more.places);
  return shm__tell_more(tuples->handle.space, &more, count, taken);
}

void shm_tuples_taken(shm_tuples *tuples, const void *key, uint32_t key_length, const shm_taken *taken, uint64_t count) {
  struct shm__key wanted = shm__key_of(key, key_length);
  if (shm__enter_to_let_go(&tuples->handle, taken) != SHM_OK) return;
  for (u64 i = 0; i < count; i++) {
    struct shm__place place = shm__place_of(&taken[i]);
    shm__tuples_taken(&tuples->core, &wanted, &place);
  }
  shm__leave_let_go(&tuples->handle, taken);
}

void shm_tuples_return(shm_tuples *tuples, const void *key, uint32_t key_length, const shm_taken *taken) {
  struct shm__key wanted = shm__key_of(key, key_length);
  struct shm__place place = shm__place_of(taken);
  if (shm__enter_to_let_go(&tuples->handle, taken) != SHM_OK) return;
  shm__tuples_return(&tuples->core, &wanted, &place);
  shm__leave_let_go(&tuples->handle, taken);
}

int shm_tuples_shutdown(shm_tuples *tuples, int immediate, uint64_t deadline_ns) {
  int status = shm__handle_enter(&tuples->handle);
  if (status != SHM_OK) return status;
  status = shm_tuples_alive(tuples) ? shm__tuples_shutdown(&tuples->core, immediate, deadline_ns) : SHM_CLOSED;
  shm__handle_leave(&tuples->handle);
  return status;
}
