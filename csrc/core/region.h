/* region.h: making, growing and destroying a region; see region.c. Attaching is in attach.h. */
#ifndef SHM_CORE_REGION_H
#define SHM_CORE_REGION_H

#include "space.h"

#define SHM__PREFIX "shmspace."
#define SHM__DEFAULT_DIRECTORY "/dev/shm"

enum shm__section_kind {
  SHM__SECTIONS = SHM_SECTION_PAGES
};

/* Where things are in a region of this size. SHM_INVALID when it is too small for that many members. */
int shm__region_plan(u64 size_bytes, u32 members, struct shm_section sections[SHM__SECTIONS]);

/* Fill in the pointers of space from its sections; base is mapped. */
void shm__region_bind(struct shm__space *space, const struct shm_section sections[SHM__SECTIONS]);

/* Make a region and publish it under path. SHM_EXISTS when somebody was quicker. */
int shm__region_create(const char *directory, const char *name, u64 size_bytes, u32 members, u32 mode);

/* Make a region that has no name: it lives as long as somebody has it open or mapped. */
int shm__region_create_nameless(u64 size_bytes, u32 members, int *fd);

/* Commit memory for at least need_bytes more of pages. SHM_OK when the region has grown at all (by whomever),
 * SHM_SPACE_FULL with the reason and the remedy. */
int shm__region_grow(struct shm__space *space, u64 need_bytes);

/* SHM_SPACE_FULL with the text for a space that has reached its size. */
int shm__region_full(struct shm__space *space, u64 need_bytes);

/* CRC of a header as stored in header_crc. */
u32 shm__header_crc(const struct shm_header *header);

#endif
