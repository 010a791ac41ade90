/* hot_stream.c: LogStream, a place in a log from which records are read one after the other, as they come; see hot_log.c. */
#include "hot_log.h"

typedef struct {
  PyObject_HEAD
  PyObject *pages;             /* the log; NULL: not bound yet */
  PyObject *key;               /* bytes: only records with it; or NULL */
  unsigned long long position; /* offset of the next record */
  unsigned long long lost;
  int64_t timeout_ns;
  int skips;                   /* over what it missed, in place of an error */
  int closed;
} Stream;

/* What is to be done after a look at the record at position. */
enum { READY, AGAIN, WAIT, ENDED };

/* One look. READY: *record is there. ENDED: an exception is set. */
static int look(Stream *self, PyObject **record) {
  Pages *pages = (Pages *)self->pages;
  shm_seen seen;
  uint64_t first, next;
  int result = AGAIN, copy = SHM_OK;
  int status = pages->log ? shm_log_enter(pages->log) : SHM_CLOSED;
  if (status != SHM_OK) return hot_fail(self->pages, status, "stream", self->timeout_ns) == 0 ? AGAIN : ENDED;
  unsigned long long at = self->position;
  status = shm_log_see(pages->log, pages->shard, at, &seen);
  if (status == SHM_OK) {
    int has = log_has_key(&seen, self->key);
    *record = has == 1 ? log_record(pages, &seen, &copy) : NULL;
    result = *record ? READY : PyErr_Occurred() ? ENDED : AGAIN;
    if (has == 0) self->position = at + 1;
  } else if (status == SHM_NOT_FOUND) {
    self->position = at + 1; /* deleted */
  } else if (status == SHM_EMPTY) {
    result = WAIT;
  } else if (status == SHM_LAGGED) {
    uint64_t floor = shm_log_floor(pages->log, pages->shard);
    if (at < floor && self->skips) {
      self->lost += floor - at;
      self->position = floor; /* not further: what a purge takes meanwhile is counted at the next look */
    } else if (at >= floor) { /* what is missing above it was deleted */
      shm_log_bounds(pages->log, pages->shard, &first, &next);
      if (shm_log_floor(pages->log, pages->shard) == floor) self->position = first > at ? first : at + 1;
    } else {
      PyObject *done = PyObject_CallMethod(self->pages, "_refuse_read", "iK", status, at);
      Py_XDECREF(done);
      result = ENDED;
    }
  } else {
    result = hot_fail(self->pages, status, "stream", self->timeout_ns) == 0 ? AGAIN : ENDED;
  }
  status = shm_log_leave(pages->log, SHM_OK);
  if (status == SHM_OK || result == ENDED) return result;
  Py_XDECREF(*record);
  *record = NULL;
  return hot_fail(self->pages, status, "stream", self->timeout_ns) == 0 ? AGAIN : ENDED;
}

static PyObject *next_record(Stream *self, int64_t timeout_ns) {
  PyObject *record = NULL;
  uint64_t deadline_ns = SHM_NEVER;
  int spun = 0;
  if (!self->pages) return PyErr_Format(PyExc_ValueError, "the stream is bound to no log");
  if (timeout_ns >= 0) deadline_ns = timeout_ns ? shm_monotonic_ns() + (uint64_t)timeout_ns : 0;
  for (;;) {
    if (self->closed) return NULL; /* StopIteration */
    unsigned long long at = self->position;
    int result = look(self, &record);
    if (result == ENDED) return NULL;
    if (result == READY) {
      if (PyErr_CheckSignals() != 0) { /* it was not given: it comes next */
        Py_DECREF(record);
        return NULL;
      }
      if (self->position == at) { /* else another thread, or a signal's handler, was given it while this one copied */
        self->position++;
        return record;
      }
      Py_DECREF(record);
      record = NULL;
      continue;
    }
    if (PyErr_CheckSignals() != 0) return NULL;
    if (result == AGAIN) continue;
    uint64_t now_ns = spun ? shm_monotonic_ns() : 0, slice_ns = SHM_SPIN;
    if (timeout_ns == 0 || (spun && now_ns >= deadline_ns)) {
      Pages *pages = (Pages *)self->pages;
      /* a last look was just made: nothing has come */
      if (hot_fail((PyObject *)pages, SHM_EMPTY, "stream", timeout_ns) == 0) continue;
      return NULL;
    }
    if (spun) {
      slice_ns = (now_ns / SLICE_NS + 1) * SLICE_NS; /* when naps end in the C core, too */
      if (slice_ns > deadline_ns) slice_ns = deadline_ns;
    }
    Pages *pages = (Pages *)self->pages;
    shm_log *log = pages->log;
    if (log) {
      Py_BEGIN_ALLOW_THREADS
      shm_log_wait(log, pages->shard, at, slice_ns);
      Py_END_ALLOW_THREADS
    }
    spun = 1;
  }
}

static PyObject *stream_next(PyObject *object) { return next_record((Stream *)object, ((Stream *)object)->timeout_ns); }

static PyObject *stream_next_within(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"timeout"};
  Stream *self = (Stream *)object;
  PyObject *slots[1];
  if (hot_arguments(args, nargs, kwnames, names, 0, 1, slots) != 0) return NULL;
  int64_t timeout_ns = hot_timeout(slots[0], self->timeout_ns);
  if (timeout_ns == -2) return NULL;
  PyObject *record = next_record(self, timeout_ns);
  if (!record && !PyErr_Occurred()) PyErr_SetNone(PyExc_StopIteration);
  return record;
}

/* _bind(pages, position, timeout_ns, key or None, skips) */
static PyObject *stream_bind(PyObject *object, PyObject *args) {
  Stream *self = (Stream *)object;
  PyObject *pages, *key;
  unsigned long long position;
  long long timeout_ns;
  int skips;
  if (!PyArg_ParseTuple(args, "OKLOp", &pages, &position, &timeout_ns, &key, &skips)) return NULL;
  Py_INCREF(pages);
  Py_XDECREF(self->pages);
  self->pages = pages;
  Py_XDECREF(self->key);
  self->key = key == Py_None ? NULL : key;
  Py_XINCREF(self->key);
  self->position = position;
  self->timeout_ns = timeout_ns;
  self->skips = skips;
  Py_RETURN_NONE;
}

/* _end(): calls under way see it at their next look. */
static PyObject *stream_end(PyObject *object, PyObject *unused) {
  (void)unused;
  ((Stream *)object)->closed = 1;
  Py_RETURN_NONE;
}

static PyObject *stream_self(PyObject *object) {
  Py_INCREF(object);
  return object;
}

static PyObject *stream_lost(PyObject *object, void *unused) {
  (void)unused;
  return PyLong_FromUnsignedLongLong(((Stream *)object)->lost);
}

static PyObject *stream_position(PyObject *object, void *unused) {
  (void)unused;
  return PyLong_FromUnsignedLongLong(((Stream *)object)->position);
}

static PyObject *stream_closed(PyObject *object, void *unused) {
  (void)unused;
  return PyBool_FromLong(((Stream *)object)->closed);
}

static void stream_dealloc(PyObject *object) {
  Stream *self = (Stream *)object;
  PyTypeObject *type = Py_TYPE(object);
  Py_XDECREF(self->pages);
  Py_XDECREF(self->key);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(object);
  Py_DECREF(type);
}

#define CALL(function) (PyCFunction)(void (*)(void))(function)
static PyMethodDef stream_methods[] = {
    {"next", CALL(stream_next_within), METH_FASTCALL | METH_KEYWORDS,
     "next(timeout=...): the next record; waits up to so many seconds (default: as the stream was made), then `Empty`."},
    {"_bind", stream_bind, METH_VARARGS, NULL},
    {"_end", stream_end, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef stream_getset[] = {
    {"lost", stream_lost, NULL, "Records that were dropped before they were read, so far; only with lost=\"skip\".", NULL},
    {"next_offset", stream_position, NULL, "The offset of the next record.", NULL},
    {"_ended", stream_closed, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot stream_slots[] = {
    {Py_tp_dealloc, stream_dealloc}, {Py_tp_methods, stream_methods}, {Py_tp_getset, stream_getset},
    {Py_tp_iter, stream_self},       {Py_tp_iternext, stream_next},   {0, NULL},
};

PyType_Spec hot_stream_spec = {"shmspace._native.LogStream", sizeof(Stream), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                               stream_slots};
