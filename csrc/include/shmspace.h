/* shmspace.h: the C interface of shmspace. Python's _native reads the part between the markers; so can other languages.
 *
 * Every call that returns int returns SHM_OK (0) or a negative status of shmspace_errors.h; shm_error_text() then says,
 * for errors, what was asked, what was found and what to do. Deadlines are CLOCK_MONOTONIC nanoseconds; SHM_NEVER waits
 * for ever, 0 never waits (SHM_BUSY: a lock was taken for the moment, come again with a deadline).
 * A call that blocks returns SHM_INTERRUPTED when a signal came; nothing was done then.
 * Handles may be used by several threads; closing one makes calls under way return SHM_CLOSED.
 */
#ifndef SHMSPACE_H
#define SHMSPACE_H

#include <stdint.h>

#include "shmspace_errors.h"

#define SHM_NEVER UINT64_MAX
#define SHM_SPIN 1 /* deadline: spin as long as it pays, do not sleep */

/* cffi: begin */
typedef struct shm__space shm_space;
typedef struct shm_channel shm_channel;
typedef struct shm_queue shm_queue;
typedef struct shm_tuples shm_tuples;
typedef struct shm_lock shm_lock;
typedef struct shm_log shm_log;
typedef struct shm_store shm_store;
typedef struct shm_watch shm_watch;

/* SHM_OPEN_STRANGER: map it only; shm_space_attach_again then makes this process a member. */
enum { SHM_OPEN_CREATE = 1, SHM_OPEN_READONLY = 2, SHM_OPEN_MODE_GIVEN = 4, SHM_OPEN_STRANGER = 8 };

typedef struct {
  uint64_t size_bytes, committed_bytes, used_bytes, free_bytes, members, member_limit, structures, recoveries, created_ns;
  uint64_t device, inode;
} shm_space_facts;

typedef struct {
  uint32_t token, pid, uid, alive;
  uint64_t since_ns, pid_namespace;
  uint32_t wait_structure[4], wait_what[4];
  uint64_t wait_since_ns[4];
  char command[128];
} shm_member_facts;

typedef struct {
  uint32_t kind, id, holder, name_length;
  uint64_t created_ns, since_ns;
  char name[256];
} shm_entry_facts;

typedef struct {
  char structure[300];
  char what[200];
  char where[64];
} shm_problem;

typedef struct {
  uint64_t capacity, replay, max_message_bytes;
  uint32_t delivery, overflow;
  char codec[32];
} shm_channel_options;

enum {
  SHM_GIVEN_CAPACITY = 1,
  SHM_GIVEN_DELIVERY = 2,
  SHM_GIVEN_REPLAY = 4,
  SHM_GIVEN_OVERFLOW = 8,
  SHM_GIVEN_MAX_MESSAGE = 16,
  SHM_GIVEN_CODEC = 32
};

typedef struct {
  uint64_t waiting, capacity, size_bytes, sent, received, dropped, readers, writers;
} shm_channel_facts;

typedef struct {
  uint64_t length_bytes, block;
  uint32_t block_gen, codec;
  void *data;
} shm_view;

typedef struct {
  const void *data;
  uint64_t length_bytes;
  uint32_t codec;
} shm_piece;

typedef struct {
  uint64_t length_bytes, block;
  uint32_t block_gen, pad;
  uint32_t codec;
  uint8_t data[80];
} shm_small;

typedef struct {
  uint64_t maxsize;
  uint32_t max_deliveries;
  char codec[32];
} shm_queue_options;

enum { SHM_GIVEN_MAXSIZE = 64, SHM_GIVEN_MAX_DELIVERIES = 128, SHM_GIVEN_BOUND = 256 };

typedef struct {
  uint64_t ready, leased, dead, size_bytes, waiting, unfinished;
} shm_queue_facts;

/* a call that may have to wait; zeroed at first. While block is not 0 it stands in line, across calls. */
typedef struct {
  uint64_t block;
  uint32_t block_gen, pad;
  void *waiter;
} shm_wait;

/* a value on its way out. data NULL: its bytes are in small. held: until it is finished with. */
typedef struct {
  uint64_t length_bytes;
  const void *data;
  uint32_t codec, deliveries, held, cells;
  uint64_t segment, index;
  void *cell, *line;
  uint8_t small[80];
} shm_taken;

typedef struct {
  uint64_t since_ns;
  uint32_t token, deliveries, structure, pad;
} shm_lease_facts;

enum { SHM_TAKE_LEASE = 1, SHM_WAIT_BELL = 2, SHM_TAKE_READ = 4, SHM_TAKE_HOLD = 8 };

typedef struct {
  uint64_t bound;
  char codec[32];
} shm_tuples_options;

typedef struct {
  uint64_t keys, values, size_bytes, waiting;
} shm_tuples_facts;

/* errors */
const char *shm_error_text(void);
const char *shm_error_name(int status);
const char *shm_error_class(int status);
const char *shm_error_message(int status);

/* spaces */
int shm_space_open(const char *directory, const char *name, uint64_t size_bytes, uint32_t members, uint32_t mode,
                   uint32_t flags, uint64_t deadline_ns, shm_space **space);
/* a space without a name: what *fd is open on, until the last process has closed it; open_nameless maps it only */
int shm_space_make_nameless(uint64_t size_bytes, uint32_t members, int *fd);
int shm_space_open_nameless(int fd, shm_space **space);
int shm_space_attach_again(shm_space *space);
void shm_space_mark_closing(shm_space *space);
void shm_space_close(shm_space *space);
void shm_space_free(shm_space *space);
int shm_space_destroy(const char *directory, const char *name);
int shm_space_retired(shm_space *space);
const char *shm_space_path(shm_space *space);
void shm_space_stat(shm_space *space, shm_space_facts *facts);
uint32_t shm_space_blocker(shm_space *space);
uint32_t shm_space_members(shm_space *space, shm_member_facts *facts, uint32_t room);
int64_t shm_space_entries(shm_space *space, shm_entry_facts *facts, uint64_t room);
int shm_space_exists(shm_space *space, uint32_t kind, const char *name, uint32_t name_length);
int shm_space_delete(shm_space *space, uint32_t kind, const char *name, uint32_t name_length, uint64_t deadline_ns);
int64_t shm_space_check(shm_space *space, shm_problem *problems, uint64_t room);
uint64_t shm_space_stamp(shm_space *space);
void shm_space_reap_dead(shm_space *space);
int shm_reclaim_temporaries(const char *directory, const char *name);
uint32_t shm_fork_epoch(void);
uint64_t shm_monotonic_ns(void);
void shm_nap_ns(uint64_t nap_ns);

/* the bell of this process: rung when something may have happened that it armed; returns the bell's count */
uint32_t shm_bell_wait(shm_space *space, uint32_t seen, uint64_t nap_ns);
void shm_bell_ring_self(shm_space *space);

/* named locks */
int shm_lock_open(shm_space *space, const char *name, uint32_t name_length, uint64_t deadline_ns, shm_lock **lock);
int shm_lock_take(shm_lock *lock, uint64_t deadline_ns, int *owner_died);
int shm_lock_release(shm_lock *lock);
uint32_t shm_lock_holder(shm_lock *lock, uint64_t *since_ns);
void shm_lock_free(shm_lock *lock);

/* channels: shm_channel is the channel, or a reader or writer of it */
int shm_channel_open(shm_space *space, const char *name, uint32_t name_length, const shm_channel_options *options,
                     uint32_t given, int create, uint64_t deadline_ns, shm_channel **channel);
int shm_channel_open_reader(shm_channel *parent, uint64_t deadline_ns, shm_channel **reader);
int shm_channel_open_writer(shm_channel *parent, uint64_t deadline_ns, shm_channel **writer);
void shm_channel_mark_closing(shm_channel *channel);
void shm_channel_close(shm_channel *channel);
void shm_channel_free(shm_channel *channel);
int shm_channel_alive(shm_channel *channel);
void shm_channel_get_options(shm_channel *channel, shm_channel_options *options);
int shm_channel_stat(shm_channel *channel, shm_channel_facts *facts);
int shm_channel_shutdown(shm_channel *channel, int immediate, uint64_t deadline_ns);
uint64_t shm_channel_lost(shm_channel *channel);
void shm_channel_lag_again(shm_channel *reader); /* SHM_LAGGED could not be passed on: the next call says it again */
uint32_t shm_channel_peers(shm_channel *channel, int writers, uint32_t *tokens, uint32_t room);
void shm_channel_probe(shm_channel *channel, int writers);
int shm_channel_send(shm_channel *writer, const void *data, uint64_t length_bytes, uint32_t codec, uint64_t deadline_ns);
int shm_channel_recv(shm_channel *reader, void *buffer, uint64_t room_bytes, uint64_t *length_bytes, uint32_t *codec,
                     uint64_t deadline_ns);
int shm_channel_send_many(shm_channel *writer, const shm_piece *pieces, uint64_t count, uint64_t deadline_ns,
                          uint64_t *done);
int shm_channel_recv_many(shm_channel *reader, shm_small *messages, uint64_t count, uint64_t deadline_ns, uint64_t *done);
int shm_channel_reserve(shm_channel *writer, uint64_t length_bytes, uint64_t deadline_ns, shm_view *view);
int shm_channel_commit(shm_channel *writer, const shm_view *view, uint64_t deadline_ns);
void shm_channel_abort(shm_channel *writer, const shm_view *view);
int shm_channel_recv_view(shm_channel *reader, shm_view *view, uint64_t deadline_ns);
void shm_channel_unpin(shm_channel *reader, const shm_view *view);
int shm_channel_look(shm_channel *reader);
int shm_channel_look_room(shm_channel *writer);
void shm_channel_arm(shm_channel *channel, int room);

/* queues: lane 0 holds the values, lane 1 the dead letters */
int shm_queue_open(shm_space *space, const char *name, uint32_t name_length, const shm_queue_options *options,
                   uint32_t given, int create, uint64_t deadline_ns, shm_queue **queue);
void shm_queue_mark_closing(shm_queue *queue);
void shm_queue_close(shm_queue *queue);
void shm_queue_free(shm_queue *queue);
int shm_queue_alive(shm_queue *queue);
int shm_queue_is_shut(shm_queue *queue);
void shm_queue_get_options(shm_queue *queue, shm_queue_options *options);
int shm_queue_stat(shm_queue *queue, uint32_t lane, shm_queue_facts *facts);
uint64_t shm_queue_length(shm_queue *queue, uint32_t lane);
uint64_t shm_queue_unfinished(shm_queue *queue, uint32_t lane);
uint64_t shm_queue_leases(shm_queue *queue, uint32_t lane, shm_lease_facts *facts, uint64_t room);
uint64_t shm_space_leases(shm_space *space, shm_lease_facts *facts, uint64_t room); /* of all its queues */
int shm_queue_put(shm_queue *queue, uint32_t lane, const void *data, uint64_t length_bytes, uint32_t codec, uint32_t flags,
                  shm_wait *wait, uint64_t deadline_ns);
int shm_queue_put_many(shm_queue *queue, uint32_t lane, const shm_piece *pieces, uint64_t count, uint32_t flags, shm_wait *wait,
                       uint64_t deadline_ns, uint64_t *done);
int shm_queue_take(shm_queue *queue, uint32_t lane, uint32_t flags, shm_wait *wait, uint64_t deadline_ns, shm_taken *taken);
void shm_queue_probe(shm_queue *queue, uint32_t lane);
int shm_queue_probe_is_due(shm_queue *queue, uint32_t lane);
int shm_queue_leave(shm_queue *queue, uint32_t lane, uint32_t flags, shm_wait *wait, shm_taken *taken);
/* Further values, for a caller that holds one until it returns: what is ready, without waiting, each held. How many. All
 * that is held by a call is let go of together, the first one first. */
uint32_t shm_queue_take_more(shm_queue *queue, uint32_t lane, shm_taken *taken, uint32_t room);
void shm_queue_taken(shm_queue *queue, uint32_t lane, const shm_taken *taken, uint64_t count);
int shm_queue_ack(shm_queue *queue, uint32_t lane, const shm_taken *taken, uint64_t deadline_ns);
void shm_queue_nack(shm_queue *queue, uint32_t lane, const shm_taken *taken);
int shm_queue_task_done(shm_queue *queue, uint32_t lane, uint64_t deadline_ns);
int shm_queue_join(shm_queue *queue, uint32_t lane, uint64_t deadline_ns);
void shm_queue_arm_join(shm_queue *queue, uint32_t lane);
int shm_queue_shutdown(shm_queue *queue, int immediate, uint64_t deadline_ns);

/* tuple spaces. What SHM_TAKE_READ has shown and is not in small is there until shm_tuples_leave. */
int shm_tuples_open(shm_space *space, const char *name, uint32_t name_length, const shm_tuples_options *options,
                    uint32_t given, int create, uint64_t deadline_ns, shm_tuples **tuples);
void shm_tuples_mark_closing(shm_tuples *tuples);
void shm_tuples_close(shm_tuples *tuples);
void shm_tuples_free(shm_tuples *tuples);
int shm_tuples_alive(shm_tuples *tuples);
int shm_tuples_is_shut(shm_tuples *tuples);
void shm_tuples_get_options(shm_tuples *tuples, shm_tuples_options *options);
int shm_tuples_stat(shm_tuples *tuples, uint64_t deadline_ns, shm_tuples_facts *facts);
int64_t shm_tuples_length(shm_tuples *tuples, const void *key, uint32_t key_length);
int64_t shm_tuples_waiting(shm_tuples *tuples, const void *key, uint32_t key_length);
int shm_tuples_keys(shm_tuples *tuples, const void *prefix, uint32_t prefix_length, uint64_t deadline_ns, uint8_t **keys,
                    uint64_t *size_bytes);
void shm_tuples_free_keys(uint8_t *keys);
int shm_tuples_out(shm_tuples *tuples, const void *key, uint32_t key_length, const void *data, uint64_t length_bytes,
                   uint32_t codec, uint32_t flags, shm_wait *wait, uint64_t deadline_ns);
int shm_tuples_out_many(shm_tuples *tuples, const void *key, uint32_t key_length, const shm_piece *pieces, uint64_t count,
                        uint32_t flags, shm_wait *wait, uint64_t deadline_ns, uint64_t *done);
int shm_tuples_take(shm_tuples *tuples, const void *key, uint32_t key_length, uint32_t flags, shm_wait *wait, uint64_t deadline_ns,
                    shm_taken *taken);
void shm_tuples_probe(shm_tuples *tuples, const void *key, uint32_t key_length);
int shm_tuples_leave(shm_tuples *tuples, const void *key, uint32_t key_length, uint32_t flags, shm_wait *wait,
                     shm_taken *taken);
uint32_t shm_tuples_take_more(shm_tuples *tuples, const void *key, uint32_t key_length, shm_taken *taken, uint32_t room);
void shm_tuples_taken(shm_tuples *tuples, const void *key, uint32_t key_length, const shm_taken *taken, uint64_t count);
void shm_tuples_return(shm_tuples *tuples, const void *key, uint32_t key_length, const shm_taken *taken);
int shm_tuples_shutdown(shm_tuples *tuples, int immediate, uint64_t deadline_ns);
/* ---- logs: kind 2, sharded logs: kind 3. Offsets; a plain log has shard 0 ---- */
typedef struct {
  uint64_t start_offset, segment_size, max_record_bytes, rollover_bytes;
  uint32_t shards, flags, sharder_bytes, pad;
  const void *sharder;
  char codec[32];
} shm_log_options;

enum { SHM_LOG_KEYS = 1, SHM_LOG_TIMES = 2 }; /* flags */

enum {
  SHM_GIVEN_START_OFFSET = 512,
  SHM_GIVEN_SEGMENT_SIZE = 1024,
  SHM_GIVEN_MAX_RECORD = 2048,
  SHM_GIVEN_KEY_INDEX = 4096,
  SHM_GIVEN_TIME_INDEX = 8192,
  SHM_GIVEN_ROLLOVER = 16384,
  SHM_GIVEN_SHARDS = 32768,
  SHM_GIVEN_SHARDER = 65536
};

enum { SHM_HAS_KEY = 1, SHM_HAS_DATA = 2 };

/* A record to append. stamped 0: time_ns is not given, the record gets a stamp. */
typedef struct {
  int64_t time_ns;
  const void *key, *data;
  uint64_t data_bytes;
  uint32_t key_bytes, codec, flags, stamped;
} shm_append;

/* A record where it lies: copy it, and then ask whether it is unchanged. */
typedef struct {
  uint64_t offset, data_bytes, expected;
  int64_t time_ns;
  const uint8_t *key, *data;
  uint32_t key_bytes, codec, flags;
  const uint64_t *word;
} shm_seen;

typedef struct {
  uint64_t segments, records, size_bytes, first, next;
} shm_log_facts;

int shm_log_open(shm_space *space, uint32_t kind, const char *name, uint32_t name_length, const shm_log_options *options,
                 uint32_t given, int create, uint64_t deadline_ns, shm_log **log);
void shm_log_mark_closing(shm_log *log);
void shm_log_close(shm_log *log);
void shm_log_free(shm_log *log);
int shm_log_alive(shm_log *log);
void shm_log_get_options(shm_log *log, shm_log_options *options);
/* Append all or nothing; *first: the offset of the first. */
int shm_log_append(shm_log *log, uint32_t shard, const shm_append *records, uint64_t count, uint64_t deadline_ns, uint64_t *first);
/* The see calls stand between enter and leave; what was seen counts if leaving gives the status that it was given. Status of
 * see: SHM_OK, SHM_EMPTY (not yet), SHM_LAGGED (no longer), SHM_NOT_FOUND (deleted; or no such key or time), SHM_CORRUPTED. */
int shm_log_enter(shm_log *log);
int shm_log_leave(shm_log *log, int status);
int shm_log_see(shm_log *log, uint32_t shard, uint64_t offset, shm_seen *seen);
int shm_log_unchanged(const shm_seen *seen);
int shm_log_see_key(shm_log *log, uint32_t shard, const void *key, uint32_t key_bytes, shm_seen *seen);
int shm_log_see_time(shm_log *log, uint32_t shard, int64_t time_ns, shm_seen *seen);
void shm_log_bounds(shm_log *log, uint32_t shard, uint64_t *first, uint64_t *next);
/* Wait until there is a record at offset. SHM_OK; SHM_EMPTY: the deadline has come; SHM_CLOSED; SHM_INTERRUPTED. */
int shm_log_wait(shm_log *log, uint32_t shard, uint64_t offset, uint64_t deadline_ns);
void shm_log_arm(shm_log *log, uint32_t shard);
/* Have all who wait come back. */
void shm_log_wake(shm_log *log, uint32_t shard);
/* Delete what is there of these offsets, which come back in front, *done of them. expected: as shm_log_deletions said, or
 * UINT64_MAX; SHM_MISMATCH if something was deleted since. */
int shm_log_delete(shm_log *log, uint32_t shard, uint64_t *offsets, uint64_t count, uint64_t expected, uint64_t deadline_ns,
                   uint64_t *done, uint64_t *size_bytes);
/* The first offset that was not dropped with its segment: what is missing from there on was deleted. */
uint64_t shm_log_floor(shm_log *log, uint32_t shard);
uint64_t shm_log_deletions(shm_log *log, uint32_t shard);
/* FNV-1a 32, which chooses shards. */
uint32_t shm_hash(const void *data, uint64_t size_bytes);
uint64_t shm_log_record_bytes(uint64_t key_bytes, uint64_t data_bytes);
int shm_log_stat(shm_log *log, uint32_t shard, shm_log_facts *facts);
/* ---- stores: kind 6. Keys and globs are UTF-8 of the form that API.md asks for: whoever calls has checked that ---- */
typedef struct {
  uint32_t shards, feed;
  uint32_t quiet_bytes, pad; /* globs of keys without events, a NUL behind each */
  const void *quiet;
  char codec[32];
} shm_store_options;

enum { SHM_GIVEN_FEED = 131072, SHM_GIVEN_NO_EVENTS = 262144 };

/* What stands beside a value. */
typedef struct {
  uint64_t version, length_bytes;
  int64_t created, updated;
  uint64_t expires_ns; /* CLOCK_BOOTTIME; 0: never */
  uint32_t codec, pad;
} shm_item_facts;

enum {
  SHM_WRITE_CREATED = 1,  /* created is given */
  SHM_WRITE_UPDATED = 2,  /* updated is given */
  SHM_WRITE_IF = 4,       /* only if the version is still if_version; 0: only if there is no such key */
  SHM_WRITE_SILENT = 8,   /* no event */
  SHM_WRITE_KEEP_TTL = 16 /* a time to live that the key has goes on, ttl_ns is for a new key */
};

typedef struct {
  int64_t created, updated;
  uint64_t ttl_ns; /* 0: none */
  uint64_t if_version;
  uint64_t holder; /* whose locks do not count: a thread, as for shm_store_lock */
  uint32_t flags, pad;
} shm_write;

typedef struct {
  uint64_t keys, size_bytes, events, watchers;
} shm_store_facts;

int shm_store_open(shm_space *space, const char *name, uint32_t name_length, const shm_store_options *options, uint32_t given,
                   int create, uint64_t deadline_ns, shm_store **store);
void shm_store_mark_closing(shm_store *store);
void shm_store_close(shm_store *store);
void shm_store_free(shm_store *store);
int shm_store_alive(shm_store *store);
void shm_store_get_options(shm_store *store, shm_store_options *options);
/* Copy a value, without a lock. SHM_NOT_FOUND; SHM_SHORT: it has facts->length_bytes, more than there is room for. */
int shm_store_get(shm_store *store, const void *key, uint32_t key_length, void *value, uint64_t room_bytes, shm_item_facts *facts);
/* Changes. *facts: as the key is now; of SHM_MISMATCH (if_version): as it is, version 0 if there is none; of a removal: as it
 * was. SHM_LOCKED: somebody else has the key's lock and the deadline has come; SHM_TIMEOUT: a stopped process has the shard. */
int shm_store_set(shm_store *store, const void *key, uint32_t key_length, const shm_piece *value, const shm_write *how,
                  uint64_t deadline_ns, shm_item_facts *facts);
/* Add to an integer in MessagePack, or make one. SHM_INVALID: it is something else, or the sum does not fit *value. */
int shm_store_incr(shm_store *store, const void *key, uint32_t key_length, int64_t by, const shm_write *how, uint64_t deadline_ns,
                   int64_t *value, shm_item_facts *facts);
int shm_store_remove(shm_store *store, const void *key, uint32_t key_length, const shm_write *how, uint64_t deadline_ns,
                     shm_item_facts *facts);
/* Remove all keys that match, or all (glob NULL), at once; *keys: which, as shm_store_keys gives them. */
int shm_store_remove_all(shm_store *store, const void *glob, uint32_t glob_length, const shm_write *how, uint64_t deadline_ns,
                         uint8_t **keys, uint64_t *size_bytes, uint64_t *count);
/* Keys that match, or all (glob NULL): each as its length (u32) and its bytes; in byte order, or by created within since and
 * until, the first `limit` of them. *keys is to be given to shm_store_free_keys. */
enum { SHM_KEYS_SORTED = 0, SHM_KEYS_OLDEST = 1, SHM_KEYS_NEWEST = 2 };
int shm_store_keys(shm_store *store, const void *glob, uint32_t glob_length, uint32_t order, int64_t since, int64_t until,
                   uint64_t limit, uint64_t deadline_ns, uint8_t **keys, uint64_t *size_bytes, uint64_t *count);
void shm_store_free_keys(uint8_t *keys);
int64_t shm_store_length(shm_store *store);
/* counts: keys of each shard */
int shm_store_stat(shm_store *store, shm_store_facts *facts, uint64_t *counts);
/* A key's lock, for this holder (not 0, of this process). SHM_LOCKED: the deadline has come; SHM_INVALID: the holder has it. */
int shm_store_lock(shm_store *store, const void *key, uint32_t key_length, uint64_t holder, uint64_t deadline_ns, int *owner_died);
int shm_store_unlock(shm_store *store, const void *key, uint32_t key_length, uint64_t holder);
/* Token of the member that has it, 0: nobody. */
uint32_t shm_store_holder(shm_store *store, const void *key, uint32_t key_length, uint64_t *since_ns);
/* Locks of keys in all stores of a space; of a long key the beginning. */
typedef struct {
  uint64_t since_ns;
  uint32_t token, structure, key_length, pad;
  uint8_t key[128];
} shm_key_lock;
uint64_t shm_space_key_locks(shm_space *space, shm_key_lock *locks, uint64_t room);
/* Ring this member's bell when a lock is free. */
void shm_store_arm_locks(shm_store *store);
/* Events. key, value: until the next call for this watch. lost: of SHM_LAGGED, at least so many. */
enum { SHM_EVENT_SET = 1, SHM_EVENT_DEL = 2 };
typedef struct {
  uint64_t seq, lost;
  uint32_t op, key_length;
  const uint8_t *key, *value;
  shm_item_facts item;
} shm_event;

/* Events of keys that match, or of this key, or all (glob NULL); from now on, or (from_seq) those after seq. */
int shm_watch_open(shm_store *store, const void *glob, uint32_t glob_length, int from_seq, uint64_t seq, uint64_t deadline_ns,
                   shm_watch **watch);
/* SHM_EMPTY: the deadline has come; SHM_LAGGED, once; SHM_CLOSED; SHM_INTERRUPTED. One thread at a time. */
int shm_watch_next(shm_watch *watch, uint64_t deadline_ns, shm_event *event);
void shm_watch_arm(shm_watch *watch);
void shm_watch_mark_closing(shm_watch *watch);
void shm_watch_free(shm_watch *watch);
/* Have all who wait come back, to look whether their watch was closed. */
void shm_store_wake(shm_store *store);
/* cffi: end */

#endif
