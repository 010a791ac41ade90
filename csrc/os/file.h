/* file.h: the region file: opening, committing memory, publishing, and the byte locks that prove life. */
#ifndef SHM_OS_FILE_H
#define SHM_OS_FILE_H

#include "../include/shmspace_layout.h"

#define SHM__PATH_BYTES 4352

struct shm__file_facts {
  u64 size_bytes, device, inode;
  u32 mode, uid, regular; /* mode: permission bits only */
};

/* All return 0 or a positive errno, or what is said. A descriptor is never inherited over exec. */
int shm__file_open(const char *path, int writable, int *fd);           /* never follows a symbolic link (ELOOP) */
int shm__file_open_again(int fd, const char *path, int *again);        /* a new open file description of the same file */
int shm__file_create(const char *path, int *fd);                       /* exclusive, 0600 */
int shm__file_create_nameless(const char *label, int *fd);             /* memory that goes with its last user */
int shm__file_copy(int fd, int *copy);                                 /* a second descriptor */
int shm__file_facts(int fd, struct shm__file_facts *facts);
int shm__file_path_facts(const char *path, struct shm__file_facts *facts); /* of the name itself, not of its target */
int shm__file_set_size(int fd, u64 size_bytes);
int shm__file_set_mode(int fd, u32 mode);
int shm__file_commit(int fd, u64 offset, u64 length);                  /* memory behind these bytes, or ENOSPC */
int shm__file_publish(const char *temporary, const char *path);        /* rename without replace: EEXIST */
int shm__file_remove(const char *path);
int shm__file_read(int fd, u64 offset, void *buffer, u64 length);      /* ENODATA when the file is shorter */
u64 shm__file_system_free_bytes(int fd, u64 *total_bytes);             /* of the mount that holds fd */
void shm__file_close(int fd);

/* Open-file-description locks: owned by the description, given up by the kernel when its last descriptor is gone. */
int shm__byte_lock(int fd, u64 offset);  /* EAGAIN when somebody else has it */
void shm__byte_unlock(int fd, u64 offset);
int shm__byte_locked(int fd, u64 offset); /* 1 locked by another description, 0 free, -1 cannot tell */

/* Calls visit for every name in directory that starts with prefix, until it returns non-zero. */
int shm__file_walk(const char *directory, const char *prefix, int (*visit)(const char *name, void *context),
                        void *context);
#endif
