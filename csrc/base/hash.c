/* hash.c: see hash.h. */
#include "hash.h"

u32 shm__fnv1a(const void *data, u64 size_bytes) {
  const u8 *byte = data;
  u32 hash = 2166136261u;
  for (u64 i = 0; i < size_bytes; i++) hash = (hash ^ byte[i]) * 16777619u;
  return hash;
}

u32 shm__crc32c(u32 crc, const void *data, u64 size_bytes) {
  /* Only headers of a few KiB at open: eight shifts a byte are quick enough and need no table. */
  const u8 *byte = data;
  crc = ~crc;
  for (u64 i = 0; i < size_bytes; i++) {
    crc ^= byte[i];
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1u)));
  }
  return ~crc;
}
