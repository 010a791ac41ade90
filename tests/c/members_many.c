/* Of 300 that come at once to a space for 256, 256 get in and the others are told why not; when they have left, others
 * get in.
 *
 * Runs: processes
 */
#include "harness.h"

enum { COME = 300, MEMBERS = 256 };

static u32 *counts; /* in, refused, leave */

static void come(void *context) {
  shm_space *space;
  int status = shm_space_open(test_directory, test_name, 0, 0, 0600, 0, in_ns(LONG), &space);
  (void)context;
  if (status != SHM_OK) {
    IS(status, SHM_TOO_MANY_MEMBERS);
    CHECK(strstr(shm_error_text(), "all 256 member slots"));
  }
  shm_add(&counts[status == SHM_OK ? 0 : 1], 1);
  await(&counts[2], 1);
  if (status == SHM_OK) leave_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  counts = shared_memory(3 * sizeof *counts);
  shm_space *space = make_space(4 << 20, MEMBERS);
  u64 base = used_bytes(space);
  leave_space(space);
  for (int round = 0; round < 2; round++) {
    pid_t children[COME];
    memset(counts, 0, 3 * sizeof *counts);
    for (u32 i = 0; i < COME; i++) children[i] = start_child(come, NULL);
    await(&counts[0], MEMBERS);
    await(&counts[1], COME - MEMBERS);
    shm_store_release(&counts[2], 1);
    for (u32 i = 0; i < COME; i++) end_child(children[i]);
    SAME(counts[0], MEMBERS);
  }
  space = join_space();
  SAME(used_bytes(space), base);
  shm_member_facts rows[4];
  SAME(shm_space_members(space, rows, 4), 1);
  SAME(rows[0].pid, (u32)getpid());
  end_space(space);
  return 0;
}
