/* handle.h: what an open structure of this process is, for the files of this directory. */
#ifndef SHM_API_HANDLE_H
#define SHM_API_HANDLE_H

#include <stdlib.h>

#include "../core/directory.h"
#include "../core/recover.h"
#include "../include/shmspace.h"
#include "../os/wait.h"

struct shm__handle {
  struct shm__space *space;
  struct shm__structure *structure; /* NULL on a read-only space, and once it was let go */
  struct shm__sight sight;          /* on a read-only space */
  u32 epoch;                        /* fork epoch in which it was opened; 0 on a read-only space */
  u32 busy;                         /* calls under way */
  u32 closing;                      /* calls under way leave */
};

static inline int shm__handle_begin(struct shm__handle *handle) {
  shm_add(&handle->busy, 1);
  if (!shm_load_acquire(&handle->closing) && !shm_load_acquire(&handle->space->closing)) return SHM_OK;
  shm_add(&handle->busy, (u32)-1);
  return SHM_CLOSED;
}

/* For calls that change something. */
static inline int shm__handle_enter(struct shm__handle *handle) {
  if (handle->epoch == shm__fork_epoch) return shm__handle_begin(handle);
  return handle->space->readonly ? SHM_READ_ONLY : SHM_FORKED;
}

static inline void shm__handle_leave(struct shm__handle *handle) {
  shm__reap_suspect(handle->space);
  shm_add(&handle->busy, (u32)-1);
}

/* For calls that only look. On a read-only space what they found counts if leaving says so, too. */
static inline int shm__handle_enter_to_look(struct shm__handle *handle) {
  return handle->space->readonly ? shm__handle_begin(handle) : shm__handle_enter(handle);
}

static inline int shm__handle_is_there(struct shm__handle *handle, const u32 *life) {
  if (shm_load_acquire(&handle->space->header->life) != SHM_LIFE_LIVE || shm_load_acquire(&handle->closing)) return 0;
  /* On a read-only space the word counts only if the structure is there behind it. */
  int alive = shm_load_acquire(life) == SHM_LIFE_LIVE;
  return alive && (!handle->space->readonly || shm__directory_still_there(handle->space, &handle->sight));
}

/* life: the word in its main block. */
static inline int shm__handle_leave_look(struct shm__handle *handle, const u32 *life, int status) {
  if (!handle->space->readonly) {
    shm__handle_leave(handle);
    return status;
  }
  if (!shm__handle_is_there(handle, life)) status = SHM_CLOSED;
  shm_add(&handle->busy, (u32)-1);
  return status;
}

/* Where the structure begins. */
static inline u64 shm__handle_main(const struct shm__handle *handle) {
  return handle->space->readonly ? handle->sight.main : handle->structure->main;
}

static inline int shm__handle_open(struct shm__handle *handle, struct shm__space *space, u32 kind, const char *name,
                                   u32 name_length, const struct shm__maker *maker, u64 deadline_ns) {
  *handle = (struct shm__handle){.space = space};
  int status = shm__enter(space);
  if (status == SHM_OK && space->readonly) {
    status = shm__directory_sight(space, kind, name, name_length, &handle->sight);
    shm__leave(space);
    return status;
  }
  if (status != SHM_OK) return status;
  handle->epoch = space->epoch;
  status = shm__directory_open(space, kind, name, name_length, maker, deadline_ns, &handle->structure);
  shm__reap_suspect(space);
  shm__leave(space);
  return status;
}

static inline void shm__handle_let_go(struct shm__handle *handle) {
  if (shm__enter(handle->space) != SHM_OK) return;
  struct shm__structure *structure = shm_exchange(&handle->structure, NULL); /* of two threads one lets go */
  if (structure) shm__directory_release(handle->space, structure);
  shm__leave(handle->space);
}

/* How a structure is opened whose handle begins with a struct shm__handle. */
struct shm__opening {
  u32 kind, given;
  int create;
  u64 size_bytes; /* of the whole handle */
  int (*make)(struct shm__space *space, u32 id, const void *options, u64 deadline_ns, struct shm__ref *main);
  /* Bind what follows the handle, which may be moved by realloc, and check the options that were given. */
  int (*bind)(struct shm__handle **handle, u64 main, const void *options, u32 given);
  const void *options;
};

static inline int shm__handle_make(const struct shm__opening *how, struct shm__space *space, const char *name, u32 name_length,
                                   u64 deadline_ns, struct shm__handle **handle) {
  struct shm__maker maker = {how->make, how->options};
  for (;;) {
    *handle = calloc(1, how->size_bytes);
    if (!*handle) return shm__fail(SHM_SPACE_FULL, "no memory");
    int status = shm__handle_open(*handle, space, how->kind, name, name_length, how->create ? &maker : NULL, deadline_ns);
    int open = status == SHM_OK, there = 1;
    if (open) status = how->bind(handle, shm__handle_main(*handle), how->options, how->given);
    /* Else what was bound, or found damaged, is something else: look again. */
    if (open && space->readonly) there = shm__directory_still_there(space, &(*handle)->sight);
    if (open && status != SHM_OK) shm__handle_let_go(*handle);
    if (status != SHM_OK || !there) free(*handle);
    if (there) return status;
  }
}

/* Make calls under way leave, wait until they have, and let go of the structure. */
static inline void shm__handle_close(struct shm__handle *handle, void (*wake)(void *context), void *context) {
  shm_store_release(&handle->closing, 1);
  if (handle->epoch != shm__fork_epoch && !handle->space->readonly) return; /* the parent's; freed with the handle */
  while (shm_load_acquire(&handle->busy)) { /* they leave at their next look */
    if (!handle->space->readonly) wake(context);
    shm__nap_ns(100000);
  }
  shm__handle_let_go(handle);
}

#endif
