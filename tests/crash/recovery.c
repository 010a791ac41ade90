/* recovery.c: those who put right what a death left die themselves, or are slow.
 *
 *   recovery DIRECTORY NAME SCENE killed    the victim, who recovers, dies at each point it passes; then a next one, who
 *                                           recovers from both, at each point that it passes; then the survivor heals
 *   recovery DIRECTORY NAME SCENE slow      the victim is stopped at each point it passes; a next one recovers meanwhile,
 *                                           and settles in what became free; then the victim goes on
 *   recovery DIRECTORY NAME SCENE reach     only the victim dies, at each point it passes
 *
 * SCENE is one of those in which another one has died (scenes_reap.c). Prints "at POINT" for each point at which somebody
 * was killed or stopped, "FAIL ..." for each finding, and "SCENE kills=... blocked_us=..." at the end.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/directory.h"
#include "world.h"

enum { PASSAGES_MOST = 2, POINTS_MOST = 64, FAILURES_MOST = 5, SHORT_NS = 50000000 };

struct place {
  const char *point;
  unsigned passage;
};

static uint64_t kills, failures;

/* ---- the one who comes next -------------------------------------------------------------------------------------------- */
static void reap(struct world *world) { shm_space_reap_dead(world->space); }

static int uses_channel(const shm_space *space) {
  const struct shm_entry *entry = shm__directory_look(space, SHM_KIND_CHANNEL, "c", 1);
  return !entry || (shm_load_acquire(&entry->users[space->slot / 64]) >> space->slot % 64 & 1);
}

/* Reap, and become a member once more: in the slot that has become free, if it has. Nobody may take that for the dead's.
 * The slow one may have locks, so not all of this need come about. */
static void reap_and_settle(struct world *world) {
  uint64_t before_ns = shm_monotonic_ns();
  shm_space_reap_dead(world->space);
  world->progress[NEXT].blocked_ns = shm_monotonic_ns() - before_ns;
  struct world again = *world;
  attach(&again);
  if (again.failure[0]) blame(world, "%s", again.failure);
  int opened = open_channel_until(&again, "c", 0, shm_monotonic_ns() + SHORT_NS, &again.channel) == SHM_OK;
  kill(getpid(), SIGSTOP);
  if (opened && !uses_channel(again.space)) blame(world, "the next member of the slot was taken for the dead one");
  shm_space_close(again.space);
}

static const struct scene next_reaps = {.name = "next", .empty_handed = 1, .act = reap},
                          next_settles = {.name = "next", .empty_handed = 1, .act = reap_and_settle};

/* ---- where to die -------------------------------------------------------------------------------------------------------- */
static unsigned places_of(const struct passed *passed, struct place *places) {
  unsigned count = 0;
  for (uint64_t i = 0; i < passed->count && count < POINTS_MOST; i++) {
    unsigned passage = 1;
    for (uint64_t j = 0; j < i; j++) passage += strcmp(passed->names[j], passed->names[i]) == 0;
    if (passage <= PASSAGES_MOST) places[count++] = (struct place){passed->names[i], passage};
  }
  return count;
}

static void end_scene(struct world *world, const struct place *first, const struct place *second) {
  if (!world->failure[0]) judge(world, (int)(kills % 2));
  abandon(world);
  unmake_world(world);
  kills++;
  if (!world->failure[0]) return;
  printf("FAIL %s/%s: %s %u", world->scene->name, world->start->name, first->point, first->passage);
  if (second) printf(", then %s %u", second->point, second->passage);
  printf(": %s\n", world->failure);
  failures++;
}

/* ---- killed -------------------------------------------------------------------------------------------------------------- */
/* The victim dies at first, the next one at second. Without first they pass what there is to pass. */
static void kill_both(struct world *world, const struct scene *scene, const struct start *start,
                      const struct place *first, const struct place *second) {
  world->next = &next_reaps;
  world->next_point = second ? second->point : NULL, world->next_passages = second ? second->passage : 0;
  stage(world, scene, start, first ? first->point : NULL, first ? first->passage : 0, 0);
  go_on(world, VICTIM);
  if (!world->failure[0] && await_death(world, VICTIM) != (first ? SIGKILL : 0))
    blame(world, "the victim did not die there");
  go_on(world, NEXT);
  if (!world->failure[0] && await_death(world, NEXT) != (second ? SIGKILL : 0))
    blame(world, "the next one did not die there");
}

static void kill_in_turn(struct world *world, const struct scene *scene, const struct start *start, int next_too) {
  static const struct place nowhere = {"nowhere", 0};
  struct place first[POINTS_MOST], second[POINTS_MOST];
  kill_both(world, scene, start, NULL, NULL);
  unsigned firsts = places_of(&world->passed[VICTIM], first);
  end_scene(world, &nowhere, NULL);
  for (unsigned i = 0; i < firsts && failures < FAILURES_MOST; i++) {
    kill_both(world, scene, start, &first[i], NULL);
    unsigned seconds = places_of(&world->passed[NEXT], second);
    end_scene(world, &first[i], NULL);
    printf("at %s\n", first[i].point);
    for (unsigned j = 0; next_too && j < seconds && failures < FAILURES_MOST; j++) {
      kill_both(world, scene, start, &first[i], &second[j]);
      end_scene(world, &first[i], &second[j]);
    }
  }
}

/* ---- slow ---------------------------------------------------------------------------------------------------------------- */
static void stop_at(struct world *world, const struct scene *scene, const struct start *start,
                    const struct place *place) {
  world->next = &next_settles;
  world->next_point = NULL;
  stage(world, scene, start, place->point, place->passage, 0);
  go_on(world, VICTIM);
  if (!world->failure[0] && !await_stop(world, VICTIM)) blame(world, "the victim did not stop there");
  go_on(world, NEXT);
  if (!world->failure[0] && !await_stop(world, NEXT)) blame(world, "the next one did not settle");
  go_on(world, VICTIM);
  if (!world->failure[0] && await_death(world, VICTIM) != 0) blame(world, "the slow one did not end by itself");
  go_on(world, NEXT);
  if (!world->failure[0] && await_death(world, NEXT) != 0) blame(world, "the next one found its place taken");
  if (world->progress[NEXT].blocked_ns > world->longest_ns) world->longest_ns = world->progress[NEXT].blocked_ns;
}

static void stop_in_turn(struct world *world, const struct scene *scene, const struct start *start) {
  static const struct place nowhere = {"nowhere", 0};
  struct place places[POINTS_MOST];
  kill_both(world, scene, start, NULL, NULL);
  unsigned count = places_of(&world->passed[VICTIM], places);
  end_scene(world, &nowhere, NULL);
  world->victim_stops = 1;
  for (unsigned i = 0; i < count && failures < FAILURES_MOST; i++) {
    stop_at(world, scene, start, &places[i]);
    end_scene(world, &places[i], NULL);
    printf("at %s\n", places[i].point);
  }
  world->victim_stops = 0;
}

int main(int argc, char **argv) {
  struct world world;
  if (argc != 5) return 2;
  const struct scene *scene = find_scene(argv[3]);
  int slow = strcmp(argv[4], "slow") == 0;
  set_up(&world, argv[1], argv[2]);
  for (const struct start *start = all_starts; start->name; start++) {
    if (!fits(scene, start)) continue;
    if (slow) stop_in_turn(&world, scene, start);
    else kill_in_turn(&world, scene, start, strcmp(argv[4], "killed") == 0);
  }
  printf("%s kills=%llu blocked_us=%llu\n", scene->name, (unsigned long long)kills,
         (unsigned long long)world.longest_ns / 1000);
  return failures > 0;
}
