/* check.h: every invariant of a space, looked at without stopping anyone; see check.c. */
#ifndef SHM_AUDIT_CHECK_H
#define SHM_AUDIT_CHECK_H

#include "../core/space.h"
#include "../include/shmspace.h"

/* Fill problems[0..room); returns how many there are. */
u64 shm__check(struct shm__space *space, shm_problem *problems, u64 room);

#endif
