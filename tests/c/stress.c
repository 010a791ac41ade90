/* Everything at once: members come, work with whatever there is in two threads each, and leave or die; some only look. No
 * message is torn, nothing but refusals is answered, and when all have gone and all is deleted the memory is as it was.
 * It runs for SHMSPACE_SECONDS. The sanitizers watch it.
 *
 * Runs: processes, threads
 */
#include "../../csrc/core/attach.h"
#include "../../csrc/os/file.h"
#include "channels.h"

enum { WORKERS = 4, CHANNELS = 6, HANDLES = 8, STEPS = 400, SIZE = 8 << 20, VIEWS = 2 };
enum { KEPT = CHANNELS - 1 }; /* this one is not deleted: who only looks cannot keep it, and would read what comes after */

/* What a member has; both of its threads use it. */
struct member {
  shm_space *space;
  shm_channel *channels[HANDLES], *readers[HANDLES], *writers[HANDLES];
  u32 names[HANDLES];
  shm_lock *lock;
  u32 index;
  int readonly;
};

static const shm_channel_options kinds[CHANNELS] = {
  {.capacity = 8},
  {.capacity = 3, .overflow = SHM_OVERFLOW_OLDEST},
  {.capacity = 16, .overflow = SHM_OVERFLOW_ERROR},
  {.capacity = 8, .delivery = SHM_DELIVERY_ALL},
  {.capacity = 5, .delivery = SHM_DELIVERY_ALL, .replay = 5, .overflow = SHM_OVERFLOW_OLDEST},
  {.capacity = 16, .delivery = SHM_DELIVERY_ALL, .replay = 3, .overflow = SHM_OVERFLOW_ERROR},
};

static u64 ends_ns;

void note_death(void); /* of tests/c/support */

/* Refusals are results; damage, misuse and the like are not. */
static int refused(int status) {
  static const int refusals[] = {SHM_EMPTY, SHM_FULL, SHM_TIMEOUT, SHM_LOCKED, SHM_CLOSED, SHM_END, SHM_LAGGED, SHM_BUSY,
                                 SHM_SHORT, SHM_NOT_FOUND, SHM_SPACE_FULL, SHM_TOO_MANY_MEMBERS};
  if (status == SHM_OK) return 0;
  for (u32 i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
    if (status == refusals[i]) return 1;
  }
  FAIL("%s: %s", shm_error_name(status), shm_error_text());
}

static u64 some_deadline(struct chance *chance) {
  u64 how = below(chance, 4);
  return how == 0 ? 0 : how == 1 ? SHM_SPIN : in_ns(below(chance, 2 * MS));
}

/* ---- one thing to do --------------------------------------------------------------------------------------------------- */
static void send_some(struct member *member, shm_channel *writer, struct chance *chance) {
  u64 how = below(chance, 8), length = sizeof(struct letter) + (below(chance, 2) ? below(chance, 72) : draw_size(chance, 13));
  if (how == 0) {
    shm_view view;
    if (refused(shm_channel_reserve(writer, length, some_deadline(chance), &view))) return;
    write_letter(view.data, length, member->index, (u32)draw(chance));
    if (below(chance, 3) == 0 || refused(shm_channel_commit(writer, &view, some_deadline(chance)))) {
      shm_channel_abort(writer, &view);
    }
  } else if (how == 1) {
    u8 data[8][256];
    shm_piece pieces[8];
    u64 done;
    for (u32 i = 0; i < 8; i++) {
      pieces[i] = (shm_piece){data[i], sizeof(struct letter) + below(chance, 256 - sizeof(struct letter)), 0};
      write_letter(data[i], pieces[i].length_bytes, member->index, i);
    }
    refused(shm_channel_send_many(writer, pieces, 8, some_deadline(chance), &done));
  } else {
    refused(send_letter(writer, length, member->index, (u32)draw(chance), some_deadline(chance)));
  }
}

static void look_at_views(shm_channel *reader, struct chance *chance) {
  shm_view views[VIEWS];
  u32 count = 0;
  while (count < VIEWS && !refused(shm_channel_recv_view(reader, &views[count], some_deadline(chance))) && views[count].data) {
    count++;
  }
  for (u32 i = 0; i < count; i++) {
    read_letter(views[i].data, views[i].length_bytes);
    shm_channel_unpin(reader, &views[i]);
  }
}

static void receive_some(shm_channel *reader, struct chance *chance) {
  u64 how = below(chance, 8);
  struct letter letter = {0, 0};
  if (how == 0) {
    look_at_views(reader, chance);
  } else if (how == 1) {
    shm_small messages[8];
    u64 done;
    refused(shm_channel_recv_many(reader, messages, 8, some_deadline(chance), &done));
    for (u64 i = 0; i < done; i++) read_letter(messages[i].data, messages[i].length_bytes);
  } else if (refused(recv_letter(reader, &letter, some_deadline(chance)))) {
    shm_channel_lost(reader);
  }
}

static void look_around(struct member *member, struct chance *chance) {
  static __thread shm_member_facts members[8];
  static __thread shm_entry_facts entries[8];
  shm_channel *channel = member->channels[below(chance, HANDLES)];
  shm_space_facts facts;
  shm_channel_facts channel_now;
  u32 tokens[8];
  switch (below(chance, 10)) {
    case 0: shm_space_stat(member->space, &facts); break;
    case 1: CHECK(shm_space_members(member->space, members, 8) <= WORKERS * 3 + 1); break;
    case 2: CHECK(shm_space_entries(member->space, entries, 8) >= 0); break;
    case 3: shm_space_stamp(member->space); break;
    case 4: if (channel) refused(shm_channel_stat(channel, &channel_now)); break;
    case 5: if (channel) shm_channel_peers(channel, (int)below(chance, 2), tokens, 8); break;
    case 6: if (channel) shm_channel_probe(channel, (int)below(chance, 2)); break;
    case 7: if (channel) refused(shm_channel_look(channel)); break;
    case 8: if (channel && !member->readonly) refused(shm_channel_look_room(channel)); break;
    default: shm_space_exists(member->space, SHM_KIND_CHANNEL, "c1", 2);
  }
}

static void use_bell(struct member *member, struct chance *chance) {
  shm_channel *channel = member->channels[below(chance, HANDLES)];
  if (channel) shm_channel_arm(channel, (int)below(chance, 2));
  u32 bell = shm_bell_wait(member->space, 0, 1);
  shm_bell_wait(member->space, bell, below(chance, MS));
  if (below(chance, 4) == 0) shm_bell_ring_self(member->space);
}

static void use_lock(struct member *member, struct chance *chance) {
  int owner_died;
  if (!member->lock || refused(shm_lock_take(member->lock, some_deadline(chance), &owner_died))) return;
  shm_nap_ns(below(chance, 50000));
  OK(shm_lock_release(member->lock));
}

static void one_step(struct member *member, struct chance *chance) {
  u32 k = (u32)below(chance, HANDLES);
  u64 what = below(chance, 100);
  if (what < 40) {
    if (member->writers[k] && !member->readonly) send_some(member, member->writers[k], chance);
  } else if (what < 80) {
    if (member->readers[k]) receive_some(member->readers[k], chance);
  } else if (what < 90 || member->readonly) {
    look_around(member, chance);
  } else if (what < 93) {
    use_bell(member, chance);
  } else if (what < 97) {
    use_lock(member, chance);
  } else if (what < 98) {
    shm_space_reap_dead(member->space);
  } else if (what < 99 && member->channels[k] && below(chance, 10) == 0) {
    refused(shm_channel_shutdown(member->channels[k], (int)below(chance, 2), some_deadline(chance)));
  } else if (below(chance, 20) == 0) {
    char name[3] = {'c', (char)('0' + below(chance, KEPT)), 0};
    refused(shm_space_delete(member->space, SHM_KIND_CHANNEL, name, 2, some_deadline(chance)));
  } else if (below(chance, 10) == 0) {
    shm_problem problems[2];
    CHECK(shm_space_check(member->space, problems, 2) >= 0); /* the dead may not be buried yet */
  }
}

/* ---- a member's life ----------------------------------------------------------------------------------------------------- */
static void open_handles(struct member *member, struct chance *chance) {
  for (u32 k = 0; k < HANDLES; k++) {
    u32 kind = member->readonly ? KEPT : (u32)below(chance, CHANNELS);
    char name[3] = {'c', (char)('0' + kind), 0};
    shm_channel_options options = kinds[kind];
    options.max_message_bytes = 1 << 14;
    memcpy(options.codec, "raw", 4);
    if (refused(shm_channel_open(member->space, name, 2, &options, 0, !member->readonly, in_ns(LONG), &member->channels[k]))) {
      member->channels[k] = NULL;
      continue;
    }
    int status = shm_channel_open_reader(member->channels[k], in_ns(LONG), &member->readers[k]);
    if (status != SHM_READ_ONLY) refused(status);
    if (status != SHM_OK) member->readers[k] = NULL;
    if (!member->readonly && below(chance, 2) &&
        refused(shm_channel_open_writer(member->channels[k], in_ns(LONG), &member->writers[k]))) {
      member->writers[k] = NULL;
    }
  }
  if (!member->readonly && refused(shm_lock_open(member->space, "l", 1, in_ns(LONG), &member->lock))) member->lock = NULL;
}

static void *second_thread(void *context) {
  struct member *member = context;
  struct chance chance = chance_for(member->index + 1000);
  for (u32 step = 0; step < STEPS; step++) one_step(member, &chance);
  return NULL;
}

/* Close while the other thread is at it; free when it has gone. */
static void close_handles(struct member *member, pthread_t thread) {
  for (u32 k = 0; k < HANDLES; k++) {
    if (member->writers[k]) shm_channel_close(member->writers[k]);
    if (member->readers[k]) shm_channel_close(member->readers[k]);
    if (member->channels[k]) shm_channel_close(member->channels[k]);
  }
  pthread_join(thread, NULL);
}

static void free_handles(struct member *member) {
  for (u32 k = 0; k < HANDLES; k++) {
    if (member->writers[k]) shm_channel_free(member->writers[k]);
    if (member->readers[k]) shm_channel_free(member->readers[k]);
    if (member->channels[k]) shm_channel_free(member->channels[k]);
  }
  if (member->lock) shm_lock_free(member->lock);
}

/* As if the process had been killed: the kernel gives up its byte, and that is all. */
static void die(struct member *member) {
  shm_space *space = member->space;
  if (!as_threads) raise(SIGKILL);
  note_death();
  shm_store_release(&space->closing, 1); /* so that freeing our handles touches nothing */
  free_handles(member);
  shm_space_free(space);
}

static void live(u32 index, struct chance *chance) {
  struct member member = {.index = index};
  member.readonly = below(chance, 6) == 0;
  int status = shm_space_open(test_directory, test_name, 0, 0, 0600, member.readonly ? SHM_OPEN_READONLY : 0, in_ns(LONG),
                              &member.space);
  if (refused(status)) return;
  open_handles(&member, chance);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, second_thread, &member) == 0);
  for (u32 step = 0; step < STEPS; step++) one_step(&member, chance);
  if (!member.readonly && below(chance, 4) == 0) {
    pthread_join(thread, NULL);
    die(&member);
    return;
  }
  close_handles(&member, thread);
  free_handles(&member);
  leave_space(member.space);
}

struct life {
  u32 index;
  struct chance chance;
};

static void live_once(void *context) {
  struct life *life = context;
  live(life->index, &life->chance);
}

static void work(u32 index, void *context) {
  struct life life = {index, chance_for(index)};
  (void)context;
  while (shm_monotonic_ns() < ends_ns) {
    draw(&life.chance);
    if (as_threads) {
      live_once(&life);
      continue;
    }
    int status;
    pid_t child = start_child(live_once, &life);
    CHECK(waitpid(child, &status, 0) == child);
    if (status != 0 && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)) FAIL("a member ended with %x", (unsigned)status);
  }
}

int main(int argc, char **argv) {
  begin(argc, argv);
  const char *seconds = getenv("SHMSPACE_SECONDS");
  ends_ns = in_ns((seconds ? strtoull(seconds, NULL, 10) : 2) * SECONDS);
  shm_space *space = make_space(SIZE, WORKERS * 3);
  u64 base = used_bytes(space);
  run_workers(WORKERS, work, NULL);
  shm_space_reap_dead(space);
  be_healthy(space);
  for (u32 k = 0; k < CHANNELS; k++) {
    char name[3] = {'c', (char)('0' + k), 0};
    refused(shm_space_delete(space, SHM_KIND_CHANNEL, name, 2, in_ns(LONG)));
  }
  shm_lock *lock;
  int owner_died;
  OK(shm_lock_open(space, "l", 1, in_ns(LONG), &lock));
  OK(shm_lock_take(lock, in_ns(LONG), &owner_died));
  OK(shm_lock_release(lock));
  shm_lock_free(lock);
  SAME(used_bytes(space), base);
  end_space(space);
  return 0;
}
