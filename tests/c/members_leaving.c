/* A member that is leaving is alive until it has gone: a lock that it holds meanwhile is taken by nobody.
 *
 * Runs: processes
 */
#include "../../csrc/core/attach.h"
#include "../../csrc/core/directory.h"
#include "../../csrc/core/lock.h"
#include "../../csrc/core/recover.h"
#include "harness.h"

enum { KIND = 200 };

static u32 *stage;

/* A kind of structure whose recovery takes its lock and then time. */
static u32 *word_of(shm_space *space, u64 main) { return shm__at(space, main, sizeof(u32), 4); }

static int make(struct shm__space *space, u32 id, const void *options, u64 deadline_ns, struct shm__ref *main) {
  (void)id, (void)options;
  OK(shm__block_alloc(space, 64, deadline_ns, main));
  *word_of(space, main->offset) = 0;
  return SHM_OK;
}

static int recover_slowly(struct shm__space *space, u64 main, u32 dead) {
  if (dead != space->token) return SHM_OK;
  OK(shm__lock(space, word_of(space, main), in_ns(LONG), 0));
  shm_store_release(stage, 1);
  await(stage, 2);
  SAME(*word_of(space, main) & (SHM_TOKEN_MASK | SHM_LOCK_REPAIR), space->token);
  shm__unlock(word_of(space, main));
  return SHM_OK;
}

static void nothing(struct shm__space *space, u64 main) { (void)space, (void)main; }

static const struct shm__type slow = {KIND, recover_slowly, nothing, nothing, nothing, NULL};
static const struct shm__type *const types[] = {&slow, NULL};

static shm_space *attach(void) {
  struct shm__wish wish = {.size_bytes = 1 << 20, .members = 4, .mode = 0600, .create = 1, .deadline_ns = in_ns(LONG)};
  shm_space *space;
  OK(shm__attach(test_directory, test_name, &wish, types, &space));
  return space;
}

static void leave_slowly(void *context) {
  (void)context;
  leave_space(attach());
}

int main(int argc, char **argv) {
  begin(argc, argv);
  stage = shared_memory(sizeof *stage);
  shm_space *space = attach();
  struct shm__maker maker = {make, NULL};
  struct shm__structure *structure;
  OK(shm__directory_open(space, KIND, "slow", 4, &maker, in_ns(LONG), &structure));
  pid_t child = start_child(leave_slowly, NULL);
  await(stage, 1);
  shm__reap_dead(space);
  IS(shm__lock(space, word_of(space, structure->main), in_ns(200 * MS), 0), SHM_TIMEOUT);
  shm_store_release(stage, 2);
  end_child(child);
  OK(shm__lock(space, word_of(space, structure->main), in_ns(LONG), 0));
  shm__unlock(word_of(space, structure->main));
  OK(shm__directory_delete(space, KIND, "slow", 4, in_ns(LONG)));
  shm__directory_release(space, structure);
  end_space(space);
  return 0;
}
