/* step.c: a victim is killed behind every instruction of what it does; survivors work on.
 *
 *   step DIRECTORY NAME SCENE STRIDE
 *
 * The victim is single-stepped through the scene's act once. What survivors find depends only on the bytes of the region
 * and on what the kernel knows; most instructions change neither. So a victim is killed in each state that differs from
 * the one before, and besides behind every STRIDE-th instruction (1: behind every one).
 *
 * Prints a line "FAIL ..." for each finding, with the address that the victim had come to, and for each start one
 * "SCENE/START instructions=... states=... kills=... elsewhere=... blocked_us=... us_each=...". elsewhere: kills at
 * another place than meant, since the path of an act can depend on the clock.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>

#include "step_trace.h"

enum { FAILURES_MOST = 5 };

static uint64_t failures;

static void end_act(struct world *world) {
  kill_actor(world, VICTIM);
  meet_other(world);
}

static void end_scene(struct world *world, int reap_first) {
  if (!world->failure[0]) judge(world, reap_first);
  abandon(world);
  unmake_world(world);
}

/* Play the scene without a death: it warms the survivor up, so that what is traced is what comes later, too. */
static void rehearse(struct world *world, const struct scene *scene, const struct start *start) {
  stage(world, scene, start, NULL, 0, 0);
  go_on(world, VICTIM);
  if (!world->failure[0] && await_death(world, VICTIM) != 0) blame(world, "the victim did not end by itself");
  if (!world->failure[0]) meet_other(world);
  end_scene(world, 1);
  if (!world->failure[0]) return;
  printf("FAIL %s/%s: without a death: %s\n", scene->name, start->name, world->failure);
  failures++;
}

static void note(struct world *world, const struct scene *scene, const struct start *start, struct trace *trace) {
  trace->count = 0;
  stage(world, scene, start, NULL, 0, 1);
  if (!world->failure[0]) trace_act(world, trace);
  if (!world->failure[0]) world->progress[VICTIM].done = 1;
  end_act(world);
  end_scene(world, 1);
  if (!world->failure[0]) return;
  printf("FAIL %s/%s: traced to the end: %s\n", scene->name, start->name, world->failure);
  failures++;
}

/* 1: the victim died where it should. */
static int kill_in_state(struct world *world, const struct scene *scene, const struct start *start,
                         const struct trace *trace, uint64_t k, int reap_first) {
  stage(world, scene, start, NULL, 0, 1);
  int there = !world->failure[0] && trace_to(world, trace, k);
  if (k == trace->count) world->progress[VICTIM].done = 1;
  end_act(world);
  end_scene(world, reap_first);
  if (world->failure[0]) {
    printf("FAIL %s/%s: killed behind %llu of %llu instructions, at 0x%llx, %s: %s\n", scene->name, start->name,
           (unsigned long long)k, (unsigned long long)trace->count, (unsigned long long)trace->address[k],
           reap_first ? "reap" : "meet", world->failure);
    failures++;
  }
  return there;
}

static void kill_everywhere(struct world *world, const struct scene *scene, const struct start *start, uint64_t turn,
                            uint64_t stride) {
  static struct trace trace;
  uint64_t states = 0, kills = 0, elsewhere = 0, before_ns = shm_monotonic_ns();
  rehearse(world, scene, start);
  note(world, scene, start, &trace);
  world->longest_ns = 0;
  uint64_t traced_ns = shm_monotonic_ns();
  for (uint64_t k = 0; k <= trace.count && failures < FAILURES_MOST; k++) {
    states += trace.fresh[k];
    if (!trace.fresh[k] && k % stride != 0) continue;
    /* A death is met in one way from one start and in the other way from the next, or both ways if there is no next. */
    for (int reap_first = 0; reap_first < 2; reap_first++) {
      if (scene->needs != ONE_START && (k + turn + (uint64_t)reap_first) % 2) continue;
      elsewhere += (uint64_t)!kill_in_state(world, scene, start, &trace, k, reap_first);
      kills++;
    }
  }
  uint64_t ended_ns = shm_monotonic_ns();
  printf("%s/%s instructions=%llu states=%llu kills=%llu elsewhere=%llu blocked_us=%llu us_each=%llu trace_ms=%llu\n",
         scene->name, start->name, (unsigned long long)trace.count, (unsigned long long)states,
         (unsigned long long)kills, (unsigned long long)elsewhere, (unsigned long long)world->longest_ns / 1000,
         (unsigned long long)((ended_ns - traced_ns) / 1000 / (kills ? kills : 1)),
         (unsigned long long)((traced_ns - before_ns) / 1000000));
  fflush(stdout);
}

int main(int argc, char **argv) {
  struct world world;
  if (argc != 5) return 2;
  const struct scene *scene = find_scene(argv[3]);
  uint64_t stride = strtoull(argv[4], NULL, 10);
  if (stride == 0) return 2;
  set_up(&world, argv[1], argv[2]);
  uint64_t turn = 0;
  for (const struct start *start = all_starts; start->name && failures < FAILURES_MOST; start++) {
    if (fits(scene, start)) kill_everywhere(&world, scene, start, turn++, stride);
  }
  return failures > 0;
}
