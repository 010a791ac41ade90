/* A libFuzzer target: bytes of a region are changed as the input says, and the region is used.
 *
 * The input is a list of changes of 13 bytes each: where (4, little-endian, within the region), what (1: a width of 1, 2, 4
 * or 8 bytes; set, add, or exclusive-or; a word of the region's own instead), the operand (8). A first byte says whether the
 * checksums of the header are made right again. The region is in SHMSPACE_FUZZ_DIRECTORY, under SHMSPACE_FUZZ_NAME.
 *
 * Link: --wrap=shm__nap_ns
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define CALLED(name) ((void)(name))
#define WRONG(name, status) (fprintf(stderr, "%s gave %d\n", name, status), abort())
#include "region.h"

#include "../../csrc/base/hash.h"

enum { CHANGE_BYTES = 13, CHANGES_MOST = 32 };

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
void __wrap_shm__nap_ns(u64 nap_ns);

static char directory[256], name[128], path[512];
static u8 *golden;

void __wrap_shm__nap_ns(u64 nap_ns) { (void)nap_ns; } /* nobody is waited for */

static u8 *map_region(void) {
  int fd = open(path, O_RDWR | O_CREAT, 0600);
  if (fd < 0 || ftruncate(fd, REGION_BYTES) != 0) abort();
  u8 *bytes = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (bytes == MAP_FAILED) abort();
  return bytes;
}

static void remove_region(void) { unlink(path); }

/* In a child, so that its members are dead. */
static void make_golden(void) {
  const char *place = getenv("SHMSPACE_FUZZ_DIRECTORY"), *called = getenv("SHMSPACE_FUZZ_NAME");
  snprintf(directory, sizeof directory, "%s", place ? place : "/dev/shm");
  snprintf(name, sizeof name, "%s", called ? called : "fuzz");
  snprintf(path, sizeof path, "%s/shmspace.%s", directory, name);
  unlink(path);
  pid_t child = fork();
  if (child == 0) {
    struct handles handles;
    shm_space *space;
    if (open_region(directory, name, SHM_OPEN_CREATE, &space) != SHM_OK) abort();
    open_handles(&handles, space);
    fill_region(&handles);
    _exit(0);
  }
  int status;
  if (waitpid(child, &status, 0) != child || status != 0) abort();
  u8 *bytes = map_region();
  golden = malloc(REGION_BYTES);
  memcpy(golden, bytes, REGION_BYTES);
  munmap(bytes, REGION_BYTES);
  atexit(remove_region);
}

static void change(u8 *bytes, const u8 *input) {
  u32 offset;
  u64 operand, word = 0, width = 1u << (input[4] & 3);
  memcpy(&offset, input, sizeof offset);
  memcpy(&operand, input + 5, sizeof operand);
  offset %= REGION_BYTES - 8;
  if (input[4] & 0x40) offset &= ~7u;
  if (input[4] & 0x80) memcpy(&operand, bytes + operand % (REGION_BYTES - 8), sizeof operand);
  memcpy(&word, bytes + offset, width);
  u32 how = input[4] >> 2 & 3;
  word = how == 0 ? operand : how == 1 ? word + operand : word ^ operand;
  memcpy(bytes + offset, &word, width);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size) {
  if (!golden) make_golden();
  if (size == 0) return 0;
  u8 *bytes = map_region();
  memcpy(bytes, golden, REGION_BYTES);
  for (size_t i = 0; i < CHANGES_MOST && 1 + (i + 1) * CHANGE_BYTES <= size; i++) change(bytes, data + 1 + i * CHANGE_BYTES);
  struct shm_header *header = (struct shm_header *)bytes;
  if (data[0] & 1) header->sections_crc = shm__crc32c(0, bytes + sizeof *header, SHM__SECTIONS * sizeof(struct shm_section));
  if (data[0] & 1) header->header_crc = shm__header_crc(header);
  munmap(bytes, REGION_BYTES);
  use_region(directory, name, data[0] & 2);
  return 0;
}
