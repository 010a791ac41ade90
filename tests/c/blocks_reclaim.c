/* Memory that was given back serves other sizes at once, whoever looks for it at the same time: several members that
 * never hold more than half of a space between them are never told that it is full.
 *
 * Runs: processes, threads
 */
#include "../../csrc/core/blocks.h"
#include "harness.h"

enum { SIZE = 8 << 20, WORKERS = 4, ROUNDS = 60, MOST = 20000 };

static u32 *gate;

static void work(u32 index, void *context) {
  static const u64 sizes[] = {100, 2000, 30000, 300, 9000, 200000, 60, 1000};
  shm_space *space = join_space();
  struct shm__ref *refs = calloc(MOST, sizeof *refs);
  (void)index, (void)context;
  for (u32 round = 0; round < ROUNDS; round++) {
    u64 size = sizes[round % (sizeof sizes / sizeof sizes[0])];
    u32 count = (u32)(SIZE / 2 / WORKERS / (size + size / 4 + 16));
    CHECK(count < MOST);
    meet(gate, WORKERS);
    for (u32 i = 0; i < count; i++) OK(shm__block_alloc(space, size, in_ns(LONG), &refs[i]));
    meet(gate, WORKERS);
    for (u32 i = 0; i < count; i++) shm__block_free(space, refs[i]);
  }
  free(refs);
  leave_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  gate = shared_memory(sizeof *gate);
  shm_space *space = make_space(SIZE, 16);
  u64 base = used_bytes(space);
  run_workers(WORKERS, work, NULL);
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
