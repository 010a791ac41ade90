/* cupboard_judge.c: what must hold of a store after a death, at once and when it has been found out.
 *
 *   - What there is, is what the steps make of it: all that had returned, and of the one that a death cut short a first
 *     part: of a change of one key all or nothing, of one of many keys some, in the order of the shards and of the keys.
 *     What has been seen once stays.
 *   - The survivor's watch, opened before, gives one event for each change that happened, in order, with what the key got
 *     or had, and none for one that did not; some are lost only where there are more than are kept.
 *   - What has expired goes with one event, whoever died while it was looked for.
 *   - A lock that its owner died with goes on, and the next one is told.
 *   - Listing and counting give what is there; check() finds nothing; the store works on. When it is deleted no block is
 *     left (judge.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/msgint.h"
#include "cupboard.h"

enum { PROBLEMS = 4, ALL = 99 };

struct state {
  struct cup_value of[CUP_KEYS];
};

/* ---- what should be there ---------------------------------------------------------------------------------------------- */
static void expect_event(struct cup_events *events, uint32_t op, uint32_t key, const struct cup_value *value) {
  if (events->count < CUP_EVENTS_MOST) events->of[events->count++] = (struct cup_event){op, key, *value};
}

static uint32_t shard_of(uint32_t key) {
  char name[CUP_NAME_MOST];
  uint32_t length = cup_key(key, name);
  return shm__fnv1a(name, length) % cupboard.goods->shards;
}

static int compare_names(uint32_t a, uint32_t b) {
  char x[CUP_NAME_MOST] = "", y[CUP_NAME_MOST] = "";
  cup_key(a, x), cup_key(b, y);
  return strcmp(x, y);
}

/* The keys in the order in which those of many shards are visited; shards 1: in byte order. */
static void sort_keys(uint32_t *keys, int by_shard) {
  for (uint32_t i = 0; i < CUP_KEYS; i++) {
    uint32_t at = i;
    for (; at > 0; at--) {
      uint32_t before = keys[at - 1], x = by_shard ? shard_of(before) : 0, y = by_shard ? shard_of(i) : 0;
      if (x < y || (x == y && compare_names(before, i) < 0)) break;
      keys[at] = before;
    }
    keys[at] = i;
  }
}

static uint64_t expect_removals(struct state *state, struct cup_events *events, uint32_t end, uint64_t most) {
  uint32_t keys[CUP_KEYS];
  uint64_t done = 0;
  sort_keys(keys, 1);
  for (uint32_t i = 0; i < CUP_KEYS && done < most; i++) {
    struct cup_value *value = &state->of[keys[i]];
    if (keys[i] >= end || value->size == 0) continue;
    expect_event(events, SHM_EVENT_DEL, keys[i], value);
    *value = (struct cup_value){0};
    done++;
  }
  return done;
}

/* Make of the state what the first changes (at most so many) of a step make of it; how many there were. */
static uint64_t expect_step(struct state *state, struct cup_events *events, const struct cup_step *step, uint64_t id,
                            uint64_t most) {
  struct cup_value *value = &state->of[step->key], before = *value;
  uint8_t encoded[SHM__MSGINT_BYTES];
  if (most == 0) return 0;
  switch (step->op) {
    case CUP_SET: *value = (struct cup_value){step->expires ? 0 : id, step->expires ? 0 : step->size, 0}; break;
    case CUP_INCR:
      value->number = before.number + (int64_t)step->size;
      value->size = shm__msgint_write(value->number, encoded);
      break;
    case CUP_REMOVE: *value = (struct cup_value){0}; break;
    case CUP_REMOVE_A: return expect_removals(state, events, CUP_B, most);
    case CUP_CLEAR: return expect_removals(state, events, CUP_KEYS, most);
    default: return 0;
  }
  if (step->op == CUP_REMOVE && before.size == 0) return 0;
  if (!step->silent) {
    expect_event(events, step->op == CUP_REMOVE ? SHM_EVENT_DEL : SHM_EVENT_SET, step->key,
                 step->op == CUP_REMOVE ? &before : value);
  }
  return 1;
}

/* All steps of an actor that have returned, and so many changes of the next one. */
static int expect_steps(struct state *state, struct cup_events *events, const struct cup_step *steps, enum role who, uint64_t done,
                        uint64_t more) {
  uint64_t n = 0, count = cup_count(steps);
  for (; n < done && n < count; n++) expect_step(state, events, &steps[n], cup_id(who, n), ALL);
  return more == 0 || (n < count && expect_step(state, events, &steps[n], cup_id(who, n), more) == more);
}

static int expect(struct world *world, struct state *state, struct cup_events *events, uint64_t others, uint64_t victims) {
  const struct goods *goods = cupboard.goods;
  static struct cup_events before;
  memset(state, 0, sizeof *state);
  before.count = events->count = 0;
  expect_steps(state, &before, goods->before, SURVIVOR, ALL, 0);
  if (!expect_steps(state, events, goods->other, OTHER, world->progress[OTHER].put, others)) return 0;
  if (!expect_steps(state, events, goods->steps, VICTIM, world->progress[VICTIM].put, victims)) return 0;
  for (uint64_t n = 0; n < cupboard.afters; n++) {
    expect_step(state, events, &cupboard.after[n], cup_id(SURVIVOR, STEPS_MOST + n), ALL);
  }
  return 1;
}

/* ---- what is there ------------------------------------------------------------------------------------------------------- */
static void read_value(struct world *world, const uint8_t *bytes, const shm_item_facts *facts, struct cup_value *value) {
  *value = (struct cup_value){.size = facts->length_bytes};
  if (facts->codec != SHM__MSGPACK) value->id = read_message(world, bytes, facts->length_bytes);
  else if (!shm__msgint_read(bytes, facts->length_bytes, &value->number)) blame(world, "an integer is torn");
}

static void read_state(struct world *world, struct state *state) {
  static uint8_t bytes[LONG_BYTES];
  char name[CUP_NAME_MOST];
  memset(state, 0, sizeof *state);
  for (uint32_t key = 0; key < CUP_KEYS; key++) {
    shm_item_facts facts;
    int status = TIMED(world, shm_store_get(cupboard.store, name, cup_key(key, name), bytes, sizeof bytes, &facts));
    if (status == SHM_OK) read_value(world, bytes, &facts, &state->of[key]);
    else if (status != SHM_NOT_FOUND) blame(world, "reading key %u: %s", (unsigned)key, shm_error_name(status));
    if (status == SHM_OK && facts.version < cupboard.seqs[key]) blame(world, "key %u is older than its event", (unsigned)key);
  }
}

static int is_expired_one(uint32_t key) {
  for (uint64_t n = 0; n < STEPS_MOST; n++) {
    if (cupboard.goods->before[n].expires && cupboard.goods->before[n].key == key) return 1;
  }
  return 0;
}

/* The first event of a key that has expired is of its end. */
static void read_event(struct world *world, const shm_event *event) {
  uint32_t key = cup_key_of(event->key, event->key_length);
  struct cup_value value;
  if (key == CUP_KEYS) {
    blame(world, "an event is of no key");
    return;
  }
  if (event->seq <= cupboard.seq) blame(world, "the events are out of order");
  cupboard.seq = event->seq;
  read_value(world, event->value, &event->item, &value);
  int first = cupboard.seqs[key] == 0;
  cupboard.seqs[key] = event->seq;
  if (first && is_expired_one(key)) {
    if (event->op != SHM_EVENT_DEL) blame(world, "key %u has expired without an event", (unsigned)key);
    return;
  }
  expect_event(&cupboard.seen, event->op, key, &value);
}

static void read_events(struct world *world) {
  shm_event event;
  for (int status = SHM_OK; !world->failure[0];) {
    status = TIMED(world, shm_watch_next(cupboard.watch, 0, &event));
    if (status == SHM_EMPTY) return;
    if (status == SHM_OK) read_event(world, &event);
    else if (status == SHM_LAGGED) cupboard.lost += event.lost;
    else blame(world, "reading events: %s", shm_error_name(status));
  }
}

/* ---- comparing ----------------------------------------------------------------------------------------------------------- */
static int same_values(const struct cup_value *a, const struct cup_value *b) {
  return a->id == b->id && a->size == b->size && a->number == b->number;
}

static int same_events(const struct cup_event *a, const struct cup_event *b) {
  return a->op == b->op && a->key == b->key && same_values(&a->value, &b->value);
}

static int fits_state(const struct state *found, const struct state *expected) {
  for (uint32_t key = 0; key < CUP_KEYS; key++) {
    if (!same_values(&found->of[key], &expected->of[key])) return 0;
  }
  return 1;
}

static int fits_events(const struct cup_events *expected) {
  const struct cup_events *seen = &cupboard.seen;
  uint64_t at = 0;
  if (!cupboard.goods->feed) return seen->count == 0;
  if (!cupboard.lost && seen->count != expected->count) return 0;
  for (uint64_t i = 0; i < seen->count; i++, at++) {
    while (cupboard.lost && at < expected->count && !same_events(&seen->of[i], &expected->of[at])) at++;
    if (at >= expected->count || !same_events(&seen->of[i], &expected->of[at])) return 0;
  }
  return 1;
}

/* Whoever died has made so many changes of the step that he was at; from now on they are there. */
static void judge_state(struct world *world, int with_events) {
  static struct state found, expected;
  static struct cup_events events;
  if (world->failure[0]) return;
  if (with_events) read_events(world);
  if (cupboard.lost && !cupboard.goods->forgetful) blame(world, "%llu events are lost", (unsigned long long)cupboard.lost);
  read_state(world, &found);
  for (uint64_t others = cupboard.least_other; others <= CUP_KEYS; others++) {
    for (uint64_t victims = cupboard.least_victim; victims <= CUP_KEYS; victims++) {
      if (!expect(world, &expected, &events, others, victims)) break;
      if (!fits_state(&found, &expected) || (with_events && !fits_events(&events))) continue;
      cupboard.least_other = others, cupboard.least_victim = victims;
      return;
    }
  }
  blame(world, "what is there, or the %llu events (the last: %u of key %u), are not what was done: %llu and %llu steps",
        (unsigned long long)cupboard.seen.count, cupboard.seen.count ? cupboard.seen.of[cupboard.seen.count - 1].op : 0,
        cupboard.seen.count ? cupboard.seen.of[cupboard.seen.count - 1].key : 0, (unsigned long long)world->progress[OTHER].put,
        (unsigned long long)world->progress[VICTIM].put);
}

static void judge_listing(struct world *world) {
  static struct state found;
  uint32_t keys[CUP_KEYS], length;
  uint8_t *listed;
  uint64_t size_bytes, count, at = 0, there = 0, bytes = 0, counts[16];
  shm_store_facts facts;
  int status = TIMED(world, shm_store_keys(cupboard.store, NULL, 0, SHM_KEYS_SORTED, INT64_MIN, INT64_MAX, UINT64_MAX,
                                           patience_ns(), &listed, &size_bytes, &count));
  if (status != SHM_OK) blame(world, "listing: %s", shm_error_name(status));
  read_state(world, &found);
  sort_keys(keys, 0);
  for (uint32_t i = 0; i < CUP_KEYS && status == SHM_OK; i++) {
    if (found.of[keys[i]].size == 0) continue;
    bytes += found.of[keys[i]].size;
    if (there++ >= count) break;
    memcpy(&length, listed + at, sizeof length);
    if (cup_key_of(listed + at + sizeof length, length) != keys[i]) {
      blame(world, "key %u is not listed in its place", (unsigned)keys[i]);
    }
    at += sizeof length + length;
  }
  shm_store_free_keys(listed);
  if (shm_store_stat(cupboard.store, &facts, counts) != SHM_OK) blame(world, "no figures of the store");
  if (there != count || (uint64_t)shm_store_length(cupboard.store) != count || facts.keys != count || facts.size_bytes != bytes) {
    blame(world, "%llu keys (%llu bytes) are there, %llu are listed, %llu counted (%llu bytes)", (unsigned long long)there,
          (unsigned long long)bytes, (unsigned long long)count, (unsigned long long)facts.keys,
          (unsigned long long)facts.size_bytes);
  }
  if (facts.watchers != 1) blame(world, "%llu watches are open", (unsigned long long)facts.watchers);
}

static void judge_expired(struct world *world) {
  let_sweep(world);
  if (shm_store_length(cupboard.store) < 0) blame(world, "the store has no length");
  read_events(world);
  for (uint32_t key = 0; key < CUP_KEYS; key++) {
    if (is_expired_one(key) && cupboard.seqs[key] == 0 && !cupboard.lost) {
      blame(world, "key %u has expired, and is there", (unsigned)key);
    }
  }
}

static void judge_lock(struct world *world) {
  char name[CUP_NAME_MOST];
  uint32_t length = cup_key(0, name);
  const struct progress *victim = &world->progress[VICTIM];
  int must = cupboard.goods->told || victim->locked == 1, may = must || victim->locked != 3;
  if (world->progress[OTHER].locked == 3) { /* a sleeper, who has given it up */
    if (must && !world->progress[OTHER].told) blame(world, "the next one was not told");
    must = may = 0;
  }
  for (int round = 0; round < 2; round++, must = may = 0) {
    int died = 0, status = TIMED(world, shm_store_lock(cupboard.store, name, length, 1, patience_ns(), &died));
    if (status != SHM_OK) blame(world, "locking a key: %s", shm_error_name(status));
    else if (died < must || died > may) blame(world, "owner_died is %d, must be %d to %d", died, must, may);
    if (status == SHM_OK && shm_store_unlock(cupboard.store, name, length, 1) != SHM_OK) blame(world, "unlocking a key failed");
  }
}

/* ---- the verdict --------------------------------------------------------------------------------------------------------- */
static void check(struct world *world) {
  shm_problem problems[PROBLEMS];
  int64_t count = shm_space_check(world->space, problems, PROBLEMS);
  if (count != 0) {
    blame(world, "check() of the store: %lld problems: %s (%s)", (long long)count, count > 0 ? problems[0].what : shm_error_text(),
          count > 0 ? problems[0].where : "");
  }
}

static void act(struct world *world, enum cup_op op, uint32_t key, uint64_t size) {
  struct cup_step step = {op, key, size, 0, 0};
  int status = TIMED(world, cup_do(world, &step, cup_id(SURVIVOR, STEPS_MOST + cupboard.afters)));
  cupboard.after[cupboard.afters++] = step;
  if (status != SHM_OK && !(op == CUP_REMOVE && status == SHM_NOT_FOUND)) {
    blame(world, "the survivor's step: %s %s", shm_error_name(status), shm_error_text());
  }
  judge_state(world, 1);
}

/* Run into the lock of each shard. */
static void meet_all(struct world *world) {
  uint8_t *keys;
  uint64_t size_bytes, count;
  shm_write how = {.holder = CUP_HOLDER};
  int status = TIMED(world, shm_store_remove_all(cupboard.store, "none*", 5, &how, patience_ns(), &keys, &size_bytes, &count));
  shm_store_free_keys(keys);
  if (status != SHM_OK || count) blame(world, "removing nothing: %s", shm_error_name(status));
}

static void work_on(struct world *world) {
  static const uint64_t sizes[] = {VALUE_BYTES, FIT_BYTES, ITEM_BYTES, LONG_BYTES};
  for (uint32_t key = 0; key < CUP_KEYS && !world->failure[0]; key += 3) act(world, CUP_SET, key, sizes[key % 4]);
  act(world, CUP_REMOVE, 1, 0);
  act(world, CUP_INCR, 1, 1000);
  act(world, CUP_INCR, 1, 1);
  act(world, CUP_SET, CUP_LONG, FIT_BYTES);
  if (cupboard.goods->feed > CUP_KEYS) act(world, CUP_REMOVE_A, 0, 0);
}

/* The survivor has it open: that it was deleted can be seen by that every call says so. */
static int is_there(struct world *world) {
  if (cupboard.store) return !cupboard.goods->drops || shm_store_alive(cupboard.store);
  int status = TIMED(world, open_cupboard_again(world, 0));
  int gone = status == SHM_NOT_FOUND && cupboard.goods->drops;
  if (status != SHM_OK && !gone) blame(world, "opening the store again: %s", shm_error_text());
  return status == SHM_OK;
}

static void judge_there(struct world *world) {
  if (!cupboard.watch && shm_watch_open(cupboard.store, NULL, 0, 0, 0, patience_ns(), &cupboard.watch) != SHM_OK) {
    blame(world, "watching");
  }
  judge_state(world, 1);
  judge_expired(world);
  judge_listing(world);
  if (cupboard.goods->locks) judge_lock(world);
  work_on(world);
  judge_listing(world);
}

void judge_cupboard(struct world *world) {
  if (!cupboard.goods) return;
  int reaped = world->reaped, there = is_there(world);
  free_hoard(world);
  if (there) judge_state(world, 0);
  if (there && !reaped && !cupboard.goods->drops) {
    if (cupboard.goods->shards > 1) meet_all(world);
    act(world, CUP_SET, 2, ITEM_BYTES);
  }
  TIMED(world, (shm_space_reap_dead(world->space), 0));
  world->reaped = 1;
  check(world);
  if (there && is_there(world)) {
    judge_there(world);
    check(world);
  } else if (cupboard.store) {
    struct cup_step step = {CUP_SET, 0, FIT_BYTES, 0, 0};
    int status = TIMED(world, cup_do(world, &step, 1));
    if (status != SHM_CLOSED) blame(world, "a change of the deleted store: %s", shm_error_name(status));
  }
  world->reaped = reaped;
  close_cupboard();
  shm_space_delete(world->space, SHM_KIND_STORE, "s", 1, patience_ns());
  cupboard.goods = NULL;
}
