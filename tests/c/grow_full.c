/* On a file system of 1 MiB, a space that may grow to 64 MiB says that it cannot, and why; what is in it stays usable, it
 * grows on when there is room again, and a space that cannot even begin leaves nothing behind. Nobody gets a signal.
 *
 * Runs: processes
 * Needs: root
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include "../../csrc/core/blocks.h"
#include "channels.h"

enum { SIZE = 64 << 20, MOST = 4096 };

static char mount_point[] = "/tmp/shmspace-test-XXXXXX";

static int files_there(void) {
  DIR *directory = opendir(mount_point);
  int count = 0;
  for (struct dirent *entry; (entry = readdir(directory));) count += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
  closedir(directory);
  return count;
}

/* Everything but left_bytes of the file system. */
static int take_room(u64 left_bytes) {
  char path[64];
  snprintf(path, sizeof path, "%s/ballast", mount_point);
  int fd = open(path, O_RDWR | O_CREAT, 0600);
  u64 size = 1 << 20;
  while (size > left_bytes && posix_fallocate(fd, 0, (off_t)(size - left_bytes)) != 0) size -= 4096;
  return fd;
}

static void give_room(int fd) {
  char path[64];
  snprintf(path, sizeof path, "%s/ballast", mount_point);
  close(fd);
  unlink(path);
}

static void begin_in_vain(void) {
  for (u64 left = 0; left < 200000; left += 16384) {
    int ballast = take_room(left);
    shm_space *space;
    int status = shm_space_open(test_directory, test_name, SIZE, 0, 0600, SHM_OPEN_CREATE, in_ns(LONG), &space);
    if (status == SHM_OK) { /* just enough */
      leave_space(space);
      OK(shm_space_destroy(test_directory, test_name));
    } else {
      IS(status, SHM_SPACE_FULL);
      CHECK(strstr(shm_error_text(), "bytes free") && strstr(shm_error_text(), "shm-size"));
    }
    SAME((u64)files_there(), 1); /* the ballast */
    give_room(ballast);
  }
}

static u32 fill(shm_space *space, u64 size_bytes, struct shm__ref *refs) {
  u32 count = 0;
  int status;
  while ((status = shm__block_alloc(space, size_bytes, in_ns(LONG), &refs[count])) == SHM_OK) {
    memset(shm__block_payload(space, refs[count], size_bytes), 0x55, size_bytes); /* the memory is there */
    CHECK(++count < MOST);
  }
  IS(status, SHM_SPACE_FULL);
  CHECK(strstr(shm_error_text(), "bytes free"));
  return count;
}

static void fill_by_messages(shm_space *space) {
  shm_channel *channel = open_channel(space, "c", (shm_channel_options){.capacity = 1000});
  u32 sent = 0;
  int status;
  while ((status = send_letter(channel, 20000, 1, sent, in_ns(LONG))) == SHM_OK) sent++;
  IS(status, SHM_SPACE_FULL);
  CHECK(sent > 5);
  OK(send_letter(channel, 40, 1, sent, 0)); /* short ones need no memory */
  for (u32 n = 0; n <= sent; n++) expect_letter(channel, 1, n);
  OK(send_letter(channel, 20000, 1, 0, 0));
  delete_channel(space, "c");
  shm_channel_free(channel);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  CHECK(mkdtemp(mount_point));
  CHECK(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
  CHECK(mount("none", mount_point, "tmpfs", 0, "size=1m") == 0);
  test_directory = mount_point;
  begin_in_vain();
  static struct shm__ref refs[2][MOST];
  shm_space *space = make_space(SIZE, 0);
  u64 base = used_bytes(space);
  int ballast = take_room(300000);
  u32 small = fill(space, 5000, refs[0]);
  give_room(ballast);
  u32 more = fill(space, 5000, refs[1]); /* it grows on */
  CHECK(more > small / 2);
  be_healthy(space);
  for (u32 i = 0; i < small; i++) shm__block_free(space, refs[0][i]);
  for (u32 i = 0; i < more; i++) shm__block_free(space, refs[1][i]);
  SAME(used_bytes(space), base);
  fill_by_messages(space);
  SAME(used_bytes(space), base);
  end_space(space);
  SAME((u64)files_there(), 0);
  umount(mount_point);
  rmdir(mount_point);
  return 0;
}
