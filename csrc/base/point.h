/* point.h: named points where a test can kill the process; nothing in release builds.
 *
 * Every row of a crash table names its point. Built with -DSHM_POINTS, shm__point_arm("ring.copied", 3) makes the third
 * passage of that point the last thing the process does.
 */
#ifndef SHM_BASE_POINT_H
#define SHM_BASE_POINT_H

#ifdef SHM_POINTS
void shm__point_arm(const char *name, unsigned passages);
void shm__point(const char *name);
#define SHM_POINT(name) shm__point(name)
#else
#define SHM_POINT(name) ((void)0)
#endif
#endif
