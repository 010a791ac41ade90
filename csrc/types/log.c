/* log.c: records in order, each with an index that is never used again. Record n lies in slot n mod 2 * segment_size, up to
 * 64 bytes of key and data inline, longer ones in a block. The first record of a segment ends the segment before the last:
 * two are kept. Looking is in log_read.c, what concerns the whole log in log_end.c.
 *
 * Invariants
 *   1. A record is there if its index is below tail: that one store publishes all that are appended together. Below first
 *      there is none; first only rises, and passes a record before its slot changes.
 *   2. record.word says whose the slot is: 0 while it changes; so a reader that copies from it notices afterwards.
 *   3. Slots at and above tail, of an append that is under way or was cut short, are nobody's: the heir of the lock clears them.
 *   4. A bucket of the key index leads, along chain, through ever older records. Whoever finds one that is not there any more
 *      has come to the end: all behind it are older still.
 *   5. Blocks of records that exist are LINKED, those of others are not, but for an append or deletion under way.
 *   6. Readers take no lock and write nothing, but for announcing that they sleep.
 *
 * Who writes what: all but event and bells: the lock's holder.
 * Lock order: lock, then those of core.
 *
 * Crash table (died after ...)                       survivors see                        who repairs it
 *   linking a shard's memory ("log.linked")            nothing: slots is 0                  heir of lock drops it
 *   raising the floor ("log.floored")                  all of the old segment               heir raises first
 *   raising first ("log.purged")                       the old segment is gone already      nobody: as if appended and deleted
 *   clearing a slot ("log.cleared")                    nothing: it was below first          heir drops its block
 *   filling it ("log.filled")                          nothing                              reap frees the block it held
 *   linking its block ("log.joined")                   nothing                              heir drops it
 *   writing its word ("log.written")                   nothing: it is above tail            heir clears it
 *   leading a bucket to it ("log.indexed")             nothing: readers go past it          heir leads the bucket back
 *   purging what is published too ("log.emptied")      nothing: below tail all were purged  heir lowers first and floor to tail
 *   publishing ("log.published")                       all of them; sums are behind         heir counts anew
 *   deleting a record ("log.deleted")                  it is gone; sums are behind          heir drops its block, counts anew
 *   clearing what was not published ("log.mended")     the same as the heir                 the next heir, all over again
 */
#include "log.h"

#include <string.h>

#include "../base/bits.h"
#include "../base/hash.h"
#include "../base/point.h"
#include "../core/stamp.h"
#include "../os/clock.h"

enum { PATIENCE_NS = 100000000 };

/* ---- making ------------------------------------------------------------------------------------------------------------- */
static u64 slot_count(u64 segment) { return 2 * segment; }

static u64 bucket_count(u64 segment, u32 flags) { return flags & SHM_LOG_KEY_INDEX ? shm_power_of_two(slot_count(segment)) : 0; }

static u64 slots_bytes(u64 segment, u32 flags) {
  return slot_count(segment) * sizeof(struct shm_record) + bucket_count(segment, flags) * sizeof(u64) + SHM_LINE_BYTES;
}

static u64 shards_bytes(u32 shards, u32 sharder_bytes) {
  return sizeof(struct shm_log_main) + shards * sizeof(struct shm_log_shard) + shm_round_up(sharder_bytes, 16);
}

/* Where slots begin in memory that has room for them. */
static u64 align_slots(u64 offset) { return shm_round_up(offset, SHM_LINE_BYTES); }

int shm__log_make(struct shm__space *space, u32 id, const struct shm__log_options *options, u64 deadline_ns,
                  struct shm__ref *main) {
  u64 head_bytes = shards_bytes(options->shards, options->sharder_bytes);
  int eager = options->shards == 1;
  if (options->segment_size > space->size_bytes / (2 * sizeof(struct shm_record))) {
    return shm__fail(SHM_SPACE_FULL, "a log with segment_size=%llu does not fit into %s, which has %llu bytes",
                     (unsigned long long)options->segment_size, space->path, (unsigned long long)space->size_bytes);
  }
  u64 size_bytes = head_bytes + (eager ? slots_bytes(options->segment_size, options->flags) : 0);
  int status = shm__block_alloc(space, size_bytes, deadline_ns, main);
  if (status != SHM_OK) return status;
  struct shm_log_main *made = (struct shm_log_main *)(space->base + main->offset);
  memset(made, 0, size_bytes);
  made->life = SHM_LIFE_LIVE;
  made->id = id;
  made->start_offset = options->start_offset;
  made->segment_size = options->segment_size;
  made->max_record_bytes = options->max_record_bytes;
  made->rollover_bytes = options->rollover_bytes;
  made->shards = options->shards;
  made->flags = options->flags;
  made->sharder_bytes = options->sharder_bytes;
  memcpy(made->codec, options->codec, sizeof made->codec);
  struct shm_log_shard *shards = (struct shm_log_shard *)(made + 1);
  if (options->sharder_bytes) memcpy(shards + options->shards, options->sharder, options->sharder_bytes);
  for (u32 n = 0; n < options->shards; n++) shards[n].index_ns = (u64)INT64_MIN;
  if (eager) shards[0].slots = align_slots(main->offset + head_bytes);
  return SHM_OK;
}

int shm__log_bind(struct shm__space *space, u64 main, u32 shard, struct shm__log *log) {
  struct shm_log_main *found = shm__block_header(space, main) ? shm__at(space, main, sizeof *found, 16) : NULL;
  u64 size_bytes = found ? shards_bytes(found->shards, found->sharder_bytes) : 0;
  if (!found || found->id == 0 || shard >= found->shards || found->segment_size == 0 ||
      found->segment_size > space->size_bytes / (2 * sizeof(struct shm_record)) || size_bytes > space->size_bytes ||
      !shm__block_payload(space, shm__block_ref(space, main), size_bytes)) {
    return shm__fail(SHM_CORRUPTED, "%s: the log at offset %llu is damaged", space->path, (unsigned long long)main);
  }
  struct shm_log_shard *shared = (struct shm_log_shard *)(found + 1) + shard;
  u64 buckets = bucket_count(found->segment_size, found->flags);
  *log = (struct shm__log){.space = space, .main = found, .shared = shared, .segment = found->segment_size,
                           .max_record_bytes = found->max_record_bytes, .bucket_mask = buckets ? buckets - 1 : 0, .id = found->id,
                           .flags = found->flags, .event = {&shared->event, shared->bells}};
  return SHM_OK;
}

const u8 *shm__log_sharder(const struct shm__log *log) {
  return (const u8 *)((const struct shm_log_shard *)(log->main + 1) + log->main->shards);
}

int shm__log_has_slots(struct shm__log *log) {
  if (__builtin_expect(shm_load_acquire(&log->slots) != NULL, 1)) return 1;
  u64 offset = shm_load_acquire(&log->shared->slots); /* SYNC log.slots */
  if (offset == 0) return 0;
  /* They are where they must be, or the word is damaged. */
  u64 size_bytes = slots_bytes(log->segment, log->flags), block = log->shared->slots_block;
  u64 main = shm__offset_of(log->space, log->main), head_bytes = shards_bytes(log->main->shards, log->main->sharder_bytes);
  struct shm__ref ref = block ? (struct shm__ref){block, log->shared->slots_gen} : shm__block_ref(log->space, main);
  if (offset != align_slots(block ? block : main + head_bytes)) return 0;
  if (!shm__block_payload(log->space, ref, size_bytes + (block ? 0 : head_bytes))) return 0;
  shm_store_release(&log->slots, (struct shm_record *)(log->space->base + offset));
  return 1;
}

static u32 parity_of(const struct shm__log *log, u64 index) { return (u32)(index / log->segment & 1); }

/* ---- the lock ------------------------------------------------------------------------------------------------------------ */
static void drop_block(struct shm__log *log, struct shm_record *slot) {
  if (slot->block) shm__block_drop(log->space, (struct shm__ref){slot->block, slot->block_gen}, log->id);
  slot->block = 0;
}

/* Deleted records at the front do not exist. */
static u64 past_deleted(const struct shm__log *log, u64 first) {
  while (first < log->shared->tail && shm__log_slot(log, first)->word == (2 * (first + 1) | SHM_RECORD_DELETED)) first++;
  return first;
}

/* Buckets that lead to what was not published lead to what was there before. */
static void lead_back(struct shm__log *log) {
  u64 left = slot_count(log->segment);
  for (u64 b = 0; log->bucket_mask && b <= log->bucket_mask; b++) {
    u64 *bucket = shm__log_bucket(log, b);
    while (*bucket > log->shared->tail && left-- > 0) {
      shm_store_release(bucket, shm__log_slot(log, *bucket - 1)->chain);
    }
  }
}

static void count_anew(struct shm__log *log) {
  struct shm_log_shard *shared = log->shared;
  u64 tail = shared->tail, first = shm_max(shared->first, tail - shm_min(tail, slot_count(log->segment)));
  memset(shared->records, 0, sizeof shared->records);
  memset(shared->bytes, 0, sizeof shared->bytes);
  for (u64 n = first; n < tail; n++) {
    const struct shm_record *slot = shm__log_slot(log, n);
    if (slot->word != 2 * (n + 1)) continue;
    shared->records[parity_of(log, n)]++;
    shared->bytes[parity_of(log, n)] += shm__record_bytes(slot->key_bytes, slot->data_bytes);
  }
  if (tail > 0) {
    const struct shm_record *last = shm__log_slot(log, tail - 1);
    if ((last->word | SHM_RECORD_DELETED) == (2 * tail | SHM_RECORD_DELETED) &&
        (int64_t)last->index_ns > (int64_t)shared->index_ns) {
      shared->index_ns = last->index_ns;
    }
  }
}

static void repair(struct shm__log *log) {
  struct shm_log_shard *shared = log->shared;
  if (!shm__log_has_slots(log)) {
    if (shared->slots) return; /* damaged */
    struct shm__ref ref = {shared->slots_block, shared->slots_gen};
    if (ref.offset) shm__block_drop(log->space, ref, log->id);
    shared->slots_block = 0;
    return;
  }
  shm_store_relaxed(&shared->deletions, shared->deletions + 1); /* perhaps one was cut short */
  lead_back(log);                                               /* before the words go */
  for (u64 i = 0; i < slot_count(log->segment); i++) {
    struct shm_record *slot = shm__log_slot(log, i);
    u64 word = slot->word;
    if (word != 0 && (word & SHM_RECORD_DELETED) == 0 && word / 2 - 1 < shared->tail) continue;
    drop_block(log, slot); /* being written, or not published, or deleted */
    if ((word & SHM_RECORD_DELETED) == 0) shm_store_release(&slot->word, 0);
  }
  /* The floor was raised first: a purge that was cut short is finished. Not beyond what was published. */
  u64 floor = shm_min(shared->floor, shared->tail);
  shm_store_release(&shared->first, past_deleted(log, shm_min(shm_max(shared->first, floor), shared->tail)));
  shm_store_release(&shared->floor, floor);
  SHM_POINT("log.mended");
  count_anew(log);
}

int shm__log_lock(struct shm__log *log, u64 deadline_ns) {
  int status = shm__lock(log->space, &log->shared->lock, deadline_ns, log->id);
  if (__builtin_expect(status != SHM__REPAIR, 1)) return status;
  repair(log);
  return SHM_OK;
}

/* A lock for what no signal may stop; a stopped process that has it may. */
int shm__log_lock_to_end(struct shm__log *log) {
  u64 deadline_ns = shm__monotonic_ns() + PATIENCE_NS;
  int status;
  do {
    status = shm__log_lock(log, deadline_ns);
  } while (status == SHM_INTERRUPTED);
  return status;
}

/* ---- appending ----------------------------------------------------------------------------------------------------------- */
/* Memory for the slots of a shard. */
static int add_slots(struct shm__log *log, u64 deadline_ns) {
  struct shm_log_shard *shared = log->shared;
  struct shm__ref ref;
  u64 size_bytes = slots_bytes(log->segment, log->flags);
  int status = shm__block_alloc(log->space, size_bytes, deadline_ns, &ref);
  if (status != SHM_OK) return status;
  memset(log->space->base + ref.offset, 0, size_bytes);
  status = shm__log_lock(log, deadline_ns);
  if (status == SHM_OK) {
    if (shm_load_acquire(&shared->slots) == 0) {
      shared->slots_gen = ref.gen;
      shm_store_release(&shared->slots_block, ref.offset);
      shm__block_link(log->space, ref, log->id);
      SHM_POINT("log.linked");
      shm_store_release(&shared->slots, align_slots(ref.offset)); /* SYNC log.slots */
      ref.offset = 0;
    }
    shm__unlock(&shared->lock);
  }
  shm__block_free(log->space, ref); /* somebody was quicker */
  return status;
}

/* All records below limit, which begins a segment or is tail, are over. */
static void purge(struct shm__log *log, u64 limit) {
  struct shm_log_shard *shared = log->shared;
  if (limit <= shared->first && limit < shared->tail) return;
  for (u32 parity = 0; parity < 2; parity++) {
    if (limit < shared->tail && parity != parity_of(log, limit - 1)) continue; /* the segment before limit */
    shared->records[parity] = shared->bytes[parity] = 0;
  }
  shm_store_release(&shared->floor, limit); /* who finds that a record is gone asks this why */
  SHM_POINT("log.floored");
  u64 first = past_deleted(log, shm_max(shared->first, limit));
  shm_store_release(&shared->first, first); /* SYNC log.purge: before a slot of them changes */
  SHM_POINT("log.purged");
}

static void write_slot(struct shm__log *log, u64 index, const struct shm__append *record, int64_t time_ns, int64_t index_ns) {
  struct shm_record *slot = shm__log_slot(log, index);
  shm_store_relaxed(&slot->word, 0);
  shm_fence_release(); /* SYNC log.overwrite: readers look at the word again behind their copy */
  SHM_POINT("log.cleared");
  drop_block(log, slot);
  slot->time_ns = (u64)time_ns;
  slot->index_ns = (u64)index_ns;
  slot->codec = record->codec;
  slot->data_bytes = record->data_bytes;
  slot->key_bytes = record->key_bytes;
  slot->flags = record->flags;
  slot->block_gen = record->block.gen;
  slot->block = record->block.offset;
  if (!record->block.offset) {
    if (record->key_bytes) memcpy(slot->data, record->key, record->key_bytes);
    if (record->data_bytes) memcpy(slot->data + record->key_bytes, record->data, record->data_bytes);
  }
  SHM_POINT("log.filled");
  if (record->block.offset) shm__block_link(log->space, record->block, log->id);
  SHM_POINT("log.joined");
  int indexed = log->bucket_mask && record->flags & SHM_RECORD_KEY;
  u64 *bucket = indexed ? shm__log_bucket(log, shm__fnv1a(record->key, record->key_bytes) & log->bucket_mask) : NULL;
  slot->chain = bucket ? *bucket : 0;
  shm_store_release(&slot->word, 2 * (index + 1));
  SHM_POINT("log.written");
  if (bucket) shm_store_release(bucket, index + 1); /* SYNC log.bucket */
  SHM_POINT("log.indexed");
}

/* Under the lock. */
static void write_all(struct shm__log *log, const struct shm__append *records, u64 count) {
  struct shm_log_shard *shared = log->shared;
  u64 tail = shared->tail, end = tail + count, last_segment = (end - 1) / log->segment;
  u64 keep = last_segment > 0 ? (last_segment - 1) * log->segment : 0; /* what is below is history of the past */
  u64 added[2] = {0}, bytes[2] = {0};
  int64_t index_ns = (int64_t)shared->index_ns;
  if (keep > shared->first) purge(log, shm_min(keep, tail));
  for (u64 i = 0; i < count; i++) {
    u64 index = tail + i;
    int64_t time_ns = records[i].stamped ? records[i].time_ns : (int64_t)shm__stamp(log->space);
    if (time_ns > index_ns) index_ns = time_ns;
    if (index < keep) continue; /* more than two segments at once: this one is gone when it is published */
    write_slot(log, index, &records[i], time_ns, index_ns);
    added[parity_of(log, index)]++;
    bytes[parity_of(log, index)] += shm__record_bytes(records[i].key_bytes, records[i].data_bytes);
  }
  if (keep > tail) {
    shm_store_release(&shared->floor, keep);
    shm_store_release(&shared->first, keep);
    SHM_POINT("log.emptied");
  }
  shm_store_release(&shared->tail, end); /* SYNC log.publish: all of them */
  SHM_POINT("log.published");
  shared->index_ns = (u64)index_ns;
  for (u32 parity = 0; parity < 2; parity++) {
    shared->records[parity] += added[parity];
    shared->bytes[parity] += bytes[parity];
  }
}

int shm__log_append(struct shm__log *log, const struct shm__append *records, u64 count, u64 deadline_ns, u64 *first) {
  if (!shm__log_has_slots(log)) {
    int status = add_slots(log, deadline_ns);
    if (status != SHM_OK) return status;
    if (!shm__log_has_slots(log)) {
      return shm__fail(SHM_CORRUPTED, "%s: log %u has no memory for records", log->space->path, log->id);
    }
  }
  shm__patience_sends(log->space, &log->patience);
  int status = shm__log_lock(log, deadline_ns);
  if (status != SHM_OK) return status;
  if (shm__log_is_closed(log)) status = SHM_CLOSED;
  *first = log->shared->tail;
  if (status == SHM_OK && count) write_all(log, records, count);
  u64 exists = log->shared->first;
  shm__unlock(&log->shared->lock); /* SYNC wake: a full fence */
  if (status != SHM_OK || count == 0) return status;
  shm__event_notify(log->space, log->event, UINT32_MAX);
  for (u64 i = 0; i < count && *first + i < exists; i++) shm__block_free(log->space, records[i].block); /* never written */
  return SHM_OK;
}

/* ---- deleting ------------------------------------------------------------------------------------------------------------ */
int shm__log_delete(struct shm__log *log, u64 *indices, u64 count, u64 expected, u64 deadline_ns, u64 *done, u64 *size_bytes) {
  struct shm_log_shard *shared = log->shared;
  *done = *size_bytes = 0;
  int status = shm__log_lock(log, deadline_ns);
  if (status != SHM_OK) return status;
  if (shm__log_is_closed(log)) status = SHM_CLOSED;
  if (status == SHM_OK && expected != UINT64_MAX && expected != shared->deletions) status = SHM_MISMATCH;
  for (u64 i = 0; i < count && status == SHM_OK && shm__log_has_slots(log); i++) {
    u64 index = indices[i];
    struct shm_record *slot = shm__log_slot(log, index);
    if (index < shared->first || index >= shared->tail || slot->word != 2 * (index + 1)) continue;
    u64 bytes = shm__record_bytes(slot->key_bytes, slot->data_bytes);
    shm_store_relaxed(&slot->word, 2 * (index + 1) | SHM_RECORD_DELETED);
    shm_fence_release(); /* SYNC log.overwrite */
    SHM_POINT("log.deleted");
    drop_block(log, slot);
    shared->records[parity_of(log, index)]--;
    shared->bytes[parity_of(log, index)] -= bytes;
    *size_bytes += bytes;
    indices[(*done)++] = index;
  }
  if (*done) {
    shm_store_relaxed(&shared->deletions, shared->deletions + 1);
    shm_store_release(&shared->first, past_deleted(log, shared->first));
  }
  shm__unlock(&shared->lock);
  return status;
}
