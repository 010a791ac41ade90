/* points.c: victims are killed at every named point that their act passes; survivors work on.
 *
 *   points DIRECTORY NAME SCENE reach          the points that the scene passes, one a line
 *   points DIRECTORY NAME SCENE kill           kills at each passage of each of them
 *
 * DIRECTORY and NAME: of the space to make. Each death is met in two ways: "reap" (the survivor first hands back what the
 * dead held) and "meet" (it works on, and finds the dead when it runs into what they held). Prints a line "FAIL ..." for
 * each finding, and at the end one "SCENE kills=... blocked_us=... us_each=..."; blocked_us is the longest that any call
 * of a survivor took.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

enum { PASSAGES_MOST = 4, FAILURES_MOST = 5, TRIES = 5 };

struct reached {
  const char *name;
  unsigned passages;
};

static uint64_t longest_ns, kills, failures;

static void fail(const struct world *world, const char *what) {
  printf("FAIL %s/%s %s: %s\n", world->scene->name, world->start->name, what, world->failure);
  failures++;
}

static void let_act(struct world *world) {
  go_on(world, VICTIM);
  if (world->scene->meanwhile) world->scene->meanwhile(world);
}

/* Play the scene to its end; the points that the victim passed, each with how often. */
static unsigned reach(struct world *world, const struct scene *scene, const struct start *start,
                      struct reached *reached) {
  unsigned count = 0;
  stage(world, scene, start, NULL, 0, 0);
  if (!world->failure[0]) {
    let_act(world);
    if (await_death(world, VICTIM) != 0) blame(world, "the victim did not end by itself");
    meet_other(world);
  }
  if (!world->failure[0]) judge(world, 1);
  for (uint64_t i = 0; i < world->passed[VICTIM].count; i++) {
    unsigned j = 0;
    while (j < count && strcmp(reached[j].name, world->passed[VICTIM].names[i]) != 0) j++;
    if (j == count) reached[count++] = (struct reached){world->passed[VICTIM].names[i], 0};
    reached[j].passages++;
  }
  abandon(world);
  unmake_world(world);
  if (world->failure[0]) fail(world, "without a death");
  return count;
}

/* 1 if it did not come to the point, and may not: what it passes depends on when others acted. */
static int kill_once(struct world *world, const struct scene *scene, const struct start *start, const char *point,
                     unsigned passage, int reap_first) {
  char what[128];
  int missed = 0;
  stage(world, scene, start, point, passage, 0);
  if (!world->failure[0]) {
    let_act(world);
    int died_of = await_death(world, VICTIM);
    missed = scene->meanwhile && died_of == 0;
    if (died_of != SIGKILL && !missed) blame(world, "the victim was not killed there");
    meet_other(world);
  }
  if (!world->failure[0]) judge(world, reap_first);
  abandon(world);
  unmake_world(world);
  kills += !missed;
  snprintf(what, sizeof what, "killed at %s, passage %u, %s", point, passage, reap_first ? "reap" : "meet");
  if (world->failure[0]) fail(world, what);
  return missed;
}

static void kill_at(struct world *world, const struct scene *scene, const struct start *start, const char *point,
                    unsigned passage, int reap_first) {
  for (int tries = 0; tries < TRIES && kill_once(world, scene, start, point, passage, reap_first); tries++) continue;
}

int main(int argc, char **argv) {
  static struct reached reached[256];
  struct world world;
  if (argc != 5) return 2;
  const struct scene *scene = find_scene(argv[3]);
  int killing = strcmp(argv[4], "kill") == 0;
  set_up(&world, argv[1], argv[2]);
  uint64_t before_ns = shm_monotonic_ns();
  for (const struct start *start = all_starts; start->name; start++) {
    if (!fits(scene, start)) continue;
    unsigned count = reach(&world, scene, start, reached);
    for (unsigned i = 0; i < count && failures < FAILURES_MOST; i++) {
      if (!killing) printf("%s\n", reached[i].name);
      for (unsigned passage = 1; killing && passage <= reached[i].passages && passage <= PASSAGES_MOST; passage++) {
        kill_at(&world, scene, start, reached[i].name, passage, 0);
        kill_at(&world, scene, start, reached[i].name, passage, 1);
      }
    }
  }
  if (!killing) return failures > 0;
  longest_ns = world.longest_ns;
  printf("%s kills=%llu blocked_us=%llu us_each=%llu\n", scene->name, (unsigned long long)kills,
         (unsigned long long)longest_ns / 1000,
         (unsigned long long)((shm_monotonic_ns() - before_ns) / 1000 / (kills + 1)));
  return failures > 0;
}
