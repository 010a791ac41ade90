/* proc.h: what the system says about this process and this machine. */
#ifndef SHM_OS_PROC_H
#define SHM_OS_PROC_H

#include "../include/shmspace_layout.h"

u32 shm__pid(void);
u32 shm__uid(void);
u64 shm__start_ticks(void);   /* start time of this process as in /proc/PID/stat; 0 if unknown */
u64 shm__pid_namespace(void); /* inode of the PID namespace; 0 if unknown */
void shm__command(char *text, u64 size_bytes);
void shm__boot_id(u8 id[16]); /* all zero if unknown */
void shm__random(void *bytes, u64 size_bytes);

/* Memory that the cgroups of this process still allow, bytes; UINT64_MAX without a limit. Beyond it an allocation does
 * not fail: the kernel kills somebody. */
u64 shm__cgroup_headroom_bytes(void);

/* child() runs in the child of every fork, before fork returns there. */
void shm__at_fork(void (*child)(void));

#endif
