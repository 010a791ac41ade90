/* kills_stores.c: see kills_stores.h.
 *
 * In each step an incarnation sets a key of its own to the step's number and adds one to a sum of all; in between it sets,
 * removes and locks keys of all, removes by glob, and sets what expires soon. Values are messages, long and short. The others
 * watch from where they were, read, and list.
 *
 *   whoever watches        gets the steps of each incarnation in order, without a gap unless it was told that it lagged; a key
 *                          is never older than its event; values are whole
 *   whoever has set a key of its own  finds that there
 *   a lock                 excludes: two sums that are changed under it are the same, unless the next one is told of a death
 *   at the end             the sum is that of the steps that were done, but for those at which somebody was killed; so are
 *                          the keys; nothing is watched, and what is listed is what is counted
 */
#include "kills_stores.h"

#include <stdio.h>
#include <string.h>

#include "base/msgint.h"

enum { SHARDS = 4, FEED = 512, COMMON = 12, LONGEST = BLOCK_BYTES + 2000, NAME_MOST = 24, SHORT_NS = 5000000, SOON_NS = 2000000 };

const struct scene traffic_store = {.name = "kills_store", .size_bytes = MIXED_BYTES, .space_bytes = 16 << 20};

static shm_store *store;
static uint64_t chance;

static uint64_t draw(uint64_t below) {
  chance ^= chance << 13, chance ^= chance >> 7, chance ^= chance << 17; /* xorshift64, Marsaglia 2003 */
  return chance % below;
}

int open_store(struct world *world) {
  shm_store_options options = {.shards = SHARDS, .feed = FEED, .codec = "raw"};
  return shm_store_open(world->space, "s", 1, &options, 0, 1, patience_ns(), &store);
}

static void fail(struct world *world, const char *what, int status) {
  blame(world, "%s: %s %s", what, shm_error_name(status), shm_error_text());
}

static uint32_t name_key(char *name, char kind, uint64_t number) {
  return (uint32_t)snprintf(name, NAME_MOST, "%c%llu", kind, (unsigned long long)number);
}

static int set_message(char kind, uint64_t which, uint64_t id, uint64_t ttl_ns, shm_item_facts *facts) {
  static uint8_t bytes[LONGEST];
  char name[NAME_MOST];
  uint64_t size_bytes = draw(3) ? SMALL_BYTES + draw(180) : BLOCK_BYTES + draw(2000);
  shm_piece piece = {bytes, size_bytes, 0};
  shm_write how = {.ttl_ns = ttl_ns, .holder = id >> 32 | 1ull << 40};
  fill_message(bytes, id, size_bytes);
  return shm_store_set(store, name, name_key(name, kind, which), &piece, &how, patience_ns(), facts);
}

static int add_one(const char *name, uint64_t number, int64_t *sum) {
  shm_write how = {.holder = number | 1ull << 40};
  shm_item_facts facts;
  return shm_store_incr(store, name, (uint32_t)strlen(name), 1, &how, patience_ns(), sum, &facts);
}

/* The message of a key: its id; 0: there is none. */
static uint64_t get_message(struct world *world, char kind, uint64_t which, shm_item_facts *facts) {
  static uint8_t bytes[LONGEST];
  char name[NAME_MOST];
  int status = shm_store_get(store, name, name_key(name, kind, which), bytes, sizeof bytes, facts);
  if (status == SHM_OK) return read_message(world, bytes, facts->length_bytes);
  if (status != SHM_NOT_FOUND) fail(world, "reading a key", status);
  return 0;
}

static int64_t get_sum(struct world *world, const char *name) {
  uint8_t bytes[SHM__MSGINT_BYTES];
  shm_item_facts facts;
  int64_t sum = 0;
  int status = shm_store_get(store, name, (uint32_t)strlen(name), bytes, sizeof bytes, &facts);
  if (status == SHM_OK && !shm__msgint_read(bytes, facts.length_bytes, &sum)) blame(world, "the integer \"%s\" is torn", name);
  if (status != SHM_OK && status != SHM_NOT_FOUND) fail(world, "reading an integer", status);
  return sum;
}

/* ---- changing ------------------------------------------------------------------------------------------------------------ */
static void step(struct world *world, struct incarnation *self, uint64_t number) {
  shm_item_facts facts, found;
  int64_t sum;
  uint64_t id = number << 32 | (self->done + 1);
  self->begun = self->done + 1;
  int status = set_message('i', number, id, 0, &facts);
  if (status == SHM_OK) status = add_one("sum", number, &sum);
  if (status != SHM_OK) {
    fail(world, "a step", status);
    return;
  }
  self->done++;
  uint64_t there = get_message(world, 'i', number, &found);
  if (!world->failure[0] && (there != id || found.version != facts.version)) blame(world, "a key that was just set is not that");
}

/* Two sums that are equal whenever nobody holds the lock; who is told that the last holder died makes them so. */
static void count_under_lock(struct world *world, uint64_t number) {
  int died = 0, status = shm_store_lock(store, "pair", 4, number | 1ull << 40, patience_ns(), &died);
  int64_t left, right = 0;
  if (status != SHM_OK) {
    fail(world, "locking a key", status);
    return;
  }
  left = get_sum(world, "left");
  for (right = get_sum(world, "right"); died && right < left && status == SHM_OK;) status = add_one("right", number, &right);
  if (left != right) {
    blame(world, "the lock of a key does not exclude, or did not tell: %lld, %lld", (long long)left, (long long)right);
  }
  if (status == SHM_OK) status = add_one("left", number, &left);
  shm_nap_ns(draw(100000)); /* to be killed in between */
  if (status == SHM_OK) status = add_one("right", number, &right);
  if (status == SHM_OK) status = shm_store_unlock(store, "pair", 4, number | 1ull << 40);
  if (status != SHM_OK) fail(world, "working under the lock of a key", status);
}

static void disturb(struct world *world, uint64_t number) {
  char name[NAME_MOST];
  shm_item_facts facts;
  shm_write how = {.holder = number | 1ull << 40};
  uint8_t *keys = NULL;
  uint64_t kind = draw(12), which = draw(COMMON), size_bytes, count;
  int status = SHM_OK;
  if (kind < 5) status = set_message('k', which, number << 32 | 1, 0, &facts);
  else if (kind < 8) status = shm_store_remove(store, name, name_key(name, 'k', which), &how, patience_ns(), &facts);
  else if (kind < 10) status = set_message('t', which, number << 32 | 1, 1 + draw(SOON_NS), &facts);
  else if (kind == 10) status = shm_store_remove_all(store, "k1*", 3, &how, patience_ns(), &keys, &size_bytes, &count);
  else count_under_lock(world, number);
  shm_store_free_keys(keys);
  if (status != SHM_OK && status != SHM_NOT_FOUND) fail(world, "changing a key", status);
}

void change_keys(struct world *world, struct incarnation *self, struct books *books, uint64_t number, uint64_t seed) {
  chance = seed;
  while (!books->stop_sending && !world->failure[0]) {
    uint64_t before_ns = shm_monotonic_ns();
    step(world, self, number);
    if (!world->failure[0]) disturb(world, number);
    note_blocking(books, before_ns);
    if (draw(8) == 0) shm_nap_ns(draw(100000));
  }
}

/* ---- watching ------------------------------------------------------------------------------------------------------------ */
static void note_event(struct world *world, const shm_event *event, struct followed *followed, int whole) {
  shm_item_facts facts;
  if (event->item.codec == SHM__MSGPACK) {
    int64_t sum;
    if (!shm__msgint_read(event->value, event->item.length_bytes, &sum)) blame(world, "the integer of an event is torn");
    return;
  }
  uint64_t id = read_message(world, event->value, event->item.length_bytes);
  if (event->key[0] != 'i' || world->failure[0]) return;
  const char *wrong = follow(followed, id, whole);
  if (wrong) {
    blame(world, "step %llu of incarnation %llu %s", (unsigned long long)(id & UINT32_MAX), (unsigned long long)(id >> 32), wrong);
  }
  if (get_message(world, 'i', id >> 32, &facts) == 0 || facts.version < event->seq) blame(world, "a key is older than its event");
}

static void list_keys(struct world *world) {
  static const char *const globs[] = {NULL, "i*", "k1*"};
  uint8_t *keys;
  uint64_t size_bytes, count, at = 0, which = draw(3);
  int status = shm_store_keys(store, globs[which], which ? (uint32_t)strlen(globs[which]) : 0, (uint32_t)draw(3), INT64_MIN,
                              INT64_MAX, UINT64_MAX, patience_ns(), &keys, &size_bytes, &count);
  if (status != SHM_OK) fail(world, "listing", status);
  for (uint64_t n = 0; status == SHM_OK && n < count; n++) {
    uint32_t length;
    memcpy(&length, keys + at, sizeof length);
    if (which && keys[at + sizeof length] != (uint8_t)globs[which][0]) blame(world, "a key is listed that does not match");
    at += sizeof length + length;
  }
  if (status == SHM_OK && at != size_bytes) blame(world, "what is listed is torn");
  shm_store_free_keys(keys);
}

void watch_keys(struct world *world, struct books *books, uint64_t seed) {
  static struct followed followed;
  shm_watch *watch = NULL;
  shm_item_facts facts;
  shm_event event;
  uint64_t seq = 0;
  chance = seed;
  for (int whole = 0; !world->failure[0];) {
    uint64_t before_ns = shm_monotonic_ns();
    int status = watch ? SHM_OK : shm_watch_open(store, NULL, 0, seq != 0, seq, patience_ns(), &watch);
    if (status == SHM_OK) status = shm_watch_next(watch, before_ns + SHORT_NS, &event);
    if (status == SHM_OK) {
      if (event.seq <= seq && whole) blame(world, "the events are out of order");
      seq = event.seq;
      note_event(world, &event, &followed, whole);
      shm_add(&books->received_count, 1);
    } else if (status == SHM_LAGGED) {
      memset(&followed, 0, sizeof followed);
    } else if (status != SHM_EMPTY) {
      fail(world, "watching", status);
    }
    whole = 1;
    if (status == SHM_EMPTY && books->stop_receiving) break;
    note_blocking(books, before_ns);
    if (draw(16) == 0) get_message(world, draw(2) ? 'k' : 't', draw(COMMON), &facts);
    if (draw(64) == 0) list_keys(world);
    if (draw(300) == 0) shm_nap_ns(draw(3000000)); /* to be overtaken */
    if (draw(100) == 0 && status == SHM_OK) shm_watch_free(watch), watch = NULL; /* and on from there */
  }
  if (watch) shm_watch_free(watch);
}

/* ---- the books ----------------------------------------------------------------------------------------------------------- */
static void balance_figures(struct world *world) {
  shm_store_facts facts;
  uint8_t *keys;
  uint64_t counts[SHARDS], size_bytes, count = 0;
  shm_nap_ns(2 * SOON_NS); /* what expires has done so */
  int status = shm_store_stat(store, &facts, counts);
  if (status != SHM_OK) fail(world, "figures", status);
  status = shm_store_keys(store, NULL, 0, SHM_KEYS_SORTED, INT64_MIN, INT64_MAX, UINT64_MAX, patience_ns(), &keys, &size_bytes,
                          &count);
  if (status != SHM_OK) fail(world, "listing what is left", status);
  shm_store_free_keys(keys);
  if (facts.keys != count || facts.watchers) {
    blame(world, "%llu keys are counted, %llu listed; %llu watches are open", (unsigned long long)facts.keys,
          (unsigned long long)count, (unsigned long long)facts.watchers);
  }
}

void balance_store(struct world *world, struct books *books, struct sums *sums) {
  uint64_t least = 0, most = 0;
  shm_item_facts facts;
  int status = open_store(world);
  if (status != SHM_OK) {
    fail(world, "opening", status);
    return;
  }
  for (uint64_t n = 0; n < books->births && !world->failure[0]; n++) {
    const struct incarnation *one = &books->incarnations[n];
    if (!one->sends) continue;
    least += one->done, most += one->begun;
    uint64_t id = get_message(world, 'i', n, &facts), number = id & UINT32_MAX;
    if (id && id >> 32 != n) blame(world, "a key has what belongs to another");
    if (number < one->done || number > one->begun) {
      blame(world, "incarnation %llu: step %llu is there, %llu were done", (unsigned long long)n, (unsigned long long)number,
            (unsigned long long)one->done);
    }
  }
  int64_t sum = get_sum(world, "sum");
  sums->in_flight = most - least;
  if ((uint64_t)sum < least || (uint64_t)sum > most) {
    blame(world, "the sum is %lld, must be %llu to %llu", (long long)sum, (unsigned long long)least, (unsigned long long)most);
  }
  count_under_lock(world, books->births);
  balance_figures(world);
  shm_store_free(store);
  shm_space_delete(world->space, SHM_KIND_STORE, "s", 1, patience_ns());
  store = NULL;
}
