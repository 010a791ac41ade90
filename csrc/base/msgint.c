/* msgint.c: integers in MessagePack (github.com/msgpack/msgpack, spec.md): big-endian, the first byte says which form. */
#include "msgint.h"

static u64 read_big(const u8 *bytes, u32 count) {
  u64 value = 0;
  for (u32 i = 0; i < count; i++) value = value << 8 | bytes[i];
  return value;
}

int shm__msgint_read(const u8 *bytes, u64 length_bytes, int64_t *value) {
  if (length_bytes == 0) return 0;
  u8 form = bytes[0];
  if (form <= 0x7f || form >= 0xe0) {
    *value = (int8_t)form;
    return length_bytes == 1;
  }
  if (form < 0xcc || form > 0xd3) return 0;
  u32 count = 1u << ((form - 0xcc) & 3);
  if (length_bytes != 1 + (u64)count) return 0;
  u64 read = read_big(bytes + 1, count);
  if (form >= 0xd0) { /* signed */
    u32 shift = 64 - 8 * count;
    *value = (int64_t)(read << shift) >> shift;
    return 1;
  }
  *value = (int64_t)read;
  return read <= INT64_MAX;
}

static u64 write_big(u8 form, u64 value, u32 count, u8 *bytes) {
  bytes[0] = form;
  for (u32 i = 0; i < count; i++) bytes[1 + i] = (u8)(value >> 8 * (count - 1 - i));
  return 1 + (u64)count;
}

u64 shm__msgint_write(int64_t value, u8 *bytes) {
  if (value >= -32 && value <= 127) return write_big((u8)value, 0, 0, bytes);
  if (value >= 0 && value <= UINT8_MAX) return write_big(0xcc, (u64)value, 1, bytes);
  if (value >= 0 && value <= UINT16_MAX) return write_big(0xcd, (u64)value, 2, bytes);
  if (value >= 0 && value <= UINT32_MAX) return write_big(0xce, (u64)value, 4, bytes);
  if (value >= 0) return write_big(0xcf, (u64)value, 8, bytes);
  if (value >= INT8_MIN) return write_big(0xd0, (u64)value, 1, bytes);
  if (value >= INT16_MIN) return write_big(0xd1, (u64)value, 2, bytes);
  if (value >= INT32_MIN) return write_big(0xd2, (u64)value, 4, bytes);
  return write_big(0xd3, (u64)value, 8, bytes);
}
