/* recover.h: handing back what the dead held, see recover.c. */
#ifndef SHM_CORE_RECOVER_H
#define SHM_CORE_RECOVER_H

#include "space.h"

/* Hand everything back that the member with this token held, if the kernel says that it is dead, or if it is we. */
int shm__reap(struct shm__space *space, u32 token);

/* Reap every dead member. */
void shm__reap_dead(struct shm__space *space);

/* Reap the one whose lock was taken over lately, if any. No lock may be held. */
void shm__reap_suspect(struct shm__space *space);

#endif
