/* Queues and tuple spaces that end while all work on them: takers who sleep or wait for their bell, leases that are
 * acknowledged or given back, readers. After a shutdown what was put is taken once, and all who wait leave; after one that
 * is immediate, or a deletion, all leave soon; the memory is as it was.
 *
 * Runs: processes, threads
 */
#include "values.h"

enum { PUTTERS = 2, TAKERS = 3, EACH = 3000, KEYS = 3, ROUNDS = 12, SOON_MS = 5000 };
enum end { SHUT, DISCARD, DELETE, ENDS };

static const char *const keys[KEYS] = {"a", "b", "c"};
static u32 *seen; /* by putter and number: how often it came */
static u32 *gate, *put, *ended;
static u32 round_number;

static enum end how(void) { return (enum end)(round_number % ENDS); }
static int with_keys(void) { return round_number / ENDS % 2; }

static struct shelf open_shelf(shm_space *space) {
  struct shelf shelf = {0};
  if (with_keys()) shelf.tuples = open_tuples(space, 16), shelf.key = keys[0];
  else shelf.queue = open_queue(space, 16, 0);
  return shelf;
}

static void draw_key(struct shelf *shelf, struct chance *chance) {
  if (with_keys()) shelf->key = keys[below(chance, KEYS)];
}

/* Some wait for as long as it takes. */
static u64 some_time(struct chance *chance) { return in_ns(below(chance, 10) ? below(chance, 2 * MS) : LONG); }

/* Put until the end; those that are in count. */
static void put_on(struct shelf shelf, u32 index) {
  struct chance chance = chance_for(index);
  u32 number = 0;
  while (number < EACH) {
    draw_key(&shelf, &chance);
    u64 length = sizeof(struct letter) + (below(&chance, 3) ? below(&chance, 60) : draw_size(&chance, 12));
    int status = put_value(&shelf, length, index, number, some_time(&chance));
    if (status == SHM_CLOSED) break;
    if (status == SHM_FULL || status == SHM_BUSY || status == SHM_TIMEOUT) continue;
    OK(status);
    number++;
  }
  shm_store_release(&put[index], number);
}

/* Stand in line without sleeping there, and wait for the bell instead. */
static int take_by_bell(shm_space *space, const struct shelf *shelf, u32 flags, shm_wait *wait, shm_taken *taken) {
  u32 bell = shm_bell_wait(space, UINT32_MAX, 0);
  int status = shelf_take(shelf, flags | SHM_WAIT_BELL, wait, 0, taken);
  if (status != SHM_EMPTY || !wait->block) return status;
  shm_bell_wait(space, bell, MS);
  status = shelf_take(shelf, flags | SHM_WAIT_BELL, wait, 0, taken);
  if (status == SHM_OK || !wait->block) return status;
  int last = shelf_leave(shelf, flags, wait, taken);
  return last == SHM_OK ? SHM_OK : status;
}

static void note(struct letter letter) {
  CHECK(letter.sender < PUTTERS && letter.number < EACH);
  if (!shm_add(&seen[letter.sender * EACH + letter.number], 1)) return;
  FAIL("value %u of %u came twice", letter.number, letter.sender);
}

static int use_one(shm_space *space, const struct shelf *shelf, struct chance *chance) {
  u32 kind = (u32)below(chance, 4), flags = kind == 0 && !with_keys() ? SHM_TAKE_LEASE : kind == 1 ? SHM_TAKE_HOLD : 0;
  shm_wait wait = {0};
  shm_taken taken;
  if (kind == 0 && with_keys()) {
    struct letter letter;
    return take_value(shelf, SHM_TAKE_READ, &letter, some_time(chance));
  }
  int status = below(chance, 2) ? take_by_bell(space, shelf, flags, &wait, &taken)
                                : hold_value(shelf, flags, &wait, &taken, some_time(chance));
  if (status != SHM_OK) return status;
  struct letter letter = letter_in(&taken);
  if (flags && below(chance, 4) == 0) {
    shelf_return(shelf, &taken);
    return SHM_OK;
  }
  note(letter);
  if (flags & SHM_TAKE_LEASE) {
    status = shm_queue_ack(shelf->queue, 0, &taken, in_ns(LONG));
    return how() == DELETE && status == SHM_CLOSED ? status : (OK(status), SHM_OK);
  }
  shelf_taken(shelf, &taken);
  return SHM_OK;
}

/* Take until the end: at every key. */
static void take_on(shm_space *space, struct shelf shelf, u32 index) {
  struct chance chance = chance_for(index);
  for (u32 closed = 0; closed != (with_keys() ? (1u << KEYS) - 1 : 1);) {
    draw_key(&shelf, &chance);
    int status = use_one(space, &shelf, &chance);
    if (status == SHM_CLOSED) closed |= with_keys() ? 1u << (shelf.key[0] - 'a') : 1;
    else if (status != SHM_OK && status != SHM_BUSY && status != SHM_TIMEOUT) IS(status, SHM_EMPTY);
  }
}

static void end_it(shm_space *space, const struct shelf *shelf) {
  struct chance chance = chance_for(round_number + 100);
  shm_nap_ns(below(&chance, 20 * MS));
  if (how() == DELETE) delete_structure(space, with_keys() ? SHM_KIND_TUPLES : SHM_KIND_QUEUE);
  else if (with_keys()) OK(shm_tuples_shutdown(shelf->tuples, how() == DISCARD, in_ns(LONG)));
  else OK(shm_queue_shutdown(shelf->queue, how() == DISCARD, in_ns(LONG)));
}

static void work(u32 index, void *context) {
  shm_space *space = join_space();
  struct shelf shelf = open_shelf(space);
  (void)context;
  meet(gate, PUTTERS + TAKERS + 1);
  if (index < PUTTERS) put_on(shelf, index);
  else if (index < PUTTERS + TAKERS) take_on(space, shelf, index);
  else end_it(space, &shelf);
  shm_add(ended, 1);
  if (shelf.queue) shm_queue_free(shelf.queue);
  if (shelf.tuples) shm_tuples_free(shelf.tuples);
  leave_space(space);
}

/* After a shutdown that lets all be taken, a value may be in the hands of one who gave it back as the last. */
static void take_what_is_left(struct shelf shelf) {
  for (u32 key = 0; key < (with_keys() ? KEYS : 1); key++) {
    if (with_keys()) shelf.key = keys[key];
    for (struct letter letter; take_value(&shelf, 0, &letter, 0) == SHM_OK;) note(letter);
  }
  for (u32 sender = 0; sender < PUTTERS; sender++) {
    for (u32 n = 0; n < EACH; n++) SAME(seen[sender * EACH + n], n < put[sender]);
  }
}

int main(int argc, char **argv) {
  begin(argc, argv);
  seen = shared_memory(PUTTERS * EACH * sizeof(u32));
  gate = shared_memory(sizeof *gate);
  put = shared_memory(PUTTERS * sizeof *put);
  ended = shared_memory(sizeof *ended);
  shm_space *space = make_space(64 << 20, 16);
  u64 base = used_bytes(space);
  for (round_number = 0; round_number < ROUNDS; round_number++) {
    memset(seen, 0, PUTTERS * EACH * sizeof(u32));
    *ended = 0;
    struct shelf shelf = open_shelf(space);
    u64 start_ns = shm_monotonic_ns();
    run_workers(PUTTERS + TAKERS + 1, work, NULL);
    SAME(*ended, PUTTERS + TAKERS + 1);
    if (shm_monotonic_ns() - start_ns > SOON_MS * MS) FAIL("round %u took long to end", round_number);
    if (how() == SHUT) take_what_is_left(shelf);
    be_healthy(space);
    if (how() != DELETE) delete_structure(space, with_keys() ? SHM_KIND_TUPLES : SHM_KIND_QUEUE);
    if (shelf.queue) shm_queue_free(shelf.queue);
    if (shelf.tuples) shm_tuples_free(shelf.tuples);
    SAME(used_bytes(space), base);
  }
  end_space(space);
  return 0;
}
