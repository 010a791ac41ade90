/* hot_batch.c: get_many and take_many: all that a call takes is held until it returns. */
#include "hot_values.h"

#include <stdlib.h>

enum { BATCH = 64 };

static uint32_t step_take_more(Call *call, shm_taken *taken, uint32_t room) {
  Shelf *self = call->self;
  if (self->queue) return shm_queue_take_more(self->queue, self->lane, taken, room);
  return shm_tuples_take_more(self->tuples, call->key, (uint32_t)call->key_length, taken, room);
}

/* What a call has taken so far, all of it held until it returns. */
struct taken_list {
  shm_taken *taken;
  Py_ssize_t count, room;
};

static int make_room(struct taken_list *list) {
  if (list->room - list->count >= BATCH) return 0;
  Py_ssize_t room = list->room ? 2 * list->room : BATCH;
  shm_taken *grown = realloc(list->taken, (size_t)room * sizeof *grown);
  if (!grown) {
    PyErr_NoMemory();
    return -1;
  }
  list->taken = grown;
  list->room = room;
  return 0;
}

/* Take more, at most so many: 1; 0: there is none; -1: an exception is set. Only the first is waited for. */
static int take_more(Call *call, struct taken_list *list, Py_ssize_t most, int64_t timeout_ns) {
  if (make_room(list) != 0) return -1;
  if (list->count > 0) {
    uint32_t more = step_take_more(call, list->taken + list->count, (uint32_t)(most < BATCH ? most : BATCH));
    list->count += more;
    return more > 0;
  }
  for (;;) {
    if (!shelf_is_open(call->self, call->what)) return -1;
    hot_look_sometimes(call);
    int status = hot_persist(call, hot_step_take, SHM_EMPTY, timeout_ns);
    if (status == SHM_OK) break;
    if (status == RAISED || hot_fail((PyObject *)call->self, status, call->what, timeout_ns) != 0) return -1;
  }
  list->taken[list->count++] = call->taken;
  return 1;
}

/* The values of a batch. What is not given goes back, and the newest first: so they keep their order. */
static PyObject *take_all(Call *call, Py_ssize_t count, int64_t timeout_ns) {
  struct taken_list list = {NULL, 0, 0};
  PyObject *values = PyList_New(0);
  Py_ssize_t given = 0;
  int more = values ? 1 : -1, decoded = 1;
  while (more > 0 && given < count) {
    if (given == list.count) {
      more = take_more(call, &list, count - given, timeout_ns);
      continue;
    }
    call->taken = list.taken[given];
    if (hot_append(values, hot_value_of(call, &decoded)) == 0) given++;
    else more = -1;
  }
  if (more < 0 && given > 0 && PyErr_ExceptionMatches(PyExc_Exception)) {
    PyErr_Clear(); /* what cannot be decoded is the first of the next call */
  } else if (more < 0) {
    given = decoded ? 0 : 1; /* unless it is the first of this one: then it is lost */
    Py_CLEAR(values);
  }
  while (list.count > given) {
    call->taken = list.taken[--list.count];
    hot_return(call);
  }
  if (given > 0) hot_taken(call, list.taken, (uint64_t)given);
  free(list.taken);
  return values;
}

static Py_ssize_t checked_count(PyObject *count) {
  int beyond = 0; /* 64 bits: nothing waits in such numbers */
  if (!PyLong_Check(count) || PyBool_Check(count)) {
    PyErr_Format(PyExc_TypeError, "max_count must be an int, not %R", count);
    return -1;
  }
  long long most = PyLong_AsLongLongAndOverflow(count, &beyond);
  if (beyond > 0) return PY_SSIZE_T_MAX;
  if (beyond == 0 && most >= 1) return (Py_ssize_t)most;
  PyErr_Format(PyExc_ValueError, "max_count=%R is below 1", count);
  return -1;
}

PyObject *shelf_get_many(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"max_count", "timeout"};
  PyObject *slots[2];
  if (hot_arguments(args, nargs, kwnames, names, 1, 2, slots) != 0) return NULL;
  Call call;
  hot_begin(&call, (Shelf *)object, "get_many", SHM_TAKE_HOLD);
  Py_ssize_t count = checked_count(slots[0]);
  int64_t timeout_ns = count < 0 ? -2 : hot_timeout(slots[1], FOREVER);
  return timeout_ns == -2 ? NULL : take_all(&call, count, timeout_ns);
}

PyObject *shelf_take_many(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"key", "max_count", "timeout"};
  PyObject *slots[3];
  if (hot_arguments(args, nargs, kwnames, names, 2, 3, slots) != 0) return NULL;
  Call call;
  hot_begin(&call, (Shelf *)object, "take_many", SHM_TAKE_HOLD);
  Py_ssize_t count = checked_count(slots[1]);
  int64_t timeout_ns = count < 0 ? -2 : hot_timeout(slots[2], FOREVER);
  return timeout_ns == -2 || hot_key(&call, slots[0]) != 0 ? NULL : take_all(&call, count, timeout_ns);
}
