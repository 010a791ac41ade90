/* Spans of random lengths, carved and released by several members in any order, never overlap; together with the free
 * runs they tile the pool; when all are released it is one run again.
 *
 * Runs: processes, threads
 */
#include "../../csrc/core/pages.h"
#include "../../csrc/core/region.h"
#include "harness.h"

enum { WORKERS = 3, LIVE = 20, OPERATIONS = 60000, SIZE = 32 << 20 };

static u32 *owner; /* by page: index + 1 of the worker that has it */

static u64 carve(shm_space *space, u64 count) {
  for (;;) {
    u64 page;
    int status = shm__pages_carve(space, count, SHM_CLASS_HUGE, 0, 1, in_ns(LONG), &page);
    if (status == SHM_OK) return page;
    IS(status, SHM_SPACE_FULL);
    OK(shm__region_grow(space, count * SHM_PAGE_BYTES));
  }
}

static void work(u32 index, void *context) {
  shm_space *space = join_space();
  struct chance chance = chance_for(index);
  u64 page[LIVE], count[LIVE] = {0};
  (void)context;
  for (u32 i = 0; i < OPERATIONS + LIVE; i++) {
    u32 k = i < OPERATIONS ? (u32)below(&chance, LIVE) : i - OPERATIONS;
    if (count[k]) {
      for (u64 p = page[k]; p < page[k] + count[k]; p++) SAME(shm_exchange(&owner[p], 0), index + 1);
      OK(shm__pages_release(space, page[k], 0, in_ns(LONG)));
      count[k] = 0;
    } else if (i < OPERATIONS) {
      count[k] = draw_size(&chance, 6);
      page[k] = carve(space, count[k]);
      for (u64 p = page[k]; p < page[k] + count[k]; p++) SAME(shm_exchange(&owner[p], index + 1), 0);
    }
  }
  leave_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  owner = shared_memory(SIZE / SHM_PAGE_BYTES * sizeof *owner);
  shm_space *space = make_space(SIZE, 8);
  run_workers(WORKERS, work, NULL);
  be_healthy(space);
  u64 top = shm__pages_top(space), page = carve(space, top); /* one run */
  SAME(page, 0);
  OK(shm__pages_release(space, page, 0, in_ns(LONG)));
  SAME(space->pool->used_pages, 0);
  end_space(space);
  return 0;
}
