/* Watchers while others change keys: each event comes once, those of all keys in order, with what the key was set to, or had
 * when it was removed; what is missing was said to be lost. When all is over a watcher that has lost nothing knows what there
 * is. One watches a single key, one a glob.
 *
 * Runs: processes, threads
 */
#include "stores.h"

enum { WRITERS = 2, WATCHERS = 3, KEYS = 6, ROUNDS = 1200, LAST = 999 };

struct shared {
  u32 gate, over, feed;
};

static u64 draw_length(struct chance *chance) {
  static const u64 lengths[] = {8, 60, 180, 192, 300, 3000};
  return lengths[below(chance, sizeof lengths / sizeof lengths[0])];
}

/* Each key is one writer's. */
static void write_keys(u32 index, shm_store *store) {
  struct chance chance = chance_for(index);
  shm_item_facts facts;
  for (u32 i = 1; i <= ROUNDS; i++) {
    u32 key = index + WRITERS * (u32)below(&chance, KEYS / WRITERS);
    OK(set_letter(store, key, draw_length(&chance), index, i, 0, &facts));
    if (below(&chance, 4) == 0) OK(remove_key(store, key, &facts));
  }
  for (u32 key = index; key < KEYS; key += WRITERS) OK(set_letter(store, key, 30, index, LAST * 1000 + key, 0, &facts));
}

struct seen {
  u32 numbers[KEYS]; /* of the last event of each key */
  u32 there[KEYS], ended[KEYS];
  u64 seq, count, lost;
};

static void note_event(struct seen *seen, const shm_event *event) {
  u32 key = key_number(event->key, event->key_length);
  CHECK(key < KEYS);
  struct letter letter = read_letter(event->value, event->item.length_bytes);
  SAME(letter.sender, key % WRITERS);
  if (event->seq <= seen->seq) FAIL("an event of key %u is older than the one before", key);
  seen->seq = event->seq;
  if (event->op == SHM_EVENT_SET) {
    SAME(event->item.version, event->seq);
    if (letter.number <= seen->numbers[key]) FAIL("key %u was set to %u, then to %u", key, seen->numbers[key], letter.number);
    seen->there[key] = 1;
  } else {
    SAME(event->op, SHM_EVENT_DEL);
    if (!seen->lost) SAME(letter.number, seen->numbers[key]);
    if (!seen->lost && !seen->there[key]) FAIL("key %u was removed, and was not there", key);
    seen->there[key] = 0;
  }
  seen->numbers[key] = letter.number;
  seen->ended[key] = letter.number == LAST * 1000 + key;
  seen->count++;
}

static int all_ended(const struct seen *seen, u32 first, u32 step) {
  for (u32 key = first; key < KEYS; key += step) {
    if (!seen->ended[key]) return 0;
  }
  return 1;
}

static void watch_keys(u32 index, shm_store *store, struct shared *shared, shm_watch *watch) {
  struct seen seen = {.count = 0};
  struct chance chance = chance_for(index);
  u32 first = index == 1 ? 2 : 0, step = index == 0 ? 1 : index == 1 ? KEYS : 2; /* all; key 2; those of a/ */
  (void)store;
  while (!all_ended(&seen, first, step)) {
    shm_event event;
    int status = shm_watch_next(watch, in_ns(index == 2 || shared->feed < 100 ? 20 * MS : LONG), &event);
    if (status == SHM_OK) note_event(&seen, &event);
    else if (status == SHM_LAGGED) seen.lost += event.lost;
    else if (status != SHM_EMPTY) FAIL("%s", shm_error_name(status));
    if (shared->feed < 100 && below(&chance, 200) == 0) shm_nap_ns(300000); /* to be overtaken */
    if (status == SHM_EMPTY && seen.lost && shm_load_acquire(&shared->over) == WRITERS) break;
  }
  if (shared->feed > 5000) SAME(seen.lost, 0);
}

static void work(u32 index, void *context) {
  struct shared *shared = context;
  static const char *const globs[] = {NULL, "a/2", "a/*"};
  shm_space *space = join_space();
  shm_store *store = open_store(space, 0, 0);
  shm_watch *watch = NULL;
  u32 which = index - WRITERS;
  if (index >= WRITERS) {
    OK(shm_watch_open(store, globs[which], globs[which] ? (u32)strlen(globs[which]) : 0, 0, 0, in_ns(LONG), &watch));
  }
  meet(&shared->gate, WRITERS + WATCHERS);
  if (watch) watch_keys(which, store, shared, watch);
  else write_keys(index, store);
  if (!watch) shm_add(&shared->over, 1);
  if (watch) shm_watch_free(watch);
  shm_store_free(store);
  leave_space(space);
}

static void run(u32 shards, u32 feed) {
  shm_space *space = make_space(48 << 20, 16);
  struct shared *shared = shared_memory(sizeof *shared);
  u64 before = used_bytes(space);
  shm_store *store = open_store(space, shards, feed);
  shared->feed = feed;
  run_workers(WRITERS + WATCHERS, work, shared);
  shm_store_facts facts;
  u64 counts[64];
  OK(shm_store_stat(store, &facts, counts));
  SAME(facts.watchers, 0);
  SAME(facts.keys, KEYS);
  shm_store_free(store);
  delete_store(space);
  SAME(used_bytes(space), before);
  end_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  run(1, 8192);
  run(4, 8192);
  run(1, 8);
  run(4, 1);
  return 0;
}
