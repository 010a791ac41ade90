/* A space that is full says so, whatever the size of what is asked for, stays usable, and has room for other sizes once
 * something was taken out.
 *
 * Runs: processes
 */
#include "../../csrc/core/blocks.h"
#include "harness.h"

enum { SIZE = 2 << 20, MOST = 1 << 17 };

static struct shm__ref refs[MOST];

static u32 fill(shm_space *space, u64 size_bytes) {
  u32 count = 0;
  int status;
  while ((status = shm__block_alloc(space, size_bytes, in_ns(LONG), &refs[count])) == SHM_OK) CHECK(++count < MOST);
  IS(status, SHM_SPACE_FULL);
  CHECK(strstr(shm_error_text(), "has reached its size"));
  return count;
}

int main(int argc, char **argv) {
  begin(argc, argv);
  shm_space *space = make_space(SIZE, 4);
  u64 base = used_bytes(space);
  static const u64 sizes[] = {1, 100, 4000, 900000, 20000, 70000, 32, 500000};
  for (u32 i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    u32 count = fill(space, sizes[i]);
    u64 most = (SIZE - base) / (sizes[i] + 16);
    if (count > most || count < most / 3) FAIL("%u blocks of %llu bytes fit", count, (unsigned long long)sizes[i]);
    struct shm__ref ref;
    IS(shm__block_alloc(space, sizes[i], in_ns(LONG), &ref), SHM_SPACE_FULL);
    shm__block_free(space, refs[count / 2]);
    OK(shm__block_alloc(space, sizes[i], in_ns(LONG), &refs[count / 2]));
    for (u32 k = 0; k < count; k++) shm__block_free(space, refs[k]);
    SAME(used_bytes(space), base);
  }
  struct shm__ref ref;
  IS(shm__block_alloc(space, UINT64_MAX, in_ns(LONG), &ref), SHM_SPACE_FULL);
  IS(shm__block_alloc(space, SIZE, in_ns(LONG), &ref), SHM_SPACE_FULL);
  end_space(space);
  return 0;
}
