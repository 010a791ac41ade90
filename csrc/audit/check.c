/* check.c: every invariant of a space, looked at without stopping anyone.
 *
 * What a live region is in the middle of changing looks broken for a moment. So a finding counts only when the same
 * finding is there again in three looks, some milliseconds apart.
 */
#include "audit.h"
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/blocks.h"
#include "../core/directory.h"
#include "../core/members.h"
#include "../core/pages.h"
#include "../os/wait.h"
#include "../types/mutex.h"
#include "../types/ring.h"

enum { LOOKS = 3, LOOK_AGAIN_NS = 3000000 };

void shm__report(struct shm__audit *audit, const char *structure, u64 where, const char *format, ...) {
  if (audit->count < audit->room) {
    shm_problem *problem = &audit->problems[audit->count];
    va_list args;
    va_start(args, format);
    memset(problem, 0, sizeof *problem);
    snprintf(problem->structure, sizeof problem->structure, "%s", structure);
    vsnprintf(problem->what, sizeof problem->what, format, args);
    snprintf(problem->where, sizeof problem->where, "offset %llu", (unsigned long long)where);
    va_end(args);
  }
  audit->count++;
}

static void *grow(void *items, u64 count, u64 *room, size_t size) {
  if (count < *room) return items;
  u64 more = *room ? *room * 2 : 256;
  void *grown = realloc(items, more * size);
  if (grown) *room = more;
  return grown ? grown : items;
}

void shm__reach(struct shm__audit *audit, const char *name, struct shm__ref ref, u32 id) {
  struct shm_block *block = shm__block_header(audit->space, ref.offset);
  u64 word = block ? shm_load_acquire(&block->word) : 0;
  if (!block) {
    shm__report(audit, name, ref.offset, "refers to a block outside the region");
  } else if (word != shm__block_word(SHM_BLOCK_LINKED, ref.gen, id)) {
    shm__report(audit, name, ref.offset, "refers to a block that is not its own (state %u, generation %u, of %u)",
           shm__block_state(word), shm__block_gen(word), shm__block_who(word));
  }
  audit->reachable = grow(audit->reachable, audit->reachable_count, &audit->reachable_room, sizeof *audit->reachable);
  if (audit->reachable_count < audit->reachable_room) audit->reachable[audit->reachable_count++] = ref.offset;
}

void shm__check_lock_word(struct shm__audit *audit, const char *name, const u32 *word, const char *which) {
  u32 found = shm_load_acquire(word), owner = found & SHM_TOKEN_MASK;
  if (owner && !shm__token_alive(audit->space, owner)) {
    shm__report(audit, name, shm__offset_of(audit->space, word), "%s is held by a dead member (token %u)", which, owner);
  }
}

/* ---- rings -------------------------------------------------------------------------------------------------------------- */
static void check_ports(struct shm__audit *audit, const char *name, struct shm__ring *ring) {
  u64 at = shm_load_acquire(&ring->shared->ports), left = audit->space->size_bytes / sizeof(struct shm_port);
  u32 writers = 0, readers = 0;
  while (at) {
    struct shm_port *port = shm__ring_port(ring, at);
    if (!port || left-- == 0) {
      shm__report(audit, name, at, "the chain of ports is damaged");
      return;
    }
    shm__reach(audit, name, shm__block_ref(audit->space, at), ring->id);
    u32 owner = shm_load_acquire(&port->owner);
    if (!shm__token_alive(audit->space, owner)) shm__report(audit, name, at, "a port belongs to a dead member (token %u)", owner);
    u64 cursor = shm_load_acquire(&port->cursor), tail = shm_load_acquire(&ring->shared->tail);
    if (cursor > tail) {
      shm__report(audit, name, at, "a cursor (%llu) is beyond the tail (%llu)", (unsigned long long)cursor,
                  (unsigned long long)tail);
    }
    writers += shm__port_role(port) == SHM_PORT_WRITER;
    readers += shm__port_role(port) == SHM_PORT_READER;
    at = shm_load_acquire(&port->next);
  }
  if (writers != ring->shared->writers || readers != ring->shared->readers) {
    shm__report(audit, name, shm__offset_of(audit->space, ring->shared), "counts %u writers and %u readers, has %u and %u",
           ring->shared->writers, ring->shared->readers, writers, readers);
  }
}

static void check_slots(struct shm__audit *audit, const char *name, struct shm__ring *ring) {
  u64 tail = shm_load_acquire(&ring->shared->tail), from;
  int all = ring->delivery == SHM_DELIVERY_ALL;
  from = all ? shm_load_acquire(&ring->shared->retired) : shm_load_acquire(&ring->shared->head);
  u64 span = all ? ring->mask + 1 : ring->capacity;
  if (from > tail || (!all && tail - from > span)) {
    shm__report(audit, name, shm__offset_of(audit->space, ring->shared), "its first message (%llu) and its tail (%llu) do not fit",
           (unsigned long long)from, (unsigned long long)tail);
    return;
  }
  if (tail - from > span) from = tail - span;
  for (u64 n = from; n < tail; n++) {
    struct shm_slot *slot = &ring->slots[n & ring->mask];
    u64 offset = shm__offset_of(audit->space, slot);
    if (shm_load_acquire(&slot->seq) != n + 1) {
      shm__report(audit, name, offset, "message %llu is not whole", (unsigned long long)n);
    } else if (slot->block) {
      shm__reach(audit, name, (struct shm__ref){slot->block, slot->block_gen}, ring->id);
    } else if (slot->length_bytes > SHM_INLINE_BYTES) {
      shm__report(audit, name, offset, "message %llu has an impossible length", (unsigned long long)n);
    }
  }
}

static void check_ring(struct shm__audit *audit, const char *name, u64 main) {
  struct shm__ring ring;
  if (shm__ring_bind(audit->space, main, &ring) != SHM_OK) {
    shm__report(audit, name, main, "%s", shm__error_text());
    return;
  }
  shm__check_lock_word(audit, name, &ring.shared->producer_lock, "its producer lock");
  shm__check_lock_word(audit, name, &ring.shared->consumer_lock, "its consumer lock");
  if (ring.shared->stream > SHM_STREAM_SHUT) shm__report(audit, name, main, "impossible stream state %u", ring.shared->stream);
  check_ports(audit, name, &ring);
  check_slots(audit, name, &ring);
}

static void check_mutex(struct shm__audit *audit, const char *name, u64 main) {
  struct shm_mutex *mutex;
  if (shm__mutex_bind(audit->space, main, &mutex) == SHM_OK) shm__check_lock_word(audit, name, &mutex->word, "it");
}

/* ---- the directory ------------------------------------------------------------------------------------------------------ */
static void check_entry(struct shm__audit *audit, const struct shm_entry *entry, u64 offset) {
  static const char *const kinds[] = {"?", "channel", "log", "sharded_log", "tuples", "queue", "store", "lock"};
  char name[sizeof ((shm_problem *)0)->structure];
  u32 length = entry->name_length < SHM_NAME_BYTES ? entry->name_length : 0;
  snprintf(name, sizeof name, "%s %.*s", kinds[entry->kind <= SHM_KIND_LOCK ? entry->kind : 0], (int)length,
           (const char *)entry->name);
  if (length == 0) shm__report(audit, name, offset, "impossible name length %u", entry->name_length);
  for (u32 slot = 0; slot < audit->space->member_count; slot++) {
    if (!(shm_load_acquire(&entry->users[slot / 64]) >> slot % 64 & 1)) continue;
    u32 token = shm__slot_token(audit->space, slot);
    if (token == 0 || !shm__token_alive(audit->space, token)) {
      shm__report(audit, name, offset, "member slot %u uses it, but is not there", slot);
    }
  }
  shm__reach(audit, name, shm__block_ref(audit->space, offset), entry->id);
  shm__reach(audit, name, (struct shm__ref){entry->main, entry->main_gen}, entry->id);
  if (entry->kind == SHM_KIND_CHANNEL) check_ring(audit, name, entry->main);
  if (entry->kind == SHM_KIND_QUEUE) shm__check_queue(audit, name, entry->main);
  if (entry->kind == SHM_KIND_TUPLES) shm__check_tuples(audit, name, entry->main);
  if (entry->kind == SHM_KIND_STORE) shm__check_store(audit, name, entry->main);
  if (entry->kind == SHM_KIND_LOG || entry->kind == SHM_KIND_SHARDED_LOG) shm__check_log(audit, name, entry->main);
  if (entry->kind == SHM_KIND_LOCK) check_mutex(audit, name, entry->main);
}

static void check_directory(struct shm__audit *audit) {
  struct shm__space *space = audit->space;
  shm__check_lock_word(audit, "directory", &space->directory->lock, "its lock");
  for (u32 b = 0; b < SHM_BUCKETS; b++) {
    u64 left = space->size_bytes / sizeof(struct shm_entry);
    for (u64 at = shm_load_acquire(&space->directory->bucket[b]); at;) {
      const struct shm_entry *entry = shm__block_header(space, at) ? shm__at(space, at, sizeof *entry, 16) : NULL;
      if (!entry || left-- == 0) {
        shm__report(audit, "directory", at, "chain %u is damaged", b);
        break;
      }
      if (entry->hash % SHM_BUCKETS != b) shm__report(audit, "directory", at, "an entry is in chain %u, not in its own", b);
      check_entry(audit, entry, at);
      at = shm_load_acquire(&entry->next);
    }
  }
}

/* ---- memory -------------------------------------------------------------------------------------------------------------- */
static int compare_offsets(const void *a, const void *b) {
  u64 x = *(const u64 *)a, y = *(const u64 *)b;
  return x < y ? -1 : x > y;
}

static int check_block(struct shm__space *space, struct shm__ref ref, u64 word, void *context) {
  struct shm__audit *audit = context;
  u32 who = shm__block_who(word);
  if (shm__block_state(word) == SHM_BLOCK_HELD) {
    if (!shm__token_alive(space, who)) shm__report(audit, "blocks", ref.offset, "a block is held by a dead member (token %u)", who);
  } else if (shm__block_state(word) == SHM_BLOCK_LINKED) {
    if (audit->reachable_count == 0 ||
        !bsearch(&ref.offset, audit->reachable, audit->reachable_count, sizeof ref.offset, compare_offsets)) {
      shm__report(audit, "blocks", ref.offset, "structure %u has a block that nothing refers to", who);
    }
  } else {
    shm__report(audit, "blocks", ref.offset, "a block has the impossible state %u", shm__block_state(word));
  }
  return 0;
}

/* Every page belongs to one run or span, and they fill the table. */
static void check_pages(struct shm__audit *audit) {
  struct shm__space *space = audit->space;
  shm__check_lock_word(audit, "pool", &space->pool->lock, "its lock");
  u64 top = shm__pages_top(space), used = 0, page = 0;
  while (page < top) {
    u64 word = shm__page_word(space, page), count = shm__page_count(word);
    u32 state = shm__page_state(word);
    if ((state != SHM_PAGE_RUN && state != SHM_PAGE_SPAN) || count == 0 || count > top - page) {
      shm__report(audit, "pool", shm__page_offset(space, page), "page %llu has an impossible word", (unsigned long long)page);
      return;
    }
    if (state == SHM_PAGE_SPAN) used += count;
    page += count;
  }
  if (used != space->pool->used_pages) {
    shm__report(audit, "pool", 0, "counts %llu used pages, has %llu", (unsigned long long)space->pool->used_pages,
                (unsigned long long)used);
  }
  for (u32 c = 0; c < SHM_CLASSES; c++) shm__check_lock_word(audit, "blocks", &space->classes[c].lock, "a class lock");
}

static void check_members(struct shm__audit *audit) {
  struct shm__space *space = audit->space;
  for (u32 slot = 0; slot < space->member_count; slot++) {
    u32 token = shm__slot_token(space, slot);
    if (token == 0) continue;
    if (shm__token_slot(token) != slot) {
      shm__report(audit, "members", shm__offset_of(space, &space->members[slot]), "slot %u has the token %u of another", slot,
                  token);
    } else if (!shm__token_alive(space, token)) {
      shm__report(audit, "members", shm__offset_of(space, &space->members[slot]),
             "pid %u has died and was not cleaned up yet; attaching (shmspace stat) does it", space->members[slot].pid);
    }
  }
}

static u64 look(struct shm__space *space, shm_problem *problems, u64 room) {
  struct shm__audit audit = {.space = space, .problems = problems, .room = room};
  check_members(&audit);
  check_pages(&audit);
  check_directory(&audit);
  if (audit.reachable_count) qsort(audit.reachable, audit.reachable_count, sizeof *audit.reachable, compare_offsets);
  shm__blocks_walk(space, SHM__TRY, check_block, &audit);
  free(audit.reachable);
  return audit.count < room ? audit.count : room;
}

u64 shm__check(struct shm__space *space, shm_problem *problems, u64 room) {
  u64 count = look(space, problems, room);
  shm_problem *again = count ? malloc(room * sizeof *again) : NULL;
  for (int round = 1; round < LOOKS && count && again; round++) {
    shm__nap_ns(LOOK_AGAIN_NS);
    u64 found = look(space, again, room), kept = 0;
    for (u64 i = 0; i < count; i++) {
      u64 j = 0;
      while (j < found && memcmp(&problems[i], &again[j], sizeof *again) != 0) j++;
      if (j < found) problems[kept++] = problems[i];
    }
    count = kept;
  }
  free(again);
  return count;
}
