/* attach.h: becoming a member of a region, see attach.c. */
#ifndef SHM_CORE_ATTACH_H
#define SHM_CORE_ATTACH_H

#include "space.h"

struct shm__wish {
  u64 size_bytes;   /* 0: as it is, or the default */
  u32 members;      /* 0: likewise */
  u32 mode;         /* at most these permission bits */
  u32 mode_given;   /* exactly these bits */
  u32 create, readonly;
  u32 stranger;     /* map it without becoming a member */
  u32 nameless;     /* it is what fd is open on */
  int fd;
  u64 deadline_ns;
};

/* Open directory/shmspace.NAME as the wish says; *space is then to be released with shm__detach. */
int shm__attach(const char *directory, const char *name, const struct shm__wish *wish,
                const struct shm__type *const *types, struct shm__space **space);

/* The same for a region that has no name but the descriptor; the descriptor stays the caller's. */
int shm__attach_nameless(int fd, const struct shm__type *const *types, struct shm__space **space);

/* In the child of a fork: a member of its own in place of the parent's. */
int shm__attach_again(struct shm__space *space);

/* Leave: wait for calls under way, hand everything back. The mapping stays until shm__unattach. */
void shm__detach(struct shm__space *space);

/* Free what is left of a detached space: nothing points into it any more. */
void shm__unattach(struct shm__space *space);

/* Destroy a space by name. A damaged region is removed all the same. */
int shm__destroy(const char *directory, const char *name, const struct shm__type *const *types);

/* Remove temporaries that dead creators left in directory (of name, or of all when it is NULL); how many. */
int shm__reclaim_temporaries(const char *directory, const char *name);

#endif
