/* handle.h: what an open structure of this process is, for the files of this directory. */
#ifndef SHM_API_HANDLE_H
#define SHM_API_HANDLE_H

#include "../core/directory.h"
#include "../core/recover.h"
#include "../include/shmspace.h"
#include "../os/wait.h"

struct shm__handle {
  struct shm__space *space;
  struct shm__structure *structure; /* NULL on a read-only space, and once it was let go */
  u32 epoch;                        /* fork epoch in which it was opened */
  u32 busy;                         /* calls under way */
  u32 closing;                      /* calls under way leave */
};

static inline int shm__handle_enter(struct shm__handle *handle) {
  if (handle->epoch != shm__fork_epoch) return SHM_FORKED;
  shm_add(&handle->busy, 1);
  if (!shm_load_acquire(&handle->closing) && !shm_load_acquire(&handle->space->closing)) return SHM_OK;
  shm_add(&handle->busy, (u32)-1);
  return SHM_CLOSED;
}

static inline void shm__handle_leave(struct shm__handle *handle) {
  shm__reap_suspect(handle->space);
  shm_add(&handle->busy, (u32)-1);
}

static inline int shm__handle_open(struct shm__handle *handle, struct shm__space *space, u32 kind, const char *name, u32 name_length,
                                   const struct shm__maker *maker, u64 deadline_ns) {
  *handle = (struct shm__handle){.space = space};
  int status = space->readonly ? SHM_READ_ONLY : shm__enter(space);
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

/* Make calls under way leave, wait until they have, and let go of the structure. */
static inline void shm__handle_close(struct shm__handle *handle, void (*wake)(void *context), void *context) {
  shm_store_release(&handle->closing, 1);
  if (handle->epoch != shm__fork_epoch) return; /* the parent's; its memory is freed with the handle */
  while (shm_load_acquire(&handle->busy)) { /* they leave at their next look */
    if (!handle->space->readonly) wake(context);
    shm__nap_ns(100000);
  }
  shm__handle_let_go(handle);
}

#endif
