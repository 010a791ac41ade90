/* audit.h: one look at a space, for the files of this directory; see check.c. */
#ifndef SHM_AUDIT_AUDIT_H
#define SHM_AUDIT_AUDIT_H

#include "../core/blocks.h"
#include "../include/shmspace.h"

struct shm__audit {
  struct shm__space *space;
  shm_problem *problems;
  u64 count, room;
  u64 *reachable; /* payload offsets of blocks that something refers to */
  u64 reachable_count, reachable_room;
};

void __attribute__((format(printf, 4, 5)))
shm__report(struct shm__audit *audit, const char *structure, u64 where, const char *format, ...);

/* A block that the structure refers to must be linked to it, with the generation that the reference says. */
void shm__reach(struct shm__audit *audit, const char *name, struct shm__ref ref, u32 id);

void shm__check_lock_word(struct shm__audit *audit, const char *name, const u32 *word, const char *which);

void shm__check_queue(struct shm__audit *audit, const char *name, u64 main);
void shm__check_tuples(struct shm__audit *audit, const char *name, u64 main);
void shm__check_store(struct shm__audit *audit, const char *name, u64 main);
void shm__check_log(struct shm__audit *audit, const char *name, u64 main);

#endif
