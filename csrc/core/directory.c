/* directory.c: named structures.
 *
 * An entry is a block in a hash chain; it names the main block of the structure. Who has a structure open has his bit
 * in the entry's users map, one a member however many handles he has.
 *
 * Invariants
 *   1. A chain changes by one store, under the directory lock: publishing an entry at its head, or stepping over one.
 *   2. An entry in a chain is whole, and so is its structure. There is at most one live entry of a kind and name.
 *   3. life goes LIVE -> DELETED once. A deleted structure keeps its memory until its users map is empty: then it is
 *      buried, by whoever cleared the last bit. header.deletions rises before anything of it is freed, so that readers
 *      without a bit (read-only ones) know when to look again; and once more before its entry is, so that walks of the
 *      chain without the lock know when to begin anew.
 *   4. A bit is set only under the lock, on an entry found live or kept by another bit of the same process.
 *   5. A reachable entry and its main block are LINKED(id), or HELD by one who died in between (repair links them).
 *
 * Crash table (died after ...)
 *   making the blocks ("directory.made")        HELD by the dead: reaped
 *   publishing ("directory.published")          repair of the lock links both blocks
 *   marking it deleted ("directory.deleted")    nobody finds it; whoever clears the last bit buries it
 *   giving its blocks back ("directory.emptied") burying starts again; blocks already given back do not match any more
 *   holding entry and main ("directory.held")   repair links both again; burying starts again
 *   stepping over it ("directory.unlinked")     both are HELD by the dead: reaped
 */
#include "directory.h"

#include <stdlib.h>
#include <string.h>

#include "../base/hash.h"
#include "../base/point.h"
#include "../os/clock.h"
#include "lock.h"
#include "members.h"

enum { RELEASE_PATIENCE_NS = 500000000, WALK_ROUNDS = 100, WALK_SEEN = 64 };

static const struct shm__type *type_of(const struct shm__space *space, u32 kind) {
  for (u32 i = 0; space->types[i]; i++) {
    if (space->types[i]->kind == kind) return space->types[i];
  }
  return NULL;
}

/* A chain can have no more entries than fit into the region. */
static u64 most_entries(const struct shm__space *space) { return space->size_bytes / sizeof(struct shm_entry); }

static struct shm_entry *entry_at(const struct shm__space *space, u64 offset) {
  return shm__block_header(space, offset) ? shm__at(space, offset, sizeof(struct shm_entry), 16) : NULL;
}

static u64 *bucket_of(const struct shm__space *space, u32 hash) { return &space->directory->bucket[hash % SHM_BUCKETS]; }

static int name_is(const struct shm_entry *entry, u32 kind, u32 hash, const char *name, u32 name_length) {
  return entry->kind == kind && entry->hash == hash && entry->name_length == name_length && name_length < SHM_NAME_BYTES &&
         memcmp(entry->name, name, name_length) == 0;
}

static struct shm_entry *find_live(const struct shm__space *space, u32 kind, const char *name, u32 name_length) {
  u32 hash = shm__fnv1a(name, name_length);
  u64 left = most_entries(space);
  for (u64 at = shm_load_acquire(bucket_of(space, hash)); at && left-- > 0;) { /* SYNC directory.chain */
    struct shm_entry *entry = entry_at(space, at);
    if (!entry) return NULL;
    if (name_is(entry, kind, hash, name, name_length) && shm_load_acquire(&entry->life) == SHM_LIFE_LIVE) return entry;
    at = shm_load_acquire(&entry->next);
  }
  return NULL;
}

const struct shm_entry *shm__directory_look(const struct shm__space *space, u32 kind, const char *name, u32 name_length) {
  for (u32 round = 0;; round++) {
    u64 deletions = shm_load_acquire(&space->header->deletions); /* SYNC directory.deletions */
    const struct shm_entry *entry = find_live(space, kind, name, name_length);
    shm_fence_acquire();
    /* Nothing found in a chain that may have changed under our feet is nothing known. */
    if (entry || round == WALK_ROUNDS || shm_load_acquire(&space->header->deletions) == deletions) return entry;
  }
}

/* ---- without a bit ------------------------------------------------------------------------------------------------------ */
int shm__directory_sight(struct shm__space *space, u32 kind, const char *name, u32 name_length, struct shm__sight *sight) {
  sight->deletions = shm_load_acquire(&space->header->deletions); /* SYNC directory.deletions */
  const struct shm_entry *entry = shm__directory_look(space, kind, name, name_length);
  if (!entry) return shm__fail(SHM_NOT_FOUND, "%s has no structure of that kind named %.*s", space->path, (int)name_length, name);
  sight->main = shm_load_relaxed(&entry->main);
  sight->kind = kind;
  sight->id = shm_load_relaxed(&entry->id);
  return SHM_OK;
}

struct search {
  const struct shm__sight *sight;
  int found;
};

static int is_it(const struct shm__space *space, const struct shm_entry *entry, void *context) {
  struct search *search = context;
  const struct shm__sight *sight = search->sight;
  (void)space;
  search->found = entry->kind == sight->kind && entry->id == sight->id && entry->main == sight->main;
  return search->found;
}

int shm__directory_still_there(struct shm__space *space, struct shm__sight *sight) {
  shm_fence_acquire(); /* SYNC directory.deletions: what was read is read before they are looked at again */
  u64 deletions = shm_load_acquire(&space->header->deletions); /* SYNC directory.deletions */
  while (deletions != shm_load_relaxed(&sight->deletions)) { /* something was deleted since */
    struct search search = {sight, 0};
    int found = shm__directory_walk(space, is_it, &search) == SHM_OK && search.found;
    u64 now = shm_load_acquire(&space->header->deletions);
    if (!found && now == deletions) return 0; /* else the chain may have changed under our feet */
    if (found) {
      shm_store_relaxed(&sight->deletions, deletions); /* relaxed: of this process only, a hint */
      return 1;
    }
    deletions = now;
  }
  return 1;
}

/* Call visit for every entry, deleted ones too; tolerant of damage. */
static void each_entry(struct shm__space *space, void (*visit)(struct shm__space *, struct shm_entry *, void *),
                       void *context) {
  for (u32 b = 0; b < SHM_BUCKETS; b++) {
    u64 left = most_entries(space);
    for (u64 at = shm_load_acquire(&space->directory->bucket[b]); at && left-- > 0;) { /* SYNC directory.chain */
      struct shm_entry *entry = entry_at(space, at);
      if (!entry) break;
      at = shm_load_acquire(&entry->next);
      visit(space, entry, context);
    }
  }
}

static void relink_entry(struct shm__space *space, struct shm_entry *entry, void *context) {
  (void)context;
  shm__block_relink(space, shm__block_ref(space, shm__offset_of(space, entry)), entry->id);
  shm__block_relink(space, (struct shm__ref){entry->main, entry->main_gen}, entry->id);
}

void shm__directory_repair(struct shm__space *space) { each_entry(space, relink_entry, NULL); }

static int lock_directory(struct shm__space *space, u64 deadline_ns) {
  int status = shm__lock(space, &space->directory->lock, deadline_ns, 0);
  if (status != SHM__REPAIR) return status;
  shm__directory_repair(space);
  return SHM_OK;
}

static void unlock_directory(struct shm__space *space) { shm__unlock(&space->directory->lock); }

/* ---- users ----------------------------------------------------------------------------------------------------------- */
static struct shm__structure *find_attached(struct shm__space *space, u64 entry) {
  struct shm__structure *structure = space->structures;
  while (structure && structure->entry != entry) structure = structure->next;
  return structure;
}

/* The lock is held. */
static int use_entry(struct shm__space *space, struct shm_entry *entry, struct shm__structure **result) {
  u64 offset = shm__offset_of(space, entry);
  struct shm__structure *structure = find_attached(space, offset);
  if (!structure) {
    structure = malloc(sizeof *structure);
    if (!structure) return shm__fail(SHM_SPACE_FULL, "no memory");
    *structure = (struct shm__structure){.entry = offset, .main = entry->main, .kind = entry->kind, .id = entry->id,
                                         .next = space->structures};
    space->structures = structure;
    shm_or(&entry->users[space->slot / 64], 1ull << space->slot % 64);
  }
  structure->refs++;
  *result = structure;
  return SHM_OK;
}

static int has_users(const struct shm__space *space, const struct shm_entry *entry) {
  for (u32 word = 0; word * 64 < space->member_count; word++) {
    if (shm_load_acquire(&entry->users[word])) return 1;
  }
  return 0;
}

/* Free a deleted structure that nobody uses. The lock is held. */
static void bury(struct shm__space *space, struct shm_entry *entry) {
  u64 offset = shm__offset_of(space, entry), left = most_entries(space);
  u64 *link = bucket_of(space, entry->hash);
  while (shm_load_acquire(link) != offset) {
    struct shm_entry *before = entry_at(space, shm_load_acquire(link));
    if (!before || left-- == 0) return; /* a damaged chain: check() reports it */
    link = &before->next;
  }
  const struct shm__type *type = type_of(space, entry->kind);
  shm_add(&space->header->deletions, 1); /* SYNC directory.deletions: for readers of the structure without a bit */
  if (type) type->teardown(space, entry->main);
  SHM_POINT("directory.emptied");
  struct shm__ref main = {entry->main, entry->main_gen}, own = shm__block_ref(space, offset);
  int main_ours = shm__block_hold(space, main, entry->id), entry_ours = shm__block_hold(space, own, entry->id);
  SHM_POINT("directory.held");
  shm_store_release(link, shm_load_relaxed(&entry->next)); /* relaxed: we hold the lock */
  SHM_POINT("directory.unlinked");
  shm_add(&space->header->deletions, 1); /* SYNC directory.deletions: for those on their way along the chain */
  if (main_ours) shm__block_free(space, main);
  if (entry_ours) shm__block_free(space, own);
  shm_add(&space->header->deletions, 1); /* SYNC directory.deletions: a walk that met the freed bytes sees a new count */
}

/* Bury the entry if it is deleted, or may vanish, and nobody uses it. The lock is held. */
static void bury_unused(struct shm__space *space, struct shm_entry *entry) {
  if (has_users(space, entry)) return;
  const struct shm__type *type = type_of(space, entry->kind);
  if (type && type->idle && type->idle(space, entry->main)) shm_store_release(&entry->life, SHM_LIFE_DELETED);
  if (shm_load_acquire(&entry->life) != SHM_LIFE_LIVE) bury(space, entry);
}

int shm__directory_share(struct shm__space *space, struct shm__structure *structure, u64 deadline_ns) {
  int status = lock_directory(space, deadline_ns);
  if (status != SHM_OK) return status;
  structure->refs++;
  unlock_directory(space);
  return SHM_OK;
}

void shm__directory_release(struct shm__space *space, struct shm__structure *structure) {
  u64 deadline_ns = shm__monotonic_ns() + RELEASE_PATIENCE_NS;
  int status;
  do {
    status = lock_directory(space, deadline_ns);
  } while (status == SHM_INTERRUPTED);
  if (status != SHM_OK) return; /* a stopped process has the lock: our bit goes when this member leaves */
  if (--structure->refs == 0) {
    struct shm_entry *entry = entry_at(space, structure->entry);
    for (struct shm__structure **link = &space->structures; *link; link = &(*link)->next) {
      if (*link == structure) {
        *link = structure->next;
        break;
      }
    }
    free(structure);
    if (entry) {
      shm_and(&entry->users[space->slot / 64], ~(1ull << space->slot % 64));
      bury_unused(space, entry);
    }
  }
  unlock_directory(space);
}

struct eviction {
  u32 slot;
};

static void evict_from(struct shm__space *space, struct shm_entry *entry, void *context) {
  u32 slot = ((struct eviction *)context)->slot;
  shm_and(&entry->users[slot / 64], ~(1ull << slot % 64));
  bury_unused(space, entry);
}

int shm__directory_evict(struct shm__space *space, u32 token, u64 deadline_ns) {
  struct eviction eviction = {shm__token_slot(token)};
  int status = lock_directory(space, deadline_ns);
  if (status != SHM_OK) return status;
  /* Somebody else may have finished this, and the slot have a new member: his bits are set under the lock. */
  if (shm__slot_token(space, eviction.slot) == token) each_entry(space, evict_from, &eviction);
  unlock_directory(space);
  return SHM_OK;
}

/* ---- making, finding, deleting ------------------------------------------------------------------------------------- */
static int make_entry(struct shm__space *space, u32 kind, const char *name, u32 name_length,
                      const struct shm__maker *maker, u64 deadline_ns, struct shm__ref *main, struct shm__ref *own) {
  u32 id = shm_add(&space->header->structure_id, 1) + 1;
  int status = maker->make(space, id, maker->options, deadline_ns, main);
  if (status != SHM_OK) return status;
  status = shm__block_alloc(space, sizeof(struct shm_entry), deadline_ns, own);
  if (status != SHM_OK) {
    shm__block_free(space, *main);
    return status;
  }
  struct shm_entry *entry = (struct shm_entry *)(space->base + own->offset);
  memset(entry, 0, sizeof *entry);
  entry->main = main->offset, entry->main_gen = main->gen;
  entry->life = SHM_LIFE_LIVE;
  entry->kind = kind, entry->id = id;
  entry->hash = shm__fnv1a(name, name_length);
  entry->created_ns = shm__realtime_ns();
  entry->name_length = name_length;
  memcpy(entry->name, name, name_length);
  SHM_POINT("directory.made");
  return SHM_OK;
}

static void publish_entry(struct shm__space *space, struct shm__ref main, struct shm__ref own) {
  struct shm_entry *entry = (struct shm_entry *)(space->base + own.offset);
  u64 *bucket = bucket_of(space, entry->hash);
  entry->next = shm_load_relaxed(bucket); /* relaxed: we hold the lock */
  shm_store_release(bucket, own.offset);  /* SYNC directory.chain: publishes the entry and the structure */
  SHM_POINT("directory.published");
  shm__block_link(space, own, entry->id);
  shm__block_link(space, main, entry->id);
}

int shm__directory_open(struct shm__space *space, u32 kind, const char *name, u32 name_length,
                        const struct shm__maker *maker, u64 deadline_ns, struct shm__structure **structure) {
  struct shm__ref main = {0, 0}, own = {0, 0};
  if (name_length == 0 || name_length >= SHM_NAME_BYTES) {
    return shm__fail(SHM_INVALID, "a name of %u bytes; it must have 1 to %d", name_length, SHM_NAME_BYTES - 1);
  }
  for (;;) {
    int status = lock_directory(space, deadline_ns);
    if (status != SHM_OK) {
      shm__block_free(space, own);
      shm__block_free(space, main);
      return status;
    }
    if (shm_load_acquire(&space->header->life) != SHM_LIFE_LIVE) status = SHM_CLOSED;
    struct shm_entry *entry = status == SHM_OK ? find_live(space, kind, name, name_length) : NULL;
    int made = !entry && own.offset != 0 && status == SHM_OK;
    if (made) {
      publish_entry(space, main, own);
      entry = (struct shm_entry *)(space->base + own.offset);
    }
    if (entry) status = use_entry(space, entry, structure);
    unlock_directory(space);
    if (own.offset && !made) { /* somebody was quicker, or the space is gone */
      shm__block_free(space, own);
      shm__block_free(space, main);
    }
    if (entry || status != SHM_OK) return status;
    if (!maker) return shm__fail(SHM_NOT_FOUND, "%s has nothing of that kind named %.*s", space->path, (int)name_length, name);
    status = make_entry(space, kind, name, name_length, maker, deadline_ns, &main, &own);
    if (status != SHM_OK) return status;
  }
}

int shm__directory_delete(struct shm__space *space, u32 kind, const char *name, u32 name_length, u64 deadline_ns) {
  int status = lock_directory(space, deadline_ns);
  if (status != SHM_OK) return status;
  struct shm_entry *entry = find_live(space, kind, name, name_length);
  if (entry) {
    shm_store_release(&entry->life, SHM_LIFE_DELETED);
    SHM_POINT("directory.deleted");
    const struct shm__type *type = type_of(space, kind);
    if (type) type->retire(space, entry->main);
    bury_unused(space, entry);
  }
  unlock_directory(space);
  return entry ? SHM_OK : SHM_NOT_FOUND;
}

/* ---- all of them ------------------------------------------------------------------------------------------------------ */
struct gathering {
  struct shm__structure **structures;
  u64 count, room;
};

static void gather(struct shm__space *space, struct shm_entry *entry, void *context) {
  struct gathering *gathering = context;
  if (gathering->count == gathering->room) {
    u64 room = gathering->room ? gathering->room * 2 : 64;
    void *grown = realloc(gathering->structures, room * sizeof *gathering->structures);
    if (!grown) return;
    gathering->structures = grown;
    gathering->room = room;
  }
  const struct shm__type *type = type_of(space, entry->kind);
  if (type && use_entry(space, entry, &gathering->structures[gathering->count]) == SHM_OK) {
    /* Deleted by somebody who died before he told the structure. */
    if (shm_load_acquire(&entry->life) != SHM_LIFE_LIVE) type->retire(space, entry->main);
    gathering->count++;
  }
}

int shm__directory_open_all(struct shm__space *space, u64 deadline_ns, struct shm__structure ***structures, u64 *count) {
  struct gathering gathering = {0};
  int status = lock_directory(space, deadline_ns);
  if (status != SHM_OK) return status;
  each_entry(space, gather, &gathering);
  unlock_directory(space);
  *structures = gathering.structures;
  *count = gathering.count;
  return SHM_OK;
}

/* ---- without the lock --------------------------------------------------------------------------------------------------- */
/* Copy the entry at this offset, which may be changing or be no entry any more; the caller finds out. */
static int copy_entry(const struct shm__space *space, u64 at, struct shm_entry *copy) {
  const struct shm_entry *entry = entry_at(space, at);
  if (!entry) return 0;
  shm_copy_racing(copy, entry, sizeof *copy);
  shm_fence_acquire(); /* SYNC directory.deletions: the copy is done before they are looked at again */
  return copy->name_length > 0 && copy->name_length < SHM_NAME_BYTES;
}

struct walk {
  const struct shm__space *space;
  int (*visit)(const struct shm__space *space, const struct shm_entry *entry, void *context);
  void *context;
  u32 seen[WALK_SEEN], count; /* ids visited in this chain, which may have to be walked again */
};

static int is_new(struct walk *walk, u32 id) {
  for (u32 i = 0; i < walk->count; i++) {
    if (walk->seen[i] == id) return 0;
  }
  if (walk->count < WALK_SEEN) walk->seen[walk->count++] = id;
  return 1;
}

/* SHM_OK: to its end, or as far as something was deleted; SHM_EXISTS: visit says that it is enough; SHM_CORRUPTED. */
static int walk_chain(struct walk *walk, u32 b, u64 deletions) {
  const struct shm__space *space = walk->space;
  u64 left = most_entries(space), at = shm_load_acquire(&space->directory->bucket[b]); /* SYNC directory.chain */
  while (at) {
    struct shm_entry copy;
    int whole = copy_entry(space, at, &copy);
    if (shm_load_acquire(&space->header->deletions) != deletions) return SHM_OK;
    if (!whole || left-- == 0) return SHM_CORRUPTED;
    if (copy.life == SHM_LIFE_LIVE && is_new(walk, copy.id) && walk->visit(space, &copy, walk->context)) return SHM_EXISTS;
    at = copy.next;
  }
  return SHM_OK;
}

int shm__directory_walk(const struct shm__space *space,
                        int (*visit)(const struct shm__space *space, const struct shm_entry *entry, void *context),
                        void *context) {
  struct walk walk = {.space = space, .visit = visit, .context = context};
  for (u32 b = 0; b < SHM_BUCKETS; b++) {
    int status = SHM_OK;
    walk.count = 0;
    for (u32 round = 0; round < WALK_ROUNDS; round++) {
      u64 deletions = shm_load_acquire(&space->header->deletions); /* SYNC directory.deletions */
      status = walk_chain(&walk, b, deletions);
      if (status == SHM_EXISTS) return SHM_OK;
      if (shm_load_acquire(&space->header->deletions) == deletions) break;
    }
    if (status == SHM_CORRUPTED) return shm__fail(status, "%s: chain %u of the directory is damaged", space->path, b);
  }
  return SHM_OK;
}

static void retire_one(struct shm__space *space, struct shm_entry *entry, void *context) {
  const struct shm__type *type = type_of(space, entry->kind);
  (void)context;
  if (type) type->retire(space, entry->main);
}

void shm__directory_retire_all(struct shm__space *space) {
  shm_store_release(&space->header->life, SHM_LIFE_DELETED);
  shm_fence_full(); /* a structure published from now on is not used: its maker looks at life first */
  each_entry(space, retire_one, NULL);
}

void shm__directory_wake_own(struct shm__space *space) {
  if (lock_directory(space, shm__monotonic_ns() + 1000000) != SHM_OK) return;
  for (struct shm__structure *structure = space->structures; structure; structure = structure->next) {
    const struct shm__type *type = type_of(space, structure->kind);
    if (type) type->wake(space, structure->main);
  }
  unlock_directory(space);
}
