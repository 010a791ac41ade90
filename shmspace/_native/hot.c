/* hot.c: the dozen calls that users make in a loop, as native methods over the same C interface as everything else.
 *
 * A cffi call costs some 45 ns and 25 to 50 ns for each pointer; a native method 14 ns. So Port has send, recv and their
 * many-at-a-time forms here; the Python classes Channel, Reader and Writer inherit them. Everything that is not the
 * straight path (other types, errors, forks) goes to the Python methods _send_slow and _fail of the same object.
 *
 * First an attempt with the interpreter's lock held, which never sleeps; then, without it, spinning; then sleeping in
 * slices, with a look for signals between them. A call interrupted by a signal has taken nothing.
 */
#include "hot.h"
#include "hot_log.h"
#include "hot_store.h"
#include "hot_values.h"

#include <math.h>

/* ---- arguments ------------------------------------------------------------ */
static PyObject *timeout_checker; /* shmspace.options.timeout_ns: says what is wrong with a timeout */

int64_t hot_timeout(PyObject *timeout, int64_t otherwise) {
  if (timeout == NULL || timeout == Py_None) return otherwise;
  if (PyFloat_CheckExact(timeout)) {
    double seconds = PyFloat_AsDouble(timeout);
    if (seconds >= 0 && seconds < 4e9) return (int64_t)ceil(seconds * 1e9);
  } else if (PyLong_CheckExact(timeout)) {
    int overflow;
    long long seconds = PyLong_AsLongLongAndOverflow(timeout, &overflow);
    if (!overflow && seconds >= 0 && seconds < 4000000000ll) return seconds * 1000000000ll;
  }
  PyObject *checked = PyObject_CallFunctionObjArgs(timeout_checker, timeout, NULL);
  if (!checked) return -2;
  int64_t timeout_ns = PyLong_AsLongLong(checked);
  Py_DECREF(checked);
  return timeout_ns == -1 && PyErr_Occurred() ? -2 : timeout_ns;
}

int hot_arguments(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, const char *const *names, int least, int count,
                  PyObject **slots) {
  if (nargs > count) {
    PyErr_Format(PyExc_TypeError, "expected at most %d arguments, got %zd", count, nargs);
    return -1;
  }
  for (int i = 0; i < count; i++) slots[i] = i < nargs ? args[i] : NULL;
  Py_ssize_t keywords = kwnames ? PyTuple_Size(kwnames) : 0;
  for (Py_ssize_t k = 0; k < keywords; k++) {
    PyObject *keyword = PyTuple_GetItem(kwnames, k);
    int i = 0;
    while (i < count && PyUnicode_CompareWithASCIIString(keyword, names[i]) != 0) i++;
    if (i == count || slots[i]) {
      PyErr_Format(PyExc_TypeError, i == count ? "unexpected keyword argument '%U'" : "argument '%U' was given twice", keyword);
      return -1;
    }
    slots[i] = args[nargs + k];
  }
  for (int i = 0; i < least; i++) {
    if (slots[i]) continue;
    PyErr_Format(PyExc_TypeError, "missing argument '%s'", names[i]);
    return -1;
  }
  return 0;
}

/* ---- errors -------------------------------------------------------------------------------------------------------------- */
int hot_fail(PyObject *self, int status, const char *what, int64_t timeout_ns) {
  PyObject *done = PyObject_CallMethod(self, "_fail", "isL", status, what, (long long)timeout_ns);
  if (!done) return -1;
  Py_DECREF(done);
  return 0;
}

int hot_is_open(Port *self, const char *what) {
  if (self->handle) return 1;
  hot_fail((PyObject *)self, SHM_CLOSED, what, FOREVER);
  if (!PyErr_Occurred()) PyErr_SetString(PyExc_RuntimeError, "closed");
  return 0;
}

/* ---- waiting ------------------------------------------------------------------------------------------------------------- */
int hot_wait(Port *self, attempt *attempt, void *context, int none, int64_t timeout_ns, int writers) {
  int status;
  uint64_t deadline_ns = SHM_NEVER, now_ns;
  if (timeout_ns == 0) {
    Py_BEGIN_ALLOW_THREADS
    shm_channel_probe(self->handle, writers);
    deadline_ns = shm_monotonic_ns() + PATIENCE_NS;
    while ((status = attempt(self, context, 0)) == SHM_BUSY && shm_monotonic_ns() < deadline_ns) shm_nap_ns(20000);
    Py_END_ALLOW_THREADS
    return status;
  }
  Py_BEGIN_ALLOW_THREADS
  status = attempt(self, context, SHM_SPIN);
  Py_END_ALLOW_THREADS
  if (timeout_ns > 0) deadline_ns = shm_monotonic_ns() + (uint64_t)timeout_ns;
  while (status == none || status == SHM_BUSY || status == SHM_TIMEOUT || status == SHM_INTERRUPTED) {
    if (PyErr_CheckSignals() != 0) return RAISED;
    now_ns = shm_monotonic_ns();
    if (now_ns >= deadline_ns) { /* a last look, also at who has died */
      if (status == SHM_TIMEOUT) return status;
      Py_BEGIN_ALLOW_THREADS
      shm_channel_probe(self->handle, writers);
      status = attempt(self, context, 0);
      Py_END_ALLOW_THREADS
      return status == SHM_BUSY ? none : status;
    }
    uint64_t slice_ns = (now_ns / SLICE_NS + 1) * SLICE_NS; /* when naps end in the C core, too */
    if (slice_ns > deadline_ns) slice_ns = deadline_ns;
    Py_BEGIN_ALLOW_THREADS
    status = attempt(self, context, slice_ns);
    Py_END_ALLOW_THREADS
  }
  return status;
}

/* ---- the type ------------------------------------------------------------------------------------------------------------ */
/* _bind(handle, codec, timeout_ns, max_message, raises_full, indirect) */
static PyObject *port_bind(PyObject *object, PyObject *args) {
  Port *self = (Port *)object;
  unsigned long long handle, most;
  long long timeout_ns;
  PyObject *codec;
  int raises_full, indirect;
  if (!PyArg_ParseTuple(args, "KOLKpp", &handle, &codec, &timeout_ns, &most, &raises_full, &indirect)) return NULL;
  if (hot_coder_set(&self->coder, codec, most) != 0) return NULL;
  self->timeout_ns = timeout_ns;
  self->raises_full = raises_full;
  self->indirect = indirect;
  self->handle = (shm_channel *)(uintptr_t)handle;
  Py_RETURN_NONE;
}

/* _mark_closing(): calls under way leave. With the interpreter's lock held, so none is in the middle of its quick part. */
static PyObject *port_mark_closing(PyObject *object, PyObject *unused) {
  Port *self = (Port *)object;
  (void)unused;
  if (self->handle) shm_channel_mark_closing(self->handle);
  Py_RETURN_NONE;
}

static PyObject *port_get_rest(PyObject *object, void *unused) {
  Port *self = (Port *)object;
  (void)unused;
  PyObject *rest = self->rest ? self->rest : Py_None;
  Py_INCREF(rest);
  return rest;
}

/* Is a message kept that an interrupted call had taken? */
static PyObject *port_get_kept(PyObject *object, void *unused) {
  Port *self = (Port *)object;
  (void)unused;
  return PyBool_FromLong(self->kept && PyList_Size(self->kept) > 0);
}

static int port_set_rest(PyObject *object, PyObject *value, void *unused) {
  Port *self = (Port *)object;
  (void)unused;
  PyObject *old = self->rest;
  self->rest = value == Py_None ? NULL : value;
  Py_XINCREF(self->rest);
  Py_XDECREF(old);
  return 0;
}

static void port_dealloc(PyObject *object) {
  Port *self = (Port *)object;
  PyTypeObject *type = Py_TYPE(object);
  hot_coder_clear(&self->coder);
  Py_XDECREF(self->rest);
  Py_XDECREF(self->kept);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(object);
  Py_DECREF(type);
}


#define FAST (METH_FASTCALL | METH_KEYWORDS)
#define CALL(function) (PyCFunction)(void (*)(void))(function)
static PyMethodDef port_methods[] = {
    {"_bind", port_bind, METH_VARARGS, NULL},
    {"_mark_closing", port_mark_closing, METH_NOARGS, NULL},
    {"_keep", port_keep, METH_VARARGS, NULL},
    {"_recv", CALL(port_recv), FAST, NULL},
    {"_recv_stored", CALL(port_recv_stored), METH_FASTCALL, NULL},
    {"_recv_many", CALL(port_recv_many), FAST, NULL},
    {"_send", CALL(port_send), FAST, NULL},
    {"_send_stored", CALL(port_send_stored), METH_FASTCALL, NULL},
    {"_send_many", CALL(port_send_many), FAST, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef port_getset[] = {
    {"_rest", port_get_rest, port_set_rest, NULL, NULL},
    {"_kept", port_get_kept, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot port_slots[] = {
    {Py_tp_dealloc, port_dealloc},
    {Py_tp_methods, port_methods},
    {Py_tp_getset, port_getset},
    {0, NULL},
};

static PyType_Spec port_spec = {"shmspace._native.Port", sizeof(Port), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, port_slots};

/* Called once, through cffi, with the module that the types go into and options.timeout_ns; 0, or -1. */
int shm_hot_install(void *module, void *checker) {
  PyGILState_STATE state = PyGILState_Ensure(); /* cffi has released it */
  PyType_Spec *specs[] = {&port_spec, &hot_shelf_spec, &hot_lease_spec, &hot_pages_spec, &hot_stream_spec,
                          &hot_cabinet_spec, &hot_watch_spec};
  static const char *const names[] = {"Port", "Shelf", "Lease", "Pages", "LogStream", "Cabinet", "Watch"};
  int status = 0;
  for (int i = 0; i < 7 && status == 0; i++) {
    PyObject *type = PyType_FromSpec(specs[i]);
    status = type ? PyObject_SetAttrString((PyObject *)module, names[i], type) : -1;
    if (specs[i] == &hot_lease_spec) hot_lease_type = (PyTypeObject *)type; /* of which one reference stays with us */
    else Py_XDECREF(type);
  }
  timeout_checker = checker;
  Py_INCREF(timeout_checker);
  PyGILState_Release(state);
  return status;
}
