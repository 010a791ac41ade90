/* channel.h: what a channel handle is, for the files of this directory. */
#ifndef SHM_API_CHANNEL_H
#define SHM_API_CHANNEL_H

#include "../core/directory.h"
#include "../core/recover.h"
#include "../include/shmspace.h"
#include "../types/channel.h"

/* The channel, or a reader or writer of it. */
struct shm_channel {
  struct shm__channel core;
  struct shm__structure *structure; /* NULL on a read-only space, and once it was let go */
  struct shm__sight sight;          /* on a read-only space */
  u32 epoch;                        /* fork epoch in which it was opened */
  u32 busy;                         /* calls under way that may sleep or copy for long */
};

static inline int shm__channel_enter(shm_channel *channel) {
  if (channel->epoch != shm__fork_epoch) return SHM_FORKED;
  shm_add(&channel->busy, 1);
  if (!shm_load_acquire(&channel->core.closing) && !shm_load_acquire(&channel->core.ring.space->closing)) return SHM_OK;
  shm_add(&channel->busy, (u32)-1);
  return SHM_CLOSED;
}

static inline void shm__channel_leave(shm_channel *channel) {
  shm__reap_suspect(channel->core.ring.space);
  shm_add(&channel->busy, (u32)-1);
}

/* Close the port and leave the structure, unless views are in use: then their end does it. */
void shm__channel_let_go(shm_channel *channel);

#endif
