/* point.c: see point.h. */
#include "point.h"

#ifdef SHM_POINTS
#include <signal.h>
#include <stdio.h>
#include <string.h>

static char armed[64];
static unsigned left;

void shm__point_arm(const char *name, unsigned passages) {
  snprintf(armed, sizeof armed, "%s", name);
  left = passages;
}

void shm__point(const char *name) {
  if (left == 0 || strcmp(name, armed) != 0) return;
  if (--left == 0) raise(SIGKILL);
}
#else
typedef int shm__point_nothing; /* a translation unit may not be empty */
#endif
