/* scenes_space.c: coming and going, structures made and deleted, locks, memory, and the recovery of what others left. */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "acts.h"

enum { RESERVES = 400, RESERVE_BYTES = 3000, OTHER_CLASS_BYTES = 20000, ODD_BYTES = 1000 };

static shm_view views[RESERVES];

/* ---- membership ------------------------------------------------------------------------------------------------------- */
static void come(struct world *world) { attach(world); }

/* All that a member can have. */
static void ready_rich(struct world *world) {
  shm_view view;
  ready_held(world);
  ready_reader(world);
  shm_channel_open_writer(world->channel, patience_ns(), &world->writer);
  act_reserve(world, BLOCK_BYTES, &view);
  act_reserve(world, BIG_BYTES, &view);
}

static void leave_rich(struct world *world) {
  shm_view view;
  act_view(world, &view);
  shm_space_close(world->space);
}

static void hold_rich(struct world *world) {
  shm_view view;
  act_view(world, &view);
}

/* ---- structures ------------------------------------------------------------------------------------------------------- */
static void make_fresh(struct world *world) {
  shm_channel *fresh;
  open_channel(world, "fresh", 1, &fresh);
}

static void fresh_can_be_used(struct world *world) {
  shm_channel *fresh;
  if (TIMED(world, open_channel(world, "fresh", 1, &fresh)) != SHM_OK) {
    blame(world, "opening what was being made: %s", shm_error_text());
    return;
  }
  uint8_t byte = 7, back = 0;
  uint64_t length;
  uint32_t codec;
  int sent = TIMED(world, shm_channel_send(fresh, &byte, 1, 0, patience_ns()));
  int got = TIMED(world, shm_channel_recv(fresh, &back, 1, &length, &codec, patience_ns()));
  if (sent != SHM_OK || got != SHM_OK || back != byte) blame(world, "what was being made does not work");
  shm_channel_free(fresh);
  if (TIMED(world, shm_space_delete(world->space, SHM_KIND_CHANNEL, "fresh", 5, patience_ns())) != SHM_OK) {
    blame(world, "deleting what was being made failed");
  }
}

static void delete_channel(struct world *world) {
  shm_channel_free(world->channel);
  world->channel = NULL;
  shm_space_delete(world->space, SHM_KIND_CHANNEL, "c", 1, patience_ns());
}

/* ---- named locks ------------------------------------------------------------------------------------------------------ */
static void lock_new(struct world *world) {
  act_open_lock(world);
  act_take_lock(world, 0);
  act_release_lock(world);
  shm_lock_free(world->lock);
}

static void lock_once(struct world *world) {
  act_take_lock(world, 0);
  act_release_lock(world);
}

static void lock_told(struct world *world) {
  act_take_lock(world, patience_ns());
  act_release_lock(world);
}

static void hold(struct world *world) { act_take_lock(world, 0); }

/* ---- memory ------------------------------------------------------------------------------------------------------------ */
static void reserve_huge(struct world *world) {
  shm_view view;
  act_reserve(world, HUGE_BYTES, &view);
  if (view.data) shm_channel_abort(world->channel, &view);
}

static void hold_huge(struct world *world) {
  shm_view view;
  act_reserve(world, HUGE_BYTES, &view);
}

/* Free memory is full of what somebody had in it. */
static void ready_used(struct world *world) {
  shm_view view;
  act_reserve(world, HUGE_BYTES, &view);
  if (!view.data) {
    blame(world, "no memory for a huge block");
    return;
  }
  memset(view.data, 0x5a, HUGE_BYTES);
  shm_channel_abort(world->channel, &view);
}

static uint64_t fill_space(struct world *world) {
  uint64_t count = 0;
  while (count < RESERVES) {
    act_reserve(world, RESERVE_BYTES, &views[count]);
    if (!views[count].data) break;
    count++;
  }
  return count;
}

/* The whole space is spans of one class, all empty: the next block of another class needs them back. */
static void ready_full(struct world *world) {
  uint64_t count = fill_space(world);
  if (count < 100 || count == RESERVES) blame(world, "the space is full with %llu blocks", (unsigned long long)count);
  while (count > 0) shm_channel_abort(world->channel, &views[--count]);
}

static void reserve_other_class(struct world *world) { act_reserve(world, OTHER_CLASS_BYTES, &views[0]); }

static void memory_comes_back(struct world *world) {
  shm_space_reap_dead(world->space);
  int status = TIMED(world, shm_channel_reserve(world->channel, OTHER_CLASS_BYTES, patience_ns(), &views[0]));
  if (status != SHM_OK) blame(world, "reserving in what the dead had: %s", shm_error_text());
  else shm_channel_abort(world->channel, &views[0]);
}

/* ---- the region itself --------------------------------------------------------------------------------------------------- */
static void sibling(const struct world *world, char *name, size_t size) { snprintf(name, size, "%s-new", world->name); }

static void make_space(struct world *world) {
  char name[256];
  shm_space *space;
  sibling(world, name, sizeof name);
  shm_space_open(world->directory, name, SHM_SIZE_LEAST, 4, 0600, SHM_OPEN_CREATE, patience_ns(), &space);
}

static int count_temporaries(const char *directory, const char *name) {
  int count = 0;
  char prefix[300];
  DIR *stream = opendir(directory);
  snprintf(prefix, sizeof prefix, ".shmspace.%s.", name);
  for (struct dirent *entry; stream && (entry = readdir(stream));)
    count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
  if (stream) closedir(stream);
  return count;
}

static void space_can_be_made(struct world *world) {
  char name[256];
  shm_space *space;
  shm_problem problem;
  sibling(world, name, sizeof name);
  int status = TIMED(
      world, shm_space_open(world->directory, name, SHM_SIZE_LEAST, 4, 0600, SHM_OPEN_CREATE, patience_ns(), &space));
  if (status != SHM_OK) {
    blame(world, "making the space again: %s", shm_error_text());
    return;
  }
  if (count_temporaries(world->directory, name) != 0) blame(world, "a temporary is left");
  if (shm_space_check(space, &problem, 1) != 0) blame(world, "the space made again: %s", problem.what);
  shm_space_close(space);
  shm_space_free(space);
  shm_space_destroy(world->directory, name);
}

static void destroy(struct world *world) { shm_space_destroy(world->directory, world->name); }

/* Whoever has a destroyed space open gets Closed; its name is free for a new one. */
static void space_can_be_replaced(struct world *world) {
  uint8_t byte = 0;
  int expected = shm_space_retired(world->space) ? SHM_CLOSED : SHM_OK; /* the victim had only begun */
  int status = TIMED(world, shm_channel_send(world->channel, &byte, 1, 0, patience_ns()));
  if (status != expected) blame(world, "sending in a space being destroyed: %s", shm_error_name(status));
  if (expected == SHM_OK && shm_space_destroy(world->directory, world->name) != SHM_OK)
    blame(world, "%s", shm_error_text());
  shm_channel_free(world->channel);
  world->channel = NULL;
  shm_space_close(world->space);
  shm_space_free(world->space);
  world->space = NULL;
  status = TIMED(world, shm_space_open(world->directory, world->name, SHM_SIZE_LEAST, 4, 0600, SHM_OPEN_CREATE,
                                       patience_ns(), &world->space));
  if (status != SHM_OK) {
    blame(world, "making a destroyed space again: %s", shm_error_text());
    return;
  }
  if (shm_space_exists(world->space, SHM_KIND_CHANNEL, "c", 1)) blame(world, "the destroyed space is still there");
}

static const struct scene
    come_in = {.name = "attach", .needs = ONE_START, .size_bytes = BLOCK_BYTES, .unattached = 1, .act = come},
    leave = {.name = "detach",
             .needs = ONE_START,
             .size_bytes = BLOCK_BYTES,
             .takes = 1,
             .locks = 1,
             .ready = ready_rich,
             .act = leave_rich},
    hold_all = {.name = "hold_all",
                .needs = ONE_START,
                .size_bytes = BLOCK_BYTES,
                .takes = 1,
                .locks = 1,
                .ready = ready_rich,
                .act = hold_rich},
    make = {.name = "make_channel",
            .needs = ONE_START,
            .size_bytes = BLOCK_BYTES,
            .act = make_fresh,
            .after = fresh_can_be_used},
    delete_used = {.name = "delete_used",
                   .needs = ONE_START,
                   .size_bytes = BLOCK_BYTES,
                   .deletes = 1,
                   .act = delete_channel},
    delete_unused = {.name = "delete_unused",
                     .needs = ONE_START,
                     .size_bytes = BLOCK_BYTES,
                     .deletes = 1,
                     .absent = 1,
                     .act = delete_channel},
    take_new = {.name = "lock_new", .needs = ONE_START, .size_bytes = SMALL_BYTES, .locks = 1, .act = lock_new},
    take = {.name = "lock",
            .needs = ONE_START,
            .size_bytes = SMALL_BYTES,
            .locks = 1,
            .ready = ready_lock,
            .act = lock_once},
    held = {.name = "lock_held",
            .needs = ONE_START,
            .size_bytes = SMALL_BYTES,
            .locks = 1,
            .ready = ready_lock,
            .act = hold},
    told = {.name = "lock_told",
            .needs = ONE_START,
            .size_bytes = SMALL_BYTES,
            .locks = 1,
            .other_role = DIES_BEFORE,
            .other = "lock_held",
            .ready = ready_lock,
            .act = lock_told},
    huge = {.name = "huge", .needs = ONE_START, .size_bytes = SMALL_BYTES, .space_bytes = 2 << 20, .act = reserve_huge},
    huge_held = {.name = "huge_held",
                 .needs = ONE_START,
                 .size_bytes = SMALL_BYTES,
                 .space_bytes = 2 << 20,
                 .act = hold_huge},
    send_reused = {.name = "send_reused",
                   .needs = ONE_START,
                   .size_bytes = ODD_BYTES,
                   .space_bytes = 2 << 20,
                   .sends = 1,
                   .ready = ready_used,
                   .act = send_one},
    reclaim = {.name = "reclaim",
               .needs = ONE_START,
               .size_bytes = SMALL_BYTES,
               .ready = ready_full,
               .act = reserve_other_class,
               .after = memory_comes_back},
    make_region = {.name = "make_space",
                   .needs = ONE_START,
                   .size_bytes = SMALL_BYTES,
                   .act = make_space,
                   .after = space_can_be_made},
    destroy_region = {.name = "destroy_space",
                      .needs = ONE_START,
                      .size_bytes = SMALL_BYTES,
                      .strange = 1,
                      .act = destroy,
                      .after = space_can_be_replaced};

const struct scene *const space_scenes[] = {
    &come_in, &leave, &hold_all,  &make,        &delete_used, &delete_unused, &take_new,       &take, &held,
    &told,    &huge,  &huge_held, &send_reused, &reclaim,     &make_region,   &destroy_region, NULL};
