/* hot_watch.c: Watch, a place in the events of a store; see hot_store.c.
 *
 * What was taken from the C core is kept until its call returns: a call that a signal interrupts has lost nothing. The bytes of
 * an event are the C core's until it is asked again. One thread at a time asks it; `turn` is whose turn it is.
 */
#include "hot_store.h"

#include "pythread.h"

typedef struct {
  PyObject_HEAD
  PyObject *store; /* the Cabinet; NULL: not bound yet */
  PyObject *event_type;
  shm_watch *watch;
  PyThread_type_lock turn;
  shm_event kept;    /* taken and not given yet, if keeps */
  int keeps;
  uint64_t taken;    /* how many were: says which one is kept */
  uint64_t missed;   /* of a gap that is still to be told of */
  uint64_t lost;     /* of all gaps */
  uint64_t last_seq; /* the highest of the events given */
  int64_t timeout_ns;
  int closed;
  int gone;          /* watch was given back */
  uint32_t epoch;    /* of forks, when it was bound */
} Watch;

/* Ask the C core once: SHM_OK if there is something to be told now. */
static int ask(Watch *self, uint64_t deadline_ns) {
  int status;
  if (self->keeps || self->missed) return SHM_OK;
  Py_BEGIN_ALLOW_THREADS
  status = shm_watch_next(self->watch, deadline_ns, &self->kept);
  Py_END_ALLOW_THREADS
  if (status == SHM_LAGGED) {
    self->missed = self->kept.lost ? self->kept.lost : 1;
    return SHM_OK;
  }
  self->keeps = status == SHM_OK;
  self->taken += status == SHM_OK;
  return status;
}

/* In turn; SHM_EMPTY if that has not come before the deadline. arm: have the bell rung for what is not there yet. */
static int ask_in_turn(Watch *self, uint64_t deadline_ns, int arm) {
  int taken = PyThread_acquire_lock(self->turn, NOWAIT_LOCK);
  if (!taken && deadline_ns) {
    uint64_t now_ns = shm_monotonic_ns();
    long long wait_us = deadline_ns > now_ns ? (long long)((deadline_ns - now_ns) / 1000) : 0;
    Py_BEGIN_ALLOW_THREADS
    taken = PyThread_acquire_lock_timed(self->turn, wait_us, 1) == PY_LOCK_ACQUIRED;
    Py_END_ALLOW_THREADS
  }
  if (!taken) return SHM_EMPTY;
  int status = self->closed || self->gone ? SHM_CLOSED : SHM_OK;
  if (status == SHM_OK && arm) shm_watch_arm(self->watch);
  if (status == SHM_OK) status = ask(self, deadline_ns);
  PyThread_release_lock(self->turn);
  return status;
}

/* ---- what is given ------------------------------------------------------------------------------------------------------- */
static PyObject *event_of(const Watch *self) {
  Cabinet *store = (Cabinet *)self->store;
  const shm_event event = self->kept;
  const char *value = event.value ? (const char *)event.value : "";
  PyObject *key = PyUnicode_DecodeUTF8((const char *)event.key, (Py_ssize_t)event.key_length, NULL);
  PyObject *data = key ? PyBytes_FromStringAndSize(value, (Py_ssize_t)event.item.length_bytes) : NULL;
  PyObject *entry = data ? cabinet_entry(store, key, hot_decoded(&store->coder, event.item.codec, data), &event.item) : NULL;
  Py_XDECREF(data);
  if (!entry) {
    Py_XDECREF(key);
    return NULL;
  }
  PyObject *items[] = {PyUnicode_InternFromString(event.op == SHM_EVENT_DEL ? "del" : "set"), key, entry,
                       PyLong_FromUnsignedLongLong(event.seq)};
  return hot_named(self->event_type, items, 4);
}

/* The event that is kept, a new reference; NULL with an exception; or NULL without one: another call was given it. */
static PyObject *give(Watch *self) {
  if (!self->keeps) return NULL;
  uint64_t taken = self->taken, seq = self->kept.seq;
  PyObject *event = event_of(self); /* which may run Python code, and so other threads */
  int lost = !event && PyErr_ExceptionMatches(PyExc_Exception); /* it cannot be read: on with the next */
  if (event && PyErr_CheckSignals() != 0) Py_CLEAR(event);
  if (!self->keeps || self->taken != taken) {
    Py_CLEAR(event);
  } else if (event || lost) {
    if (seq > self->last_seq) self->last_seq = seq;
    self->keeps = 0;
  }
  return event;
}

/* Raise Lagged for the gap. */
static void tell_of_gap(Watch *self) {
  uint64_t missed = self->missed;
  self->missed = 0;
  self->lost += missed;
  PyObject *done = PyObject_CallMethod((PyObject *)self, "_refuse_gap", "K", (unsigned long long)missed);
  Py_XDECREF(done);
}

static PyObject *next_event(Watch *self, int64_t timeout_ns) {
  uint64_t limit_ns = SHM_NEVER;
  int status = SHM_EMPTY, looked = 0;
  if (!self->store) return PyErr_Format(PyExc_ValueError, "the watch is bound to no store");
  if (timeout_ns >= 0) limit_ns = shm_monotonic_ns() + (uint64_t)timeout_ns;
  for (;;) {
    if (self->closed) return NULL; /* StopIteration */
    if (self->missed && !self->keeps) {
      tell_of_gap(self);
      return NULL;
    }
    PyObject *event = give(self);
    if (event || PyErr_Occurred()) return event;
    uint64_t now_ns = looked ? shm_monotonic_ns() : 0, slice_ns = 0;
    if (looked) {
      if (PyErr_CheckSignals() != 0) return NULL;
      if (now_ns >= limit_ns && status == SHM_EMPTY) {
        if (hot_fail(self->store, SHM_EMPTY, "watch", timeout_ns) == 0) continue;
        return NULL;
      }
      slice_ns = (now_ns / SLICE_NS + 1) * SLICE_NS; /* when naps end in the C core, too */
      if (slice_ns > limit_ns) slice_ns = limit_ns;
    }
    looked = 1;
    /* after a fork a thread that is not here may have the turn */
    status = self->epoch == shm_fork_epoch() ? ask_in_turn(self, slice_ns, 0) : SHM_FORKED;
    if (status == SHM_BUSY || status == SHM_TIMEOUT || status == SHM_INTERRUPTED) status = SHM_EMPTY;
    if (status == SHM_OK || status == SHM_EMPTY || self->closed) continue;
    PyObject *done = PyObject_CallMethod((PyObject *)self, "_fail", "i", status);
    if (!done) return NULL;
    Py_DECREF(done);
  }
}

static PyObject *watch_next(PyObject *object) { return next_event((Watch *)object, ((Watch *)object)->timeout_ns); }

static PyObject *watch_next_within(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"timeout"};
  Watch *self = (Watch *)object;
  PyObject *slots[1];
  if (hot_arguments(args, nargs, kwnames, names, 0, 1, slots) != 0) return NULL;
  int64_t timeout_ns = hot_timeout(slots[0], self->timeout_ns);
  if (timeout_ns == -2) return NULL;
  PyObject *event = next_event(self, timeout_ns);
  if (!event && !PyErr_Occurred()) PyErr_SetNone(PyExc_StopIteration);
  return event;
}

/* _look(): arm the bell, and say whether the next call has something to say at once. */
static PyObject *watch_look(PyObject *object, PyObject *unused) {
  Watch *self = (Watch *)object;
  (void)unused;
  int status = self->epoch == shm_fork_epoch() ? ask_in_turn(self, 0, 1) : SHM_FORKED;
  return PyBool_FromLong(status != SHM_EMPTY && status != SHM_BUSY && status != SHM_TIMEOUT && status != SHM_INTERRUPTED);
}

/* ---- the type ------------------------------------------------------------------------------------------------------------ */
/* _bind(watch, store, type of events, timeout_ns) */
static PyObject *watch_bind(PyObject *object, PyObject *args) {
  Watch *self = (Watch *)object;
  unsigned long long watch;
  long long timeout_ns;
  PyObject *store, *event_type;
  if (!PyArg_ParseTuple(args, "KOOL", &watch, &store, &event_type, &timeout_ns)) return NULL;
  PyThread_type_lock turn = PyThread_allocate_lock(); /* after a fork nobody is left who has the old one */
  if (!turn) return PyErr_NoMemory();
  PyObject *old_store = self->store, *old_type = self->event_type;
  Py_INCREF(store);
  Py_INCREF(event_type);
  self->store = store;
  self->event_type = event_type;
  self->timeout_ns = timeout_ns;
  self->turn = turn;
  self->epoch = shm_fork_epoch();
  self->watch = (shm_watch *)(uintptr_t)watch;
  Py_XDECREF(old_store);
  Py_XDECREF(old_type);
  Py_RETURN_NONE;
}

/* _end(): calls under way see it at their next look. */
static PyObject *watch_end(PyObject *object, PyObject *unused) {
  Watch *self = (Watch *)object;
  (void)unused;
  self->closed = 1;
  if (self->watch && !self->gone) shm_watch_mark_closing(self->watch);
  Py_RETURN_NONE;
}

/* _retire(): whether nobody is in a call of the C core, nor ever will be, so that what it made can be given back. */
static PyObject *watch_retire(PyObject *object, PyObject *unused) {
  Watch *self = (Watch *)object;
  (void)unused;
  if (self->gone || !self->turn || !PyThread_acquire_lock(self->turn, NOWAIT_LOCK)) Py_RETURN_FALSE;
  self->gone = 1;
  PyThread_release_lock(self->turn);
  Py_RETURN_TRUE;
}

static PyObject *watch_self(PyObject *object) {
  Py_INCREF(object);
  return object;
}

static PyObject *watch_lost(PyObject *object, void *unused) {
  (void)unused;
  return PyLong_FromUnsignedLongLong(((Watch *)object)->lost);
}

static PyObject *watch_seq(PyObject *object, void *unused) {
  (void)unused;
  return PyLong_FromUnsignedLongLong(((Watch *)object)->last_seq);
}

static PyObject *watch_ended(PyObject *object, void *unused) {
  (void)unused;
  return PyBool_FromLong(((Watch *)object)->closed);
}

static void watch_dealloc(PyObject *object) {
  Watch *self = (Watch *)object;
  PyTypeObject *type = Py_TYPE(object);
  if (self->turn) PyThread_free_lock(self->turn);
  Py_XDECREF(self->store);
  Py_XDECREF(self->event_type);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(object);
  Py_DECREF(type);
}

#define CALL(function) (PyCFunction)(void (*)(void))(function)
static PyMethodDef watch_methods[] = {
    {"next", CALL(watch_next_within), METH_FASTCALL | METH_KEYWORDS,
     "next(timeout=...): the next event; waits up to so many seconds (default: as the watch was made), then `Empty`."},
    {"_bind", watch_bind, METH_VARARGS, NULL},
    {"_look", watch_look, METH_NOARGS, NULL},
    {"_end", watch_end, METH_NOARGS, NULL},
    {"_retire", watch_retire, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef watch_getset[] = {
    {"lost", watch_lost, NULL, "How many events it has missed so far, at least.", NULL},
    {"last_seq", watch_seq, NULL, "The highest `seq` of the events given, 0 before the first: where another watch may go on.",
     NULL},
    {"_ended", watch_ended, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot watch_slots[] = {
    {Py_tp_dealloc, watch_dealloc}, {Py_tp_methods, watch_methods},  {Py_tp_getset, watch_getset},
    {Py_tp_iter, watch_self},       {Py_tp_iternext, watch_next},    {0, NULL},
};

PyType_Spec hot_watch_spec = {"shmspace._native.Watch", sizeof(Watch), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, watch_slots};
