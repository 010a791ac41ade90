/* queue_lane.h: what queue.c needs of its lanes; see queue_lane.c. */
#ifndef SHM_TYPES_QUEUE_LANE_H
#define SHM_TYPES_QUEUE_LANE_H

#include "queue.h"

/* Locks of lane n; they repair what a dead owner left. Status as shm__lock, without SHM__REPAIR. */
int shm__lane_lock_put(struct shm__queue *queue, u32 n, u64 deadline_ns);
int shm__lane_lock_take(struct shm__queue *queue, u32 n, u64 deadline_ns);
/* The take lock, and nothing that is next was delivered too often: unless there is no memory for dead letters. */
int shm__lane_lock_to_take(struct shm__queue *queue, u32 n, u64 deadline_ns);
/* One of these, for what no signal may stop; a stopped process that has it may. */
int shm__lane_lock_to_end(int (*lock)(struct shm__queue *, u32, u64), struct shm__queue *queue, u32 n);
void shm__lane_unlock_take(struct shm__queue *queue, u32 n, struct shm__wakes *wakes);

/* Add a segment with so many cells to a lane whose next value needs one. */
int shm__lane_add_segment(struct shm__queue *queue, u32 n, u32 cells, u64 deadline_ns);

/* Something may have become visible: give it to those in line. The second one first looks whether there are any; our last
 * unlock is the fence. */
void shm__lane_serve_line(struct shm__queue *queue, u32 n);
void shm__lane_serve_if_waited(struct shm__queue *queue, u32 n);

static inline int shm__queue_closed(const struct shm__queue *queue) {
  return shm_load_acquire(&queue->shared->life) != SHM_LIFE_LIVE ||
         shm_load_acquire(&queue->space->header->life) != SHM_LIFE_LIVE || (queue->closing && shm_load_relaxed(queue->closing)) ||
         shm_load_relaxed(&queue->space->closing);
}

static inline int shm__queue_is_shut(const struct shm__queue *queue) {
  return shm_load_acquire(&queue->shared->stream) == SHM_STREAM_SHUT;
}

#endif
