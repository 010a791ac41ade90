/* A child of a fork is nobody until it attaches: calls on what it inherited say so and change nothing. Then it has a
 * token of its own. Neither's end is taken for the other's, in whatever order they end and however deep the family is.
 *
 * Runs: processes
 */
#include "../../csrc/core/members.h"
#include "channels.h"

enum { DEPTH = 4 };

struct family {
  shm_space *space;
  shm_channel *channel;
  u32 tokens[DEPTH + 1], born, leave[DEPTH + 1];
};

/* Everything inherited refuses. */
static void be_nobody(const struct family *family) {
  shm_channel *other;
  shm_lock *lock;
  u64 length;
  u32 codec;
  u8 data[8];
  SAME(token_of(family->space), 0);
  IS(shm_channel_send(family->channel, "x", 1, 0, 0), SHM_FORKED);
  IS(shm_channel_recv(family->channel, data, sizeof data, &length, &codec, 0), SHM_FORKED);
  IS(shm_channel_open_reader(family->channel, 0, &other), SHM_FORKED);
  IS(shm_channel_open(family->space, "c", 1, &(shm_channel_options){.capacity = 1}, 0, 1, 0, &other), SHM_FORKED);
  IS(shm_lock_open(family->space, "l", 1, 0, &lock), SHM_FORKED);
  IS(shm_space_delete(family->space, SHM_KIND_CHANNEL, "c", 1, 0), SHM_FORKED);
  SAME(family->space->directory->lock, 0);
}

/* One member of the family: attaches, has a child, which does the same, and ends when told to. */
static void live(struct family *family) {
  u32 generation = 1;
  pid_t child;
next:
  be_nobody(family);
  OK(shm_space_attach_again(family->space));
  OK(shm_space_attach_again(family->space)); /* once is enough */
  u32 token = token_of(family->space);
  for (u32 i = 0; i < generation; i++) {
    CHECK(token != family->tokens[i]);
    CHECK(shm__token_alive(family->space, family->tokens[i]));
  }
  family->tokens[generation] = token;
  shm_channel_free(family->channel);
  family->channel = open_channel(family->space, "c", (shm_channel_options){0});
  child = generation < DEPTH ? fork() : 1;
  if (child == 0) {
    generation++;
    goto next;
  }
  if (generation == DEPTH) shm_store_release(&family->born, 1);
  await(&family->leave[generation], 1);
  _exit(0); /* without a word: the kernel says it */
}

/* In the order given, everybody dies; the others live on. */
static void bury_one_by_one(shm_space *space, shm_channel *channel, const u32 order[DEPTH]) {
  struct family *family = shared_memory(sizeof *family);
  family->space = space, family->channel = channel;
  family->tokens[0] = token_of(space);
  pid_t child = fork();
  if (child == 0) live(family);
  await(&family->born, 1);
  u32 dead = 0;
  for (u32 i = 0; i < DEPTH; i++) {
    shm_store_release(&family->leave[order[i]], 1);
    dead |= 1u << order[i];
    u64 deadline_ns = in_ns(LONG);
    while (shm__token_alive(space, family->tokens[order[i]])) {
      if (shm_monotonic_ns() > deadline_ns) FAIL("%u of the family is taken for alive", order[i]);
    }
    for (u32 k = 0; k <= DEPTH; k++) {
      if ((u32)shm__token_alive(space, family->tokens[k]) == (dead >> k & 1)) FAIL("%u is not what it should be", k);
    }
  }
  while (waitpid(-1, NULL, 0) > 0) continue;
  shm_space_reap_dead(space);
  munmap(family, sizeof *family);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  shm_space *space = make_space(1 << 20, 8);
  u64 base = used_bytes(space);
  shm_channel *channel = open_channel(space, "c", (shm_channel_options){0});
  bury_one_by_one(space, channel, (const u32[]){1, 2, 3, 4});
  bury_one_by_one(space, channel, (const u32[]){4, 3, 2, 1});
  bury_one_by_one(space, channel, (const u32[]){2, 4, 1, 3});
  OK(shm_channel_send(channel, "x", 1, 0, 0)); /* the first one was always there */
  delete_channel(space, "c");
  shm_channel_free(channel);
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
