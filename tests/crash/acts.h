/* acts.h: the things that victims do, of which scenes are made. Each counts in the victim's progress what it has done. */
#ifndef TESTS_CRASH_ACTS_H
#define TESTS_CRASH_ACTS_H

#include "world.h"

static inline struct progress *progress_of(struct world *world) { return &world->progress[world->me]; }

void act_send(struct world *world, uint64_t deadline_ns);
void act_recv(struct world *world, uint64_t deadline_ns);
int act_view(struct world *world, shm_view *view); /* take the next message as a view */
void act_reserve(struct world *world, uint64_t size_bytes, shm_view *view);
void act_open_lock(struct world *world);
void act_take_lock(struct world *world, uint64_t deadline_ns);
void act_release_lock(struct world *world);
void ready_reader(struct world *world); /* the victim has a reader of its own */
void ready_lock(struct world *world);   /* the victim has the lock "l" open */
void ready_held(struct world *world);   /* and holds it */
void send_one(struct world *world);     /* without waiting */
void recv_one(struct world *world);

#endif
