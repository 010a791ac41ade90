/* proc.c: see proc.h. */
#define _GNU_SOURCE
#include "proc.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

u32 shm__pid(void) { return (u32)getpid(); }

u32 shm__uid(void) { return (u32)geteuid(); }

/* Read a small file whole, NUL-terminated; its length, or -1. */
static long slurp(const char *path, char *text, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t got = read(fd, text, size - 1);
  close(fd);
  if (got < 0) return -1;
  text[got] = 0;
  return got;
}

u64 shm__start_ticks(void) {
  char text[1024];
  if (slurp("/proc/self/stat", text, sizeof text) < 0) return 0;
  char *field = strrchr(text, ')'); /* the command may hold blanks and parentheses; field 3 comes behind it */
  for (int number = 3; field && number <= 22; number++) field = strchr(field + 1, ' ');
  return field ? strtoull(field + 1, NULL, 10) : 0;
}

u64 shm__pid_namespace(void) {
  struct stat status;
  return stat("/proc/self/ns/pid", &status) == 0 ? (u64)status.st_ino : 0;
}

void shm__command(char *text, u64 size_bytes) {
  long length = slurp("/proc/self/cmdline", text, size_bytes);
  if (length < 0) length = 0;
  while (length > 0 && text[length - 1] == 0) length--;
  for (long i = 0; i < length; i++) {
    if ((u8)text[i] < 32) text[i] = ' ';
  }
  memset(text + length, 0, size_bytes - (u64)length);
}

void shm__boot_id(u8 id[16]) {
  char text[64];
  memset(id, 0, 16);
  if (slurp("/proc/sys/kernel/random/boot_id", text, sizeof text) < 36) return;
  for (int nibble = 0, i = 0; text[i] && nibble < 32; i++) {
    if (text[i] == '-' || text[i] == '\n') continue;
    int digit = text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10;
    id[nibble / 2] = (u8)(id[nibble / 2] << 4 | digit);
    nibble++;
  }
}

void shm__random(void *bytes, u64 size_bytes) {
  if (getrandom(bytes, size_bytes, 0) != (ssize_t)size_bytes) {
    /* Only before the kernel's pool is ready: a name clash is then refused by O_EXCL, nothing rests on secrecy. */
    struct stat status;
    u64 seed = (u64)getpid() << 32 ^ (u64)(stat("/proc/self", &status) == 0 ? status.st_ctim.tv_nsec : 0);
    for (u64 i = 0; i < size_bytes; i++) ((u8 *)bytes)[i] = (u8)(seed >> (i % 8 * 8));
  }
}

/* ---- control groups -------------------------------------------------------------------------------------------- */
static u64 read_number(const char *directory, const char *file, u64 otherwise) {
  char path[768], text[64];
  snprintf(path, sizeof path, "%s/%s", directory, file);
  if (slurp(path, text, sizeof text) <= 0 || text[0] < '0' || text[0] > '9') return otherwise; /* "max" */
  return strtoull(text, NULL, 10);
}

/* Page cache that the kernel would drop before it kills. */
static u64 reclaimable_bytes(const char *directory, const char *key) {
  static const char *const file = "memory.stat";
  char path[768], text[8192];
  snprintf(path, sizeof path, "%s/%s", directory, file);
  if (slurp(path, text, sizeof text) <= 0) return 0;
  char *line = strstr(text, key);
  return line ? strtoull(line + strlen(key), NULL, 10) : 0;
}

/* Head-room of the group at mount/path and of all above it: the tightest counts. */
static u64 tightest(const char *mount, char *path, const char *limit_file, const char *usage_file, const char *cache_key) {
  u64 room = UINT64_MAX;
  for (;;) {
    char directory[640];
    snprintf(directory, sizeof directory, "%s%s", mount, path);
    u64 limit = read_number(directory, limit_file, UINT64_MAX);
    if (limit < (1ull << 60)) { /* v1 says "no limit" with a huge number */
      u64 usage = read_number(directory, usage_file, 0);
      u64 cache = reclaimable_bytes(directory, cache_key);
      usage = usage > cache ? usage - cache : 0;
      u64 left = limit > usage ? limit - usage : 0;
      room = left < room ? left : room;
    }
    char *slash = strrchr(path, '/');
    if (!slash) return room;
    *slash = 0;
  }
}

u64 shm__cgroup_headroom_bytes(void) {
  char text[4096];
  u64 room = UINT64_MAX;
  if (slurp("/proc/self/cgroup", text, sizeof text) <= 0) return room;
  for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
    char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path) continue;
    *path++ = 0;
    controllers++;
    char group[512];
    snprintf(group, sizeof group, "%s", strcmp(path, "/") == 0 ? "" : path);
    u64 left = UINT64_MAX;
    if (*controllers == 0) {
      left = tightest("/sys/fs/cgroup", group, "memory.max", "memory.current", "inactive_file ");
    } else if (strstr(controllers, "memory")) {
      left = tightest("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes", "memory.usage_in_bytes",
                      "total_inactive_file ");
    }
    room = left < room ? left : room;
  }
  return room;
}

void shm__at_fork(void (*child)(void)) { pthread_atfork(NULL, NULL, child); }
