/* step_trace.c: see step_trace.h.
 *
 * A step costs a trap (some 17 us in a virtual machine), so a state far into the act is not reached by stepping from its
 * beginning: a breakpoint is set at an instruction that comes for the first time shortly before it, or at the very
 * instruction, to be run over as often as it comes before. The victim is a fork without exec: code is at the same
 * addresses in all of them.
 */
#define _GNU_SOURCE
#include "step_trace.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#if defined(__x86_64__)
enum { TURNS = 1 << 16, MOST_INSTRUCTIONS = 1 << 20, BREAKPOINT = 0xcc, SYSCALL = 0x050f };

/* ---- the victim, stopped --------------------------------------------------------------------------------------------- */
static int await_trap(struct world *world) {
  int status;
  if (waitpid(world->pids[VICTIM], &status, 0) != world->pids[VICTIM]) return 0;
  if (WIFSTOPPED(status)) return WSTOPSIG(status) == SIGTRAP;
  world->pids[VICTIM] = 0;
  return 0;
}

static uint64_t address_of(const struct world *world) {
  struct user_regs_struct registers;
  ptrace(PTRACE_GETREGS, world->pids[VICTIM], NULL, &registers);
  return registers.rip;
}

static int step(struct world *world) {
  if (ptrace(PTRACE_SINGLESTEP, world->pids[VICTIM], NULL, NULL) == 0 && await_trap(world)) return 1;
  blame(world, "the victim cannot be stepped");
  return 0;
}

static int run(struct world *world) {
  if (ptrace(PTRACE_CONT, world->pids[VICTIM], NULL, NULL) == 0 && await_trap(world)) return 1;
  blame(world, "the victim did not stop");
  return 0;
}

static int run_to_begin(struct world *world) {
  if (!run(world)) return 0;
  if (address_of(world) == (uint64_t)act_begins) return 1;
  blame(world, "the victim stopped elsewhere");
  return 0;
}

/* Run until the instruction at this address comes for the given time. Returns 0 when it does not. */
static int run_to(struct world *world, uint64_t address, uint32_t turn) {
  pid_t pid = world->pids[VICTIM];
  errno = 0;
  long word = ptrace(PTRACE_PEEKTEXT, pid, address, NULL);
  if (errno) return 0;
  long trapping = (word & ~0xffl) | BREAKPOINT;
  for (uint32_t seen = 1;; seen++) {
    struct user_regs_struct registers;
    ptrace(PTRACE_POKETEXT, pid, address, trapping);
    if (!run(world)) return 0;
    ptrace(PTRACE_POKETEXT, pid, address, word);
    ptrace(PTRACE_GETREGS, pid, NULL, &registers);
    if (registers.rip != address + 1) return 0; /* at the end of the act */
    registers.rip = address;
    ptrace(PTRACE_SETREGS, pid, NULL, &registers);
    if (seen == turn) return 1;
    if (!step(world)) return 0;
  }
}

/* ---- what changed ------------------------------------------------------------------------------------------------------ */
struct shadow {
  uint8_t *bytes;
  uint64_t begin, end; /* behind the layout text, which nobody writes, up to where memory is committed */
};

static void shadow_all(const struct world *world, struct shadow *shadow) {
  const struct shm__space *space = world->space;
  shadow->begin = shm__offset_of(space, space->members);
  shadow->end = shm_load_acquire(&space->header->committed_bytes);
  shadow->bytes = realloc(shadow->bytes, shadow->end);
  memcpy(shadow->bytes, space->base, shadow->end);
}

/* Instructions of the same process may do it many at a time (a system call), or none. */
static int changed(const struct world *world, struct shadow *shadow) {
  const struct shm__space *space = world->space;
  uint64_t hot = sizeof(struct shm_header);
  int same = shm_load_acquire(&space->header->committed_bytes) == shadow->end &&
             memcmp(shadow->bytes, space->base, hot) == 0 &&
             memcmp(shadow->bytes + shadow->begin, space->base + shadow->begin, shadow->end - shadow->begin) == 0;
  if (!same) shadow_all(world, shadow);
  return !same;
}

/* ---- tracing ------------------------------------------------------------------------------------------------------------ */
static uint32_t count_turn(uint64_t address) {
  static struct {
    uint64_t address;
    uint32_t turns;
  } table[TURNS];
  if (address == 0) {
    memset(table, 0, sizeof table);
    return 0;
  }
  uint64_t at = address * 0x9e3779b97f4a7c15ull >> 48;
  while (table[at].address && table[at].address != address) at = (at + 1) % TURNS;
  table[at].address = address;
  return ++table[at].turns;
}

static int make_room(struct trace *trace) {
  if (trace->count + 1 < trace->room) return 1;
  if (trace->room >= MOST_INSTRUCTIONS) return 0;
  trace->room = trace->room ? trace->room * 2 : 4096;
  trace->address = realloc(trace->address, trace->room * sizeof *trace->address);
  trace->turn = realloc(trace->turn, trace->room * sizeof *trace->turn);
  trace->anchor = realloc(trace->anchor, trace->room * sizeof *trace->anchor);
  trace->fresh = realloc(trace->fresh, trace->room * sizeof *trace->fresh);
  return 1;
}

void trace_act(struct world *world, struct trace *trace) {
  static struct shadow shadow;
  trace->count = 0;
  count_turn(0);
  if (!run_to_begin(world)) return;
  shadow_all(world, &shadow);
  for (int fresh = 1; make_room(trace); trace->count++) {
    uint64_t address = address_of(world), k = trace->count;
    uint16_t opcode;
    memcpy(&opcode, (const void *)address, sizeof opcode); /* the victim's code is ours */
    trace->address[k] = address;
    trace->turn[k] = count_turn(address);
    trace->anchor[k] = trace->turn[k] == 1 ? k : trace->anchor[k - 1];
    trace->fresh[k] = (uint8_t)fresh;
    if (address == (uint64_t)act_ends) {
      trace->fresh[k] = 1;
      return;
    }
    if (!step(world)) return;
    fresh = changed(world, &shadow) || opcode == SYSCALL;
  }
  blame(world, "the act does not end");
}

int trace_to(struct world *world, const struct trace *trace, uint64_t k) {
  if (!run_to_begin(world)) return 0;
  uint64_t from = trace->anchor[k], steps = k - from;
  if (k < 4) {
    steps = k;
  } else if (2 * (uint64_t)trace->turn[k] < steps) {
    if (!run_to(world, trace->address[k], trace->turn[k])) return 0;
    steps = 0;
  } else if (!run_to(world, trace->address[from], 1)) {
    return 0;
  }
  for (; steps > 0; steps--) {
    if (address_of(world) == (uint64_t)act_ends || !step(world)) return 0;
  }
  return address_of(world) == trace->address[k];
}
#else
void trace_act(struct world *world, struct trace *trace) {
  (void)trace;
  blame(world, "single-stepping is written for x86-64");
}

int trace_to(struct world *world, const struct trace *trace, uint64_t k) {
  (void)world, (void)trace, (void)k;
  return 0;
}
#endif
