/* msgint.h: integers in MessagePack. */
#ifndef SHM_BASE_MSGINT_H
#define SHM_BASE_MSGINT_H

#include "../include/shmspace_layout.h"

enum { SHM__MSGPACK = 1, SHM__MSGINT_BYTES = 9 }; /* codec number; the longest */

/* 0: these bytes are not one integer, or one beyond 63 bits. */
int shm__msgint_read(const u8 *bytes, u64 length_bytes, int64_t *value);
/* In the fewest bytes; how many. */
u64 shm__msgint_write(int64_t value, u8 *bytes);

#endif
