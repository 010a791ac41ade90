/* hot_values.h: Shelf, the native base of queues and tuple spaces, and Lease; see hot_values.c. */
#ifndef SHMSPACE_NATIVE_HOT_VALUES_H
#define SHMSPACE_NATIVE_HOT_VALUES_H

#include "hot.h"

typedef struct {
  PyObject_HEAD
  shm_queue *queue;    /* or */
  shm_tuples *tuples;
  uint32_t lane;       /* of the queue */
  Coder coder;
  uint32_t takes;      /* calls that took, roughly */
} Shelf;

/* One call that may have to wait. */
typedef struct call {
  Shelf *self;
  const char *what;    /* the method, for errors */
  const char *key;     /* tuples */
  Py_ssize_t key_length;
  uint32_t flags;
  const shm_piece *pieces; /* put */
  uint64_t count, done;
  shm_wait wait;
  shm_taken taken;
} Call;

typedef int step(Call *call, uint64_t deadline_ns);

step hot_step_put, hot_step_take;

/* For one value: all but what the C core fills in. */
static inline void hot_begin(Call *call, Shelf *self, const char *what, uint32_t flags) {
  call->self = self;
  call->what = what;
  call->key = NULL;
  call->key_length = 0;
  call->flags = flags;
  call->count = call->done = 0;
  call->wait = (shm_wait){0};
  call->taken.held = 0;
}

/* Take it step by step until it says something else than "nothing yet" (none), or time is up. RAISED: an exception is set, and
 * nothing was taken. */
int hot_persist(Call *call, step *step, int none, int64_t timeout_ns);

/* Look whether somebody has died who holds a value: at most every 10 ms; or only at some calls. */
void hot_look_for_dead(Call *call);
void hot_look_sometimes(Call *call);

/* 1, or 0 with an exception. */
int shelf_is_open(Shelf *self, const char *what);

/* The value that was taken, a new reference; NULL with an exception. *decoded 0: it cannot be decoded. */
PyObject *hot_value_of(Call *call, int *decoded);

/* What was taken is taken for good; or it goes back. */
void hot_taken(Call *call, const shm_taken *taken, uint64_t count);
void hot_return(Call *call);

/* The key argument of a call of a tuple space: 0, or -1 with an exception. */
int hot_key(Call *call, PyObject *key);

extern PyType_Spec hot_shelf_spec, hot_lease_spec;
extern PyTypeObject *hot_lease_type;
PyObject *shelf_adopt_lease(PyObject *object, PyObject *address);
PyObject *shelf_get_many(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *shelf_take_many(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *shelf_lease(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);

#endif
