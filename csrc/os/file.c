/* file.c: see file.h. */
#define _GNU_SOURCE
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif
#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC 1u
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

int shm__file_open(const char *path, int writable, int *fd) {
  /* O_NONBLOCK: a FIFO under the name must not hang us. */
  *fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  return *fd < 0 ? errno : 0;
}

int shm__file_open_again(int fd, const char *path, int *again) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  *again = open(link, O_RDWR | O_CLOEXEC);
  if (*again >= 0) return 0;
  /* Without /proc: by name, if the name still is this file. */
  struct shm__file_facts here, there;
  int error = shm__file_open(path, 1, again);
  if (error) return error;
  if (shm__file_facts(fd, &here) == 0 && shm__file_facts(*again, &there) == 0 && here.inode == there.inode &&
      here.device == there.device) {
    return 0;
  }
  close(*again);
  return ESTALE;
}

int shm__file_create(const char *path, int *fd) {
  *fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  return *fd < 0 ? errno : 0;
}

int shm__file_create_nameless(const char *label, int *fd) {
  *fd = (int)syscall(SYS_memfd_create, label, MFD_CLOEXEC | MFD_NOEXEC_SEAL);
  if (*fd < 0 && errno == EINVAL) *fd = (int)syscall(SYS_memfd_create, label, MFD_CLOEXEC); /* before Linux 6.3 */
  return *fd < 0 ? errno : 0;
}

int shm__file_copy(int fd, int *copy) {
  *copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return *copy < 0 ? errno : 0;
}

static void fill_facts(const struct stat *status, struct shm__file_facts *facts) {
  *facts = (struct shm__file_facts){.size_bytes = (u64)status->st_size,
                                    .device = (u64)status->st_dev,
                                    .inode = (u64)status->st_ino,
                                    .mode = status->st_mode & 07777,
                                    .uid = status->st_uid,
                                    .regular = S_ISREG(status->st_mode)};
}

int shm__file_facts(int fd, struct shm__file_facts *facts) {
  struct stat status;
  if (fstat(fd, &status) != 0) return errno;
  fill_facts(&status, facts);
  return 0;
}

int shm__file_path_facts(const char *path, struct shm__file_facts *facts) {
  struct stat status;
  if (lstat(path, &status) != 0) return errno;
  fill_facts(&status, facts);
  return 0;
}

int shm__file_set_size(int fd, u64 size_bytes) { return ftruncate(fd, (off_t)size_bytes) == 0 ? 0 : errno; }

int shm__file_set_mode(int fd, u32 mode) { return fchmod(fd, mode) == 0 ? 0 : errno; }

int shm__file_commit(int fd, u64 offset, u64 length) {
  int error;
  do {
    error = posix_fallocate(fd, (off_t)offset, (off_t)length);
  } while (error == EINTR);
  return error;
}

int shm__file_publish(const char *temporary, const char *path) {
  if (syscall(SYS_renameat2, AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  /* A file system without the flag: link refuses an existing name just the same. */
  if (link(temporary, path) != 0) return errno;
  unlink(temporary);
  return 0;
}

int shm__file_remove(const char *path) { return unlink(path) == 0 ? 0 : errno; }

int shm__file_read(int fd, u64 offset, void *buffer, u64 length) {
  u8 *to = buffer;
  while (length > 0) {
    ssize_t got = pread(fd, to, length, (off_t)offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return ENODATA;
    to += got, offset += (u64)got, length -= (u64)got;
  }
  return 0;
}

u64 shm__file_system_free_bytes(int fd, u64 *total_bytes) {
  struct statvfs status;
  *total_bytes = 0;
  if (fstatvfs(fd, &status) != 0) return 0;
  *total_bytes = (u64)status.f_blocks * status.f_frsize;
  return (u64)status.f_bavail * status.f_frsize;
}

void shm__file_close(int fd) {
  if (fd >= 0) close(fd);
}

static struct flock one_byte(u64 offset, short type) {
  return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)offset, .l_len = 1};
}

int shm__byte_lock(int fd, u64 offset) {
  struct flock lock = one_byte(offset, F_WRLCK);
  if (fcntl(fd, F_OFD_SETLK, &lock) == 0) return 0;
  return errno == EACCES ? EAGAIN : errno;
}

void shm__byte_unlock(int fd, u64 offset) {
  struct flock lock = one_byte(offset, F_UNLCK);
  fcntl(fd, F_OFD_SETLK, &lock);
}

int shm__byte_locked(int fd, u64 offset) {
  struct flock lock = one_byte(offset, F_WRLCK);
  if (fcntl(fd, F_OFD_GETLK, &lock) != 0) return -1;
  return lock.l_type != F_UNLCK;
}

int shm__file_walk(const char *directory, const char *prefix, int (*visit)(const char *name, void *context),
                        void *context) {
  DIR *stream = opendir(directory);
  if (!stream) return errno;
  for (struct dirent *entry; (entry = readdir(stream));) {
    if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 && visit(entry->d_name, context)) break;
  }
  closedir(stream);
  return 0;
}
