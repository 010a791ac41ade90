/* Queues and tuple spaces: who waits for a value is served before whoever comes later, at whatever moment the value comes:
 * those who only try get nothing while somebody stands in line, and those in line get the values in the order they came.
 *
 * Runs: processes, threads
 */
#include "values.h"

enum { TRIERS = 2, WAITERS = 3, PUTTER = WAITERS + TRIERS, TURNS = 300 };

struct board {
  u32 gate, turn, came, waiting;
};

static struct board *board;
static int with_keys;

static struct shelf open_shelf(shm_space *space) {
  struct shelf shelf = {0};
  if (with_keys) shelf.tuples = open_tuples(space, 0), shelf.key = "k";
  else shelf.queue = open_queue(space, 0, 0);
  return shelf;
}

static u64 waiting_at(const struct shelf *shelf) {
  if (!shelf->key) return queue_facts(shelf->queue).waiting;
  return (u64)shm_tuples_waiting(shelf->tuples, shelf->key, key_length(shelf));
}

/* Stand in line, one behind the other; value i is for number i. */
static void wait_in_turn(const struct shelf *shelf, u32 index) {
  for (u32 turn = 0; turn < TURNS; turn++) {
    struct letter letter = {0, 0};
    await(&board->turn, turn * (WAITERS + 1) + index + 1);
    OK(take_value(shelf, turn % 2 ? SHM_TAKE_HOLD : 0, &letter, in_ns(LONG)));
    if (letter.number != turn * WAITERS + index) {
      FAIL("number %u in line got value %u of turn %u", index, letter.number % WAITERS, turn);
    }
    shm_add(&board->came, 1);
  }
}

static void put_in_turn(const struct shelf *shelf) {
  for (u32 turn = 0; turn < TURNS; turn++) {
    for (u32 index = 0; index < WAITERS; index++) {
      shm_add(&board->turn, 1);
      for (u64 deadline_ns = in_ns(LONG); waiting_at(shelf) != index + 1; shm_nap_ns(1000)) CHECK(shm_monotonic_ns() < deadline_ns);
    }
    shm_store_release(&board->waiting, 1);
    for (u32 index = 0; index < WAITERS; index++) {
      if (turn % 3 == 0) shm_nap_ns(index * 1000);
      OK(put_value(shelf, turn % 2 ? 200 : sizeof(struct letter), PUTTER, turn * WAITERS + index, in_ns(LONG)));
    }
    await(&board->came, (turn + 1) * WAITERS);
    shm_add(&board->turn, 1);
  }
  shm_store_release(&board->waiting, 0);
}

/* As many values as waiters come, and only when all of these are in line. */
static void try_all_the_time(const struct shelf *shelf) {
  struct letter letter = {0, 0};
  await(&board->waiting, 1);
  while (shm_load_acquire(&board->waiting)) {
    int status = take_value(shelf, 0, &letter, 0);
    if (status == SHM_OK) FAIL("value %u was taken by one who came later", letter.number);
    if (status != SHM_BUSY && status != SHM_TIMEOUT) IS(status, SHM_EMPTY);
  }
}

static void work(u32 index, void *context) {
  shm_space *space = join_space();
  struct shelf shelf = open_shelf(space);
  (void)context;
  meet(&board->gate, PUTTER + 1);
  if (index < WAITERS) wait_in_turn(&shelf, index);
  else if (index == PUTTER) put_in_turn(&shelf);
  else try_all_the_time(&shelf);
  if (shelf.queue) shm_queue_free(shelf.queue);
  if (shelf.tuples) shm_tuples_free(shelf.tuples);
  leave_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  board = shared_memory(sizeof *board);
  shm_space *space = make_space(64 << 20, 16);
  u64 base = used_bytes(space);
  for (with_keys = 0; with_keys < 2; with_keys++) {
    memset(board, 0, sizeof *board);
    struct shelf shelf = open_shelf(space);
    run_workers(PUTTER + 1, work, NULL);
    be_healthy(space);
    delete_structure(space, with_keys ? SHM_KIND_TUPLES : SHM_KIND_QUEUE);
    if (shelf.queue) shm_queue_free(shelf.queue);
    if (shelf.tuples) shm_tuples_free(shelf.tuples);
    SAME(used_bytes(space), base);
  }
  end_space(space);
  return 0;
}
