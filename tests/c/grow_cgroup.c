/* In a memory cgroup of 16 MiB, a space that may grow to 256 MiB says that it cannot, and why, before the kernel would kill
 * somebody for it.
 *
 * Runs: processes
 * Needs: root
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "../../csrc/core/blocks.h"
#include "harness.h"

enum { SIZE = 256 << 20, LIMIT = 16 << 20, BLOCK = 500000, MOST = 1000 };

static char group[256];

static int write_file(const char *file, const char *text) {
  char path[300];
  snprintf(path, sizeof path, "%s/%s", group, file);
  int fd = open(path, O_WRONLY);
  if (fd < 0) return -1;
  ssize_t wrote = write(fd, text, strlen(text));
  close(fd);
  return wrote == (ssize_t)strlen(text) ? 0 : -1;
}

/* A group of our own, of either version; 0 if there can be none. */
static int make_group(void) {
  static const struct {
    const char *mount, *limit;
  } versions[] = {{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"}};
  char limit[32];
  snprintf(limit, sizeof limit, "%d", LIMIT);
  for (u32 v = 0; v < 2; v++) {
    snprintf(group, sizeof group, "%s/shmspace-test-%d", versions[v].mount, (int)getpid());
    if (mkdir(group, 0700) != 0) continue;
    if (write_file(versions[v].limit, limit) == 0) return 1;
    rmdir(group);
  }
  return 0;
}

static void fill(void *context) {
  struct shm__ref ref;
  char pid[32];
  int status;
  u32 count = 0;
  (void)context;
  snprintf(pid, sizeof pid, "%d", (int)getpid());
  if (write_file("cgroup.procs", pid) != 0) FAIL("cgroup.procs: %s", strerror(errno));
  shm_space *space = make_space(SIZE, 4);
  while ((status = shm__block_alloc(space, BLOCK, in_ns(LONG), &ref)) == SHM_OK) {
    memset(shm__block_payload(space, ref, BLOCK), 0x55, BLOCK);
    CHECK(++count < MOST);
  }
  IS(status, SHM_SPACE_FULL);
  CHECK(strstr(shm_error_text(), "memory cgroup"));
  if (count < LIMIT / BLOCK / 3) FAIL("only %u blocks", count);
  leave_space(space); /* all goes back to the space */
}

int main(int argc, char **argv) {
  begin(argc, argv);
  if (!make_group()) {
    printf("no memory cgroup can be made here\n");
    return SKIPPED;
  }
  end_child(start_child(fill, NULL));
  end_space(join_space());
  rmdir(group);
  return 0;
}
