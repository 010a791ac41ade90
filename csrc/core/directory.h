/* directory.h: named structures, see directory.c. */
#ifndef SHM_CORE_DIRECTORY_H
#define SHM_CORE_DIRECTORY_H

#include "blocks.h"

/* A structure that this process has open. */
struct shm__structure {
  u64 entry, main; /* payload offsets */
  u32 kind, id;
  u32 refs; /* guarded by the directory lock */
  struct shm__structure *next;
};

/* What to make when the name is new: allocate and fill the main block, HELD by us. id goes into it. */
struct shm__maker {
  int (*make)(struct shm__space *space, u32 id, const void *options, u64 deadline_ns, struct shm__ref *main);
  const void *options;
};

/* Open (kind, name); with a maker it is made when it is not there. Release it once for every open. */
int shm__directory_open(struct shm__space *space, u32 kind, const char *name, u32 name_length,
                        const struct shm__maker *maker, u64 deadline_ns, struct shm__structure **structure);
/* One more user of an open structure, to be released by itself. */
int shm__directory_share(struct shm__space *space, struct shm__structure *structure, u64 deadline_ns);
void shm__directory_release(struct shm__space *space, struct shm__structure *structure);

/* Delete it for everybody; SHM_NOT_FOUND if it is not there (any more). */
int shm__directory_delete(struct shm__space *space, u32 kind, const char *name, u32 name_length, u64 deadline_ns);

/* Open every structure (with refs), live or deleted but not buried; the array is to be freed by the caller. */
int shm__directory_open_all(struct shm__space *space, u64 deadline_ns, struct shm__structure ***structures, u64 *count);

/* Forget that the member with this token uses anything, and bury what nobody uses any more. */
int shm__directory_evict(struct shm__space *space, u32 token, u64 deadline_ns);

/* Look at a copy of every live entry, without a lock. SHM_CORRUPTED when a chain is damaged. Stops when visit returns
 * non-zero. */
int shm__directory_walk(const struct shm__space *space,
                        int (*visit)(const struct shm__space *space, const struct shm_entry *entry, void *context),
                        void *context);

/* The live entry of that name, without a lock; NULL if there is none. */
const struct shm_entry *shm__directory_look(const struct shm__space *space, u32 kind, const char *name, u32 name_length);

/* A structure that is looked at without a bit in the directory, as in a read-only space. */
struct shm__sight {
  u64 main, deletions; /* header.deletions when it was last found there */
  u32 kind, id;
};

/* Find it by its name; id is in its main block,. SHM_NOT_FOUND. */
int shm__directory_sight(struct shm__space *space, u32 kind, const char *name, u32 name_length, struct shm__sight *sight);
/* Is it still there? What was read of it before counts only if it is. */
int shm__directory_still_there(struct shm__space *space, struct shm__sight *sight);

/* Destroy: mark the space and every structure deleted and wake everybody. */
void shm__directory_retire_all(struct shm__space *space);

/* Wake all sleepers of structures that this process has open: calls of ours look whether to leave. */
void shm__directory_wake_own(struct shm__space *space);

/* For the heir of a dead member's directory lock. */
void shm__directory_repair(struct shm__space *space);

#endif
