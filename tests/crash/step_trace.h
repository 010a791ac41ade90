/* step_trace.h: single-stepping a victim through its act, and stopping it behind any instruction of it. */
#ifndef TESTS_CRASH_STEP_TRACE_H
#define TESTS_CRASH_STEP_TRACE_H

#include "world.h"

/* The act, instruction by instruction: state k is the one in which k instructions are done. */
struct trace {
  uint64_t count, room; /* instructions */
  uint64_t *address;    /* of instruction k, which is done next in state k */
  uint32_t *turn;       /* how often that instruction came up to then, this time included */
  uint64_t *anchor;     /* the last state up to k whose instruction comes for the first time */
  uint8_t *fresh;       /* the region, or what the kernel knows, differs from that of state k - 1 */
};

/* The victim is staged, traced and stopped. Step through its act to the end and note it all. */
void trace_act(struct world *world, struct trace *trace);

/* Let the victim come to state k of the act. Returns 0 when it is elsewhere: its path was another one this time. */
int trace_to(struct world *world, const struct trace *trace, uint64_t k);

#endif
