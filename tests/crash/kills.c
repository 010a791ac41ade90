/* kills.c: working processes are killed at random moments, and replaced.
 *
 *   kills DIRECTORY NAME one|all|queue|tuples|log|store KILLS SEED
 *
 * Two senders and two receivers work on a channel of small capacity, with small and block messages, views and many at a
 * time; the senders also count under a named lock. Each process is an incarnation with a number; message n of incarnation
 * i has the id i << 32 | n. What an incarnation has begun and done stands in memory that outlives it (kills_books.c).
 *
 *   one   every message that was sent is received once, except for what a receiver was just taking when it was killed
 *   all   every receiver gets the messages of each sender in order, without a gap, from the first one it gets
 *   queue, tuples  every value that was put is taken once, with leases, dead letters and readers: see kills_values.c
 *   log            every record that was appended is read in order, with all that were published with it: see kills_logs.c
 *   store          every change of a key is seen once, in order, and sums are those of what was done: see kills_stores.c
 *   all of them    each message is whole; the lock excludes; at the end check() finds nothing and no block is left
 *
 * Prints "FAIL ..." or "kills=... messages=... lost=... in_flight=... again=... recoveries=... blocked_us=...":
 * blocked_us is the longest that any call took of anybody who lived. A call that takes 5 s hangs.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kills_logs.h"
#include "kills_stores.h"
#include "kills_values.h"

enum { WORKERS = 4, SENDERS = 2, CAPACITY = 8, BATCH = 3, NAP_MOST_US = 4000, FEW_NS = 20000000 };

static const struct scene traffic = {.name = "kills", .size_bytes = MIXED_BYTES},
                          traffic_all = {.name = "kills_all", .delivery = SHM_DELIVERY_ALL, .size_bytes = MIXED_BYTES};
static const struct start start = {"kills", CAPACITY, 0, 0};
static struct books *books;
static uint64_t chance; /* state of the generator */

static uint64_t draw(uint64_t below) {
  chance ^= chance << 13, chance ^= chance >> 7, chance ^= chance << 17; /* xorshift64, Marsaglia 2003 */
  return chance % below;
}

static void die_of(struct world *world, const char *what, int status) {
  blame(world, "%s: %s %s", what, shm_error_name(status), shm_error_text());
}

/* ---- senders ------------------------------------------------------------------------------------------------------------- */
static uint64_t random_size(void) { return draw(3) ? SMALL_BYTES + draw(50) : BLOCK_BYTES + draw(3000); }

static int send_single(struct world *world, uint64_t id) {
  uint8_t bytes[BLOCK_BYTES + 3000];
  uint64_t size_bytes = random_size();
  fill_message(bytes, id, size_bytes);
  return shm_channel_send(world->writer, bytes, size_bytes, 0, patience_ns());
}

static int send_reserved(struct world *world, uint64_t id) {
  shm_view view;
  int status = shm_channel_reserve(world->writer, BLOCK_BYTES, patience_ns(), &view);
  if (status != SHM_OK) return status;
  fill_message(view.data, id, BLOCK_BYTES);
  return shm_channel_commit(world->writer, &view, patience_ns());
}

static int send_batch(struct world *world, uint64_t id, uint64_t *done) {
  uint8_t bytes[BATCH][BLOCK_BYTES + 3000];
  shm_piece pieces[BATCH];
  for (uint64_t i = 0; i < BATCH; i++) {
    uint64_t size_bytes = random_size();
    fill_message(bytes[i], id + i, size_bytes);
    pieces[i] = (shm_piece){.data = bytes[i], .length_bytes = size_bytes};
  }
  return shm_channel_send_many(world->writer, pieces, BATCH, patience_ns(), done);
}

/* Two counters that are equal whenever nobody holds the lock; who is told that the last holder died makes them so. */
static void count_under_lock(struct world *world) {
  int owner_died, status = shm_lock_take(world->lock, patience_ns(), &owner_died);
  if (status != SHM_OK) {
    die_of(world, "taking the lock", status);
    return;
  }
  if (books->counters[0] != books->counters[1] && !owner_died)
    blame(world, "the lock does not exclude, or did not tell");
  books->counters[0] = books->counters[1];
  books->counters[0]++;
  books->counters[1]++;
  shm_lock_release(world->lock);
}

static void send_on(struct world *world, struct incarnation *self, uint64_t number) {
  while (!books->stop_sending && !world->failure[0]) {
    uint64_t id = number << 32 | (self->done + 1), kind = draw(10), count = kind == 0 ? BATCH : 1,
             before_ns = shm_monotonic_ns();
    int status;
    self->begun = self->done + count;
    if (kind == 0) status = send_batch(world, id, &count);
    else status = kind == 1 ? send_reserved(world, id) : send_single(world, id);
    note_blocking(books, before_ns);
    if (status != SHM_OK) die_of(world, "sending", status);
    else self->done += count;
    if (draw(20) == 0) count_under_lock(world);
  }
}

/* ---- receivers ----------------------------------------------------------------------------------------------------------- */
static int recv_some(struct world *world, struct incarnation *self, uint64_t *ids, uint64_t *count) {
  static uint8_t bytes[1 << 16];
  uint64_t length, kind = draw(4);
  uint32_t codec;
  shm_view view;
  shm_small messages[BATCH];
  self->begun = self->done + (kind == 0 ? BATCH : 1);
  *count = 1;
  if (kind == 0) {
    int status = shm_channel_recv_many(world->reader, messages, BATCH, shm_monotonic_ns() + FEW_NS, count);
    for (uint64_t i = 0; status == SHM_OK && i < *count; i++) {
      ids[i] = read_message(world, messages[i].data, messages[i].length_bytes);
    }
    if (status != SHM_SHORT) return status;
    *count = 1; /* the first one is in a block */
  } else if (kind == 1) {
    int status = shm_channel_recv_view(world->reader, &view, shm_monotonic_ns() + FEW_NS);
    if (status != SHM_OK) return status;
    if (view.block) {
      ids[0] = read_message(world, view.data, view.length_bytes);
      shm_channel_unpin(world->reader, &view);
      return SHM_OK;
    }
  }
  int status = shm_channel_recv(world->reader, bytes, sizeof bytes, &length, &codec, shm_monotonic_ns() + FEW_NS);
  if (status == SHM_OK) ids[0] = read_message(world, bytes, length);
  return status;
}

static void recv_on(struct world *world, struct incarnation *self) {
  static struct followed followed;
  uint64_t ids[BATCH], count;
  int all = world->scene->delivery == SHM_DELIVERY_ALL;
  while (!world->failure[0]) {
    uint64_t before_ns = shm_monotonic_ns();
    int status = recv_some(world, self, ids, &count);
    note_blocking(books, before_ns);
    if (status == SHM_EMPTY || status == SHM_END || status == SHM_TIMEOUT) { /* in the few ms that it waits */
      self->begun = self->done;
      if (books->stop_receiving) return;
      if (status == SHM_END) shm_nap_ns(200000);
      continue;
    }
    if (status != SHM_OK) {
      die_of(world, "receiving", status);
      return;
    }
    for (uint64_t i = 0; i < count; i++) {
      const char *wrong = follow(&followed, ids[i], all);
      if (wrong)
        blame(world, "message %llu of incarnation %llu %s", (unsigned long long)(ids[i] & UINT32_MAX),
              (unsigned long long)(ids[i] >> 32), wrong);
      enter_received(books, ids[i]);
    }
    self->done += count;
    self->begun = self->done;
  }
}

/* ---- incarnations -------------------------------------------------------------------------------------------------------- */
static void work(struct world *world, int worker, uint64_t number) {
  struct incarnation *self = &books->incarnations[number];
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  chance = chance * 6364136223846793005ull + number * 1442695040888963407ull + 1;
  world->channel = world->reader = world->writer = NULL;
  self->sends = worker < SENDERS;
  attach(world);
  int values = world->scene == &traffic_queue || world->scene == &traffic_tuples, logs = world->scene == &traffic_log,
      stores = world->scene == &traffic_store;
  int status = world->failure[0] ? SHM_OS
               : values          ? open_values(world)
               : logs            ? open_log(world)
               : stores          ? open_store(world)
                                 : open_channel(world, "c", 0, &world->channel);
  if (status == SHM_OK && logs) {
    if (self->sends) append_records(world, self, books, number, chance);
    else read_records(world, books, chance);
  } else if (status == SHM_OK && stores) {
    if (self->sends) change_keys(world, self, books, number, chance);
    else watch_keys(world, books, chance);
  } else if (status == SHM_OK && values) {
    if (self->sends) put_values(world, self, books, number, chance);
    else take_values(world, self, books, chance);
  } else if (status == SHM_OK && self->sends) {
    status = shm_channel_open_writer(world->channel, patience_ns(), &world->writer);
    if (status == SHM_OK) status = shm_lock_open(world->space, "l", 1, patience_ns(), &world->lock);
    if (status == SHM_OK) send_on(world, self, number);
  } else if (status == SHM_OK) {
    status = shm_channel_open_reader(world->channel, patience_ns(), &world->reader);
    if (status == SHM_OK) recv_on(world, self);
  }
  if (status != SHM_OK) die_of(world, "beginning", status);
  if (!world->failure[0]) {
    shm_space_close(world->space);
    _exit(0);
  }
  printf("FAIL incarnation %llu: %s\n", (unsigned long long)number, world->failure);
  fflush(stdout);
  _exit(1);
}

static pid_t bear(struct world *world, int worker) {
  struct world mine = *world;
  uint64_t number = books->births++;
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) work(&mine, worker, number);
  return pid;
}

/* 1: it ended well. */
static int collect(pid_t pid) {
  int status;
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void kill_at_random(struct world *world, uint64_t kills) {
  pid_t workers[WORKERS];
  for (int worker = 0; worker < WORKERS; worker++) workers[worker] = bear(world, worker);
  for (uint64_t i = 0; i < kills; i++) {
    int victim = (int)draw(WORKERS), status;
    alarm(60);
    shm_nap_ns(draw(NAP_MOST_US) * 1000);
    if (waitpid(workers[victim], &status, WNOHANG) != 0) {
      blame(world, "a worker ended by itself");
      workers[victim] = bear(world, victim);
      break;
    }
    kill(workers[victim], SIGKILL);
    collect(workers[victim]);
    workers[victim] = bear(world, victim);
  }
  shm_nap_ns(10000000);
  books->stop_sending = 1;
  for (int worker = 0; worker < SENDERS; worker++) {
    if (!collect(workers[worker])) blame(world, "a sender did not end well");
  }
  books->stop_receiving = 1;
  for (int worker = SENDERS; worker < WORKERS; worker++) {
    if (!collect(workers[worker])) blame(world, "a receiver did not end well");
  }
}

int main(int argc, char **argv) {
  struct world world;
  shm_space_facts facts;
  struct sums sums = {0};
  if (argc != 6) return 2;
  int all = strcmp(argv[3], "all") == 0, in_queue = strcmp(argv[3], "queue") == 0,
      values = in_queue || strcmp(argv[3], "tuples") == 0, logs = strcmp(argv[3], "log") == 0,
      stores = strcmp(argv[3], "store") == 0;
  const struct scene *scene = in_queue ? &traffic_queue
                              : values ? &traffic_tuples
                              : logs   ? &traffic_log
                              : stores ? &traffic_store
                              : all    ? &traffic_all
                                       : &traffic;
  uint64_t kills = strtoull(argv[4], NULL, 10);
  if (kills + WORKERS > INCARNATIONS_MOST) return 2;
  chance = strtoull(argv[5], NULL, 10) * 2 + 1;
  set_up(&world, argv[1], argv[2]);
  books = open_books();
  make_world(&world, scene, &start);
  if (world.reader) shm_channel_free(world.reader); /* the survivor's would hold the senders up */
  world.reader = NULL;
  if (!world.failure[0]) kill_at_random(&world, kills);
  shm_space_reap_dead(world.space);
  shm_space_stat(world.space, &facts);
  if (all && !world.failure[0]) shm_channel_open_reader(world.channel, patience_ns(), &world.reader);
  if (values && !world.failure[0]) balance_values(&world, books, &sums);
  if (logs && !world.failure[0]) balance_log(&world, books, &sums);
  if (stores && !world.failure[0]) balance_store(&world, books, &sums);
  if (!values && !logs && !stores && !all && !world.failure[0]) balance(books, &world, &sums);
  if (!world.failure[0]) judge(&world, 1);
  unmake_world(&world);
  if (world.failure[0]) printf("FAIL %s\n", world.failure);
  printf("kills=%llu messages=%llu lost=%llu in_flight=%llu again=%llu recoveries=%llu blocked_us=%llu\n",
         (unsigned long long)kills, (unsigned long long)books->received_count, (unsigned long long)sums.lost,
         (unsigned long long)sums.in_flight, (unsigned long long)sums.again, (unsigned long long)facts.recoveries,
         (unsigned long long)books->longest_ns / 1000);
  return world.failure[0] != 0;
}
