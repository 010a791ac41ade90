/* wait.h: sleeping on a 32-bit word of the region (futex; shared between processes, never FUTEX_PRIVATE_FLAG). */
#ifndef SHM_OS_WAIT_H
#define SHM_OS_WAIT_H

#include "../include/shmspace_layout.h"

enum shm__wait_result { SHM__WAIT_WOKEN, SHM__WAIT_TIMEOUT, SHM__WAIT_SIGNAL };

/* Sleep while *word is expected, at most nap_ns. A change of the word counts as woken. */
enum shm__wait_result shm__futex_wait(u32 *word, u32 expected, u64 nap_ns);

/* Wake up to count sleepers; returns how many there were. */
u32 shm__futex_wake(u32 *word, u32 count);

/* CPUs that this thread may run on: 1 makes spinning pointless. */
u32 shm__usable_cpus(void);

/* Let another thread that is ready have this CPU; returns at once if there is none. */
void shm__yield(void);

/* Let others run for a moment. */
void shm__nap_ns(u64 nap_ns);

#endif
