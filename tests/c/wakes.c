/* Every sleeper is woken by what it waits for. Naps are sliced, so that a lost wake-up would cost a nap and no more: here
 * they have no end, and none may come to one.
 *
 * Runs: processes, threads
 * Except: tsan
 * Link: --wrap=shm__futex_wait --wrap=shm__event_announce
 */
#include "../../csrc/core/wake.h"
#include "../../csrc/os/wait.h"
#include "channels.h"

enum { WRITERS = 2, READERS = 2, EACH = 400, LOCKERS = 4, TURNS = 200, THINKS_NS = 150000 };

static u32 *gate, *taken;

enum shm__wait_result __real_shm__futex_wait(u32 *word, u32 value, u64 nap_ns);
enum shm__wait_result __wrap_shm__futex_wait(u32 *word, u32 value, u64 nap_ns);

enum shm__wait_result __wrap_shm__futex_wait(u32 *word, u32 value, u64 nap_ns) {
  (void)nap_ns;
  enum shm__wait_result result = __real_shm__futex_wait(word, value, LONG / 2);
  if (result == SHM__WAIT_TIMEOUT) FAIL("a sleeper was not woken");
  return result;
}

/* What happens in the last moment before somebody is announced as a sleeper. */
static void (*at_the_last_moment)(void);

u32 __real_shm__event_announce(struct shm__event event);
u32 __wrap_shm__event_announce(struct shm__event event);

u32 __wrap_shm__event_announce(struct shm__event event) {
  void (*happen)(void) = at_the_last_moment;
  at_the_last_moment = NULL;
  if (happen) happen();
  return __real_shm__event_announce(event);
}

/* So that the others fall asleep now and then. */
static void think(struct chance *chance) {
  if (below(chance, 4) == 0) shm_nap_ns(1 + below(chance, THINKS_NS));
}

static void write_some(shm_channel *channel, struct chance *chance, u32 index) {
  shm_channel *writer = open_writer(channel);
  meet(gate, WRITERS + READERS);
  for (u32 n = 0; n < EACH; n++) {
    OK(send_letter(writer, n % 3 ? 20 : 200, index, n, SHM_NEVER));
    think(chance);
  }
  shm_channel_free(writer); /* the last one wakes all who sleep, with the end */
}

static void read_to_the_end(shm_channel *channel, struct chance *chance) {
  shm_channel *reader = open_reader(channel);
  meet(gate, WRITERS + READERS);
  for (int status = SHM_OK; status != SHM_END;) {
    struct letter letter;
    status = recv_letter(reader, &letter, SHM_NEVER);
    if (status != SHM_END) OK(status);
    if (status == SHM_OK) shm_add(taken, 1);
    think(chance);
  }
  shm_channel_free(reader);
}

static void talk(u32 index, void *context) {
  struct chance chance = chance_for(index);
  shm_space *space = join_space();
  shm_channel *channel = open_channel(space, context, (shm_channel_options){0});
  if (index < WRITERS) write_some(channel, &chance, index);
  else read_to_the_end(channel, &chance);
  shm_channel_free(channel);
  leave_space(space);
}

static void take_turns(u32 index, void *context) {
  struct chance chance = chance_for(index);
  shm_space *space = join_space();
  shm_lock *lock;
  int owner_died;
  (void)context;
  OK(shm_lock_open(space, "l", 1, in_ns(LONG), &lock));
  meet(gate, LOCKERS);
  for (u32 n = 0; n < TURNS; n++) {
    OK(shm_lock_take(lock, SHM_NEVER, &owner_died));
    think(&chance);
    OK(shm_lock_release(lock));
  }
  shm_lock_free(lock);
  leave_space(space);
}

static void converse(shm_space *space, const char *name, shm_channel_options options, u32 each_to) {
  shm_channel *channel = open_channel(space, name, options);
  *gate = 0, *taken = 0;
  run_workers(WRITERS + READERS, talk, (void *)name);
  SAME(*taken, WRITERS * EACH * each_to);
  delete_channel(space, name);
  shm_channel_free(channel);
}

static shm_channel *theirs;

static void they_send(void) { OK(send_letter(theirs, 20, 7, 1, 0)); }
static void they_take(void) { expect_letter(theirs, 7, 1); }
static void they_close(void) { shm_channel_free(theirs); }

/* Whoever was going to sleep looks once more behind the announcement: nobody saw it, so nobody wakes it. */
static void come_at_the_last_moment(shm_space *space, u32 delivery) {
  struct letter letter;
  shm_space *other = join_space();
  shm_channel_options options = {.capacity = 1, .delivery = delivery};
  shm_channel *ours = open_channel(space, "late", options), *reader = open_reader(ours);
  shm_channel *their_channel = open_channel(other, "late", options), *their_reader = open_reader(their_channel);
  theirs = their_channel;
  at_the_last_moment = they_send;
  expect_letter(reader, 7, 1);
  CHECK(!at_the_last_moment);
  if (delivery == SHM_DELIVERY_ALL) expect_letter(their_reader, 7, 1);
  OK(send_letter(ours, 20, 7, 1, 0));
  if (delivery == SHM_DELIVERY_ALL) expect_letter(reader, 7, 1);
  theirs = their_reader;
  at_the_last_moment = they_take;
  OK(send_letter(ours, 20, 7, 2, in_ns(LONG)));
  CHECK(!at_the_last_moment);
  expect_letter(reader, 7, 2);
  theirs = open_writer(their_channel);
  at_the_last_moment = they_close;
  IS(recv_letter(reader, &letter, in_ns(LONG)), SHM_END);
  CHECK(!at_the_last_moment);
  shm_channel_free(their_reader);
  shm_channel_free(their_channel);
  leave_space(other);
  shm_channel_free(reader);
  delete_channel(space, "late");
  shm_channel_free(ours);
}

/* ---- deaths ----------------------------------------------------------------------------------------------------------- */
static u32 *stage;

static void be_the_last_writer(void *context) {
  open_writer(open_channel(join_space(), context, (shm_channel_options){0}));
  shm_add(stage, 1);
  for (;;) pause();
}

static void be_a_slow_reader(void *context) {
  open_reader(open_channel(join_space(), context, (shm_channel_options){0}));
  shm_add(stage, 1);
  for (;;) pause();
}

static void sleep_for_a_message(void *context) {
  struct letter letter;
  shm_space *space = join_space();
  shm_channel *reader = open_reader(open_channel(space, context, (shm_channel_options){0}));
  IS(recv_letter(reader, &letter, SHM_NEVER), SHM_END);
}

static void sleep_for_room(void *context) {
  shm_space *space = join_space();
  OK(send_letter(open_channel(space, context, (shm_channel_options){0}), 20, 7, 1, SHM_NEVER));
}

static void await_sleeper(shm_space *space, pid_t child) {
  for (u64 deadline_ns = in_ns(LONG); shm_monotonic_ns() < deadline_ns; shm_nap_ns(MS)) {
    for (u32 slot = 0; slot < space->member_count; slot++) {
      struct shm_member *member = &space->members[slot];
      if (member->pid == (u32)child && shm_load_acquire(&member->wait_structure[0])) return;
    }
  }
  FAIL("it does not fall asleep");
}

/* Who sleeps for what only the dead one could have done is woken by whoever reaps him. */
static void reap_for_a_sleeper(shm_space *space, shm_channel_options options, void (*be_killed)(void *context),
                               void (*sleep)(void *context)) {
  static char name[] = "mourned";
  shm_channel *channel = open_channel(space, name, options);
  *stage = 0;
  pid_t victim = start_child(be_killed, name);
  await(stage, 1);
  if (sleep == sleep_for_room) OK(send_letter(channel, 20, 7, 0, 0));
  pid_t sleeper = start_child(sleep, name);
  await_sleeper(space, sleeper);
  shm_nap_ns(2 * MS); /* it shows itself just before: the kernel must have it, too */
  kill_child(victim);
  shm_space_reap_dead(space);
  end_child(sleeper);
  shm_space_reap_dead(space);
  delete_channel(space, name);
  shm_channel_free(channel);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  stage = shared_memory(sizeof *stage);
  gate = shared_memory(sizeof *gate);
  taken = shared_memory(sizeof *taken);
  shm_space *space = make_space(4 << 20, 16);
  reap_for_a_sleeper(space, (shm_channel_options){0}, be_the_last_writer, sleep_for_a_message);
  reap_for_a_sleeper(space, (shm_channel_options){.capacity = 1, .delivery = SHM_DELIVERY_ALL}, be_a_slow_reader, sleep_for_room);
  come_at_the_last_moment(space, SHM_DELIVERY_ONE);
  come_at_the_last_moment(space, SHM_DELIVERY_ALL);
  converse(space, "narrow", (shm_channel_options){.capacity = 1}, 1);
  converse(space, "one", (shm_channel_options){.capacity = 4}, 1);
  converse(space, "all", (shm_channel_options){.capacity = 2, .delivery = SHM_DELIVERY_ALL}, READERS);
  *gate = 0;
  run_workers(LOCKERS, take_turns, NULL);
  end_space(space);
  return 0;
}
