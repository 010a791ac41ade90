/* hot_values.c: the calls of queues and tuple spaces that users make in a loop; see hot.c.
 *
 * A value is held by this member until the call returns: copied, decoded, and then let go of by one store. A process that
 * dies, or a signal handler that raises, at any instant before leaves it where it was.
 */
#include "hot_values.h"

#include <stdlib.h>

/* ---- steps --------------------------------------------------------------------------------------------------------------- */
int hot_step_put(Call *call, uint64_t deadline_ns) {
  Shelf *self = call->self;
  uint64_t more = 0;
  int status;
  const shm_piece *pieces = call->pieces + call->done;
  if (call->count == 1 && self->queue) {
    status = shm_queue_put(self->queue, self->lane, pieces->data, pieces->length_bytes, pieces->codec, 0, &call->wait, deadline_ns);
    more = status == SHM_OK;
  } else if (self->queue) {
    status = shm_queue_put_many(self->queue, self->lane, pieces, call->count - call->done, 0, &call->wait, deadline_ns, &more);
  } else if (call->count == 1) {
    status = shm_tuples_out(self->tuples, call->key, (uint32_t)call->key_length, pieces->data, pieces->length_bytes, pieces->codec,
                            0, &call->wait, deadline_ns);
    more = status == SHM_OK;
  } else {
    status = shm_tuples_out_many(self->tuples, call->key, (uint32_t)call->key_length, pieces, call->count - call->done, 0,
                                 &call->wait, deadline_ns, &more);
  }
  call->done += more;
  return status;
}

int hot_step_take(Call *call, uint64_t deadline_ns) {
  Shelf *self = call->self;
  if (self->queue) return shm_queue_take(self->queue, self->lane, call->flags, &call->wait, deadline_ns, &call->taken);
  return shm_tuples_take(self->tuples, call->key, (uint32_t)call->key_length, call->flags, &call->wait, deadline_ns, &call->taken);
}

static int leave(Call *call) {
  Shelf *self = call->self;
  if (!call->wait.block) return SHM_EMPTY;
  if (self->queue) return shm_queue_leave(self->queue, self->lane, call->flags, &call->wait, &call->taken);
  return shm_tuples_leave(self->tuples, call->key, (uint32_t)call->key_length, call->flags, &call->wait, &call->taken);
}

void hot_taken(Call *call, const shm_taken *taken, uint64_t count) {
  Shelf *self = call->self;
  if (call->flags & SHM_TAKE_READ) leave(call); /* gives up the pin */
  else if (self->queue) shm_queue_taken(self->queue, self->lane, taken, count);
  else shm_tuples_taken(self->tuples, call->key, (uint32_t)call->key_length, taken, count);
}

void hot_return(Call *call) {
  Shelf *self = call->self;
  if (call->flags & SHM_TAKE_READ) leave(call);
  else if (self->queue) shm_queue_nack(self->queue, self->lane, &call->taken);
  else shm_tuples_return(self->tuples, call->key, (uint32_t)call->key_length, &call->taken);
}

static void probe(Call *call) {
  Shelf *self = call->self;
  if (self->queue) shm_queue_probe(self->queue, self->lane);
  else shm_tuples_probe(self->tuples, call->key, (uint32_t)call->key_length);
}

/* Only who finds nothing looks whether somebody has died; where there is always something, what a dead one holds would stay
 * away. So a look now and then, which asks the kernel at most every 10 ms. */
void hot_look_for_dead(Call *call) {
  Shelf *self = call->self;
  if (self->queue && !shm_queue_probe_is_due(self->queue, self->lane)) return;
  Py_BEGIN_ALLOW_THREADS
  probe(call);
  Py_END_ALLOW_THREADS
}

void hot_look_sometimes(Call *call) {
  if ((++call->self->takes & 15) == 0) hot_look_for_dead(call);
}

/* ---- waiting ------------------------------------------------------------------------------------------------------------- */
static int persist(Call *call, step *step, int none, int64_t timeout_ns) {
  int status;
  uint64_t deadline_ns = SHM_NEVER, now_ns;
  if (timeout_ns == 0) {
    Py_BEGIN_ALLOW_THREADS
    probe(call);
    deadline_ns = shm_monotonic_ns() + PATIENCE_NS;
    while ((status = step(call, 0)) == SHM_BUSY && shm_monotonic_ns() < deadline_ns) shm_nap_ns(20000);
    Py_END_ALLOW_THREADS
    return status;
  }
  Py_BEGIN_ALLOW_THREADS
  status = step(call, SHM_SPIN);
  Py_END_ALLOW_THREADS
  if (timeout_ns > 0) deadline_ns = shm_monotonic_ns() + (uint64_t)timeout_ns;
  while (status == none || status == SHM_BUSY || status == SHM_TIMEOUT || status == SHM_INTERRUPTED) {
    if (PyErr_CheckSignals() != 0) return RAISED;
    now_ns = shm_monotonic_ns();
    if (now_ns >= deadline_ns) return status == SHM_BUSY ? SHM_TIMEOUT : status == SHM_INTERRUPTED ? none : status;
    uint64_t slice_ns = (now_ns / SLICE_NS + 1) * SLICE_NS; /* when naps end in the C core, too */
    if (slice_ns > deadline_ns) slice_ns = deadline_ns;
    Py_BEGIN_ALLOW_THREADS
    status = step(call, slice_ns);
    Py_END_ALLOW_THREADS
  }
  return status;
}

int hot_persist(Call *call, step *step, int none, int64_t timeout_ns) {
  int status = step(call, 0);
  if (status == none || status == SHM_BUSY) status = persist(call, step, none, timeout_ns);
  if (status == SHM_OK || !call->wait.block) return status;
  if (status == RAISED && call->flags == SHM_TAKE_LEASE) call->flags = SHM_TAKE_HOLD; /* or it would count as a delivery */
  int late = leave(call);
  if (late != SHM_OK || step != hot_step_take) return status;
  if (status != RAISED) return SHM_OK; /* given at the last moment */
  hot_return(call);
  return RAISED;
}

/* ---- arguments ----------------------------------------------------------------------------------------------------------- */
int hot_key(Call *call, PyObject *key) {
  if (PyUnicode_Check(key)) {
    call->key = PyUnicode_AsUTF8AndSize(key, &call->key_length);
    return call->key ? 0 : -1;
  }
  char *bytes;
  if (!PyBytes_Check(key)) {
    PyErr_Format(PyExc_TypeError, "a key must be str or bytes, not %R", (PyObject *)Py_TYPE(key));
    return -1;
  }
  if (PyBytes_AsStringAndSize(key, &bytes, &call->key_length) != 0) return -1;
  call->key = bytes;
  return 0;
}

int shelf_is_open(Shelf *self, const char *what) {
  if (self->queue || self->tuples) return 1;
  hot_fail((PyObject *)self, SHM_CLOSED, what, FOREVER);
  if (!PyErr_Occurred()) PyErr_SetString(PyExc_RuntimeError, "closed");
  return 0;
}

/* queue.Queue's block and timeout. -2: an exception is set. */
static int64_t blocking_timeout(PyObject *block, PyObject *timeout) {
  int blocks = block ? PyObject_IsTrue(block) : 1;
  if (blocks < 0) return -2;
  int64_t timeout_ns = hot_timeout(timeout, FOREVER);
  return blocks || timeout_ns == -2 ? timeout_ns : 0;
}

/* ---- putting ------------------------------------------------------------------------------------------------------------- */
/* Put one value: 0, or -1 with an exception. */
static int put_value(Call *call, PyObject *value, int64_t timeout_ns) {
  Shelf *self = call->self;
  uint32_t number;
  int result = -1;
  PyObject *bytes = hot_encoded((PyObject *)self, &self->coder, value, &number);
  if (!bytes) return -1;
  shm_piece piece = {PyBytes_AsString(bytes), (uint64_t)PyBytes_Size(bytes), number};
  call->pieces = &piece;
  call->count = 1;
  for (;;) {
    if (!shelf_is_open(self, call->what)) break;
    int status;
    if (piece.length_bytes < LONG_COPY) {
      status = hot_persist(call, hot_step_put, SHM_FULL, timeout_ns);
    } else {
      Py_BEGIN_ALLOW_THREADS
      status = hot_step_put(call, 0);
      Py_END_ALLOW_THREADS
      if (status == SHM_FULL || status == SHM_BUSY) status = hot_persist(call, hot_step_put, SHM_FULL, timeout_ns);
    }
    if (status == SHM_OK) {
      result = 0;
      break;
    }
    if (status == RAISED || hot_fail((PyObject *)self, status, call->what, timeout_ns) != 0) break;
  }
  Py_DECREF(bytes);
  return result;
}

static PyObject *put_all(Call *call, PyObject *values, int64_t timeout_ns) {
  Shelf *self = call->self;
  PyObject *list = PySequence_List(values), *kept = PyList_New(0);
  Py_ssize_t count = list ? PyList_Size(list) : 0, put = -1;
  shm_piece *pieces = malloc((size_t)(count ? count : 1) * sizeof *pieces);
  if (!pieces) PyErr_NoMemory();
  if (list && kept && pieces && hot_encode_all((PyObject *)self, &self->coder, list, kept, pieces) == 0) {
    call->pieces = pieces;
    call->count = (uint64_t)count;
    while (put < 0 && shelf_is_open(self, call->what)) {
      int status = count ? hot_persist(call, hot_step_put, SHM_FULL, timeout_ns) : SHM_OK;
      if (status == SHM_OK || (status != RAISED && status != SHM_FORKED && call->done > 0)) put = (Py_ssize_t)call->done;
      else if (status == RAISED || hot_fail((PyObject *)self, status, call->what, timeout_ns) != 0) break;
    }
  }
  free(pieces);
  Py_XDECREF(list);
  Py_XDECREF(kept);
  return put < 0 ? NULL : PyLong_FromSsize_t(put);
}

/* The value may be named as by us, as by queue.Queue (item) and as by multiprocessing (obj). */
static PyObject *put_named(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, int waits) {
  static const char *const names[] = {"value", "block", "timeout", "item", "obj"}, *const brief[] = {"value", "item", "obj"};
  int positional = waits ? 3 : 1;
  PyObject *slots[5] = {NULL};
  if (nargs == 1 && !kwnames) slots[0] = args[0];
  else if (hot_arguments(args, nargs, kwnames, waits ? names : brief, 0, nargs > positional ? positional : positional + 2, slots) !=
           0) {
    return NULL;
  }
  for (int i = positional; i < positional + 2; i++) {
    if (slots[0] && slots[i]) return PyErr_Format(PyExc_TypeError, "argument 'value' was given twice");
    if (slots[i]) slots[0] = slots[i];
  }
  if (!slots[0]) return PyErr_Format(PyExc_TypeError, "missing argument 'value'");
  Call call;
  hot_begin(&call, (Shelf *)object, "put", 0);
  int64_t timeout_ns = waits ? blocking_timeout(slots[1], slots[2]) : 0;
  if (timeout_ns == -2 || put_value(&call, slots[0], timeout_ns) != 0) return NULL;
  Py_RETURN_NONE;
}

static PyObject *queue_put(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  return put_named(object, args, nargs, kwnames, 1);
}

static PyObject *queue_put_nowait(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  return put_named(object, args, nargs, kwnames, 0);
}

static PyObject *queue_put_many(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"values", "timeout"};
  PyObject *slots[2];
  if (hot_arguments(args, nargs, kwnames, names, 1, 2, slots) != 0) return NULL;
  Call call;
  hot_begin(&call, (Shelf *)object, "put_many", 0);
  int64_t timeout_ns = hot_timeout(slots[1], FOREVER);
  return timeout_ns == -2 ? NULL : put_all(&call, slots[0], timeout_ns);
}

static PyObject *tuples_out(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"key", "value", "timeout"};
  PyObject *slots[3];
  if (hot_arguments(args, nargs, kwnames, names, 2, 3, slots) != 0) return NULL;
  Call call;
  hot_begin(&call, (Shelf *)object, "out", 0);
  int64_t timeout_ns = hot_timeout(slots[2], FOREVER);
  if (timeout_ns == -2 || hot_key(&call, slots[0]) != 0 || put_value(&call, slots[1], timeout_ns) != 0) return NULL;
  Py_RETURN_NONE;
}

static PyObject *tuples_out_many(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"key", "values", "timeout"};
  PyObject *slots[3];
  if (hot_arguments(args, nargs, kwnames, names, 2, 3, slots) != 0) return NULL;
  Call call;
  hot_begin(&call, (Shelf *)object, "out_many", 0);
  int64_t timeout_ns = hot_timeout(slots[2], FOREVER);
  return timeout_ns == -2 || hot_key(&call, slots[0]) != 0 ? NULL : put_all(&call, slots[1], timeout_ns);
}

/* ---- taking -------------------------------------------------------------------------------------------------------------- */
/* The value that was taken; it goes back if there is no memory for it, or if a signal handler raises. One that cannot be
 * decoded is taken, and lost. *decoded: it could. */
PyObject *hot_value_of(Call *call, int *decoded) {
  shm_taken *taken = &call->taken;
  PyObject *data = PyBytes_FromStringAndSize(taken->data ? NULL : (const char *)taken->small, (Py_ssize_t)taken->length_bytes);
  *decoded = 1;
  if (!data) return NULL;
  if (taken->data && taken->length_bytes < LONG_COPY) {
    __builtin_memcpy(PyBytes_AsString(data), taken->data, taken->length_bytes);
  } else if (taken->data) {
    char *to = PyBytes_AsString(data);
    Py_BEGIN_ALLOW_THREADS
    __builtin_memcpy(to, taken->data, taken->length_bytes);
    Py_END_ALLOW_THREADS
  }
  PyObject *value = hot_decoded(&call->self->coder, taken->codec, data);
  Py_DECREF(data);
  if (!value) *decoded = !PyErr_ExceptionMatches(PyExc_Exception); /* KeyboardInterrupt in the codec */
  if (value && PyErr_CheckSignals() != 0) {
    Py_DECREF(value);
    value = NULL;
  }
  return value;
}

/* Wait for a value and give it. */
static PyObject *take_value(Call *call, int64_t timeout_ns, PyObject *otherwise) {
  int decoded;
  for (;;) {
    if (!shelf_is_open(call->self, call->what)) return NULL;
    hot_look_sometimes(call);
    int status = hot_persist(call, hot_step_take, SHM_EMPTY, timeout_ns);
    if (status == SHM_OK) break;
    if (otherwise && (status == SHM_EMPTY || (status == SHM_CLOSED && shm_tuples_is_shut(call->self->tuples)))) {
      Py_INCREF(otherwise);
      return otherwise;
    }
    if (status == RAISED || hot_fail((PyObject *)call->self, status, call->what, timeout_ns) != 0) return NULL;
  }
  PyObject *value = hot_value_of(call, &decoded);
  if (value || !decoded) hot_taken(call, &call->taken, 1);
  else hot_return(call);
  return value;
}

static PyObject *queue_get(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"block", "timeout"};
  PyObject *slots[2] = {NULL, NULL};
  if ((nargs || kwnames) && hot_arguments(args, nargs, kwnames, names, 0, 2, slots) != 0) return NULL;
  Call call;
  hot_begin(&call, (Shelf *)object, "get", SHM_TAKE_HOLD);
  int64_t timeout_ns = blocking_timeout(slots[0], slots[1]);
  return timeout_ns == -2 ? NULL : take_value(&call, timeout_ns, NULL);
}

static PyObject *take_key(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, const char *what,
                          uint32_t flags) {
  static const char *const names[] = {"key", "timeout"};
  PyObject *slots[2];
  if (hot_arguments(args, nargs, kwnames, names, 1, 2, slots) != 0) return NULL;
  Call call;
  hot_begin(&call, (Shelf *)object, what, flags);
  int64_t timeout_ns = hot_timeout(slots[1], FOREVER);
  return timeout_ns == -2 || hot_key(&call, slots[0]) != 0 ? NULL : take_value(&call, timeout_ns, NULL);
}

static PyObject *try_key(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, const char *what,
                         uint32_t flags) {
  static const char *const names[] = {"key", "default"};
  PyObject *slots[2];
  if (hot_arguments(args, nargs, kwnames, names, 1, 2, slots) != 0) return NULL;
  Call call;
  hot_begin(&call, (Shelf *)object, what, flags);
  return hot_key(&call, slots[0]) != 0 ? NULL : take_value(&call, 0, slots[1] ? slots[1] : Py_None);
}

static PyObject *tuples_take(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  return take_key(object, args, nargs, kwnames, "take", SHM_TAKE_HOLD);
}

static PyObject *tuples_read(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  return take_key(object, args, nargs, kwnames, "read", SHM_TAKE_READ);
}

static PyObject *tuples_try_take(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  return try_key(object, args, nargs, kwnames, "try_take", SHM_TAKE_HOLD);
}

static PyObject *tuples_try_read(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  return try_key(object, args, nargs, kwnames, "try_read", SHM_TAKE_READ);
}

/* ---- the type ------------------------------------------------------------------------------------------------------------ */
/* _bind(queue, tuples, lane, codec, most_bytes) */
static PyObject *shelf_bind(PyObject *object, PyObject *args) {
  Shelf *self = (Shelf *)object;
  unsigned long long queue, tuples, most;
  unsigned int lane;
  PyObject *codec;
  if (!PyArg_ParseTuple(args, "KKIOK", &queue, &tuples, &lane, &codec, &most)) return NULL;
  if (hot_coder_set(&self->coder, codec, most) != 0) return NULL;
  self->lane = lane;
  self->queue = (shm_queue *)(uintptr_t)queue;
  self->tuples = (shm_tuples *)(uintptr_t)tuples;
  Py_RETURN_NONE;
}

/* _mark_closing(): calls under way leave. */
static PyObject *shelf_mark_closing(PyObject *object, PyObject *unused) {
  Shelf *self = (Shelf *)object;
  (void)unused;
  if (self->queue) shm_queue_mark_closing(self->queue);
  if (self->tuples) shm_tuples_mark_closing(self->tuples);
  Py_RETURN_NONE;
}

static void shelf_dealloc(PyObject *object) {
  Shelf *self = (Shelf *)object;
  PyTypeObject *type = Py_TYPE(object);
  hot_coder_clear(&self->coder);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(object);
  Py_DECREF(type);
}

#define FAST (METH_FASTCALL | METH_KEYWORDS)
#define CALL(function) (PyCFunction)(void (*)(void))(function)
static PyMethodDef shelf_methods[] = {
    {"_bind", shelf_bind, METH_VARARGS, NULL},
    {"_mark_closing", shelf_mark_closing, METH_NOARGS, NULL},
    {"_put", CALL(queue_put), FAST, NULL},
    {"_put_nowait", CALL(queue_put_nowait), FAST, NULL},
    {"_put_many", CALL(queue_put_many), FAST, NULL},
    {"_get", CALL(queue_get), FAST, NULL},
    {"_get_many", CALL(shelf_get_many), FAST, NULL},
    {"_lease", CALL(shelf_lease), FAST, NULL},
    {"_adopt_lease", shelf_adopt_lease, METH_O, NULL},
    {"_out", CALL(tuples_out), FAST, NULL},
    {"_out_many", CALL(tuples_out_many), FAST, NULL},
    {"_take", CALL(tuples_take), FAST, NULL},
    {"_take_many", CALL(shelf_take_many), FAST, NULL},
    {"_read", CALL(tuples_read), FAST, NULL},
    {"_try_take", CALL(tuples_try_take), FAST, NULL},
    {"_try_read", CALL(tuples_try_read), FAST, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot shelf_slots[] = {
    {Py_tp_dealloc, shelf_dealloc},
    {Py_tp_methods, shelf_methods},
    {0, NULL},
};

PyType_Spec hot_shelf_spec = {"shmspace._native.Shelf", sizeof(Shelf), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, shelf_slots};
