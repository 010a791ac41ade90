/* shelf_judge.c: what must hold of a queue or a tuple space after a death.
 *
 *   - Every value comes out once, whole. Those whose taking had returned do not come, those whose putting had returned do;
 *     only what the dead were about to put or take may have come and gone, or not.
 *   - Those of one key come in order, but for what the dead held, which comes when the death is found out.
 *   - A queue's count of unfinished values fits what was acknowledged and buried.
 *   - It works on, and is empty then; check() finds nothing; when it is deleted no block is left (judge.c).
 */
#include <string.h>

#include "shelf.h"

enum { MOST_IDS = 256, PROBLEMS = 4, LOOK_NS = 20000000, LINE_NS = 400000000 };

struct found {
  uint64_t ids[MOST_IDS], count, dead_letters, late; /* late: those that come after one that was put behind them */
  uint64_t may_be_late;
  int closed;
};

/* ---- emptying ------------------------------------------------------------------------------------------------------------ */
/* All that can be had now. */
static void drain(struct world *world, uint32_t lane, uint64_t key, struct found *found) {
  uint64_t last = 0, deadline_ns = 0;
  while (found->count < MOST_IDS && !world->failure[0]) {
    shm_taken taken;
    int status = TIMED(world, shelf_hold(world, lane, key, SHM_TAKE_HOLD, deadline_ns, &taken));
    if (status == SHM_TIMEOUT || status == SHM_BUSY) { /* the dead one has a lock: it takes a moment */
      deadline_ns = shm_monotonic_ns() + LOOK_NS;
      continue;
    }
    if (status == SHM_EMPTY) return;
    if (status == SHM_CLOSED) {
      found->closed = 1;
      return;
    }
    if (status != SHM_OK) {
      blame(world, "emptying the shelf: %s %s", shm_error_name(status), shm_error_text());
      return;
    }
    uint64_t id = shelf_id(world, &taken);
    int same_origin = id / (RELIEF / 3) == last / (RELIEF / 3) || id <= shelf.ids;
    if (id <= last && same_origin && found->late++ == found->may_be_late) {
      blame(world, "value %llu comes after %llu", (unsigned long long)id, (unsigned long long)last);
    }
    last = id;
    found->ids[found->count++] = id;
    found->dead_letters += lane == 1;
    if (shelf_is_queue()) shm_queue_taken(shelf.queue, lane, &taken, 1);
    else shm_tuples_taken(shelf.tuples, shelf.keys[key], shelf_key_length(key), &taken, 1);
    deadline_ns = 0;
  }
}

static void drain_all(struct world *world, struct found *found) {
  if (shelf_is_queue()) {
    drain(world, 0, 0, found);
    drain(world, 1, 0, found);
    return;
  }
  for (uint64_t key = 0; key < SHELF_KEYS; key++) drain(world, 0, key, found);
}

/* ---- the books ----------------------------------------------------------------------------------------------------------- */
static int has(const struct found *found, uint64_t id) {
  int times = 0;
  for (uint64_t i = 0; i < found->count; i++) times += found->ids[i] == id;
  return times;
}

static int took(const struct world *world, uint64_t id) {
  int times = 0;
  for (int role = 0; role < ROLES; role++) {
    const struct progress *progress = &world->progress[role];
    for (uint64_t i = 0; i < progress->tooks; i++) times += progress->took[i] == id;
  }
  return times;
}

/* Values that were put; of these those that are nowhere. */
struct books {
  uint64_t put, missing;
};

/* Ids first..first+sure-1 were put, `maybe` more may have been. */
static void account(struct world *world, const struct found *found, uint64_t first, uint64_t sure, uint64_t maybe,
                    struct books *books) {
  for (uint64_t n = 0; n < sure + maybe; n++) {
    uint64_t id = first + n;
    int came = has(found, id), taken = took(world, id);
    if (came + taken > 1) {
      blame(world, "value %llu was taken %d times, and came %d times", (unsigned long long)id, taken, came);
    }
    books->put += n < sure || came + taken > 0;
    books->missing += n < sure && came + taken == 0;
  }
}

static void judge_found(struct world *world, const struct found *found) {
  const struct stock *stock = shelf.stock;
  struct books books = {0};
  uint64_t known = 0;
  account(world, found, 1, shelf.ids, 0, &books);
  for (int role = 0; role < ROLES; role++) {
    uint64_t sure = world->progress[role].put, maybe = role == SURVIVOR ? 0 : stock->puts;
    account(world, found, MINE(role) + 1, sure, maybe, &books);
    for (uint64_t i = 0; i < found->count; i++) known += found->ids[i] > MINE(role) && found->ids[i] <= MINE(role) + sure + maybe;
  }
  for (uint64_t i = 0; i < found->count; i++) known += found->ids[i] <= shelf.ids;
  if (known != found->count) blame(world, "values came that nobody put");
  if (books.missing > stock->takes) {
    blame(world, "%llu values are missing, %llu may be", (unsigned long long)books.missing, (unsigned long long)stock->takes);
  }
  if (!shelf_is_queue()) return;
  uint64_t finished = books.put - shm_queue_unfinished(shelf.queue, 0), sure = found->dead_letters;
  for (int role = 0; role < ROLES; role++) sure += world->progress[role].finished;
  if (finished < sure || finished > sure + stock->takes) {
    blame(world, "%llu values are finished with, %llu to %llu must be", (unsigned long long)finished, (unsigned long long)sure,
          (unsigned long long)(sure + stock->takes));
  }
}

/* ---- working on ---------------------------------------------------------------------------------------------------------- */
/* A value goes through, and another one; of a bounded shelf, as many as there is room for. */
static void work_on(struct world *world) {
  struct found full = {.count = 0};
  for (uint64_t n = 0; n <= shelf.stock->bound && shelf.stock->bound; n++) {
    int status = TIMED(world, shelf_put(world, 0, 0)), expected = n < shelf.stock->bound ? SHM_OK : SHM_FULL;
    if (status != expected) {
      blame(world, "put number %llu of %llu: %s", (unsigned long long)n + 1, (unsigned long long)shelf.stock->bound,
            shm_error_name(status));
    }
  }
  drain(world, 0, 0, &full);
  for (int n = 0; n < 2 && !world->failure[0]; n++) {
    struct found found = {.count = 0};
    int status = TIMED(world, shelf_put(world, 0, patience_ns()));
    if (status != SHM_OK) blame(world, "the survivor's put: %s %s", shm_error_name(status), shm_error_text());
    drain(world, 0, 0, &found);
    if (found.count != 1 && !world->failure[0]) blame(world, "the survivor's value came %d times", (int)found.count);
  }
}

/* The survivor has stood in line all the while: what there is comes to it, by itself. */
static void judge_line(struct world *world) {
  shm_taken taken;
  if (!shelf.line.block) return;
  int in_vain = nothing_to_take(world);
  int served = TIMED(world, shelf_is_served(world, SHM_TAKE_HOLD, shm_monotonic_ns() + (in_vain ? LOOK_NS : LINE_NS), &taken));
  if (!served && !in_vain) blame(world, "whoever stands in line is not served");
  if (served) shelf_taken(world, 0, 0, &taken);
}

/* What the survivor looks at is what it was, whoever else had it. */
static void judge_pin(struct world *world) {
  if (!shelf.pin.block) return;
  if (shelf_id(world, &shelf.pinned) != shelf.pinned_id) blame(world, "what was being read is something else");
  shelf_look_away(0, &shelf.pin);
}

static void judge_empty(struct world *world) {
  shm_queue_facts queue = {0};
  shm_tuples_facts tuples = {0};
  int status = shelf_is_queue() ? shm_queue_stat(shelf.queue, 0, &queue) : shm_tuples_stat(shelf.tuples, patience_ns(), &tuples);
  if (status != SHM_OK) blame(world, "stat of the shelf: %s", shm_error_name(status));
  if (queue.ready + queue.leased + queue.dead + queue.waiting + tuples.keys + tuples.values + tuples.waiting > 0) {
    blame(world, "the empty shelf has %llu values, %llu leases, %llu dead letters, %llu keys, %llu waiting",
          (unsigned long long)(queue.ready + tuples.values), (unsigned long long)queue.leased, (unsigned long long)queue.dead,
          (unsigned long long)tuples.keys, (unsigned long long)(queue.waiting + tuples.waiting));
  }
  int64_t length = shelf_is_queue() ? (int64_t)shm_queue_length(shelf.queue, 0) : 0;
  for (uint64_t key = 0; key < SHELF_KEYS && !shelf_is_queue(); key++) {
    length += shm_tuples_length(shelf.tuples, shelf.keys[key], shelf_key_length(key));
  }
  if (length != 0) blame(world, "the empty shelf is %lld long", (long long)length);
  if (shelf_forgotten(world)) blame(world, "%llu empty keys will not be removed", (unsigned long long)shelf_forgotten(world));
}

static void check(struct world *world) {
  shm_problem problems[PROBLEMS];
  int64_t count = shm_space_check(world->space, problems, PROBLEMS);
  if (count != 0) {
    blame(world, "check() of the shelf: %lld problems: %s (%s)", (long long)count, count > 0 ? problems[0].what : shm_error_text(),
          count > 0 ? problems[0].where : "");
  }
}

/* The survivor has it open: that it was deleted can be seen by that every call says so. */
static int is_there(struct world *world) {
  if (shelf.queue || shelf.tuples) return 1;
  int status = TIMED(world, open_shelf_again(world, 0));
  if (status != SHM_OK && !(status == SHM_NOT_FOUND && shelf.stock->deletes)) {
    blame(world, "opening the shelf again: %s", shm_error_text());
  }
  return status == SHM_OK;
}

void judge_shelf(struct world *world) {
  static struct found found;
  if (!shelf.stock) return;
  memset(&found, 0, sizeof found);
  if (is_there(world)) {
    judge_line(world);
    if (!world->reaped) judge_pin(world); /* it lets go of a block that the dead one may have left to it */
    if (!world->reaped) found.may_be_late = shelf.stock->takes + shelf.stock->holds;
    drain_all(world, &found);
    found.may_be_late = found.late;
    TIMED(world, (shm_space_reap_dead(world->space), 0));
    drain_all(world, &found);
    int shut = !not_shut(world), gone = found.closed && shelf.stock->deletes && !shut;
    if (found.closed && !shut && !gone) blame(world, "the shelf is closed");
    if (!gone) judge_found(world, &found);
    if (!gone && !shut && !world->failure[0]) work_on(world);
    judge_pin(world);
    if (!gone) judge_empty(world);
    check(world);
    close_shelf();
  }
  shm_space_delete(world->space, shelf.stock->kind, shelf_is_queue() ? "q" : "t", 1, patience_ns());
  shelf.stock = NULL;
}
