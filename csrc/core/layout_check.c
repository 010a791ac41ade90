/* layout_check.c: every field lies where its table says. The sizes are asserted where the structs are made. */
#include <stddef.h>

#include "../include/shmspace_layout.h"

#define SHM__FIELD(type, name, offset, sync, meaning)                                                                  \
  _Static_assert(offsetof(struct SHM__THIS, name) == (offset), #name " is not at " #offset);
#define SHM__ARRAY(type, name, count, offset, sync, meaning) SHM__FIELD(type, name, offset, sync, meaning)
#define SHM__THIS shm_header
SHM_HEADER_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_section
SHM_SECTION_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_member
SHM_MEMBER_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_directory
SHM_DIRECTORY_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_entry
SHM_ENTRY_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_class
SHM_CLASS_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_pool
SHM_POOL_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_block
SHM_BLOCK_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_ring
SHM_RING_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_slot
SHM_SLOT_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_port
SHM_PORT_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_cell
SHM_CELL_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_segment
SHM_SEGMENT_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_fifo_in
SHM_FIFO_IN_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_fifo_out
SHM_FIFO_OUT_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_fifo_line
SHM_FIFO_LINE_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_waiter
SHM_WAITER_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_queue_main
SHM_QUEUE_MAIN_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_lane
SHM_LANE_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_shard
SHM_SHARD_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_buckets
SHM_BUCKETS_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_key
SHM_KEY_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_tuples_main
SHM_TUPLES_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_tuple
SHM_TUPLE_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#define SHM__THIS shm_mutex
SHM_MUTEX_TABLE(SHM__FIELD, SHM__ARRAY)
#undef SHM__THIS
#undef SHM__FIELD
#undef SHM__ARRAY
