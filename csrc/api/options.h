/* options.h: refusing a structure that was made with other options than those asked for, for the files of this directory. */
#ifndef SHM_API_OPTIONS_H
#define SHM_API_OPTIONS_H

#include <string.h>

#include "../base/err.h"
#include "../include/shmspace.h"
#include "../include/shmspace_layout.h"

static inline int shm__mismatch(const char *kind, const char *option, u64 found, u64 asked) {
  return shm__fail(SHM_MISMATCH, "the %s was made with %s=%llu; %s=%llu was asked for", kind, option, (unsigned long long)found,
                   option, (unsigned long long)asked);
}

static inline int shm__check_codec(const char *kind, const u8 *found, const char *asked, u32 given) {
  if (!(given & SHM_GIVEN_CODEC) || strncmp(asked, (const char *)found, 32) == 0) return SHM_OK;
  return shm__fail(SHM_MISMATCH, "the %s was made with codec=\"%.32s\"; codec=\"%.32s\" was asked for", kind, (const char *)found,
                   asked);
}

#endif
