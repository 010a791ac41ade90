/* attach.c: the opening ladder, membership, and fork.
 *
 * Each rung has its own error: missing, not a file, not ours, too short, foreign, being made, too new, damaged, truncated,
 * full. Everything is checked on a local copy before the file is mapped; INIT fields are never read again afterwards.
 *
 * Fork: the child shares the mapping, and the descriptor whose lock says that the parent lives. The child handler closes
 * that descriptor at once and raises shm__fork_epoch; handles compare epochs and attach anew, with a slot of their own.
 *
 * Crash table (died after ...)
 *   marking a space deleted ("destroy.retired")  calls in it leave with Closed; the next who makes one of that name
 *                                                removes the file
 *   before removing the file ("destroy.locked")  as above; the kernel unlocks its byte
 */
#define _GNU_SOURCE
#include "attach.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/bits.h"
#include "../base/hash.h"
#include "../base/point.h"
#include "../os/clock.h"
#include "../os/file.h"
#include "../os/map.h"
#include "../os/proc.h"
#include "../os/wait.h"
#include "directory.h"
#include "members.h"
#include "recover.h"
#include "region.h"

enum { LEAVE_PATIENCE_NS = 1000000000, REMOVE_PATIENCE_NS = 1000000000 };

u32 shm__fork_epoch = 1;

/* ---- all spaces of this process, for fork ----------------------------------------------------------------------------- */
static struct shm__space *all_spaces;
static u32 all_spaces_lock; /* of threads; the child of a fork frees it */

static void lock_all_spaces(void) {
  u32 nobody = 0;
  while (!shm_cas(&all_spaces_lock, &nobody, 1)) {
    nobody = 0;
    shm__nap_ns(50000);
  }
}

static void unlock_all_spaces(void) { shm_store_release(&all_spaces_lock, 0); }

static void close_member_fd(struct shm__space *space) {
  int fd = space->member_fd;
  space->member_fd = -1; /* first: a fork in between must not make the child close what is somebody else's by then */
  shm__file_close(fd);
}

static void after_fork_in_child(void) {
  shm_store_release(&all_spaces_lock, 0);
  shm__fork_epoch++;
  for (struct shm__space *space = all_spaces; space; space = space->next) {
    close_member_fd(space); /* the lock is the parent's: it must not outlive him in us */
    space->token = 0;
    space->busy = 0;
    space->deferred = 0;
    space->structures = NULL; /* of the parent; small, and left to the child's heap */
  }
}

static void remember(struct shm__space *space) {
  static u32 registered;
  lock_all_spaces();
  if (!registered) {
    shm__at_fork(after_fork_in_child);
    registered = 1;
  }
  space->next = all_spaces;
  all_spaces = space;
  unlock_all_spaces();
}

static void forget(struct shm__space *space) {
  lock_all_spaces();
  for (struct shm__space **link = &all_spaces; *link; link = &(*link)->next) {
    if (*link == space) {
      *link = space->next;
      break;
    }
  }
  unlock_all_spaces();
}

/* ---- the ladder ---------------------------------------------------------------------------------------------------------- */
static int open_file(const char *path, int writable, int *fd) {
  int error = shm__file_open(path, writable, fd);
  switch (error) {
    case 0: return SHM_OK;
    case ENOENT: return shm__fail(SHM_NOT_FOUND, "there is no space at %s", path);
    case ENOTDIR: return shm__fail(SHM_NOT_FOUND, "there is no directory for %s", path);
    case ELOOP: return shm__fail(SHM_NOT_A_SPACE, "%s is a symbolic link; remove it", path);
    case EISDIR: case ENXIO: case ENODEV:
      return shm__fail_os(SHM_NOT_A_SPACE, error, "%s is not a regular file; remove it", path);
    case EACCES: case EPERM: case EROFS:
      return shm__fail_os(SHM_DENIED, error, "may not open %s%s", path, writable ? "; readonly=True may do" : "");
    default: return shm__fail_os(SHM_OS, error, "cannot open %s", path);
  }
}

static int check_file(const char *path, const struct shm__file_facts *facts, const struct shm__wish *wish) {
  if (!facts->regular) return shm__fail(SHM_NOT_A_SPACE, "%s is not a regular file; remove it", path);
  u32 mode = facts->mode & 0777;
  if (facts->uid != shm__uid() && !(mode & wish->mode & 066)) {
    return shm__fail(SHM_DENIED, "%s belongs to user %u, we are %u; a space is shared by opening it with mode=0o%o", path,
                     facts->uid, shm__uid(), 0660);
  }
  if (mode & ~wish->mode) {
    return shm__fail(SHM_DENIED,
                     "%s has mode %04o, which is more open than the mode=%04o asked for; open it with that mode, or destroy it",
                     path, mode, wish->mode);
  }
  if (wish->mode_given && mode != wish->mode) {
    return shm__fail(SHM_MISMATCH, "%s was made with mode=0o%o; mode=0o%o was asked for", path, mode, wish->mode);
  }
  if (facts->size_bytes < SHM_HEADER_BYTES) {
    return shm__fail(SHM_NOT_A_SPACE, "%s has %llu bytes, less than the header of a space", path,
                     (unsigned long long)facts->size_bytes);
  }
  return SHM_OK;
}

static int check_header(const char *path, const struct shm_header *header, u64 file_bytes) {
  if (header->magic != SHM_MAGIC) return shm__fail(SHM_NOT_A_SPACE, "%s does not begin with SHMSPACE", path);
  if (header->ready != SHM_READY) {
    return header->ready == 0 ? SHM_BUSY : shm__fail(SHM_CORRUPTED, "%s: damaged ready word", path);
  }
  if ((header->incompat & ~(u64)SHM_INCOMPAT) || header->header_size != SHM_HEADER_BYTES) {
    return shm__fail(SHM_INCOMPATIBLE, "%s needs features %llx, this version knows %llx; use one version everywhere", path,
                     (unsigned long long)header->incompat, (unsigned long long)SHM_INCOMPAT);
  }
  if (header->header_crc != shm__header_crc(header)) {
    return shm__fail(SHM_CORRUPTED, "%s: the header does not match its checksum; destroy it and make it anew", path);
  }
  if (header->incompat != SHM_INCOMPAT) {
    return shm__fail(SHM_INCOMPATIBLE, "%s lacks features %llx of this version", path, (unsigned long long)SHM_INCOMPAT);
  }
  if (file_bytes < header->size_bytes) {
    return shm__fail(SHM_CORRUPTED, "%s is truncated: %llu of %llu bytes", path, (unsigned long long)file_bytes,
                     (unsigned long long)header->size_bytes);
  }
  return SHM_OK;
}

/* The section table must be what this version would make of size and members: then every offset is in bounds. */
static int check_sections(const char *path, int fd, const struct shm_header *header, struct shm_section plan[SHM__SECTIONS]) {
  struct shm_section found[SHM__SECTIONS];
  if (header->section_count != SHM__SECTIONS || header->section_offset != sizeof *header ||
      shm__file_read(fd, header->section_offset, found, sizeof found) != 0 ||
      shm__crc32c(0, found, sizeof found) != header->sections_crc) {
    return shm__fail(SHM_CORRUPTED, "%s: the section table does not match its checksum", path);
  }
  if (header->size_bytes < SHM_SIZE_LEAST || header->size_bytes > SHM_SIZE_MOST || header->member_count == 0 ||
      header->member_count > SHM_MEMBERS_MOST ||
      shm__region_plan(header->size_bytes, header->member_count, plan) != SHM_OK) {
    return shm__fail(SHM_CORRUPTED, "%s: impossible size or member count in the header", path);
  }
  if (memcmp(found, plan, sizeof found) != 0) {
    return shm__fail(SHM_INCOMPATIBLE, "%s was made by a version with another layout; use one version everywhere", path);
  }
  u64 committed = header->committed_bytes, pages = plan[SHM__SECTIONS - 1].offset;
  if (committed < pages || committed > header->size_bytes || committed % SHM_PAGE_BYTES) {
    return shm__fail(SHM_CORRUPTED, "%s: impossible committed_bytes %llu", path, (unsigned long long)committed);
  }
  return SHM_OK;
}

static int check_wish(const char *path, const struct shm_header *header, const struct shm__wish *wish) {
  if (wish->size_bytes && wish->size_bytes != header->size_bytes) {
    return shm__fail(SHM_MISMATCH, "%s was made with size=%llu; size=%llu was asked for", path,
                     (unsigned long long)header->size_bytes, (unsigned long long)wish->size_bytes);
  }
  if (wish->members && wish->members != header->member_count) {
    return shm__fail(SHM_MISMATCH, "%s was made with members=%u; members=%u was asked for", path, header->member_count,
                     wish->members);
  }
  return SHM_OK;
}

/* SHM_EXISTS: what is there is a leftover of a destroyed space or from before a reboot, and may be replaced. */
static int check_leftover(const char *path, const struct shm_header *header) {
  u8 boot[16];
  shm__boot_id(boot);
  if (header->life != SHM_LIFE_LIVE) return shm__fail(SHM_EXISTS, "%s is a destroyed space", path);
  if (memcmp(boot, header->boot_id, sizeof boot) != 0) return shm__fail(SHM_EXISTS, "%s is from before a reboot", path);
  return SHM_OK;
}

/* ---- attaching ----------------------------------------------------------------------------------------------------------- */
static int join(struct shm__space *space) {
  int error = shm__file_open_again(space->region_fd, space->path, &space->member_fd);
  if (error) return shm__fail_os(SHM_OS, error, "cannot open %s a second time", space->path);
  int status = shm__member_claim(space);
  if (status != SHM_OK) {
    close_member_fd(space);
    return status;
  }
  space->epoch = shm__fork_epoch;
  shm__reap_dead(space);
  return SHM_OK;
}

static int climb(struct shm__space *space, const struct shm__wish *wish) {
  struct shm__file_facts facts;
  struct shm_header header;
  struct shm_section sections[SHM__SECTIONS];
  int error = shm__file_facts(space->region_fd, &facts);
  if (error) return shm__fail_os(SHM_OS, error, "cannot look at %s", space->path);
  int status = check_file(space->path, &facts, wish);
  if (status != SHM_OK) return status;
  error = shm__file_read(space->region_fd, 0, &header, sizeof header);
  if (error) return shm__fail_os(SHM_OS, error, "cannot read %s", space->path);
  status = check_header(space->path, &header, facts.size_bytes);
  if (status == SHM_OK) status = check_leftover(space->path, &header);
  if (status == SHM_OK) status = check_sections(space->path, space->region_fd, &header, sections);
  if (status == SHM_OK) status = check_wish(space->path, &header, wish);
  if (status != SHM_OK) return status;
  error = shm__map(space->region_fd, header.size_bytes, !wish->readonly, &space->base);
  if (error) return shm__fail_os(SHM_SPACE_FULL, error, "cannot map %s", space->path);
  space->size_bytes = header.size_bytes;
  space->device = facts.device, space->inode = facts.inode;
  shm__region_bind(space, sections);
  return SHM_OK;
}

static int open_nameless(int fd, struct shm__space *space) {
  int error = shm__file_copy(fd, &space->region_fd);
  if (error) return shm__fail_os(SHM_OS, error, "descriptor %d is not open on a space", fd);
  snprintf(space->path, sizeof space->path, "/proc/%u/fd/%d", shm__pid(), space->region_fd);
  return SHM_OK;
}

static int attach_existing(const char *path, const struct shm__wish *wish, const struct shm__type *const *types,
                           struct shm__space **result) {
  struct shm__space *space = calloc(1, sizeof *space);
  if (!space) return shm__fail(SHM_SPACE_FULL, "no memory");
  snprintf(space->path, sizeof space->path, "%s", path);
  space->member_fd = space->region_fd = -1;
  space->readonly = wish->readonly;
  space->cpus = shm__usable_cpus();
  space->clock_shift_ns = shm__boottime_shift_ns();
  space->types = types;
  space->epoch = wish->readonly ? shm__fork_epoch : 0; /* 0: no member yet */
  int status = wish->nameless ? open_nameless(wish->fd, space) : open_file(path, !wish->readonly, &space->region_fd);
  if (status == SHM_OK) status = climb(space, wish);
  if (status == SHM_OK && !wish->readonly && !wish->stranger) status = join(space);
  if (status == SHM_OK) {
    remember(space);
    *result = space;
    return SHM_OK;
  }
  if (space->base) shm__unmap(space->base, space->size_bytes);
  shm__file_close(space->region_fd);
  free(space);
  return status;
}

/* Remove the file that fd is open on, unless the path leads to another one by now. Whoever removes a region has the lock of
 * its creator's byte: else two could find the same file, and the second one remove what was made after the first one. */
static int remove_file(const char *path, int fd, u64 deadline_ns) {
  struct shm__file_facts here, there;
  int error;
  while ((error = shm__byte_lock(fd, SHM_CREATOR_LOCK)) == EAGAIN && shm__monotonic_ns() < deadline_ns) shm__nap_ns(1000000);
  if (error == EAGAIN) return shm__fail(SHM_TIMEOUT, "another process is about to remove %s and does not come to it", path);
  if (error) return shm__fail_os(SHM_OS, error, "cannot lock a byte of %s", path);
  if (shm__file_facts(fd, &here) != 0 || shm__file_path_facts(path, &there) != 0 || here.inode != there.inode ||
      here.device != there.device) {
    return SHM_OK; /* somebody else has removed it */
  }
  SHM_POINT("destroy.locked");
  error = shm__file_remove(path);
  return error && error != ENOENT ? shm__fail_os(SHM_DENIED, error, "cannot remove %s", path) : SHM_OK;
}

/* Remove the file if it still is a leftover. */
static int remove_leftover(const char *path, u64 deadline_ns) {
  int fd, status = SHM_OK;
  struct shm_header header;
  int error = shm__file_open(path, 1, &fd);
  if (error == ENOENT) return SHM_OK;
  if (error) return shm__fail_os(SHM_DENIED, error, "cannot replace the leftover at %s", path);
  if (shm__file_read(fd, 0, &header, sizeof header) == 0 && check_leftover(path, &header) == SHM_EXISTS) {
    status = remove_file(path, fd, deadline_ns);
  }
  shm__file_close(fd);
  return status;
}

int shm__attach(const char *directory, const char *name, const struct shm__wish *wish,
                const struct shm__type *const *types, struct shm__space **space) {
  char path[SHM__PATH_BYTES];
  snprintf(path, sizeof path, "%s/" SHM__PREFIX "%s", directory, name);
  for (;;) {
    int status = attach_existing(path, wish, types, space);
    if (status == SHM_EXISTS && !wish->create) return shm__fail(SHM_NOT_FOUND, "there is no space at %s", path);
    if (status == SHM_EXISTS) {
      status = remove_leftover(path, shm__monotonic_ns() + REMOVE_PATIENCE_NS);
      if (status != SHM_OK) return status;
      status = SHM_NOT_FOUND;
    }
    if (status == SHM_NOT_FOUND && wish->create) {
      shm__reclaim_temporaries(directory, name);
      status = shm__region_create(directory, name, wish->size_bytes ? wish->size_bytes : 1ull << 30,
                                  wish->members ? wish->members : 256, wish->mode);
      if (status == SHM_OK) continue; /* whatever the deadline: what was just made is there */
      if (status != SHM_EXISTS && status != SHM_BUSY) return status;
    } else if (status != SHM_BUSY) {
      return status;
    } else {
      shm__nap_ns(1000000); /* not ready: another program is writing it in place */
    }
    if (shm__monotonic_ns() >= wish->deadline_ns) {
      return shm__fail(SHM_BUSY, "%s was still being made when the timeout expired", path);
    }
  }
}

int shm__attach_nameless(int fd, const struct shm__type *const *types, struct shm__space **space) {
  struct shm__wish wish = {.mode = 0600, .stranger = 1, .nameless = 1, .fd = fd};
  int status = attach_existing("", &wish, types, space);
  if (status == SHM_BUSY || status == SHM_EXISTS) return shm__fail(SHM_NOT_A_SPACE, "descriptor %d is not open on a space", fd);
  return status;
}

int shm__attach_again(struct shm__space *space) {
  if (space->epoch == shm__fork_epoch) return SHM_OK;
  if (!space->readonly) return join(space);
  space->epoch = shm__fork_epoch;
  return SHM_OK;
}

void shm__detach(struct shm__space *space) {
  shm_store_release(&space->closing, 1);
  if (space->readonly || space->epoch != shm__fork_epoch) return;
  while (shm_load_acquire(&space->busy)) { /* naps of calls under way end within 100 ms, and they look at closing */
    shm__directory_wake_own(space);
    shm__nap_ns(200000);
  }
  u64 deadline_ns = shm__monotonic_ns() + LEAVE_PATIENCE_NS;
  while (shm__reap(space, space->token) == SHM_INTERRUPTED && shm__monotonic_ns() < deadline_ns) continue;
  shm__member_leave(space);
  close_member_fd(space);
}

void shm__unattach(struct shm__space *space) {
  forget(space);
  for (struct shm__structure *structure = space->structures, *next; structure; structure = next) {
    next = structure->next; /* those that could not be released */
    free(structure);
  }
  shm__unmap(space->base, space->size_bytes);
  shm__file_close(space->region_fd);
  shm__file_close(space->member_fd);
  free(space);
}

/* ---- destroying -------------------------------------------------------------------------------------------------------- */
/* A space to which nobody can attach. */
static int remove_damaged(const char *path, u64 inode) {
  int fd, error = shm__file_open(path, 1, &fd);
  if (error == ENOENT) return SHM_OK;
  if (error) return shm__fail_os(SHM_DENIED, error, "may not remove %s", path);
  struct shm__file_facts facts;
  int same = shm__file_facts(fd, &facts) == 0 && facts.inode == inode;
  int status = same ? remove_file(path, fd, shm__monotonic_ns() + REMOVE_PATIENCE_NS) : SHM_OK;
  shm__file_close(fd);
  return status;
}

int shm__destroy(const char *directory, const char *name, const struct shm__type *const *types) {
  char path[SHM__PATH_BYTES];
  snprintf(path, sizeof path, "%s/" SHM__PREFIX "%s", directory, name);
  struct shm__wish wish = {.mode = 0777, .stranger = 1};
  struct shm__file_facts facts;
  if (shm__file_path_facts(path, &facts)) return shm__fail(SHM_NOT_FOUND, "there is no space at %s", path);
  if (!facts.regular) return shm__fail(SHM_NOT_A_SPACE, "%s is not a regular file; remove it by hand", path);
  struct shm__space *space;
  int status = attach_existing(path, &wish, types, &space);
  if (status == SHM_DENIED || status == SHM_NOT_FOUND || status == SHM_NOT_A_SPACE) return status;
  if (status != SHM_OK) return remove_damaged(path, facts.inode);
  shm__directory_retire_all(space);
  SHM_POINT("destroy.retired");
  status = remove_file(path, space->region_fd, shm__monotonic_ns() + REMOVE_PATIENCE_NS);
  shm__unattach(space);
  return status;
}

struct reclaim {
  const char *directory;
  int count;
};

static int reclaim_one(const char *name, void *context) {
  struct reclaim *reclaim = context;
  size_t length = strlen(name);
  char path[SHM__PATH_BYTES];
  int fd;
  if (length < 4 || strcmp(name + length - 4, ".tmp") != 0) return 0;
  snprintf(path, sizeof path, "%s/%s", reclaim->directory, name);
  if (shm__file_open(path, 1, &fd) != 0) return 0;
  if (shm__byte_locked(fd, SHM_CREATOR_LOCK) == 0 && shm__file_remove(path) == 0) reclaim->count++;
  shm__file_close(fd);
  return 0;
}

int shm__reclaim_temporaries(const char *directory, const char *name) {
  struct reclaim reclaim = {.directory = directory};
  char prefix[SHM__PATH_BYTES];
  snprintf(prefix, sizeof prefix, "." SHM__PREFIX "%s%s", name ? name : "", name ? "." : "");
  shm__file_walk(directory, prefix, reclaim_one, &reclaim);
  return reclaim.count;
}
