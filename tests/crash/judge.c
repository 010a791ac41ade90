/* judge.c: what must hold after a death, whatever the scene.
 *
 *   - Survivors finish what they begin, within their naps.
 *   - Every message is there once, whole, in order; missing are at most those that the dead took.
 *   - check() finds nothing, nothing belongs to the dead, and when all is closed no block is left.
 */
#include <stdlib.h>
#include <string.h>

#include "core/directory.h"
#include "world.h"

enum { MOST_IDS = 256, PROBLEMS = 16, OWN_MESSAGES = 3 };

struct drained {
  uint64_t ids[MOST_IDS], count, lost;
  int gone; /* the channel was deleted */
};

/* ---- the books ----------------------------------------------------------------------------------------------------------- */
static void drain(struct world *world, shm_channel *reader, struct drained *found) {
  static uint8_t bytes[1 << 20];
  *found = (struct drained){.count = 0};
  while (found->count < MOST_IDS && !world->failure[0]) {
    uint64_t length;
    uint32_t codec;
    int status = shm_channel_look(reader);
    if (status == SHM_EMPTY || status == SHM_END) return;
    if (status == SHM_OK)
      status = TIMED(world, shm_channel_recv(reader, bytes, sizeof bytes, &length, &codec, patience_ns()));
    if (status == SHM_OK) {
      found->ids[found->count++] = read_message(world, bytes, length);
    } else if (status == SHM_END) {
      return; /* what was there has been discarded */
    } else if (status == SHM_LAGGED) {
      found->lost += shm_channel_lost(reader);
    } else if (status == SHM_CLOSED && world->scene->deletes) {
      found->gone = 1;
      return;
    } else {
      blame(world, "draining: %s %s", shm_error_name(status), shm_error_text());
    }
  }
}

/* Messages of one sender, in the order of the channel: first..last came, of which those from `most` on are optional. */
struct segment {
  uint64_t first, sure, most;
};

/* What was drained is the whole sequence without a beginning. Returns how many are missing there. */
static uint64_t missing(struct world *world, const struct drained *found, const struct segment *segments, int count) {
  uint64_t at = 0, absent = 0;
  for (int s = 0; s < count; s++) {
    const struct segment *segment = &segments[s];
    uint64_t here = 0, next = segment->first;
    if (at < found->count && found->ids[at] >= segment->first && found->ids[at] < segment->first + segment->most) {
      if (at == 0) next = found->ids[0];
      while (at < found->count && found->ids[at] == next) at++, next++, here++;
    } else if (at == 0) {
      next = segment->first + segment->sure;
    }
    uint64_t came = next - segment->first;
    absent += came - here;
    if (came < segment->sure || came > segment->most) {
      blame(world, "messages from %llu on: %llu came, %llu to %llu expected", (unsigned long long)segment->first,
            (unsigned long long)came, (unsigned long long)segment->sure, (unsigned long long)segment->most);
    }
  }
  if (at < found->count) {
    blame(world, "message %llu, number %llu of %llu drained, is out of order, doubled or not to be there",
          (unsigned long long)found->ids[at], (unsigned long long)at, (unsigned long long)found->count);
  }
  return absent;
}

static void judge_books(struct world *world, const struct drained *found) {
  const struct scene *scene = world->scene, *other = other_scene(scene);
  int all = scene->delivery == SHM_DELIVERY_ALL;
  const struct progress *victim = &world->progress[VICTIM], *second = &world->progress[OTHER],
                        *survivor = &world->progress[SURVIVOR];
  uint64_t waiting = scene->early ? 0 : world->start->waiting,
           passed = world->start->passed + world->start->waiting - waiting;
  struct segment segments[] = {
      {1 + passed, waiting, waiting},
      {MINE(OTHER) + 1, second->sent, other ? other->sends : 0},
      {MINE(VICTIM) + 1, victim->sent, scene->sends},
      {RELIEF + 1, survivor->sent, survivor->sent},
  };
  if (found->gone) return;
  uint64_t absent = missing(world, found, segments, 4), least = victim->taken + second->taken + survivor->taken;
  uint64_t most = scene->takes + (other ? other->takes : 0) + survivor->taken, unsure = found->count ? 0 : scene->sends;
  if (all && !scene->shuts) least = most = found->lost;
  if (all && found->lost > scene->takes) blame(world, "the survivor lagged by %llu", (unsigned long long)found->lost);
  if (absent + unsure < least || absent > most) {
    blame(world, "%llu messages are missing, %llu to %llu may be", (unsigned long long)absent,
          (unsigned long long)least, (unsigned long long)most);
  }
}

/* A reader that comes now gets the last messages, each once, and has lost none. */
static void judge_newcomer(struct world *world) {
  shm_channel *newcomer;
  struct drained found;
  int status = TIMED(world, shm_channel_open_reader(world->channel, patience_ns(), &newcomer));
  if (status != SHM_OK) {
    blame(world, "a new reader: %s", shm_error_name(status));
    return;
  }
  drain(world, newcomer, &found);
  for (uint64_t i = 1; i < found.count; i++) {
    int follows =
        found.ids[i] == found.ids[i - 1] + 1 || found.ids[i] == MINE(VICTIM) + 1 || found.ids[i] == MINE(OTHER) + 1;
    if (!follows) blame(world, "replayed message %llu does not follow", (unsigned long long)found.ids[i]);
  }
  uint64_t sure = world->start->passed + world->start->waiting + world->progress[VICTIM].sent;
  uint64_t most = replay_of(world), least = sure < most ? sure : most;
  /* Whoever dies before its message is in may have given up the oldest message of a full history for it. */
  if (least == world->start->capacity && world->progress[VICTIM].sent < world->scene->sends) least--;
  if (!world->scene->shuts && (found.lost || found.count < least || found.count > most)) {
    blame(world, "a new reader got %llu messages, %llu at least expected, and has lost %llu",
          (unsigned long long)found.count, (unsigned long long)least, (unsigned long long)found.lost);
  }
  shm_channel_free(newcomer);
}

/* ---- working on ---------------------------------------------------------------------------------------------------------- */
static void recv_own(struct world *world, shm_channel *reader, uint64_t id) {
  uint8_t bytes[BLOCK_BYTES];
  uint64_t length;
  uint32_t codec;
  int status = TIMED(world, shm_channel_recv(reader, bytes, sizeof bytes, &length, &codec, patience_ns()));
  if (status != SHM_OK) blame(world, "receiving what the survivor sent: %s", shm_error_name(status));
  else if (read_message(world, bytes, length) != id) blame(world, "received another message than the survivor sent");
}

static void work_on(struct world *world) {
  const struct scene *scene = world->scene;
  for (uint64_t id = AFTER + 1; id <= AFTER + OWN_MESSAGES && !world->failure[0]; id++) {
    uint8_t bytes[BLOCK_BYTES];
    uint64_t size_bytes = id % 2 ? SMALL_BYTES : BLOCK_BYTES;
    fill_message(bytes, id, size_bytes);
    int status = TIMED(world, shm_channel_send(world->channel, bytes, size_bytes, 0, patience_ns()));
    if (status == SHM_CLOSED && (scene->shuts || scene->deletes)) return;
    if (status != SHM_OK) {
      blame(world, "the survivor's send: %s %s", shm_error_name(status), shm_error_text());
      return;
    }
    recv_own(world, world->reader ? world->reader : world->channel, id);
    if (world->second) recv_own(world, world->second, id);
  }
}

static void judge_channel(struct world *world) {
  struct drained found;
  if (!world->channel) {
    int status = TIMED(world, open_channel(world, "c", 0, &world->channel));
    if (status == SHM_NOT_FOUND && world->scene->deletes) return;
    if (status != SHM_OK) {
      blame(world, "opening the channel again: %s", shm_error_text());
      return;
    }
  }
  drain(world, world->reader ? world->reader : world->channel, &found);
  judge_books(world, &found);
  if (world->second) {
    drain(world, world->second, &found);
    judge_books(world, &found);
  }
  if (world->scene->drained) world->scene->drained(world);
  if (world->scene->replay && !found.gone) judge_newcomer(world);
  if (!found.gone) work_on(world);
}

/* ---- the lock "l" -------------------------------------------------------------------------------------------------------- */
/* Whether the next holder must be told that the last one died. */
static int died_holding(struct world *world) {
  const struct shm_entry *entry = shm__directory_look(world->space, SHM_KIND_LOCK, "l", 1);
  struct shm_mutex *mutex = entry ? shm__at(world->space, entry->main, sizeof *mutex, 16) : NULL;
  int died = mutex && (shm_load_acquire(&mutex->word) & (SHM_LOCK_REPAIR | SHM_TOKEN_MASK)) != 0;
  int known = world->scene->other_role == SLEEPS ? (int)world->progress[OTHER].told : died;
  if (world->progress[VICTIM].locked == 1 && !known) blame(world, "the victim died with the lock, and nobody is told");
  return died;
}

static void judge_lock(struct world *world, int died) {
  shm_lock *lock;
  if (TIMED(world, shm_lock_open(world->space, "l", 1, patience_ns(), &lock)) != SHM_OK) {
    blame(world, "opening the lock: %s", shm_error_text());
    return;
  }
  for (int round = 0; round < 2; round++, died = 0) {
    int told = -1, status = TIMED(world, shm_lock_take(lock, patience_ns(), &told));
    if (status != SHM_OK) blame(world, "taking the lock: %s", shm_error_name(status));
    else if (told != died) blame(world, "owner_died is %d, must be %d", told, died);
    if (status == SHM_OK && shm_lock_release(lock) != SHM_OK) blame(world, "releasing the lock failed");
  }
  shm_lock_free(lock);
}

/* ---- the end ------------------------------------------------------------------------------------------------------------- */
static void check(struct world *world, const char *when) {
  shm_problem problems[PROBLEMS];
  int64_t count = shm_space_check(world->space, problems, PROBLEMS);
  if (count != 0) {
    blame(world, "check() %s: %lld problems: %s: %s (%s)", when, (long long)count,
          count > 0 ? problems[0].structure : "", count > 0 ? problems[0].what : shm_error_text(),
          count > 0 ? problems[0].where : "");
  }
}

static void judge_ports(struct world *world) {
  shm_channel_facts facts;
  if (!world->channel || shm_channel_stat(world->channel, &facts) != SHM_OK || world->scene->deletes) return;
  uint64_t readers = (world->reader != NULL) + (world->second != NULL);
  if (facts.writers != 0 || facts.readers != readers) {
    blame(world, "%llu writers and %llu readers are open", (unsigned long long)facts.writers,
          (unsigned long long)facts.readers);
  }
}

static void close_all(struct world *world) {
  if (world->writer) shm_channel_free(world->writer);
  if (world->reader) shm_channel_free(world->reader);
  if (world->second) shm_channel_free(world->second);
  if (world->channel) shm_channel_free(world->channel);
  if (world->lock) shm_lock_free(world->lock);
  world->writer = world->reader = world->second = world->channel = NULL;
  world->lock = NULL;
}

static void judge_memory(struct world *world) {
  shm_space_facts facts;
  int status = shm_space_delete(world->space, SHM_KIND_CHANNEL, "c", 1, patience_ns());
  if (status != SHM_OK && !(status == SHM_NOT_FOUND && world->scene->deletes)) {
    blame(world, "deleting the channel: %s", shm_error_name(status));
  }
  check(world, "at the end");
  shm_space_stat(world->space, &facts);
  if (facts.used_bytes != world->baseline_bytes) {
    blame(world, "%lld bytes are leaked", (long long)(facts.used_bytes - world->baseline_bytes));
  }
  if (facts.members != 1) blame(world, "%llu members are left", (unsigned long long)facts.members);
}

void judge(struct world *world, int reap_first) {
  int died = world->scene->locks ? died_holding(world) : 0;
  world->reaped = reap_first;
  if (reap_first) TIMED(world, (shm_space_reap_dead(world->space), 0));
  const struct scene *other = other_scene(world->scene);
  if (world->scene->after) world->scene->after(world);
  if (other && other->after) other->after(world);
  if (!world->scene->strange) {
    if (world->scene->locks) judge_lock(world, died);
    judge_channel(world);
    TIMED(world, (shm_space_reap_dead(world->space), 0));
    check(world, "after the death");
    judge_ports(world);
  }
  close_all(world);
  if (!world->scene->strange) judge_memory(world);
}
