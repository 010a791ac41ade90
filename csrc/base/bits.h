/* bits.h: arithmetic on words. */
#ifndef SHM_BASE_BITS_H
#define SHM_BASE_BITS_H

#include "../include/shmspace_layout.h"

static inline u64 shm_round_up(u64 value, u64 power_of_two) { return (value + power_of_two - 1) & ~(power_of_two - 1); }

static inline u64 shm_min(u64 a, u64 b) { return a < b ? a : b; }
static inline u64 shm_max(u64 a, u64 b) { return a > b ? a : b; }

/* The smallest power of two that is not below value (value <= 2^63). */
static inline u64 shm_power_of_two(u64 value) { return value <= 1 ? 1 : 1ull << (64 - __builtin_clzll(value - 1)); }

#endif
