/* region.h: a small region with something of everything in it, and everything that a program can do with one.
 *
 * Whatever the bytes of the region are, each call must give a status of shmspace_errors.h, in time; what else happens is
 * for the includer to notice: it defines CALLED(name), which is done before each call, and WRONG(name, status).
 */
#ifndef SHM_TEST_CORRUPT_REGION_H
#define SHM_TEST_CORRUPT_REGION_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../csrc/base/hash.h"
#include "../../csrc/core/region.h"
#include "../../csrc/include/shmspace.h"

enum { REGION_BYTES = 1 << 20, REGION_MEMBERS = 4, HUGE_BYTES = 560000, ROUNDS = 6, PATIENCE_NS = 4000000 };

static u8 region_buffer[1 << 20];

static u64 soon(void) { return shm_monotonic_ns() + PATIENCE_NS; }

static int documented(const char *name, int status) {
  if (status > 0 || shm_error_name(status) == NULL) WRONG(name, status);
  return status;
}

#define CALL(name, ...) (CALLED(#name), documented(#name, name(__VA_ARGS__)))
#define DO(name, ...) (CALLED(#name), name(__VA_ARGS__))

#include "region_values.h"
#include "logs.h"
#include "stores.h"

struct handles {
  shm_space *space;
  shm_channel *one, *all, *big, *reader, *writer, *second;
  shm_log *log, *shards;
  shm_store *store;
  shm_watch *watch;
  shm_lock *lock;
  shm_view view;
  int viewing;
  struct shelves shelves;
};

static int open_region(const char *directory, const char *name, u32 flags, shm_space **space) {
  return CALL(shm_space_open, directory, name, flags & SHM_OPEN_CREATE ? REGION_BYTES : 0, REGION_MEMBERS * (flags & 1), 0600,
              flags, soon(), space);
}

static shm_channel *open_one_of(shm_space *space, const char *name, u32 delivery, u32 overflow, u64 most) {
  shm_channel_options options = {.capacity = 4, .replay = delivery ? 2 : 0, .max_message_bytes = most, .delivery = delivery,
                                 .overflow = overflow, .codec = "raw"};
  shm_channel *channel = NULL;
  int status = CALL(shm_channel_open, space, name, (u32)strlen(name), &options, 0, 1, soon(), &channel);
  return status == SHM_OK ? channel : NULL;
}

/* ---- making one --------------------------------------------------------------------------------------------------------- */
static void send_length(shm_channel *writer, u64 length) {
  if (writer) CALL(shm_channel_send, writer, region_buffer, length, 0, soon());
}

/* Open everything; messages short and long wait, a view is open, a lock is held, a channel is deleted but in use. */
static void open_handles(struct handles *handles, shm_space *space) {
  memset(handles, 0, sizeof *handles);
  handles->space = space;
  handles->one = open_one_of(space, "one", SHM_DELIVERY_ONE, SHM_OVERFLOW_WAIT, 5000);
  handles->all = open_one_of(space, "all", SHM_DELIVERY_ALL, SHM_OVERFLOW_OLDEST, 5000);
  handles->big = open_one_of(space, "big", SHM_DELIVERY_ONE, SHM_OVERFLOW_ERROR, HUGE_BYTES);
  if (handles->all) CALL(shm_channel_open_reader, handles->all, soon(), &handles->reader);
  if (handles->all) CALL(shm_channel_open_reader, handles->all, soon(), &handles->second);
  if (handles->all) CALL(shm_channel_open_writer, handles->all, soon(), &handles->writer);
  CALL(shm_lock_open, space, "l", 1, soon(), &handles->lock);
  open_shelves(&handles->shelves, space);
  handles->log = open_a_log(space, SHM_KIND_LOG, "log");
  handles->shards = open_a_log(space, SHM_KIND_SHARDED_LOG, "shards");
  handles->store = open_a_store(space);
  if (handles->store && CALL(shm_watch_open, handles->store, NULL, 0, 0, 0, soon(), &handles->watch) != SHM_OK) {
    handles->watch = NULL;
  }
}

static void fill_region(struct handles *handles) {
  int owner_died;
  shm_channel *gone = open_one_of(handles->space, "gone", SHM_DELIVERY_ONE, SHM_OVERFLOW_WAIT, 5000);
  send_length(gone, 300);
  CALL(shm_space_delete, handles->space, SHM_KIND_CHANNEL, "gone", 4, soon());
  fill_log(handles->log, 0, 7);
  fill_log(handles->shards, 1, 2);
  fill_store(handles->store);
  static const u64 lengths[] = {20, 300, 0};
  for (u32 i = 0; i < 3; i++) send_length(handles->one, lengths[i]);
  for (u32 i = 0; i < 6; i++) send_length(handles->writer, lengths[(i + 1) % 3]);
  send_length(handles->big, HUGE_BYTES);
  for (u32 i = 0; handles->reader && i < 3 && !handles->view.data; i++) {
    u64 length;
    u32 codec;
    if (CALL(shm_channel_recv_view, handles->reader, &handles->view, soon()) == SHM_OK && !handles->view.data) {
      CALL(shm_channel_recv, handles->reader, region_buffer, sizeof region_buffer, &length, &codec, 0);
    }
  }
  if (handles->lock) CALL(shm_lock_take, handles->lock, soon(), &owner_died);
  fill_shelves(&handles->shelves);
}

/* ---- using one ---------------------------------------------------------------------------------------------------------- */
static void look_around(shm_space *space) {
  static shm_member_facts members[8];
  static shm_entry_facts entries[8];
  static shm_problem problems[8];
  shm_space_facts facts;
  DO(shm_space_stat, space, &facts);
  DO(shm_space_members, space, members, 8);
  int64_t found = DO(shm_space_entries, space, entries, 8);
  if (found < 0) documented("shm_space_entries", (int)found);
  for (int64_t i = 0; i < found && i < 8; i++) {
    if (entries[i].name_length > sizeof entries[i].name) WRONG("shm_space_entries", 0);
  }
  found = DO(shm_space_check, space, problems, 8);
  if (found < 0) documented("shm_space_check", (int)found);
  DO(shm_space_exists, space, SHM_KIND_CHANNEL, "all", 3);
  static shm_lease_facts leases[8];
  if (DO(shm_space_leases, space, leases, 8) > 8) WRONG("shm_space_leases", 0);
  DO(shm_space_retired, space);
  DO(shm_space_stamp, space);
}

static void take_messages(shm_channel *reader) {
  shm_small small[4];
  u64 length, done;
  u32 codec;
  if (!reader) return;
  CALL(shm_channel_look, reader);
  for (u32 i = 0; i < ROUNDS; i++) {
    shm_view view;
    if (CALL(shm_channel_recv_view, reader, &view, i ? 0 : soon()) == SHM_OK && view.data) {
      if (view.length_bytes) region_buffer[0] ^= ((u8 *)view.data)[0] ^ ((u8 *)view.data)[view.length_bytes - 1];
      DO(shm_channel_unpin, reader, &view);
    }
    CALL(shm_channel_recv_many, reader, small, 4, 0, &done);
    if (done > 4) WRONG("shm_channel_recv_many", (int)done);
    CALL(shm_channel_recv, reader, region_buffer, sizeof region_buffer, &length, &codec, i ? 0 : soon());
  }
  DO(shm_channel_lost, reader);
}

static void give_messages(shm_channel *writer) {
  static const u64 lengths[] = {0, 80, 81, 4000};
  shm_view view;
  u64 done;
  if (!writer) return;
  CALL(shm_channel_look_room, writer);
  for (u32 i = 0; i < 4; i++) CALL(shm_channel_send, writer, region_buffer, lengths[i], i, i ? 0 : soon());
  shm_piece pieces[] = {{region_buffer, 10, 1}, {region_buffer, 1000, 2}};
  CALL(shm_channel_send_many, writer, pieces, 2, 0, &done);
  if (CALL(shm_channel_reserve, writer, 2000, soon(), &view) == SHM_OK && CALL(shm_channel_commit, writer, &view, 0) != SHM_OK) {
    DO(shm_channel_abort, writer, &view);
  }
  if (CALL(shm_channel_reserve, writer, 100, soon(), &view) == SHM_OK) DO(shm_channel_abort, writer, &view);
}

static void look_at_channel(shm_channel *channel) {
  shm_channel_options options;
  shm_channel_facts facts;
  u32 tokens[8];
  if (!channel) return;
  DO(shm_channel_get_options, channel, &options);
  CALL(shm_channel_stat, channel, &facts);
  DO(shm_channel_alive, channel);
  for (int writers = 0; writers < 2; writers++) {
    DO(shm_channel_peers, channel, writers, tokens, 8);
    DO(shm_channel_probe, channel, writers);
    DO(shm_channel_arm, channel, writers);
  }
}

static void use_handles(struct handles *handles) {
  int owner_died;
  look_at_channel(handles->one);
  look_at_channel(handles->all);
  take_messages(handles->one);
  give_messages(handles->one);
  give_messages(handles->writer);
  take_messages(handles->reader);
  take_messages(handles->second);
  take_messages(handles->big);
  send_length(handles->big, HUGE_BYTES);
  if (handles->lock && CALL(shm_lock_take, handles->lock, soon(), &owner_died) == SHM_OK) {
    CALL(shm_lock_release, handles->lock);
  }
  use_shelves(&handles->shelves);
  use_log(handles->log, 0);
  for (u32 shard = 0; shard < LOG_SHARDS; shard++) use_log(handles->shards, shard);
  use_store(handles->store);
  read_events(handles->watch);
  DO(shm_bell_wait, handles->space, DO(shm_bell_wait, handles->space, 0, 1), 1);
}

static void end_handles(struct handles *handles) {
  shm_channel *all[] = {handles->writer, handles->reader, handles->second, handles->one, handles->all, handles->big};
  end_shelves(&handles->shelves, handles->space);
  if (handles->view.data && handles->reader) DO(shm_channel_unpin, handles->reader, &handles->view);
  if (handles->one) CALL(shm_channel_shutdown, handles->one, 1, soon());
  if (handles->all) CALL(shm_channel_shutdown, handles->all, 0, soon());
  CALL(shm_space_delete, handles->space, SHM_KIND_CHANNEL, "all", 3, soon());
  CALL(shm_space_delete, handles->space, SHM_KIND_CHANNEL, "big", 3, soon());
  CALL(shm_space_delete, handles->space, SHM_KIND_LOG, "log", 3, soon());
  CALL(shm_space_delete, handles->space, SHM_KIND_SHARDED_LOG, "shards", 6, soon());
  CALL(shm_space_delete, handles->space, SHM_KIND_STORE, "store", 5, soon());
  for (u32 i = 0; i < sizeof all / sizeof all[0]; i++) {
    if (all[i]) DO(shm_channel_free, all[i]);
  }
  if (handles->log) DO(shm_log_free, handles->log);
  if (handles->shards) DO(shm_log_free, handles->shards);
  if (handles->watch) DO(shm_watch_free, handles->watch);
  if (handles->store) DO(shm_store_free, handles->store);
  if (handles->lock) DO(shm_lock_free, handles->lock);
}

static void end_space(shm_space *space) {
  DO(shm_space_close, space);
  DO(shm_space_free, space);
}

static void use_readonly(const char *directory, const char *name) {
  shm_space *space;
  if (open_region(directory, name, SHM_OPEN_READONLY, &space) != SHM_OK) return;
  look_around(space);
  shm_channel *channel = open_one_of(space, "all", SHM_DELIVERY_ALL, SHM_OVERFLOW_OLDEST, 5000), *reader = NULL;
  look_at_channel(channel);
  if (channel) CALL(shm_channel_open_reader, channel, soon(), &reader);
  take_messages(reader);
  if (reader) DO(shm_channel_free, reader);
  if (channel) DO(shm_channel_free, channel);
  shm_log *log = open_a_log(space, SHM_KIND_LOG, "log"), *shards = open_a_log(space, SHM_KIND_SHARDED_LOG, "shards");
  look_at_log(log, 0);
  for (u32 shard = 0; shard < LOG_SHARDS; shard++) look_at_log(shards, shard);
  if (log) DO(shm_log_free, log);
  if (shards) DO(shm_log_free, shards);
  shm_store *store = open_a_store(space);
  look_at_store(store);
  watch_store(store, NULL);
  if (store) DO(shm_store_free, store);
  end_space(space);
}

/* As a process that comes to it; more: that also lets it go for good. */
static void use_region(const char *directory, const char *name, int more) {
  shm_space *space;
  struct handles handles;
  use_readonly(directory, name);
  if (open_region(directory, name, 0, &space) == SHM_OK) {
    look_around(space);
    open_handles(&handles, space);
    use_handles(&handles);
    DO(shm_space_reap_dead, space);
    end_handles(&handles);
    look_around(space);
    end_space(space);
  }
  if (!more) return;
  if (open_region(directory, name, SHM_OPEN_CREATE, &space) == SHM_OK) {
    open_handles(&handles, space);
    give_messages(handles.writer);
    take_messages(handles.reader);
    end_handles(&handles);
    end_space(space);
  }
  CALL(shm_space_destroy, directory, name);
}

#endif
