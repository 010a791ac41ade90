/* glob.c: see glob.h. */
#include "glob.h"

/* Only the last '*' that was met need ever be longer: what stands before it has matched already. */
int shm__glob_match(const u8 *glob, u32 glob_length, const u8 *key, u32 key_length) {
  u32 g = 0, k = 0, star = UINT32_MAX, star_key = 0;
  while (k < key_length) {
    if (g < glob_length && glob[g] == '*') {
      star = ++g;
      star_key = k;
    } else if (g < glob_length && glob[g] == key[k]) {
      g++, k++;
    } else if (star != UINT32_MAX && key[star_key] != '/') {
      g = star;
      k = ++star_key;
    } else {
      return 0;
    }
  }
  while (g < glob_length && glob[g] == '*') g++;
  return g == glob_length;
}

u32 shm__glob_prefix(const u8 *glob, u32 glob_length) {
  u32 length = 0;
  while (length < glob_length && glob[length] != '*') length++;
  return length;
}
