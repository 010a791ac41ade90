/* bench_ring.c: what the C core costs between two processes: 64-byte messages one way, one at a time and in batches, and
 * a round trip. Prints one JSON object a line. Usage: bench_ring [messages] */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../include/shmspace.h"

enum { LENGTH = 64, BATCH = 64, CAPACITY = 1024 };

static char name[64];

static void check(int status, const char *what) {
  if (status == SHM_OK) return;
  fprintf(stderr, "%s: %s %s\n", what, shm_error_name(status), shm_error_text());
  exit(1);
}

static shm_channel *open_channel(shm_space *space, const char *which) {
  shm_channel_options options = {.capacity = CAPACITY, .max_message_bytes = 1 << 20, .codec = "raw"};
  shm_channel *channel;
  check(shm_channel_open(space, which, (uint32_t)strlen(which), &options, 0, 1, SHM_NEVER, &channel), "channel");
  return channel;
}

static shm_space *open_space(void) {
  shm_space *space;
  check(shm_space_open("/dev/shm", name, 64 << 20, 0, 0600, SHM_OPEN_CREATE, shm_monotonic_ns() + 5000000000ull, &space), "open");
  return space;
}

static void send_all(shm_channel *channel, uint64_t count) {
  char data[LENGTH] = {0};
  for (uint64_t i = 0; i < count; i++) {
    memcpy(data, &i, sizeof i);
    check(shm_channel_send(channel, data, LENGTH, 0, SHM_NEVER), "send");
  }
}

static void recv_all(shm_channel *channel, uint64_t count) {
  char data[LENGTH];
  uint64_t length, number;
  uint32_t codec;
  for (uint64_t i = 0; i < count; i++) {
    check(shm_channel_recv(channel, data, LENGTH, &length, &codec, SHM_NEVER), "recv");
    memcpy(&number, data, sizeof number);
    if (number != i || length != LENGTH) check(SHM_CORRUPTED, "order");
  }
}

static void send_batches(shm_channel *channel, uint64_t count) {
  char data[LENGTH] = {0};
  shm_piece pieces[BATCH];
  for (int i = 0; i < BATCH; i++) pieces[i] = (shm_piece){data, LENGTH, 0};
  for (uint64_t i = 0, done; i < count; i += BATCH) {
    check(shm_channel_send_many(channel, pieces, BATCH, SHM_NEVER, &done), "send_many");
  }
}

static void recv_batches(shm_channel *channel, uint64_t count) {
  static shm_small messages[BATCH];
  for (uint64_t i = 0, done; i < count; i += done) {
    check(shm_channel_recv_many(channel, messages, BATCH, SHM_NEVER, &done), "recv_many");
  }
}

static double one_way(uint64_t count, void (*send)(shm_channel *, uint64_t), void (*recv)(shm_channel *, uint64_t)) {
  shm_space *space = open_space();
  open_channel(space, "data");
  pid_t child = fork();
  if (child == 0) {
    shm_space *own = open_space();
    send(open_channel(own, "data"), count);
    _exit(0);
  }
  shm_channel *channel = open_channel(space, "data");
  uint64_t start = shm_monotonic_ns();
  recv(channel, count);
  double seconds = (double)(shm_monotonic_ns() - start) / 1e9;
  waitpid(child, NULL, 0);
  shm_space_destroy("/dev/shm", name);
  return (double)count / seconds;
}

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static void round_trip(uint64_t count) {
  shm_space *space = open_space();
  shm_channel *there = open_channel(space, "there"), *back = open_channel(space, "back");
  char data[LENGTH] = {0};
  uint64_t length, *times = calloc(count, sizeof *times);
  uint32_t codec;
  pid_t child = fork();
  if (child == 0) {
    shm_space *own = open_space();
    there = open_channel(own, "there"), back = open_channel(own, "back");
    for (uint64_t i = 0; i < count; i++) {
      check(shm_channel_recv(there, data, LENGTH, &length, &codec, SHM_NEVER), "recv");
      check(shm_channel_send(back, data, LENGTH, 0, SHM_NEVER), "send");
    }
    _exit(0);
  }
  for (uint64_t i = 0; i < count; i++) {
    uint64_t start = shm_monotonic_ns();
    check(shm_channel_send(there, data, LENGTH, 0, SHM_NEVER), "send");
    check(shm_channel_recv(back, data, LENGTH, &length, &codec, SHM_NEVER), "recv");
    times[i] = shm_monotonic_ns() - start;
  }
  waitpid(child, NULL, 0);
  shm_space_destroy("/dev/shm", name);
  qsort(times, count, sizeof *times, compare);
  printf("{\"name\": \"ring_round_trip\", \"p50_ns\": %llu, \"p99_ns\": %llu}\n", (unsigned long long)times[count / 2],
         (unsigned long long)times[count * 99 / 100]);
  free(times);
}

int main(int argc, char **argv) {
  uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 4000000;
  count = count / BATCH * BATCH;
  snprintf(name, sizeof name, "bench-ring-%d", (int)getpid());
  printf("{\"name\": \"ring_one_way\", \"rate\": %.0f}\n", one_way(count, send_all, recv_all));
  fflush(stdout);
  printf("{\"name\": \"ring_one_way_batched\", \"rate\": %.0f}\n", one_way(count, send_batches, recv_batches));
  fflush(stdout);
  round_trip(count / 8);
  return 0;
}
