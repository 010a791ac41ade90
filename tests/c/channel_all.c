/* Delivery "all": every reader gets every message whole, and all in the same order; nothing of a message stays when all
 * have read it.
 *
 * Runs: processes, threads
 */
#include "channels.h"

enum { WRITERS = 2, READERS = 3, EACH = 4000, BATCH = 16 };

static u32 *gate;
static u32 *order; /* by reader: sender and number of each message, in the order it came */

static void write_all(shm_channel *channel, u32 index) {
  struct chance chance = chance_for(index);
  shm_channel *writer = open_writer(channel);
  meet(gate, WRITERS + READERS);
  for (u32 n = 0; n < EACH; n++) {
    u64 length = sizeof(struct letter) + (below(&chance, 4) ? below(&chance, 72) : draw_size(&chance, 14));
    OK(send_letter(writer, length, index, n, in_ns(LONG)));
  }
  shm_channel_free(writer);
}

static void note(u32 *mine, u32 *count, struct letter letter) {
  CHECK(*count < WRITERS * EACH);
  mine[(*count)++] = letter.sender * EACH + letter.number;
}

static int read_batch(shm_channel *reader, u32 *mine, u32 *count) {
  shm_small messages[BATCH];
  u64 done;
  int status = shm_channel_recv_many(reader, messages, BATCH, in_ns(LONG), &done);
  for (u64 i = 0; i < done; i++) note(mine, count, read_letter(messages[i].data, messages[i].length_bytes));
  return status == SHM_SHORT ? SHM_OK : status;
}

static int read_view(shm_channel *reader, u32 *mine, u32 *count) {
  shm_view view;
  int status = shm_channel_recv_view(reader, &view, in_ns(LONG));
  if (status == SHM_OK && view.data) {
    note(mine, count, read_letter(view.data, view.length_bytes));
    shm_channel_unpin(reader, &view);
  }
  return status;
}

static void read_all(shm_channel *channel, u32 index, u32 *mine) {
  struct chance chance = chance_for(index);
  shm_channel *reader = open_reader(channel);
  u32 count = 0;
  meet(gate, WRITERS + READERS);
  for (int status = SHM_OK; status != SHM_END;) {
    struct letter letter = {0, 0};
    u64 how = below(&chance, 10);
    if (how == 0) {
      status = read_batch(reader, mine, &count);
    } else if (how == 1) {
      status = read_view(reader, mine, &count);
    } else {
      status = recv_letter(reader, &letter, in_ns(LONG));
      if (status == SHM_OK) note(mine, &count, letter);
    }
    if (status != SHM_END) OK(status);
  }
  SAME(count, WRITERS * EACH);
  shm_channel_free(reader);
}

static void work(u32 index, void *context) {
  shm_space *space = join_space();
  shm_channel *channel = open_channel(space, "c", (shm_channel_options){.delivery = SHM_DELIVERY_ALL});
  (void)context;
  if (index < WRITERS) write_all(channel, index);
  else read_all(channel, index, order + (index - WRITERS) * WRITERS * EACH);
  shm_channel_free(channel);
  leave_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  static const u64 capacities[] = {1, 5, 64};
  u64 size_bytes = WRITERS * EACH * sizeof *order;
  order = shared_memory(READERS * size_bytes);
  gate = shared_memory(sizeof *gate);
  shm_space *space = make_space(32 << 20, 16);
  u64 base = used_bytes(space);
  for (u32 round = 0; round < 3; round++) {
    shm_channel_options options = {.capacity = capacities[round], .delivery = SHM_DELIVERY_ALL};
    shm_channel *channel = open_channel(space, "c", options);
    u64 empty = used_bytes(space);
    run_workers(WRITERS + READERS, work, NULL);
    SAME(used_bytes(space), empty);
    for (u32 r = 1; r < READERS; r++) CHECK(memcmp(order, order + r * WRITERS * EACH, size_bytes) == 0);
    u32 next[WRITERS] = {0};
    for (u32 i = 0; i < WRITERS * EACH; i++) SAME(order[i] % EACH, next[order[i] / EACH]++);
    shm_channel_facts facts = channel_facts(channel);
    SAME(facts.sent, WRITERS * EACH);
    SAME(facts.received, READERS * WRITERS * EACH);
    SAME(facts.dropped, 0);
    delete_channel(space, "c");
    shm_channel_free(channel);
    SAME(used_bytes(space), base);
  }
  end_space(space);
  return 0;
}
