/* region.c: the region file: how it is divided, made and grown.
 *
 *   header, section table | layout JSON | members | directory | size classes | pool | page words | pages ...
 *
 * Invariants
 *   1. A region under its own name is whole: it is made under a temporary name and published by a rename that replaces
 *      nothing. A temporary whose creator's byte is not locked is a leftover.
 *   2. No byte is used before posix_fallocate has put memory behind it: everything before the page words at creation; a
 *      page, and its word, before committed_bytes is raised over it. committed_bytes only grows.
 *   3. INIT fields are covered by header_crc and sections_crc.
 *
 * Crash table (died after ...)
 *   making the temporary ("region.created")     the next open of that name removes it (its byte is not locked)
 *   writing it ("region.written")               as above
 *   publishing ("region.published")             the region is whole; nobody is attached
 *   committing, before raising ("region.committed")  memory that the next growth commits again
 */
#define _GNU_SOURCE
#include "region.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../base/bits.h"
#include "../base/hash.h"
#include "../base/point.h"
#include "../include/shmspace_layout_json.h"
#include "../os/clock.h"
#include "../os/file.h"
#include "../os/map.h"
#include "../os/proc.h"
#include "blocks.h"
#include "stamp.h"

enum { STEP_LEAST = 1 << 20, STEP_MOST = 16 << 20, FIRST_PAGES = 16, HEADROOM_MARGIN = 1 << 20 };

static struct shm_section section(u32 kind, u64 *end, u64 alignment, u64 item_size, u64 count, const char *name) {
  u64 offset = shm_round_up(*end, alignment);
  *end = offset + item_size * count;
  struct shm_section made = {.kind = kind,
                             .version = 1,
                             .offset = offset,
                             .length = item_size * count,
                             .item_size = (u32)item_size,
                             .count = (u32)count};
  snprintf((char *)made.name, sizeof made.name, "%s", name);
  return made;
}

int shm__region_plan(u64 size_bytes, u32 members, struct shm_section s[SHM__SECTIONS]) {
  u64 end = SHM_HEADER_BYTES;
  s[0] = section(SHM_SECTION_LAYOUT, &end, 128, 1, sizeof SHM_LAYOUT_JSON - 1, "layout");
  s[1] = section(SHM_SECTION_MEMBERS, &end, 128, sizeof(struct shm_member), (u64)members + 1, "members");
  s[2] = section(SHM_SECTION_DIRECTORY, &end, 128, sizeof(struct shm_directory), 1, "directory");
  s[3] = section(SHM_SECTION_CLASSES, &end, 128, sizeof(struct shm_class), SHM_CLASSES, "classes");
  s[4] = section(SHM_SECTION_POOL, &end, 128, sizeof(struct shm_pool), 1, "pool");
  u64 words = shm_round_up(end, SHM_PAGE_BYTES);
  if (words + (FIRST_PAGES + 2) * SHM_PAGE_BYTES > size_bytes) {
    return shm__fail(SHM_INVALID,
                     "a space of %llu bytes is too small for %u members, which take %llu; give a larger size= or fewer "
                     "members=",
                     (unsigned long long)size_bytes, members, (unsigned long long)words);
  }
  u64 pages = (size_bytes - words - SHM_PAGE_BYTES) / (SHM_PAGE_BYTES + sizeof(u64));
  end = words;
  s[5] = section(SHM_SECTION_PAGE_WORDS, &end, SHM_PAGE_BYTES, sizeof(u64), pages, "page words");
  s[6] = section(SHM_SECTION_PAGES, &end, SHM_PAGE_BYTES, SHM_PAGE_BYTES, pages, "pages");
  return SHM_OK;
}

void shm__region_bind(struct shm__space *space, const struct shm_section s[SHM__SECTIONS]) {
  space->header = (struct shm_header *)space->base;
  space->members = (struct shm_member *)(space->base + s[1].offset);
  space->member_count = s[1].count;
  space->directory = (struct shm_directory *)(space->base + s[2].offset);
  space->classes = (struct shm_class *)(space->base + s[3].offset);
  space->pool = (struct shm_pool *)(space->base + s[4].offset);
  space->page_words = (u64 *)(space->base + s[5].offset);
  space->page_words_offset = s[5].offset;
  space->pages_offset = s[6].offset;
  space->page_count = s[6].count;
}

u32 shm__header_crc(const struct shm_header *header) {
  struct shm_header copy = *header;
  copy.ready = 0;
  return shm__crc32c(0, &copy, offsetof(struct shm_header, header_crc));
}

/* ---- creation ---------------------------------------------------------------------------------------------------------- */
static int full(const char *what, int error, int fd, const char *directory, u64 need_bytes) {
  u64 total, free_bytes = shm__file_system_free_bytes(fd, &total);
  if (error != ENOSPC && error != EDQUOT) return shm__fail_os(SHM_OS, error, "cannot commit memory for %s", what);
  return shm__fail(SHM_SPACE_FULL,
                   "cannot commit %llu bytes for %s: the file system of %s has %llu of %llu bytes free; give it more "
                   "(docker run --shm-size=1g, or mount -o remount,size=1G %s) or free some (shmspace gc)",
                   (unsigned long long)need_bytes, what, directory, (unsigned long long)free_bytes,
                   (unsigned long long)total, directory);
}

static int no_headroom(const char *what, u64 need_bytes, u64 headroom) {
  return shm__fail(SHM_SPACE_FULL,
                   "cannot commit %llu bytes for %s: the memory cgroup of this process allows %llu more, beyond that the "
                   "kernel would kill a process; raise its limit (docker run --memory=..., systemd MemoryMax=)",
                   (unsigned long long)need_bytes, what, (unsigned long long)headroom);
}

/* Put memory behind pages [0, count) and their words, and behind all that comes before the words. */
static int commit_first(int fd, const struct shm_section s[SHM__SECTIONS], u64 pages) {
  int error = shm__file_commit(fd, 0, s[5].offset + pages * sizeof(u64));
  if (!error) error = shm__file_commit(fd, s[6].offset, pages * SHM_PAGE_BYTES);
  return error;
}

static void write_region(u8 *base, u64 size_bytes, u32 members, const struct shm_section s[SHM__SECTIONS], u64 pages) {
  struct shm__space space = {.base = base, .size_bytes = size_bytes};
  shm__region_bind(&space, s);
  struct shm_header *header = space.header;
  struct shm_section *table = (struct shm_section *)(base + sizeof *header);
  memcpy(table, s, SHM__SECTIONS * sizeof *table);
  memcpy(base + s[0].offset, SHM_LAYOUT_JSON, sizeof SHM_LAYOUT_JSON - 1);
  shm__blocks_init(&space);
  *header = (struct shm_header){.magic = SHM_MAGIC,
                                .header_size = SHM_HEADER_BYTES,
                                .compat = SHM_COMPAT,
                                .incompat = SHM_INCOMPAT,
                                .size_bytes = size_bytes,
                                .created_ns = shm__realtime_ns(),
                                .clock_offset = shm__clock_offset(shm__boottime_shift_ns()),
                                .member_count = members,
                                .section_count = SHM__SECTIONS,
                                .section_offset = sizeof *header,
                                .creator_uid = shm__uid(),
                                .committed_bytes = s[6].offset + pages * SHM_PAGE_BYTES,
                                .life = SHM_LIFE_LIVE};
  shm__random(header->region_id, sizeof header->region_id);
  shm__boot_id(header->boot_id);
  header->sections_crc = shm__crc32c(0, table, SHM__SECTIONS * sizeof *table);
  header->header_crc = shm__header_crc(header);
  shm_store_release(&header->ready, SHM_READY); /* SYNC region.ready: partner in the opening ladder */
}

static int fill_file(int fd, const char *directory, const char *name, u64 size_bytes, u32 members, u32 mode) {
  struct shm_section sections[SHM__SECTIONS];
  int status = shm__region_plan(size_bytes, members, sections);
  if (status != SHM_OK) return status;
  u64 pages = shm_min(FIRST_PAGES, sections[6].count), first = sections[5].offset + pages * SHM_PAGE_BYTES;
  u64 headroom = shm__cgroup_headroom_bytes();
  if (headroom < first) return no_headroom(name, first, headroom);
  int error = shm__file_set_size(fd, size_bytes);
  if (error == EFBIG || error == EINVAL) {
    return shm__fail_os(SHM_SPACE_FULL, error, "%s cannot hold a file of %llu bytes", directory,
                        (unsigned long long)size_bytes);
  }
  if (!error) error = commit_first(fd, sections, pages);
  if (error) return full(name, error, fd, directory, first);
  u8 *base;
  error = shm__map(fd, size_bytes, 1, &base);
  if (error) return shm__fail_os(SHM_SPACE_FULL, error, "cannot map %llu bytes", (unsigned long long)size_bytes);
  write_region(base, size_bytes, members, sections, pages);
  shm__unmap(base, size_bytes);
  error = shm__file_set_mode(fd, mode);
  return error ? shm__fail_os(SHM_OS, error, "cannot set mode %o on %s", mode, name) : SHM_OK;
}

int shm__region_create(const char *directory, const char *name, u64 size_bytes, u32 members, u32 mode) {
  char path[SHM__PATH_BYTES], temporary[SHM__PATH_BYTES];
  u64 nonce;
  shm__random(&nonce, sizeof nonce);
  snprintf(path, sizeof path, "%s/" SHM__PREFIX "%s", directory, name);
  snprintf(temporary, sizeof temporary, "%s/." SHM__PREFIX "%s.%016llx.tmp", directory, name, (unsigned long long)nonce);
  int fd, error = shm__file_create(temporary, &fd);
  if (error == EEXIST) return SHM_BUSY;
  if (error == ENOENT || error == ENOTDIR) {
    return shm__fail_os(SHM_NOT_FOUND, error, "there is no directory %s to make a space in", directory);
  }
  if (error == EACCES || error == EPERM || error == EROFS) {
    return shm__fail_os(SHM_DENIED, error, "may not make a space in %s", directory);
  }
  if (error) return error == ENOSPC ? full(name, error, -1, directory, 0) : shm__fail_os(SHM_OS, error, "%s", temporary);
  SHM_POINT("region.created");
  shm__byte_lock(fd, SHM_CREATOR_LOCK);
  int status = fill_file(fd, directory, name, size_bytes, members, mode);
  SHM_POINT("region.written");
  if (status == SHM_OK) {
    error = shm__file_publish(temporary, path);
    SHM_POINT("region.published");
    if (error == EEXIST) status = SHM_EXISTS;
    if (error == ENOENT) status = SHM_BUSY; /* somebody took our temporary for a leftover before its byte was locked */
    if (error && status == SHM_OK) status = shm__fail_os(SHM_OS, error, "cannot publish %s", path);
  }
  if (status != SHM_OK) shm__file_remove(temporary);
  shm__file_close(fd);
  return status;
}

int shm__region_create_nameless(u64 size_bytes, u32 members, int *fd) {
  int error = shm__file_create_nameless("shmspace", fd);
  if (error) return shm__fail_os(SHM_OS, error, "cannot make a space without a name");
  int status = fill_file(*fd, "/proc/self/fd", "a space without a name", size_bytes, members, 0600);
  if (status != SHM_OK) shm__file_close(*fd);
  return status;
}

/* ---- growth ------------------------------------------------------------------------------------------------------------ */
int shm__region_full(struct shm__space *space, u64 need_bytes) {
  return shm__fail(SHM_SPACE_FULL,
                   "%s has reached its size: %llu more bytes do not fit into its %llu; take something out, or make it with "
                   "a larger size=",
                   space->path, (unsigned long long)need_bytes, (unsigned long long)space->size_bytes);
}

/* Put memory behind [committed, target) and the page words for it. */
static int commit_until(struct shm__space *space, u64 committed, u64 target) {
  u64 first = (committed - space->pages_offset) / SHM_PAGE_BYTES, last = (target - space->pages_offset) / SHM_PAGE_BYTES;
  int error = shm__file_commit(space->region_fd, space->page_words_offset + first * sizeof(u64),
                               (last - first) * sizeof(u64));
  return error ? error : shm__file_commit(space->region_fd, committed, target - committed);
}

int shm__region_grow(struct shm__space *space, u64 need_bytes) {
  u64 end = space->pages_offset + space->page_count * SHM_PAGE_BYTES;
  u64 committed = shm_load_acquire(&space->header->committed_bytes); /* SYNC region.grow */
  if (committed >= end) return shm__region_full(space, need_bytes);
  u64 step = shm_min(shm_max(committed / 4, STEP_LEAST), STEP_MOST) / SHM_PAGE_BYTES * SHM_PAGE_BYTES;
  u64 least = shm_min(shm_round_up(need_bytes, SHM_PAGE_BYTES), end - committed);
  u64 most = shm_min(shm_max(step, least), end - committed);
  u64 headroom = shm__cgroup_headroom_bytes();
  if (headroom < least + HEADROOM_MARGIN) return no_headroom(space->path, least, headroom);
  int error = ENOSPC;
  u64 target = committed + most;
  if (headroom >= most + HEADROOM_MARGIN) error = commit_until(space, committed, target);
  if (error == ENOSPC && most > least) {
    target = committed + least;
    error = commit_until(space, committed, target);
  }
  if (error) {
    char directory[sizeof space->path];
    memcpy(directory, space->path, sizeof directory);
    *strrchr(directory, '/') = 0;
    return full(space->path, error, space->region_fd, directory, least);
  }
  SHM_POINT("region.committed");
  while (committed < target && !shm_cas(&space->header->committed_bytes, &committed, target)) { /* SYNC region.grow */
  }
  return SHM_OK;
}
