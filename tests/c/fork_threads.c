/* Forking in the middle of the work of other threads harms nobody: the child attaches and works on its own, what the
 * threads do goes on, nothing is lost and nothing is left over.
 *
 * Runs: processes
 * Except: asan
 */
#include "channels.h"

enum { THREADS = 3, FORKS = 60 };

static u32 over;
static u32 round_trips[THREADS];

/* Sends to itself through its own channel, opening and closing all the time. */
static void *work(void *context) {
  shm_space *space = context;
  static u32 threads;
  u32 index = shm_add(&threads, 1);
  char name[8];
  snprintf(name, sizeof name, "t%u", index);
  for (u32 n = 0; !shm_load_acquire(&over); n++) {
    shm_channel *channel = open_channel(space, name, (shm_channel_options){0});
    shm_channel *reader = open_reader(channel), *writer = open_writer(channel);
    OK(send_letter(writer, n % 2 ? 20 : 5000, index, n, in_ns(LONG)));
    expect_letter(reader, index, n);
    shm_channel_free(writer);
    shm_channel_free(reader);
    shm_channel_free(channel);
    shm_add(&round_trips[index], 1);
  }
  return NULL;
}

static void work_as_child(void *context) {
  shm_space *space = context;
  u32 pid = (u32)getpid();
  char name[16];
  snprintf(name, sizeof name, "c%u", pid);
  OK(shm_space_attach_again(space));
  shm_channel *channel = open_channel(space, name, (shm_channel_options){0});
  OK(send_letter(channel, 5000, pid, 1, in_ns(LONG)));
  expect_letter(channel, pid, 1);
  delete_channel(space, name);
  if (pid % 2) return; /* half of them just end */
  shm_channel_free(channel);
  leave_space(space);
}

static void come_as_child(void *context) {
  (void)context;
  leave_space(join_space());
}

int main(int argc, char **argv) {
  begin(argc, argv);
  shm_space *space = make_space(8 << 20, 64);
  u64 base = used_bytes(space);
  pthread_t threads[THREADS];
  for (u32 i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, work, space) == 0);
  for (u32 i = 0; i < THREADS; i++) await(&round_trips[i], 1);
  for (u32 i = 0; i < FORKS; i += 2) {
    pid_t one = start_child(work_as_child, space), other = start_child(come_as_child, NULL);
    end_child(one);
    end_child(other);
  }
  u32 before[THREADS];
  for (u32 i = 0; i < THREADS; i++) before[i] = shm_load_acquire(&round_trips[i]);
  for (u32 i = 0; i < THREADS; i++) await(&round_trips[i], before[i] + 2);
  shm_store_release(&over, 1);
  for (u32 i = 0; i < THREADS; i++) pthread_join(threads[i], NULL); /* all of them: any may have any name */
  for (u32 i = 0; i < THREADS; i++) {
    char name[8];
    snprintf(name, sizeof name, "t%u", i);
    delete_channel(space, name);
  }
  shm_space_reap_dead(space);
  leave_space(space); /* and do what was put off, because somebody was slow with a lock */
  space = join_space();
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
