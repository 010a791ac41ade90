/* api/space.c: spaces, members, the directory and check, for callers outside. */
#include <stdlib.h>
#include <string.h>

#include "../audit/check.h"
#include "../base/hash.h"
#include "../core/attach.h"
#include "../core/blocks.h"
#include "../core/directory.h"
#include "../core/lock.h"
#include "../core/members.h"
#include "../core/recover.h"
#include "../core/region.h"
#include "../core/stamp.h"
#include "../include/shmspace.h"
#include "../os/clock.h"
#include "../os/wait.h"
#include "../types/channel.h"
#include "../types/log.h"
#include "../types/mutex.h"
#include "../types/queue.h"
#include "../types/store.h"
#include "../types/tuples.h"

static const struct shm__type *const all_types[] = {&shm__channel_type,     &shm__queue_type, &shm__tuples_type, &shm__log_type,
                                                    &shm__sharded_log_type, &shm__store_type, &shm__mutex_type,  NULL};

const char *shm_error_text(void) { return shm__error_text(); }
const char *shm_error_name(int status) { return shm__error_name(status); }
const char *shm_error_class(int status) { return shm__error_class(status); }
const char *shm_error_message(int status) { return shm__error_message(status); }
uint32_t shm_fork_epoch(void) { return shm__fork_epoch; }
uint64_t shm_monotonic_ns(void) { return shm__monotonic_ns(); }
void shm_nap_ns(uint64_t nap_ns) { shm__nap_ns(nap_ns); }

/* ---- life ---------------------------------------------------------------------------------------------------------------- */
int shm_space_open(const char *directory, const char *name, uint64_t size_bytes, uint32_t members, uint32_t mode,
                   uint32_t flags, uint64_t deadline_ns, shm_space **space) {
  if (size_bytes && (size_bytes < SHM_SIZE_LEAST || size_bytes > SHM_SIZE_MOST)) {
    return shm__fail(SHM_INVALID, "size=%llu is not between %llu and %llu bytes", (unsigned long long)size_bytes,
                     (unsigned long long)SHM_SIZE_LEAST, (unsigned long long)SHM_SIZE_MOST);
  }
  if (members > SHM_MEMBERS_MOST) {
    return shm__fail(SHM_INVALID, "members=%u is more than %u", members, (unsigned)SHM_MEMBERS_MOST);
  }
  struct shm__wish wish = {.size_bytes = size_bytes,
                           .members = members,
                           .mode = mode & 0777,
                           .mode_given = (flags & SHM_OPEN_MODE_GIVEN) != 0,
                           .create = (flags & SHM_OPEN_CREATE) != 0,
                           .readonly = (flags & SHM_OPEN_READONLY) != 0,
                           .stranger = (flags & SHM_OPEN_STRANGER) != 0,
                           .deadline_ns = deadline_ns};
  return shm__attach(directory, name, &wish, all_types, space);
}

int shm_space_make_nameless(uint64_t size_bytes, uint32_t members, int *fd) {
  if (size_bytes < SHM_SIZE_LEAST || size_bytes > SHM_SIZE_MOST || members == 0 || members > SHM_MEMBERS_MOST) {
    return shm__fail(SHM_INVALID, "impossible size=%llu or members=%u", (unsigned long long)size_bytes, members);
  }
  return shm__region_create_nameless(size_bytes, members, fd);
}

int shm_space_open_nameless(int fd, shm_space **space) { return shm__attach_nameless(fd, all_types, space); }
int shm_space_attach_again(shm_space *space) { return shm__attach_again(space); }
void shm_space_mark_closing(shm_space *space) { shm_store_release(&space->closing, 1); }
void shm_space_close(shm_space *space) { shm__detach(space); }
void shm_space_free(shm_space *space) { shm__unattach(space); }
int shm_space_destroy(const char *directory, const char *name) { return shm__destroy(directory, name, all_types); }
int shm_space_retired(shm_space *space) { return shm_load_acquire(&space->header->life) != SHM_LIFE_LIVE; }
const char *shm_space_path(shm_space *space) { return space->path; }
uint32_t shm_space_blocker(shm_space *space) { return shm_load_relaxed(&space->blocker); }
uint64_t shm_space_stamp(shm_space *space) { return space->readonly ? 0 : shm__stamp(space); }
void shm_space_reap_dead(shm_space *space) {
  if (space->readonly || shm__enter(space) != SHM_OK) return;
  shm__reap_dead(space);
  shm__leave(space);
}
int shm_reclaim_temporaries(const char *directory, const char *name) { return shm__reclaim_temporaries(directory, name); }

/* ---- looking ------------------------------------------------------------------------------------------------------------- */
static int count_entry(const struct shm__space *space, const struct shm_entry *entry, void *context) {
  (void)space;
  *(u64 *)context += entry->kind != SHM_KIND_LOCK;
  return 0;
}

void shm_space_stat(shm_space *space, shm_space_facts *facts) {
  u64 used = space->pages_offset + shm__blocks_used_bytes(space);
  *facts = (shm_space_facts){.size_bytes = space->size_bytes,
                             .committed_bytes = shm_load_acquire(&space->header->committed_bytes),
                             .used_bytes = used,
                             .free_bytes = space->size_bytes > used ? space->size_bytes - used : 0,
                             .member_limit = space->member_count - 1,
                             .recoveries = shm_load_relaxed(&space->header->recoveries), /* a statistic */
                             .created_ns = space->header->created_ns,
                             .device = space->device,
                             .inode = space->inode};
  for (u32 slot = 0; slot < space->member_count; slot++) {
    u32 token = shm__slot_token(space, slot);
    facts->members += token && shm__token_alive(space, token);
  }
  shm__directory_walk(space, count_entry, &facts->structures);
}

/* The row may be changing hands: who looks at the token again finds out. */
SHM_NO_TSAN static void copy_member(const struct shm_member *member, u32 token, shm_member_facts *row) {
  *row = (shm_member_facts){.token = token, .pid = member->pid, .uid = member->uid, .since_ns = member->since_ns,
                            .pid_namespace = member->pid_namespace};
  shm_copy_racing(row->command, member->command, sizeof row->command - 1);
  shm_copy_racing(row->wait_structure, member->wait_structure, sizeof row->wait_structure);
  shm_copy_racing(row->wait_what, member->wait_what, sizeof row->wait_what);
  shm_copy_racing(row->wait_since_ns, member->wait_since_ns, sizeof row->wait_since_ns);
}

uint32_t shm_space_members(shm_space *space, shm_member_facts *facts, uint32_t room) {
  u32 count = 0;
  for (u32 slot = 0; slot < space->member_count; slot++) {
    u32 token = shm__slot_token(space, slot);
    if (token == 0) continue;
    const struct shm_member *member = &space->members[slot];
    if (count < room) {
      shm_member_facts *row = &facts[count];
      copy_member(member, token, row);
      row->alive = (u32)shm__token_alive(space, token);
      if (shm__slot_token(space, slot) != token) continue; /* left while we looked */
    }
    count++;
  }
  return count;
}

struct listing {
  shm_entry_facts *facts;
  u64 count, room;
};

static int list_entry(const struct shm__space *space, const struct shm_entry *entry, void *context) {
  struct listing *listing = context;
  if (listing->count < listing->room) {
    shm_entry_facts *row = &listing->facts[listing->count];
    *row = (shm_entry_facts){.kind = entry->kind, .id = entry->id, .name_length = entry->name_length,
                             .created_ns = entry->created_ns};
    memcpy(row->name, entry->name, sizeof row->name);
    struct shm_mutex *mutex;
    if (entry->kind == SHM_KIND_LOCK && shm__mutex_bind((struct shm__space *)space, entry->main, &mutex) == SHM_OK) {
      row->holder = shm_load_acquire(&mutex->word) & SHM_TOKEN_MASK;
      row->since_ns = shm_load_relaxed(&mutex->since_ns); /* for people */
    }
  }
  listing->count++;
  return 0;
}

int64_t shm_space_entries(shm_space *space, shm_entry_facts *facts, uint64_t room) {
  struct listing listing = {facts, 0, room};
  int status = shm__directory_walk(space, list_entry, &listing);
  return status == SHM_OK ? (int64_t)listing.count : status;
}

int shm_space_exists(shm_space *space, uint32_t kind, const char *name, uint32_t name_length) {
  return shm__directory_look(space, kind, name, name_length) != NULL;
}

int shm_space_delete(shm_space *space, uint32_t kind, const char *name, uint32_t name_length, uint64_t deadline_ns) {
  if (space->readonly) return SHM_READ_ONLY;
  int status = shm__enter(space);
  if (status != SHM_OK) return status;
  status = shm__directory_delete(space, kind, name, name_length, deadline_ns);
  shm__reap_suspect(space);
  shm__leave(space);
  return status;
}

int64_t shm_space_check(shm_space *space, shm_problem *problems, uint64_t room) {
  shm_space_reap_dead(space); /* what the dead left is no problem as long as it can be handed back */
  int status = shm__enter(space);
  if (status != SHM_OK) return status;
  int64_t found = (int64_t)shm__check(space, problems, room);
  shm__leave(space);
  return found;
}

/* ---- the bell of an event loop ------------------------------------------------------------------------------------------- */
uint32_t shm_bell_wait(shm_space *space, uint32_t seen, uint64_t nap_ns) {
  if (space->readonly) { /* it has no bell */
    shm__nap_ns(nap_ns);
    return seen;
  }
  struct shm_member *member = &space->members[space->slot];
  shm_store_relaxed(&member->bell_armed, 1);
  shm_fence_full(); /* SYNC wake: the ringer adds, fences, looks at bell_armed */
  if (shm_load_acquire(&member->bell) == seen) shm__futex_wait(&member->bell, seen, nap_ns);
  return shm_load_acquire(&member->bell);
}

void shm_bell_ring_self(shm_space *space) {
  if (!space->readonly) shm__member_ring(space, space->slot);
}

/* ---- named locks --------------------------------------------------------------------------------------------------------- */
struct shm_lock {
  struct shm__space *space;
  struct shm__structure *structure;
  struct shm_mutex *mutex;
  u32 epoch;
};

static int make_mutex(struct shm__space *space, u32 id, const void *options, u64 deadline_ns, struct shm__ref *main) {
  (void)options;
  return shm__mutex_make(space, id, deadline_ns, main);
}

int shm_lock_open(shm_space *space, const char *name, uint32_t name_length, uint64_t deadline_ns, shm_lock **lock) {
  if (space->readonly) return SHM_READ_ONLY;
  int status = shm__enter(space);
  if (status != SHM_OK) return status;
  struct shm__maker maker = {make_mutex, NULL};
  shm_lock *made = calloc(1, sizeof *made);
  status = made ? SHM_OK : shm__fail(SHM_SPACE_FULL, "no memory");
  if (status == SHM_OK) {
    status = shm__directory_open(space, SHM_KIND_LOCK, name, name_length, &maker, deadline_ns, &made->structure);
  }
  if (status == SHM_OK) status = shm__mutex_bind(space, made->structure->main, &made->mutex);
  shm__reap_suspect(space);
  shm__leave(space);
  if (status != SHM_OK) {
    free(made);
    return status;
  }
  made->space = space;
  made->epoch = space->epoch;
  *lock = made;
  return SHM_OK;
}

int shm_lock_take(shm_lock *lock, uint64_t deadline_ns, int *owner_died) {
  if (lock->epoch != shm__fork_epoch) return SHM_FORKED;
  int status = shm__enter(lock->space);
  if (status != SHM_OK) return status;
  status = shm__mutex_take(lock->space, lock->mutex, deadline_ns, owner_died);
  shm__reap_suspect(lock->space);
  shm__leave(lock->space);
  return status;
}

int shm_lock_release(shm_lock *lock) {
  if (lock->epoch != shm__fork_epoch) return SHM_CLOSED;
  int status = shm__enter(lock->space);
  if (status != SHM_OK) return status;
  status = shm__mutex_release(lock->space, lock->mutex);
  shm__leave(lock->space);
  return status;
}

uint32_t shm_lock_holder(shm_lock *lock, uint64_t *since_ns) {
  *since_ns = shm_load_relaxed(&lock->mutex->since_ns); /* for people */
  return shm_load_acquire(&lock->mutex->word) & SHM_TOKEN_MASK;
}

void shm_lock_free(shm_lock *lock) {
  if (lock->epoch == shm__fork_epoch && shm__enter(lock->space) == SHM_OK) {
    shm__directory_release(lock->space, lock->structure);
    shm__leave(lock->space);
  }
  free(lock);
}

