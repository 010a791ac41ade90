/* map.h: mapping the region into this process. */
#ifndef SHM_OS_MAP_H
#define SHM_OS_MAP_H

#include "../include/shmspace_layout.h"

/* Map the first size_bytes of fd, shared; 0 or an errno. */
int shm__map(int fd, u64 size_bytes, int writable, u8 **base);
void shm__unmap(u8 *base, u64 size_bytes);

#endif
