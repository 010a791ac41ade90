/* one_mapping.c: all spaces of this process that are the same file lie in one mapping, in place of csrc/os/map.c. The
 * thread sanitizer tells accesses apart by address: so it sees members of one process, each with a space of its own,
 * meet in the same bytes.
 *
 * What it cannot see is that the kernel gives up a dead one's file byte after everything that he did: a program that lets
 * a member die says so with note_death(), and who asks the kernel then comes after. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../../../csrc/base/atomics.h"
#include "../../../csrc/os/file.h"
#include "../../../csrc/os/map.h"

static u32 deaths;

void note_death(void);
int __real_shm__byte_locked(int fd, u64 offset);
int __wrap_shm__byte_locked(int fd, u64 offset);

void note_death(void) { shm_add(&deaths, 1); }

int __wrap_shm__byte_locked(int fd, u64 offset) {
  int locked = __real_shm__byte_locked(fd, offset);
  shm_load_acquire(&deaths);
  return locked;
}

struct mapping {
  dev_t device;
  ino_t inode;
  int writable;
  unsigned users;
  u8 *base;
  u64 size_bytes;
  struct mapping *next;
};

static struct mapping *mappings;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

int __wrap_shm__map(int fd, u64 size_bytes, int writable, u8 **base);
void __wrap_shm__unmap(u8 *base, u64 size_bytes);

static struct mapping *make_mapping(int fd, const struct stat *file, u64 size_bytes, int writable) {
  struct mapping *made = calloc(1, sizeof *made);
  void *at = mmap(NULL, size_bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (at == MAP_FAILED || !made) abort();
  *made = (struct mapping){file->st_dev, file->st_ino, writable, 0, at, size_bytes, mappings};
  mappings = made;
  return made;
}

int __wrap_shm__map(int fd, u64 size_bytes, int writable, u8 **base) {
  struct stat file;
  if (fstat(fd, &file) != 0) return errno;
  pthread_mutex_lock(&guard);
  struct mapping *found = mappings;
  /* A read-only space shares the writable mapping: the sanitizer shall see its loads too. */
  while (found && (found->device != file.st_dev || found->inode != file.st_ino || found->writable < writable)) {
    found = found->next;
  }
  if (!found) found = make_mapping(fd, &file, size_bytes, writable);
  found->users++;
  *base = found->base;
  pthread_mutex_unlock(&guard);
  return 0;
}

void __wrap_shm__unmap(u8 *base, u64 size_bytes) {
  pthread_mutex_lock(&guard);
  for (struct mapping **link = &mappings; *link; link = &(*link)->next) {
    struct mapping *found = *link;
    if (found->base != base) continue;
    if (--found->users == 0) {
      *link = found->next;
      munmap(base, size_bytes);
      free(found);
    }
    break;
  }
  pthread_mutex_unlock(&guard);
}
