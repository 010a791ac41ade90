/* cupboard.c: see cupboard.h. */
#include "cupboard.h"

#include <stdio.h>
#include <string.h>

#include "core/blocks.h"
#include "core/directory.h"
#include "types/store_shard.h"

struct cupboard cupboard;

/* ---- keys and steps --------------------------------------------------------------------------------------------------- */
uint32_t cup_key(uint32_t key, char *name) {
  int length = snprintf(name, CUP_NAME_MOST, "%c%u", key < CUP_B ? 'a' : 'b', (unsigned)key);
  if (key == CUP_LONG) length = snprintf(name, CUP_NAME_MOST, "b%0200u", (unsigned)key);
  return (uint32_t)length;
}

uint32_t cup_key_of(const uint8_t *name, uint32_t length) {
  char expected[CUP_NAME_MOST];
  uint32_t key = 0;
  while (key < CUP_KEYS && (cup_key(key, expected) != length || memcmp(expected, name, length) != 0)) key++;
  return key;
}

uint64_t cup_count(const struct cup_step *steps) {
  uint64_t count = 0;
  while (count < STEPS_MOST && steps[count].op != CUP_NONE) count++;
  return count;
}

static int set_key(const struct cup_step *step, uint64_t id, const shm_write *how) {
  static uint8_t bytes[LONG_BYTES];
  char name[CUP_NAME_MOST];
  uint32_t length = cup_key(step->key, name);
  shm_piece piece = {bytes, step->size, 0};
  shm_item_facts facts;
  int64_t sum;
  if (step->op == CUP_INCR) {
    return shm_store_incr(cupboard.store, name, length, (int64_t)step->size, how, patience_ns(), &sum, &facts);
  }
  if (step->op == CUP_REMOVE) return shm_store_remove(cupboard.store, name, length, how, patience_ns(), &facts);
  fill_message(bytes, id, step->size);
  return shm_store_set(cupboard.store, name, length, &piece, how, patience_ns(), &facts);
}

static int remove_all(const char *glob, const shm_write *how) {
  uint8_t *keys;
  uint64_t size_bytes, count;
  int status = shm_store_remove_all(cupboard.store, glob, glob ? (uint32_t)strlen(glob) : 0, how, patience_ns(), &keys, &size_bytes,
                                    &count);
  shm_store_free_keys(keys);
  return status;
}

static int lock_key(struct world *world) {
  char name[CUP_NAME_MOST];
  int died = 0;
  struct progress *progress = progress_of(world);
  int status = shm_store_lock(cupboard.store, name, cup_key(0, name), CUP_HOLDER, patience_ns(), &died);
  progress->told = (uint64_t)died;
  if (status == SHM_OK) progress->locked = 1;
  return status;
}

static int unlock_key(struct world *world) {
  char name[CUP_NAME_MOST];
  progress_of(world)->locked = 2;
  int status = shm_store_unlock(cupboard.store, name, cup_key(0, name), CUP_HOLDER);
  progress_of(world)->locked = 3;
  return status;
}

static int drop(struct world *world) {
  cupboard.mine = NULL; /* it goes with the store */
  close_cupboard();
  return shm_space_delete(world->space, SHM_KIND_STORE, "s", 1, patience_ns());
}

int cup_do(struct world *world, const struct cup_step *step, uint64_t id) {
  shm_write how = {.holder = CUP_HOLDER, .flags = step->silent ? SHM_WRITE_SILENT : 0, .ttl_ns = step->expires ? 1 : 0};
  shm_event event;
  switch (step->op) {
    case CUP_REMOVE_A: return remove_all("a*", &how);
    case CUP_CLEAR: return remove_all(NULL, &how);
    case CUP_SWEEP: let_sweep(world); return shm_store_length(cupboard.store) >= 0 ? SHM_OK : SHM_BUSY;
    case CUP_LOCK: return lock_key(world);
    case CUP_UNLOCK: return unlock_key(world);
    case CUP_WATCH: return shm_watch_open(cupboard.store, NULL, 0, 0, 0, patience_ns(), &cupboard.mine);
    case CUP_FOLLOW: return shm_watch_next(cupboard.mine, patience_ns(), &event);
    case CUP_UNWATCH: shm_watch_free(cupboard.mine); return SHM_OK;
    case CUP_DROP: return drop(world);
    default: return set_key(step, id, &how);
  }
}

void cup_steps(struct world *world) {
  const struct cup_step *steps = world->me == OTHER ? cupboard.goods->other : cupboard.goods->steps;
  struct progress *progress = progress_of(world);
  for (uint64_t n = 0, count = cup_count(steps); n < count; n++) {
    int status = cup_do(world, &steps[n], cup_id(world->me, n));
    if (status != SHM_OK) blame(world, "step %llu: %s", (unsigned long long)n, shm_error_name(status));
    progress->put = n + 1;
  }
}

void cup_lock_first(struct world *world) {
  open_cupboard(world);
  if (lock_key(world) != SHM_OK) blame(world, "the victim cannot lock a key");
}

/* ---- making ----------------------------------------------------------------------------------------------------------- */
int open_cupboard_again(struct world *world, int create) {
  shm_store_options options = {.shards = cupboard.goods->shards, .feed = cupboard.goods->feed, .codec = "raw"};
  cupboard.store = NULL;
  return shm_store_open(world->space, "s", 1, &options, 0, create, patience_ns(), &cupboard.store);
}

void open_cupboard(struct world *world) {
  cupboard.watch = NULL;
  if (open_cupboard_again(world, 1) != SHM_OK) blame(world, "opening the store: %s", shm_error_text());
}

void close_cupboard(void) {
  if (cupboard.watch) shm_watch_free(cupboard.watch);
  if (cupboard.store) shm_store_free(cupboard.store);
  cupboard.watch = NULL;
  cupboard.store = NULL;
}

static int bind_store(struct world *world, struct shm__store *store) {
  const struct shm_entry *entry = shm__directory_look(world->space, SHM_KIND_STORE, "s", 1);
  return entry && shm__store_bind(world->space, entry->main, store) == SHM_OK;
}

static void never_sweep(struct world *world) {
  struct shm__store store;
  if (bind_store(world, &store)) shm_store_relaxed(&store.shared->sweep_ns, UINT64_MAX);
}

void let_sweep(struct world *world) {
  struct shm__store store;
  if (bind_store(world, &store)) shm_store_relaxed(&store.shared->sweep_ns, 0);
}

/* Memory of the sizes that will be needed is carved already: that is not what the scenes of stores are about. */
static void warm_memory(struct world *world) {
  static const uint64_t sizes[] = {10, 30, 40, 60, 130, 150, 200, 330, 340, 500, 600, 900, 1100, 2048, 2700, 4096};
  struct shm__ref ref;
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    if (shm__block_alloc(world->space, sizes[i], patience_ns(), &ref) == SHM_OK) shm__block_free(world->space, ref);
  }
}

enum { HOARD_MOST = 1 << 14 };
static struct {
  struct shm__ref refs[HOARD_MOST];
  uint64_t count;
} hoard;

static void fill_memory(struct world *world) {
  static const uint64_t sizes[] = {200000, 20000, 4000, LONG_BYTES, VALUE_BYTES, ITEM_BYTES};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    while (hoard.count < HOARD_MOST &&
           shm__block_alloc(world->space, sizes[i], patience_ns(), &hoard.refs[hoard.count]) == SHM_OK) {
      hoard.count++;
    }
  }
}

void free_hoard(struct world *world) {
  while (hoard.count > 0) shm__block_free(world->space, hoard.refs[--hoard.count]);
}

void make_cupboard(struct world *world, const struct goods *goods) {
  memset(&cupboard, 0, sizeof cupboard);
  hoard.count = 0;
  cupboard.goods = goods;
  warm_memory(world);
  open_cupboard(world);
  never_sweep(world);
  for (uint64_t n = 0, count = cup_count(goods->before); n < count && !world->failure[0]; n++) {
    int status = cup_do(world, &goods->before[n], cup_id(SURVIVOR, n));
    if (status != SHM_OK) blame(world, "filling the store: %s", shm_error_name(status));
  }
  int status = shm_watch_open(cupboard.store, NULL, 0, 0, 0, patience_ns(), &cupboard.watch);
  if (status != SHM_OK) blame(world, "watching: %s", shm_error_name(status));
  if (goods->full) fill_memory(world);
}

/* ---- sleepers ----------------------------------------------------------------------------------------------------------- */
void cup_wait_for_lock(struct world *world) {
  uint64_t before_ns = shm_monotonic_ns();
  int status = lock_key(world);
  progress_of(world)->blocked_ns = shm_monotonic_ns() - before_ns;
  if (status == SHM_OK) status = unlock_key(world);
  progress_of(world)->status = status;
}

void cup_wait_for_event(struct world *world) {
  shm_event event;
  shm_watch *watch = NULL;
  uint64_t before_ns = shm_monotonic_ns();
  int status = shm_watch_open(cupboard.store, NULL, 0, 0, 0, patience_ns(), &watch);
  if (status == SHM_OK) status = shm_watch_next(watch, patience_ns(), &event);
  progress_of(world)->blocked_ns = shm_monotonic_ns() - before_ns;
  progress_of(world)->status = status;
  if (watch) shm_watch_free(watch);
}

int cup_never(struct world *world) {
  (void)world;
  return 0;
}

int cup_no_event(struct world *world) {
  struct shm__store store;
  uint64_t events = 0;
  if (!bind_store(world, &store)) return 0;
  for (uint32_t n = 0; n < store.shard_count; n++) events += shm_load_acquire(&store.shards[n].tail);
  return events == cup_count(cupboard.goods->before);
}

void cup_help_with_event(struct world *world) {
  struct cup_step step = {CUP_SET, 0, FIT_BYTES, 0, 0};
  int status = TIMED(world, cup_do(world, &step, cup_id(SURVIVOR, STEPS_MOST + cupboard.afters)));
  cupboard.after[cupboard.afters++] = step;
  if (status != SHM_OK) blame(world, "helping with an event: %s", shm_error_name(status));
}
