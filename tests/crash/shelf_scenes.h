/* shelf_scenes.h: how scenes with a queue or a tuple space are written down. */
#ifndef TESTS_CRASH_SHELF_SCENES_H
#define TESTS_CRASH_SHELF_SCENES_H

#include "core/directory.h"
#include "shelf.h"

#define STOCK(NAME, ...)                                                                                               \
  static const struct stock stock_##NAME = {__VA_ARGS__};                                                              \
  static void make_##NAME(struct world *world) { make_shelf(world, &stock_##NAME); }

/* A scene without the channel: the victim opens the shelf, and acts. Later fields win. */
#define SCENE(NAME, STOCK, ACT, ...)                                                                                   \
  _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Woverride-init\"")                                 \
  static const struct scene NAME = {.name = #NAME, .needs = ONE_START, .size_bytes = SMALL_BYTES, .empty_handed = 1,   \
                                    .before = make_##STOCK, .ready = open_shelf, .act = ACT, .after = judge_shelf,     \
                                    __VA_ARGS__};                                                                      \
  _Pragma("GCC diagnostic pop")

#define SLEEPER(NAME) .other_role = SLEEPS, .other = NAME
#define DEATH(NAME, POINT, PASSAGES)                                                                                   \
  .other_role = DIES_BEFORE, .other = NAME, .other_point = POINT, .other_passages = PASSAGES

/* What the other one does has been done when the victim acts. */
#define AFTER_ACT(NAME) DEATH(NAME, NULL, 0)

#endif
