/* map.c: see map.h. */
#define _GNU_SOURCE
#include "map.h"

#include <errno.h>
#include <sys/mman.h>

int shm__map(int fd, u64 size_bytes, int writable, u8 **base) {
  /* The whole size is address space only: memory is committed by posix_fallocate before it is used. */
  void *at = mmap(NULL, size_bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (at == MAP_FAILED) return errno;
  *base = at;
  return 0;
}

void shm__unmap(u8 *base, u64 size_bytes) { munmap(base, size_bytes); }
