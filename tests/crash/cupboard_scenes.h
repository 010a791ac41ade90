/* cupboard_scenes.h: how scenes with a store are written down. */
#ifndef TESTS_CRASH_CUPBOARD_SCENES_H
#define TESTS_CRASH_CUPBOARD_SCENES_H

#include "cupboard.h"

#define GOODS(NAME, ...)                                                                                               \
  static const struct goods goods_##NAME = {__VA_ARGS__};                                                              \
  static void make_##NAME(struct world *world) { make_cupboard(world, &goods_##NAME); }

/* A scene without the channel: the victim opens the store, and acts. Later fields win. */
#define SCENE(NAME, GOODS, ACT, ...)                                                                                   \
  _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Woverride-init\"")                                 \
  static const struct scene NAME = {.name = #NAME, .needs = ONE_START, .size_bytes = SMALL_BYTES, .empty_handed = 1,   \
                                    .before = make_##GOODS, .ready = open_cupboard, .act = ACT,                        \
                                    .after = judge_cupboard, __VA_ARGS__};                                             \
  _Pragma("GCC diagnostic pop")

#define SLEEPER(NAME) .other_role = SLEEPS, .other = NAME
#define DEATH(NAME, POINT, PASSAGES)                                                                                   \
  .other_role = DIES_BEFORE, .other = NAME, .other_point = POINT, .other_passages = PASSAGES

#define SET(KEY, BYTES) {CUP_SET, KEY, BYTES, 0, 0}
#define SILENT(KEY, BYTES) {CUP_SET, KEY, BYTES, 1, 0}
#define EXPIRED(KEY, BYTES) {CUP_SET, KEY, BYTES, 0, 1}
#define INCR(KEY, BY) {CUP_INCR, KEY, BY, 0, 0}
#define REMOVE(KEY) {CUP_REMOVE, KEY, 0, 0, 0}
#define REMOVE_SILENTLY(KEY) {CUP_REMOVE, KEY, 0, 1, 0}
#define ALONE(OP) {OP, 0, 0, 0, 0}
#define A_FEW SET(0, FIT_BYTES), SET(1, VALUE_BYTES), SET(2, ITEM_BYTES), SET(8, VALUE_BYTES)
#define MANY                                                                                                           \
  SET(5, FIT_BYTES), SET(0, VALUE_BYTES), SET(9, FIT_BYTES), SET(1, FIT_BYTES), SET(3, VALUE_BYTES),                   \
      SET(CUP_LONG, VALUE_BYTES), SET(2, ITEM_BYTES), SET(7, FIT_BYTES)

#endif
