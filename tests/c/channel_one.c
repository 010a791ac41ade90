/* Delivery "one": however many write and read at the same time, one at a time or in batches, by copy or by view, every
 * message comes whole to exactly one reader, and those of one writer in the order in which it sent them.
 *
 * Runs: processes, threads
 */
#include "channels.h"

enum { WRITERS = 3, READERS = 3, EACH = 6000, BATCH = 20 };

static u8 *seen; /* by writer and number */
static u32 *gate;

static u64 size_of(struct chance *chance) {
  return below(chance, 4) ? sizeof(struct letter) + below(chance, 72) : sizeof(struct letter) + draw_size(chance, 14);
}

static u32 send_batch(shm_channel *writer, struct chance *chance, u32 sender, u32 number) {
  static __thread u8 data[BATCH][512];
  shm_piece pieces[BATCH];
  u64 done = 0, count = 0;
  for (; count < BATCH && number + count < EACH; count++) {
    u64 length = sizeof(struct letter) + below(chance, sizeof data[0] - sizeof(struct letter));
    write_letter(data[count], length, sender, number + (u32)count);
    pieces[count] = (shm_piece){data[count], length, 0};
  }
  OK(shm_channel_send_many(writer, pieces, count, in_ns(LONG), &done));
  SAME(done, count);
  return (u32)count;
}

static u32 send_view(shm_channel *writer, struct chance *chance, u32 sender, u32 number) {
  shm_view view;
  OK(shm_channel_reserve(writer, size_of(chance), in_ns(LONG), &view));
  if (below(chance, 8) == 0) {
    shm_channel_abort(writer, &view);
    return 0;
  }
  write_letter(view.data, view.length_bytes, sender, number);
  OK(shm_channel_commit(writer, &view, in_ns(LONG)));
  return 1;
}

static void write_all(shm_channel *channel, u32 index) {
  struct chance chance = chance_for(index);
  shm_channel *writer = open_writer(channel);
  meet(gate, WRITERS + READERS); /* no writer ends before all are there: the stream would end */
  for (u32 n = 0; n < EACH;) {
    u64 how = below(&chance, 10);
    if (how == 0) {
      n += send_batch(writer, &chance, index, n);
    } else if (how == 1) {
      n += send_view(writer, &chance, index, n);
    } else {
      OK(send_letter(writer, size_of(&chance), index, n, in_ns(LONG)));
      n++;
    }
  }
  shm_channel_free(writer);
}

static void note(struct letter letter, u32 next[WRITERS]) {
  CHECK(letter.sender < WRITERS && letter.number < EACH);
  if (letter.number < next[letter.sender]) {
    FAIL("message %u of %u came after %u", letter.number, letter.sender, next[letter.sender]);
  }
  next[letter.sender] = letter.number + 1;
  if (seen[letter.sender * EACH + letter.number]++) FAIL("message %u of %u came twice", letter.number, letter.sender);
}

static int read_batch(shm_channel *reader, u32 next[WRITERS]) {
  shm_small messages[BATCH];
  u64 done;
  int status = shm_channel_recv_many(reader, messages, BATCH, in_ns(LONG), &done);
  for (u64 i = 0; i < done; i++) note(read_letter(messages[i].data, messages[i].length_bytes), next);
  return status == SHM_SHORT ? SHM_OK : status; /* the first one is longer: another call takes it */
}

static int read_view(shm_channel *reader, u32 next[WRITERS]) {
  shm_view view;
  int status = shm_channel_recv_view(reader, &view, in_ns(LONG));
  if (status == SHM_OK && view.data) {
    note(read_letter(view.data, view.length_bytes), next);
    shm_channel_unpin(reader, &view);
  }
  return status;
}

static void read_all(shm_channel *channel, u32 index) {
  struct chance chance = chance_for(index);
  shm_channel *reader = open_reader(channel);
  u32 next[WRITERS] = {0};
  meet(gate, WRITERS + READERS);
  for (int status = SHM_OK; status != SHM_END;) {
    struct letter letter = {0, 0};
    u64 how = below(&chance, 10);
    if (how == 0) {
      status = read_batch(reader, next);
    } else if (how == 1) {
      status = read_view(reader, next);
    } else {
      status = recv_letter(reader, &letter, in_ns(LONG));
      if (status == SHM_OK) note(letter, next);
    }
    if (status != SHM_END) OK(status);
  }
  shm_channel_free(reader);
}

static void work(u32 index, void *context) {
  shm_space *space = join_space();
  shm_channel *channel = open_channel(space, "c", (shm_channel_options){0});
  (void)context;
  if (index < WRITERS) write_all(channel, index);
  else read_all(channel, index);
  shm_channel_free(channel);
  leave_space(space);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  seen = shared_memory(WRITERS * EACH);
  gate = shared_memory(sizeof *gate);
  static const u64 capacities[] = {1, 7, 64};
  shm_space *space = make_space(32 << 20, 16);
  u64 base = used_bytes(space);
  for (u32 round = 0; round < 3; round++) {
    memset(seen, 0, WRITERS * EACH);
    shm_channel *channel = open_channel(space, "c", (shm_channel_options){.capacity = capacities[round]});
    run_workers(WRITERS + READERS, work, NULL);
    for (u32 i = 0; i < WRITERS * EACH; i++) SAME(seen[i], 1);
    shm_channel_facts facts = channel_facts(channel);
    SAME(facts.sent, WRITERS * EACH);
    SAME(facts.received, WRITERS * EACH);
    SAME(facts.waiting + facts.dropped + facts.readers + facts.writers, 0);
    delete_channel(space, "c");
    shm_channel_free(channel);
    SAME(used_bytes(space), base);
  }
  end_space(space);
  return 0;
}
