/* Queues and tuple spaces: however many put and take at the same time, by copy or held, one or many at a time, blocked or
 * not, every value comes whole, to exactly one taker, and those of one putter in the order in which it put them. Segments
 * come and go; when all is taken and deleted the memory is as it was.
 *
 * Runs: processes, threads
 */
#include "values.h"

enum { PUTTERS = 2, TAKERS = 3, EACH = 4000, BATCH = 20, KEYS = 3 };

static const char *const keys[KEYS] = {"", "k", "a longer key that nobody has to remember"};
static u8 *seen; /* by putter and number */
static u32 *gate, *left;
static int with_keys;
static u64 bound;

static u64 size_of(struct chance *chance) {
  return below(chance, 4) ? sizeof(struct letter) + below(chance, 72) : sizeof(struct letter) + draw_size(chance, 16);
}

static struct shelf open_shelf(shm_space *space) {
  struct shelf shelf = {0};
  if (with_keys) shelf.tuples = open_tuples(space, bound), shelf.key = keys[0];
  else shelf.queue = open_queue(space, bound, 0);
  return shelf;
}

static u32 put_batch(const struct shelf *shelf, struct chance *chance, u32 sender, u32 number) {
  static __thread u8 data[BATCH][512];
  shm_piece pieces[BATCH];
  shm_wait wait = {0};
  u64 done = 0, count = 0;
  for (; count < BATCH && number + count < EACH; count++) {
    u64 length = sizeof(struct letter) + below(chance, sizeof data[0] - sizeof(struct letter));
    write_letter(data[count], length, sender, number + (u32)count);
    pieces[count] = (shm_piece){data[count], length, 0};
  }
  if (shelf->key) {
    OK(shm_tuples_out_many(shelf->tuples, shelf->key, key_length(shelf), pieces, count, 0, &wait, in_ns(LONG), &done));
  } else {
    OK(shm_queue_put_many(shelf->queue, 0, pieces, count, 0, &wait, in_ns(LONG), &done));
  }
  SAME(done, count);
  CHECK(!wait.block);
  return (u32)count;
}

static void put_all(struct shelf shelf, u32 index) {
  struct chance chance = chance_for(index);
  for (u32 n = 0; n < EACH;) {
    if (with_keys) shelf.key = keys[below(&chance, KEYS)];
    if (below(&chance, 10) == 0) n += put_batch(&shelf, &chance, index, n);
    else OK(put_value(&shelf, size_of(&chance), index, n++, in_ns(LONG)));
    if (below(&chance, 500) == 0) shm_nap_ns(MS); /* takers come to the end, and wait */
  }
}

static void take_all(struct shelf shelf, u32 index) {
  struct chance chance = chance_for(index);
  u32 next[KEYS][PUTTERS] = {{0}};
  while (shm_load_acquire(left)) {
    u32 key = with_keys ? (u32)below(&chance, KEYS) : 0;
    struct letter letter = {0, 0};
    if (with_keys) shelf.key = keys[key];
    int status = take_value(&shelf, below(&chance, 2) ? SHM_TAKE_HOLD : 0, &letter,
                            below(&chance, 4) ? in_ns(below(&chance, 5 * MS)) : 0);
    if (status == SHM_EMPTY || status == SHM_BUSY || status == SHM_TIMEOUT) continue;
    OK(status);
    CHECK(letter.sender < PUTTERS && letter.number < EACH);
    if (letter.number < next[key][letter.sender]) {
      FAIL("%u of %u came after %u", letter.number, letter.sender, next[key][letter.sender]);
    }
    next[key][letter.sender] = letter.number + 1;
    if (seen[letter.sender * EACH + letter.number]++) FAIL("value %u of %u came twice", letter.number, letter.sender);
    shm_add(left, (u32)-1);
  }
}

static void work(u32 index, void *context) {
  shm_space *space = join_space();
  struct shelf shelf = open_shelf(space);
  (void)context;
  meet(gate, PUTTERS + TAKERS);
  if (index < PUTTERS) put_all(shelf, index);
  else take_all(shelf, index);
  if (shelf.queue) shm_queue_free(shelf.queue);
  if (shelf.tuples) shm_tuples_free(shelf.tuples);
  leave_space(space);
}

int main(int argc, char **argv) {
  static const u64 bounds[] = {0, 1, 40};
  begin(argc, argv);
  seen = shared_memory(PUTTERS * EACH);
  gate = shared_memory(sizeof *gate);
  left = shared_memory(sizeof *left);
  shm_space *space = make_space(256 << 20, 16);
  u64 base = used_bytes(space);
  for (u32 round = 0; round < 6; round++) {
    memset(seen, 0, PUTTERS * EACH);
    *left = PUTTERS * EACH;
    with_keys = round >= 3;
    bound = bounds[round % 3];
    struct shelf shelf = open_shelf(space);
    run_workers(PUTTERS + TAKERS, work, NULL);
    for (u32 i = 0; i < PUTTERS * EACH; i++) SAME(seen[i], 1);
    be_healthy(space);
    delete_structure(space, with_keys ? SHM_KIND_TUPLES : SHM_KIND_QUEUE);
    if (shelf.queue) shm_queue_free(shelf.queue);
    if (shelf.tuples) shm_tuples_free(shelf.tuples);
    SAME(used_bytes(space), base);
  }
  end_space(space);
  return 0;
}
