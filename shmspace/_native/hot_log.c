/* hot_log.c: append, publish, read, read_batch and consume of logs; see hot.c. Records are copied from where they lie, and count if
 * they are unchanged afterwards; no lock is taken to read.
 */
#include "hot_log.h"

#include <stdlib.h>
#include <string.h>

/* ---- records ------------------------------------------------------------------------------------------------------------- */
static PyObject *type_of(Pages *self, uint32_t codec) {
  if (self->last_type && codec == self->last_codec) {
    Py_INCREF(self->last_type);
    return self->last_type;
  }
  PyObject *type = codec < 256 ? PyList_GetItem(self->types, codec) : NULL;
  if (type && type != Py_None) {
    self->last_type = type;
    self->last_codec = codec;
    Py_INCREF(type);
    return type;
  }
  if (!type) return PyErr_Format(PyExc_OverflowError, "a record has codec number %lu", (unsigned long)codec);
  type = PyObject_CallMethod((PyObject *)self, "_record_type", "k", (unsigned long)codec);
  if (type) {
    Py_INCREF(type);
    PyList_SetItem(self->types, codec, type);
  }
  return type;
}

/* Bytes that may change while they are copied. */
static PyObject *copied(const uint8_t *from, uint64_t length) {
  PyObject *made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length);
  if (!made || length == 0) return made;
  char *to = PyBytes_AsString(made);
  if (length < LONG_COPY) {
    memcpy(to, from, length);
  } else {
    Py_BEGIN_ALLOW_THREADS
    memcpy(to, from, length);
    Py_END_ALLOW_THREADS
  }
  return made;
}

static PyObject *none(void) {
  Py_INCREF(Py_None);
  return Py_None;
}

PyObject *log_record(Pages *self, const shm_seen *seen, int *status) {
  PyObject *key = seen->flags & SHM_HAS_KEY ? copied(seen->key, seen->key_bytes) : none();
  PyObject *data = seen->flags & SHM_HAS_DATA ? copied(seen->data, seen->data_bytes) : none();
  if (key && data && !shm_log_unchanged(seen)) {
    *status = CHANGED;
    Py_DECREF(key);
    Py_DECREF(data);
    return NULL;
  }
  *status = SHM_OK;
  PyObject *type = type_of(self, seen->codec);
  PyObject *items[] = {type ? PyLong_FromUnsignedLongLong(seen->offset) : NULL, PyLong_FromLongLong(seen->time_ns), key, data};
  PyObject *record = hot_named(type, items, 4);
  Py_XDECREF(type);
  if (record) PyObject_GC_UnTrack(record); /* nothing in it can lead back to it */
  return record;
}

int log_has_key(const shm_seen *seen, PyObject *key) {
  if (!key) return 1;
  char *bytes;
  Py_ssize_t length;
  if (PyBytes_AsStringAndSize(key, &bytes, &length) != 0) return 0;
  int same = seen->flags & SHM_HAS_KEY && seen->key_bytes == (uint64_t)length && memcmp(seen->key, bytes, (size_t)length) == 0;
  return same ? 1 : shm_log_unchanged(seen) ? 0 : CHANGED + 1;
}

int log_offset(PyObject *object, long long *offset, unsigned long long *position) {
  int beyond = 0;
  if (!PyLong_Check(object) || PyBool_Check(object)) {
    PyErr_Format(PyExc_TypeError, "an offset must be an int, not %R", (PyObject *)Py_TYPE(object));
    return -1;
  }
  *offset = PyLong_AsLongLongAndOverflow(object, &beyond);
  if (beyond < 0) *offset = INT64_MIN;
  *position = (unsigned long long)*offset;
  if (beyond <= 0) return 0;
  *offset = INT64_MAX;
  *position = PyLong_AsUnsignedLongLong(object);
  if (PyErr_Occurred()) {
    PyErr_Clear();
    *position = UINT64_MAX;
  }
  return 0;
}

static int enter(Pages *self, const char *what) {
  for (;;) {
    int status = self->log ? shm_log_enter(self->log) : SHM_CLOSED;
    if (status == SHM_OK) return 0;
    if (hot_fail((PyObject *)self, status, what, FOREVER) != 0) return -1;
  }
}

/* 0: what was seen counts. */
static int leave(Pages *self, const char *what) {
  int status = shm_log_leave(self->log, SHM_OK);
  if (status == SHM_OK) return 0;
  if (hot_fail((PyObject *)self, status, what, FOREVER) == 0) PyErr_SetString(PyExc_RuntimeError, "it went away");
  return -1;
}

/* ---- appending ----------------------------------------------------------------------------------------------------------- */
/* One record's parts; what keeps its bytes alive goes into kept. */
static int encode(Pages *self, PyObject *value, PyObject *key, PyObject *time, PyObject *kept, shm_append *record) {
  *record = (shm_append){.stamped = time && time != Py_None};
  if (record->stamped) {
    PyObject *ns = PyLong_CheckExact(time) ? time : PyObject_CallMethod((PyObject *)self, "_time_ns", "(O)", time);
    if (!ns) return -1;
    record->time_ns = PyLong_AsLongLong(ns);
    if (ns != time) Py_DECREF(ns);
    if (record->time_ns == -1 && PyErr_Occurred()) return -1;
  }
  if (key && key != Py_None) {
    Py_ssize_t length;
    char *bytes;
    if (PyUnicode_Check(key)) {
      record->key = PyUnicode_AsUTF8AndSize(key, &length);
      if (!record->key) return -1;
    } else if (PyBytes_Check(key)) {
      if (PyBytes_AsStringAndSize(key, &bytes, &length) != 0) return -1;
      record->key = bytes;
    } else {
      PyErr_Format(PyExc_TypeError, "a key must be str, bytes or None, not %R", (PyObject *)Py_TYPE(key));
      return -1;
    }
    if ((uint64_t)length > UINT32_MAX) {
      PyErr_Format(PyExc_ValueError, "a key of %zd bytes is too long", length);
      return -1;
    }
    record->key_bytes = (uint32_t)length;
    record->flags |= SHM_HAS_KEY;
  }
  if (value == Py_None) return 0;
  PyObject *bytes = hot_encoded((PyObject *)self, &self->coder, value, &record->codec);
  if (!bytes) return -1;
  record->data = PyBytes_AsString(bytes);
  record->data_bytes = (uint64_t)PyBytes_Size(bytes);
  record->flags |= SHM_HAS_DATA;
  return hot_append(kept, bytes);
}

/* The offset of the first record, or -1 with an exception. */
static int append_all(Pages *self, const shm_append *records, uint64_t count, uint64_t size_bytes, const char *what,
                      int64_t timeout_ns, uint64_t *first) {
  uint64_t deadline_ns = timeout_ns > 0 ? shm_monotonic_ns() + (uint64_t)timeout_ns : timeout_ns == 0 ? 0 : SHM_NEVER;
  for (;;) {
    int status = SHM_CLOSED;
    if (!self->log) goto fail;
    if (size_bytes < LONG_COPY) {
      status = shm_log_append(self->log, self->shard, records, count, 0, first);
    } else {
      Py_BEGIN_ALLOW_THREADS
      status = shm_log_append(self->log, self->shard, records, count, 0, first);
      Py_END_ALLOW_THREADS
    }
    uint64_t patience_ns = shm_monotonic_ns() + PATIENCE_NS; /* of calls that do not wait: locks are short */
    while (status == SHM_BUSY || status == SHM_TIMEOUT || status == SHM_INTERRUPTED) {
      if (PyErr_CheckSignals() != 0) return -1;
      uint64_t now_ns = shm_monotonic_ns(), limit_ns = timeout_ns == 0 ? patience_ns : deadline_ns;
      if (now_ns >= limit_ns) {
        status = SHM_TIMEOUT;
        break;
      }
      uint64_t slice_ns = now_ns + SLICE_NS < limit_ns ? now_ns + SLICE_NS : limit_ns;
      Py_BEGIN_ALLOW_THREADS
      status = shm_log_append(self->log, self->shard, records, count, slice_ns, first);
      Py_END_ALLOW_THREADS
    }
    if (status == SHM_OK) return 0;
  fail:
    if (hot_fail((PyObject *)self, status, what, timeout_ns) != 0) return -1;
  }
}

static PyObject *pages_append(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"value", "key", "time", "timeout"};
  Pages *self = (Pages *)object;
  PyObject *slots[4] = {NULL}, *kept = NULL;
  shm_append record;
  uint64_t first;
  if (nargs > 1) return PyErr_Format(PyExc_TypeError, "append takes one positional argument; key=, time= and timeout= are named");
  if (hot_arguments(args, nargs, kwnames, names, 1, 4, slots) != 0) return NULL;
  int64_t timeout_ns = hot_timeout(slots[3], FOREVER);
  if (timeout_ns == -2) return NULL;
  if (self->coder.bytes_pass && PyBytes_CheckExact(slots[0]) && !slots[1] && !slots[2]) {
    record = (shm_append){
        .data = PyBytes_AsString(slots[0]), .data_bytes = (uint64_t)PyBytes_Size(slots[0]), .flags = SHM_HAS_DATA};
  } else if (!(kept = PyList_New(0)) || encode(self, slots[0], slots[1], slots[2], kept, &record) != 0) {
    Py_XDECREF(kept);
    return NULL;
  }
  int status = append_all(self, &record, 1, record.data_bytes, "append", timeout_ns, &first);
  Py_XDECREF(kept);
  return status == 0 ? PyLong_FromUnsignedLongLong(first) : NULL;
}

/* _publish(list of values and messages, timeout, type of messages): the next offset. */
static PyObject *pages_publish(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
  Pages *self = (Pages *)object;
  if (nargs != 3 || !PyList_Check(args[0])) return PyErr_Format(PyExc_TypeError, "expected a list, timeout, a type");
  int64_t timeout_ns = hot_timeout(args[1], FOREVER);
  Py_ssize_t count = PyList_Size(args[0]), i = 0;
  if (timeout_ns == -2) return NULL;
  shm_append *records = malloc((size_t)(count ? count : 1) * sizeof *records);
  PyObject *kept = PyList_New(0);
  uint64_t first = 0, size_bytes = 0;
  int status = kept && records ? 0 : -1;
  for (; i < count && status == 0; i++) {
    PyObject *message = PyList_GetItem(args[0], i), *key = NULL, *time = NULL;
    if ((PyObject *)Py_TYPE(message) == args[2]) {
      key = PyTuple_GetItem(message, 1);
      time = PyTuple_GetItem(message, 2);
      message = PyTuple_GetItem(message, 0);
    }
    status = encode(self, message, key, time, kept, &records[i]);
    size_bytes += records[i].data_bytes;
  }
  if (!records && kept) PyErr_NoMemory();
  if (status == 0) status = append_all(self, records, (uint64_t)count, size_bytes, "publish", timeout_ns, &first);
  free(records);
  Py_XDECREF(kept);
  return status == 0 ? PyLong_FromUnsignedLongLong(first + (uint64_t)count) : NULL;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------- */
/* The first or the last record. SHM_EMPTY: there is none. SHM_LAGGED: look again. Who deletes may be stopped half way, so that
 * records at either end are deleted ones; nobody waits for it.
 */
static int see_end(Pages *self, int oldest, shm_seen *seen) {
  uint64_t first, next, first_now, next_now;
  shm_log_bounds(self->log, self->shard, &first, &next);
  if (first == next) return SHM_EMPTY;
  uint64_t position = oldest ? first : next - 1;
  int status = shm_log_see(self->log, self->shard, position, seen);
  while (status == SHM_NOT_FOUND && (oldest ? position + 1 < next : position > first)) {
    status = shm_log_see(self->log, self->shard, oldest ? ++position : --position, seen);
  }
  if (status != SHM_NOT_FOUND) return status;
  shm_log_bounds(self->log, self->shard, &first_now, &next_now);
  return first_now == first && next_now == next ? SHM_EMPTY : SHM_LAGGED;
}

static PyObject *pages_read(PyObject *object, PyObject *argument) {
  Pages *self = (Pages *)object;
  long long offset;
  unsigned long long position;
  shm_seen seen;
  if (log_offset(argument, &offset, &position) != 0 || enter(self, "read") != 0) return NULL;
  PyObject *record = NULL;
  int status = SHM_LAGGED;
  for (int again = 1; again;) {
    if (offset == OLDEST || offset == NEWEST) {
      status = see_end(self, offset == OLDEST, &seen);
      again = status == SHM_LAGGED; /* it went meanwhile */
    } else {
      status = offset < 0 ? SHM_INVALID : shm_log_see(self->log, self->shard, position, &seen);
      again = 0;
    }
    if (status != SHM_OK) continue;
    record = log_record(self, &seen, &status);
    again = !record && status == CHANGED;
  }
  if (leave(self, "read") != 0) {
    Py_XDECREF(record);
    return NULL;
  }
  if (record || PyErr_Occurred()) return record;
  return PyObject_CallMethod(object, "_refuse_read", "iO", status, argument);
}

/* _collect(position, max_count, key or None, lenient): (records, next position, status of what ended it). */
static PyObject *pages_collect(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
  Pages *self = (Pages *)object;
  if (nargs != 4) return PyErr_Format(PyExc_TypeError, "expected position, max_count, key, lenient");
  unsigned long long position = PyLong_AsUnsignedLongLong(args[0]);
  Py_ssize_t most = PyLong_AsSsize_t(args[1]), count = 0;
  PyObject *key = args[2] == Py_None ? NULL : args[2];
  int lenient = PyObject_IsTrue(args[3]), status = SHM_OK;
  if (PyErr_Occurred() || enter(self, "reading") != 0) return NULL;
  PyObject *records = PyList_New(0);
  uint64_t matched = position;
  while (records && count < most && status == SHM_OK) {
    shm_seen seen;
    uint64_t first, next;
    status = shm_log_see(self->log, self->shard, position, &seen);
    if (status == SHM_NOT_FOUND) {
      position++;
      status = SHM_OK;
    } else if (status == SHM_LAGGED && lenient && count == 0) {
      shm_log_bounds(self->log, self->shard, &first, &next);
      if (first <= position) break; /* cannot be */
      position = first;
      status = SHM_OK;
    } else if (status == SHM_OK) {
      int has = log_has_key(&seen, key), copy = SHM_OK;
      PyObject *record = has == 1 ? log_record(self, &seen, &copy) : NULL;
      if (record) {
        count++;
        if (hot_append(records, record) != 0) break;
        matched = position + 1;
      } else if (PyErr_Occurred()) {
        break;
      }
      if (has == 0 || (has == 1 && copy == SHM_OK)) position++;
    }
  }
  if (leave(self, "reading") != 0 || PyErr_Occurred()) {
    Py_XDECREF(records);
    return NULL;
  }
  return Py_BuildValue("(NKi)", records, (unsigned long long)(key && count ? matched : position), status);
}

/* _find(key) or _find(time_ns): the record, or None. */
static PyObject *pages_find(PyObject *object, PyObject *what) {
  Pages *self = (Pages *)object;
  shm_seen seen;
  long long time_ns = 0;
  char *bytes = NULL;
  Py_ssize_t length = 0;
  if (PyBytes_Check(what) ? PyBytes_AsStringAndSize(what, &bytes, &length) != 0
                          : (time_ns = PyLong_AsLongLong(what)) == -1 && PyErr_Occurred()) {
    return NULL;
  }
  if (enter(self, "finding") != 0) return NULL;
  PyObject *record = NULL;
  int status;
  do {
    status = bytes ? shm_log_see_key(self->log, self->shard, bytes, (uint32_t)length, &seen)
                   : shm_log_see_time(self->log, self->shard, time_ns, &seen);
    if (status == SHM_OK) record = log_record(self, &seen, &status);
  } while (status == CHANGED);
  if (leave(self, "finding") != 0) {
    Py_XDECREF(record);
    return NULL;
  }
  if (record || PyErr_Occurred()) return record;
  if (status == SHM_NOT_FOUND) return none();
  hot_fail(object, status, "finding", FOREVER);
  return NULL;
}

/* ---- the type ------------------------------------------------------------------------------------------------------------ */
/* _bind(log, shard, codec, types) */
static PyObject *pages_bind(PyObject *object, PyObject *args) {
  Pages *self = (Pages *)object;
  unsigned long long log;
  unsigned int shard;
  PyObject *codec, *types;
  if (!PyArg_ParseTuple(args, "KIOO", &log, &shard, &codec, &types)) return NULL;
  if (hot_coder_set(&self->coder, codec, UINT64_MAX) != 0) return NULL;
  Py_INCREF(types);
  Py_XDECREF(self->types);
  self->last_type = NULL;
  self->types = types;
  self->shard = shard;
  self->log = (shm_log *)(uintptr_t)log;
  Py_RETURN_NONE;
}

static PyObject *pages_mark_closing(PyObject *object, PyObject *unused) {
  Pages *self = (Pages *)object;
  (void)unused;
  if (self->log) shm_log_mark_closing(self->log);
  Py_RETURN_NONE;
}

static void pages_dealloc(PyObject *object) {
  Pages *self = (Pages *)object;
  PyTypeObject *type = Py_TYPE(object);
  hot_coder_clear(&self->coder);
  Py_XDECREF(self->types);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(object);
  Py_DECREF(type);
}

#define CALL(function) (PyCFunction)(void (*)(void))(function)
static PyMethodDef pages_methods[] = {
    {"_bind", pages_bind, METH_VARARGS, NULL},
    {"_mark_closing", pages_mark_closing, METH_NOARGS, NULL},
    {"_append", CALL(pages_append), METH_FASTCALL | METH_KEYWORDS, NULL},
    {"_publish", CALL(pages_publish), METH_FASTCALL, NULL},
    {"_read", pages_read, METH_O, NULL},
    {"_collect", CALL(pages_collect), METH_FASTCALL, NULL},
    {"_find", pages_find, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot pages_slots[] = {
    {Py_tp_dealloc, pages_dealloc},
    {Py_tp_methods, pages_methods},
    {0, NULL},
};

PyType_Spec hot_pages_spec = {"shmspace._native.Pages", sizeof(Pages), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, pages_slots};
