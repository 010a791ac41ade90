/* hash.h: FNV-1a (names, shards) and CRC32C (headers, records). */
#ifndef SHM_BASE_HASH_H
#define SHM_BASE_HASH_H

#include "../include/shmspace_layout.h"

/* FNV-1a, 32 bit (Fowler, Noll, Vo; public domain). */
u32 shm__fnv1a(const void *data, u64 size_bytes);

/* CRC32C (Castagnoli, reflected, as in iSCSI RFC 3720) of data, continuing from crc (0 to begin). */
u32 shm__crc32c(u32 crc, const void *data, u64 size_bytes);

#endif
