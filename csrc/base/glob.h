/* glob.h: patterns of keys. */
#ifndef SHM_BASE_GLOB_H
#define SHM_BASE_GLOB_H

#include "../include/shmspace_layout.h"

/* Does the key match? A '*' stands for any bytes, also none, but '/'. */
int shm__glob_match(const u8 *glob, u32 glob_length, const u8 *key, u32 key_length);

/* Bytes before the first '*'; all if there is none. */
u32 shm__glob_prefix(const u8 *glob, u32 glob_length);

#endif
