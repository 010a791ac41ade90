/* guarded_map.c: the mapping of a region with nothing around it, in place of that of csrc/os/map.c: an access some way
 * beyond either end is a fault, not a look at something else. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>

#include "../../../csrc/os/file.h"
#include "../../../csrc/os/map.h"

void note_death(void);
int __real_shm__byte_locked(int fd, u64 offset);
int __wrap_shm__byte_locked(int fd, u64 offset);

void note_death(void) {} /* see one_mapping.c */

int __wrap_shm__byte_locked(int fd, u64 offset) { return __real_shm__byte_locked(fd, offset); }

enum { GUARD_BYTES = 1 << 30 };

int __wrap_shm__map(int fd, u64 size_bytes, int writable, u8 **base);
void __wrap_shm__unmap(u8 *base, u64 size_bytes);

int __wrap_shm__map(int fd, u64 size_bytes, int writable, u8 **base) {
  u64 page = 4096, room = (size_bytes + page - 1) / page * page + 2ull * GUARD_BYTES;
  int rights = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  u8 *around = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (around == MAP_FAILED) return errno;
  void *at = mmap(around + GUARD_BYTES, size_bytes, rights, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0);
  if (at == MAP_FAILED) {
    int error = errno;
    munmap(around, room);
    return error;
  }
  *base = at;
  return 0;
}

void __wrap_shm__unmap(u8 *base, u64 size_bytes) {
  u64 page = 4096, room = (size_bytes + page - 1) / page * page + 2ull * GUARD_BYTES;
  munmap(base - GUARD_BYTES, room);
}
