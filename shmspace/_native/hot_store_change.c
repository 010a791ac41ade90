/* hot_store_change.c: set, incr and removal of keys of a store; see hot_store.c.
 *
 * A change is first tried with the interpreter's lock held, which never sleeps, then without it, in slices, with a look for
 * signals between them: while somebody has the key's lock, or the shard's. One that was interrupted was not made.
 */
#include "hot_store.h"

#include <math.h>

/* ---- one attempt --------------------------------------------------------------------------------------------------------- */
typedef int act(Cabinet *self, Change *change, uint64_t deadline_ns);

static int set_it(Cabinet *self, Change *change, uint64_t deadline_ns) {
  return shm_store_set(self->store, change->key.bytes, (uint32_t)change->key.length, &change->piece, &change->how, deadline_ns,
                       &change->facts);
}

static int incr_it(Cabinet *self, Change *change, uint64_t deadline_ns) {
  return shm_store_incr(self->store, change->key.bytes, (uint32_t)change->key.length, change->by, &change->how, deadline_ns,
                        &change->sum, &change->facts);
}

static int remove_it(Cabinet *self, Change *change, uint64_t deadline_ns) {
  return shm_store_remove(self->store, change->key.bytes, (uint32_t)change->key.length, &change->how, deadline_ns, &change->facts);
}

/* ---- until it is made ---------------------------------------------------------------------------------------------------- */
static int has_to_wait(int status) {
  return status == SHM_BUSY || status == SHM_LOCKED || status == SHM_TIMEOUT || status == SHM_INTERRUPTED;
}

static int persist(Cabinet *self, Change *change, act *act, int status) {
  int64_t timeout_ns = change->timeout_ns;
  uint64_t limit_ns = SHM_NEVER;
  if (timeout_ns == 0 && status == SHM_LOCKED) return status;
  if (timeout_ns >= 0) limit_ns = shm_monotonic_ns() + (uint64_t)(timeout_ns ? timeout_ns : PATIENCE_NS);
  while (has_to_wait(status)) {
    if (PyErr_CheckSignals() != 0) return RAISED;
    uint64_t now_ns = shm_monotonic_ns();
    if (now_ns >= limit_ns) {
      if (status == SHM_INTERRUPTED) status = act(self, change, 0);
      return status == SHM_BUSY ? SHM_TIMEOUT : status;
    }
    uint64_t slice_ns = (now_ns / SLICE_NS + 1) * SLICE_NS; /* when naps end in the C core, too */
    if (slice_ns > limit_ns) slice_ns = limit_ns;
    Py_BEGIN_ALLOW_THREADS
    status = act(self, change, slice_ns);
    Py_END_ALLOW_THREADS
    if (timeout_ns == 0 && status == SHM_LOCKED) return status;
  }
  return status;
}

/* SHM_OK; RAISED; else a status that is for the caller. */
static int make(Cabinet *self, Change *change, act *act) {
  for (;;) {
    int status;
    if (!cabinet_is_open(self, change->what)) return RAISED;
    if (change->piece.length_bytes < LONG_COPY) {
      status = act(self, change, 0);
    } else {
      Py_BEGIN_ALLOW_THREADS
      status = act(self, change, 0);
      Py_END_ALLOW_THREADS
    }
    if (has_to_wait(status)) status = persist(self, change, act, status);
    if (status == SHM_OK || status == RAISED || status == SHM_INVALID) return status;
    if (status == SHM_MISMATCH) {
      PyObject *done = PyObject_CallMethod((PyObject *)self, "_refuse_version", "OKK", change->key.object,
                                           (unsigned long long)change->how.if_version, (unsigned long long)change->facts.version);
      Py_XDECREF(done);
      return RAISED;
    }
    if (cabinet_fail(self, status, change->what, change->timeout_ns, change->key.object) != 0) return RAISED;
  }
}

static int begin(Cabinet *self, Change *change, PyObject *key, const char *what, int64_t timeout_ns) {
  change->what = what;
  change->piece = (shm_piece){NULL, 0, 0};
  change->how = (shm_write){.holder = PyThread_get_thread_ident()};
  change->timeout_ns = timeout_ns;
  return timeout_ns == -2 ? -1 : cabinet_key(self, key, KEY_PLAIN, &change->key);
}

/* Encode the value, and set the key to it: 0, or -1 with an exception. */
static int set_value(Cabinet *self, Change *change, PyObject *value) {
  PyObject *bytes = hot_encoded((PyObject *)self, &self->coder, value, &change->piece.codec);
  if (!bytes) return -1;
  change->piece.data = PyBytes_AsString(bytes);
  change->piece.length_bytes = (uint64_t)PyBytes_Size(bytes);
  int status = make(self, change, set_it);
  Py_DECREF(bytes);
  if (status == SHM_OK) return cabinet_tell_write(self, "set", change->key.object);
  if (status != RAISED) cabinet_fail(self, status, change->what, change->timeout_ns, change->key.object);
  return -1;
}

/* ---- set ----------------------------------------------------------------------------------------------------------------- */
static int64_t number_of(Cabinet *self, const char *method, PyObject *value) {
  PyObject *number = PyObject_CallMethod((PyObject *)self, method, "(O)", value);
  if (!number) return -1;
  int64_t found = PyLong_AsLongLong(number);
  Py_DECREF(number);
  return found;
}

static int given(PyObject *value) { return value && value != Py_None; }

/* The optional arguments of set: 0, or -1 with an exception. */
static int set_options(Cabinet *self, shm_write *how, PyObject *const *slots) {
  if (given(slots[2])) {
    how->created = number_of(self, "_time_ns", slots[2]);
    how->flags |= SHM_WRITE_CREATED;
    if (PyErr_Occurred()) return -1;
  }
  if (given(slots[3])) {
    how->updated = number_of(self, "_time_ns", slots[3]);
    how->flags |= SHM_WRITE_UPDATED;
    if (PyErr_Occurred()) return -1;
  }
  if (given(slots[4])) {
    how->ttl_ns = (uint64_t)number_of(self, "_ttl_ns", slots[4]);
    if (PyErr_Occurred()) return -1;
  }
  if (given(slots[5])) {
    int64_t version = number_of(self, "_version", slots[5]);
    if (PyErr_Occurred()) return -1;
    how->if_version = (uint64_t)version;
    how->flags |= SHM_WRITE_IF;
  }
  int silent = slots[6] ? PyObject_IsTrue(slots[6]) : 0;
  if (silent > 0) how->flags |= SHM_WRITE_SILENT;
  return silent < 0 ? -1 : 0;
}

PyObject *cabinet_set(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"key", "value", "created", "updated", "ttl", "if_version", "silent", "timeout"};
  Cabinet *self = (Cabinet *)object;
  Change change;
  if (nargs == 2 && !kwnames) {
    if (begin(self, &change, args[0], "set", FOREVER) != 0 || set_value(self, &change, args[1]) != 0) return NULL;
    return PyLong_FromUnsignedLongLong(change.facts.version);
  }
  PyObject *slots[8];
  if (nargs > 2) return PyErr_Format(PyExc_TypeError, "set takes two positional arguments; the others are named");
  if (hot_arguments(args, nargs, kwnames, names, 2, 8, slots) != 0) return NULL;
  if (begin(self, &change, slots[0], "set", hot_timeout(slots[7], FOREVER)) != 0) return NULL;
  if (set_options(self, &change.how, slots) != 0 || set_value(self, &change, slots[1]) != 0) return NULL;
  return PyLong_FromUnsignedLongLong(change.facts.version);
}

int cabinet_assign(PyObject *object, PyObject *key, PyObject *value) {
  Cabinet *self = (Cabinet *)object;
  Change change;
  if (begin(self, &change, key, value ? "set" : "delete", FOREVER) != 0) return -1;
  if (value) return set_value(self, &change, value);
  int status = make(self, &change, remove_it);
  if (status == SHM_OK) return cabinet_tell_write(self, "del", key);
  if (status != RAISED) cabinet_fail(self, status, change.what, FOREVER, key);
  return -1;
}

/* _write(key, value, flags, created, ttl_ns, if_version, holder (0: the thread), timeout_ns, what): (version, created, updated). */
PyObject *cabinet_write(PyObject *object, PyObject *args) {
  Cabinet *self = (Cabinet *)object;
  PyObject *key, *value;
  unsigned int flags;
  long long created, timeout_ns;
  unsigned long long ttl_ns, if_version, holder;
  const char *what;
  Change change;
  if (!PyArg_ParseTuple(args, "OOILKKKLs", &key, &value, &flags, &created, &ttl_ns, &if_version, &holder, &timeout_ns, &what)) {
    return NULL;
  }
  if (begin(self, &change, key, what, timeout_ns) != 0) return NULL;
  change.how = (shm_write){.created = created, .ttl_ns = ttl_ns, .if_version = if_version, .flags = flags,
                           .holder = holder ? holder : change.how.holder};
  if (set_value(self, &change, value) != 0) return NULL;
  const shm_item_facts *facts = &change.facts;
  return Py_BuildValue("KLL", (unsigned long long)facts->version, (long long)facts->created, (long long)facts->updated);
}

/* _remove(key, flags, if_version, holder (0: the thread), timeout_ns) */
PyObject *cabinet_remove(PyObject *object, PyObject *args) {
  Cabinet *self = (Cabinet *)object;
  PyObject *key;
  unsigned int flags;
  unsigned long long if_version, holder;
  long long timeout_ns;
  Change change;
  if (!PyArg_ParseTuple(args, "OIKKL", &key, &flags, &if_version, &holder, &timeout_ns)) return NULL;
  if (begin(self, &change, key, "delete", timeout_ns) != 0) return NULL;
  change.how = (shm_write){.if_version = if_version, .flags = flags, .holder = holder ? holder : change.how.holder};
  int status = make(self, &change, remove_it);
  if (status != SHM_OK && status != RAISED) cabinet_fail(self, status, "delete", timeout_ns, key);
  if (status != SHM_OK || cabinet_tell_write(self, "del", key) != 0) return NULL;
  Py_RETURN_NONE;
}

/* ---- incr ---------------------------------------------------------------------------------------------------------------- */
enum { MSGPACK = 1 }; /* the codec's number: the C core adds to such integers by itself */

PyObject *cabinet_incr(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"key", "by", "timeout"};
  Cabinet *self = (Cabinet *)object;
  PyObject *slots[3] = {NULL};
  Change change;
  int beyond = 0;
  if (nargs == 1 && !kwnames) slots[0] = args[0];
  else if (nargs > 2) return PyErr_Format(PyExc_TypeError, "incr takes up to two positional arguments; timeout= is named");
  else if (hot_arguments(args, nargs, kwnames, names, 1, 3, slots) != 0) return NULL;
  if (begin(self, &change, slots[0], "incr", hot_timeout(slots[2], FOREVER)) != 0) return NULL;
  change.by = 1;
  if (slots[1]) {
    if (PyLong_CheckExact(slots[1])) change.by = PyLong_AsLongLongAndOverflow(slots[1], &beyond);
    else beyond = 1;
  }
  if (self->coder.number == MSGPACK && !beyond) {
    change.how.flags = SHM_WRITE_KEEP_TTL;
    int status = make(self, &change, incr_it);
    if (status == SHM_OK) return cabinet_tell_write(self, "set", slots[0]) == 0 ? PyLong_FromLongLong(change.sum) : NULL;
    if (status == RAISED) return NULL;
  }
  PyObject *by = slots[1] ? slots[1] : PyLong_FromLong(1);
  if (!by) return NULL;
  PyObject *sum = PyObject_CallMethod(object, "_incr_slow", "OOL", slots[0], by, (long long)change.timeout_ns);
  if (!slots[1]) Py_DECREF(by);
  return sum;
}
