/* hot.c: the dozen calls that users make in a loop, as native methods over the same C interface as everything else.
 *
 * A cffi call costs some 45 ns and 25 to 50 ns for each pointer; a native method 14 ns. So Port has send, recv and their
 * many-at-a-time forms here; the Python classes Channel, Reader and Writer inherit them. Everything that is not the
 * straight path (other types, errors, forks) goes to the Python methods _send_slow and _fail of the same object.
 *
 * First an attempt with the interpreter's lock held, which never sleeps; then, without it, spinning; then sleeping in
 * slices, with a look for signals between them. A call interrupted by a signal has taken nothing.
 */
#define Py_LIMITED_API 0x030a0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdlib.h>

#include "../../csrc/include/shmspace.h"

enum { SLICE_NS = 100000000, PATIENCE_NS = 50000000, BATCH = 64, LONG_COPY = 16384, INLINE = 80 };
enum { FOREVER = -1 };

typedef struct {
  PyObject_HEAD
  shm_channel *handle;
  PyObject *encode;    /* value -> (number, bytes) */
  PyObject *decode;    /* (number, bytes) -> value; called for numbers other than 0 */
  PyObject *rest;      /* what read() left of a message, or NULL */
  int64_t timeout_ns;  /* of calls that give none; FOREVER */
  uint64_t max_message_bytes;
  int bytes_pass;      /* bytes are stored as they are */
  int raises_full;     /* overflow="error": a full channel is never waited for */
} Port;

static PyObject *timeout_checker; /* shmspace.options.timeout_ns: says what is wrong with a timeout */

/* ---- arguments ------------------------------------------------------------------------------------------------------------ */
/* Nanoseconds of a timeout argument, FOREVER for None; -2 with an exception. */
static int64_t parse_timeout(const Port *self, PyObject *timeout) {
  if (timeout == NULL || timeout == Py_None) return self->timeout_ns;
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

/* Positional and keyword arguments into slots[0..count); -1 with an exception. */
static int parse_arguments(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, const char *const *names, int least,
                           int count, PyObject **slots) {
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

/* Let Python raise what the status means, or mend it (a fork): 0 to try again, -1 with an exception. */
static int fail(Port *self, int status, const char *what, int64_t timeout_ns) {
  PyObject *done = PyObject_CallMethod((PyObject *)self, "_fail", "isL", status, what, (long long)timeout_ns);
  if (!done) return -1;
  Py_DECREF(done);
  return 0;
}

static int is_open(Port *self, const char *what) {
  if (self->handle) return 1;
  fail(self, SHM_CLOSED, what, FOREVER);
  if (!PyErr_Occurred()) PyErr_SetString(PyExc_RuntimeError, "closed");
  return 0;
}

/* ---- waiting -------------------------------------------------------------------------------------------------------------- */
/* One call of the C core; status. */
typedef int attempt(Port *self, void *context, uint64_t deadline_ns);

/* Call attempt until it says something else than "nothing yet" (none), or time is up: then none.
 * -1000 with an exception when a signal handler raised. */
static int wait_for(Port *self, attempt *attempt, void *context, int none, int64_t timeout_ns, int writers) {
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
    if (PyErr_CheckSignals() != 0) return -1000;
    now_ns = shm_monotonic_ns();
    if (now_ns >= deadline_ns) return status == SHM_TIMEOUT ? status : none;
    uint64_t slice_ns = now_ns + SLICE_NS < deadline_ns ? now_ns + SLICE_NS : deadline_ns;
    Py_BEGIN_ALLOW_THREADS
    status = attempt(self, context, slice_ns);
    Py_END_ALLOW_THREADS
  }
  return status;
}

/* ---- receiving ------------------------------------------------------------------------------------------------------------ */
struct incoming {
  uint8_t *buffer;
  uint64_t room_bytes, length_bytes;
  uint32_t codec;
};

static int try_recv(Port *self, void *context, uint64_t deadline_ns) {
  struct incoming *in = context;
  return shm_channel_recv(self->handle, in->buffer, in->room_bytes, &in->length_bytes, &in->codec, deadline_ns);
}

static PyObject *decoded(Port *self, uint32_t codec, PyObject *data) {
  if (codec == 0 || data == NULL) return data;
  PyObject *number = PyLong_FromUnsignedLong(codec);
  PyObject *value = number ? PyObject_CallFunctionObjArgs(self->decode, number, data, NULL) : NULL;
  Py_XDECREF(number);
  Py_DECREF(data);
  return value;
}

/* The next message, as bytes in *data; a status, or -1000 with an exception. */
static int take(Port *self, int64_t timeout_ns, PyObject **data, uint32_t *codec) {
  uint8_t small[INLINE];
  struct incoming in = {small, INLINE, 0, 0};
  PyObject *large = NULL;
  int status = try_recv(self, &in, 0);
  for (;;) {
    if (status == SHM_EMPTY || status == SHM_BUSY) status = wait_for(self, try_recv, &in, SHM_EMPTY, timeout_ns, 1);
    if (status != SHM_SHORT) break;
    /* Memory first, then the message: nothing is taken that could not be handed over. */
    Py_XDECREF(large);
    large = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)in.length_bytes);
    if (!large) return -1000;
    in.buffer = (uint8_t *)PyBytes_AsString(large);
    in.room_bytes = in.length_bytes;
    if (in.length_bytes < LONG_COPY) {
      status = try_recv(self, &in, 0);
    } else {
      Py_BEGIN_ALLOW_THREADS
      status = try_recv(self, &in, 0);
      Py_END_ALLOW_THREADS
    }
  }
  *codec = in.codec;
  if (status == SHM_OK && large && in.length_bytes == in.room_bytes) {
    *data = large;
    return SHM_OK;
  }
  if (status == SHM_OK) *data = PyBytes_FromStringAndSize((const char *)in.buffer, (Py_ssize_t)in.length_bytes);
  Py_XDECREF(large);
  return status == SHM_OK && !*data ? -1000 : status;
}

/* recv and read: the value of the next message, or its stored bytes. */
static PyObject *receive(Port *self, PyObject *timeout, const char *what, int stored) {
  PyObject *data;
  uint32_t codec;
  int64_t timeout_ns = parse_timeout(self, timeout);
  if (timeout_ns == -2) return NULL;
  if (self->rest && !stored) {
    data = self->rest;
    self->rest = NULL;
    return data;
  }
  for (;;) {
    if (!is_open(self, what)) return NULL;
    int status = take(self, timeout_ns, &data, &codec);
    if (status == SHM_OK) return stored ? data : decoded(self, codec, data);
    if (status == -1000 || fail(self, status, what, timeout_ns) != 0) return NULL;
  }
}

static PyObject *port_recv(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"timeout"};
  PyObject *slots[1] = {NULL};
  if ((nargs || kwnames) && parse_arguments(args, nargs, kwnames, names, 0, 1, slots) != 0) return NULL;
  return receive((Port *)object, slots[0], "recv", 0);
}

/* _recv_stored(timeout): for read(), whatever the codec. */
static PyObject *port_recv_stored(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
  return receive((Port *)object, nargs ? args[0] : NULL, "read", 1);
}

struct incoming_many {
  shm_small *messages;
  uint64_t count, done;
};

static int try_recv_many(Port *self, void *context, uint64_t deadline_ns) {
  struct incoming_many *in = context;
  return shm_channel_recv_many(self->handle, in->messages, in->count, deadline_ns, &in->done);
}

static int append(PyObject *list, PyObject *value) {
  if (!value) return -1;
  int status = PyList_Append(list, value);
  Py_DECREF(value);
  return status;
}

/* Take up to count messages into list; the first with timeout_ns, the others at once. A status, or -1000. */
static int take_many(Port *self, PyObject *list, Py_ssize_t count, int64_t timeout_ns) {
  shm_small messages[BATCH];
  while (PyList_Size(list) < count) {
    Py_ssize_t have = PyList_Size(list), left = count - have;
    struct incoming_many in = {messages, (uint64_t)(left < BATCH ? left : BATCH), 0};
    int status = try_recv_many(self, &in, 0);
    if ((status == SHM_EMPTY || status == SHM_BUSY) && have == 0) {
      status = wait_for(self, try_recv_many, &in, SHM_EMPTY, timeout_ns, 1);
    }
    if (status == SHM_SHORT) { /* a long one: by itself */
      PyObject *data;
      uint32_t codec;
      status = take(self, have ? 0 : timeout_ns, &data, &codec);
      if (status == SHM_OK && append(list, decoded(self, codec, data)) != 0) return -1000;
      if (status == SHM_OK) continue;
    }
    if (status != SHM_OK) return status == -1000 || have == 0 ? status : SHM_OK;
    for (uint64_t i = 0; i < in.done; i++) {
      PyObject *data = PyBytes_FromStringAndSize((const char *)messages[i].data, (Py_ssize_t)messages[i].length_bytes);
      if (append(list, decoded(self, messages[i].codec, data)) != 0) return -1000;
    }
  }
  return SHM_OK;
}

static PyObject *port_recv_many(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"max_count", "timeout"};
  Port *self = (Port *)object;
  PyObject *slots[2];
  if (parse_arguments(args, nargs, kwnames, names, 1, 2, slots) != 0) return NULL;
  Py_ssize_t count = PyLong_Check(slots[0]) ? PyLong_AsSsize_t(slots[0]) : -1;
  if (count == -1 && PyErr_Occurred()) return NULL;
  if (!PyLong_Check(slots[0])) return PyErr_Format(PyExc_TypeError, "max_count must be an int, not %R", slots[0]);
  if (count < 1) return PyErr_Format(PyExc_ValueError, "max_count=%zd is below 1", count);
  int64_t timeout_ns = parse_timeout(self, slots[1]);
  if (timeout_ns == -2) return NULL;
  PyObject *list = PyList_New(0);
  if (!list) return NULL;
  if (self->rest) {
    int status = append(list, self->rest);
    self->rest = NULL;
    if (status != 0) goto failed;
    timeout_ns = 0;
  }
  for (;;) {
    if (!is_open(self, "recv_many")) goto failed;
    int status = take_many(self, list, count, timeout_ns);
    if (status == SHM_OK) return list;
    if (status == -1000 || fail(self, status, "recv_many", timeout_ns) != 0) goto failed;
  }
failed:
  Py_DECREF(list);
  return NULL;
}

/* ---- sending -------------------------------------------------------------------------------------------------------------- */
struct outgoing {
  const char *data;
  uint64_t length_bytes;
  uint32_t codec;
};

static int try_send(Port *self, void *context, uint64_t deadline_ns) {
  struct outgoing *out = context;
  return shm_channel_send(self->handle, out->data, out->length_bytes, out->codec, deadline_ns);
}

/* Send stored bytes: 0, or -1 with an exception. */
static int put(Port *self, uint32_t codec, PyObject *bytes, int64_t timeout_ns) {
  char *data;
  Py_ssize_t length;
  if (PyBytes_AsStringAndSize(bytes, &data, &length) != 0) return -1;
  struct outgoing out = {data, (uint64_t)length, codec};
  for (;;) {
    if (!is_open(self, "send")) return -1;
    int status;
    if (length < LONG_COPY) {
      status = try_send(self, &out, 0);
    } else {
      Py_BEGIN_ALLOW_THREADS
      status = try_send(self, &out, 0);
      Py_END_ALLOW_THREADS
    }
    if (status == SHM_OK) return 0;
    if ((status == SHM_FULL && !self->raises_full) || status == SHM_BUSY) {
      status = wait_for(self, try_send, &out, self->raises_full ? SHM_BUSY : SHM_FULL, timeout_ns, 0);
      if (status == SHM_OK) return 0;
    }
    if (status == -1000 || fail(self, status, "send", timeout_ns) != 0) return -1;
  }
}

static PyObject *port_send(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"value", "timeout"};
  Port *self = (Port *)object;
  PyObject *slots[2];
  if (parse_arguments(args, nargs, kwnames, names, 1, 2, slots) != 0) return NULL;
  int64_t timeout_ns = parse_timeout(self, slots[1]);
  if (timeout_ns == -2) return NULL;
  if (!self->bytes_pass || !PyBytes_CheckExact(slots[0])) {
    return PyObject_CallMethod(object, "_send_slow", "OL", slots[0], (long long)timeout_ns);
  }
  if (put(self, 0, slots[0], timeout_ns) != 0) return NULL;
  Py_RETURN_NONE;
}

/* (number, bytes, timeout_ns): what _send_slow has encoded. */
static PyObject *port_send_stored(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
  if (nargs != 3 || !PyBytes_Check(args[1])) return PyErr_Format(PyExc_TypeError, "expected number, bytes, timeout_ns");
  unsigned long codec = PyLong_AsUnsignedLong(args[0]);
  long long timeout_ns = PyLong_AsLongLong(args[2]);
  if (PyErr_Occurred() || put((Port *)object, (uint32_t)codec, args[1], timeout_ns) != 0) return NULL;
  Py_RETURN_NONE;
}

struct outgoing_many {
  const shm_piece *pieces;
  uint64_t count, done;
};

static int try_send_many(Port *self, void *context, uint64_t deadline_ns) {
  struct outgoing_many *out = context;
  uint64_t more = 0;
  int status = shm_channel_send_many(self->handle, out->pieces + out->done, out->count - out->done, deadline_ns, &more);
  out->done += more;
  return status;
}

/* Encode every value before anything is sent; keeps the bytes alive in kept. */
static int encode_all(Port *self, PyObject *list, PyObject *kept, shm_piece *pieces) {
  Py_ssize_t count = PyList_Size(list);
  for (Py_ssize_t i = 0; i < count; i++) {
    PyObject *value = PyList_GetItem(list, i), *bytes = value;
    unsigned long codec = 0;
    if (!self->bytes_pass || !PyBytes_CheckExact(value)) {
      PyObject *pair = PyObject_CallFunctionObjArgs(self->encode, value, NULL);
      if (!pair) return -1;
      codec = PyLong_AsUnsignedLong(PyTuple_GetItem(pair, 0));
      bytes = PyBytes_FromObject(PyTuple_GetItem(pair, 1));
      Py_DECREF(pair);
      if (append(kept, bytes) != 0) return -1;
    }
    char *data;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(bytes, &data, &length) != 0) return -1;
    pieces[i] = (shm_piece){data, (uint64_t)length, (uint32_t)codec};
    if ((uint64_t)length > self->max_message_bytes) {
      PyObject *done = PyObject_CallMethod((PyObject *)self, "_refuse_length", "n", length);
      Py_XDECREF(done);
      return -1;
    }
  }
  return 0;
}

/* Number sent, or -1 with an exception. */
static Py_ssize_t put_all(Port *self, const shm_piece *pieces, Py_ssize_t count, int64_t timeout_ns) {
  struct outgoing_many out = {pieces, (uint64_t)count, 0};
  for (;;) {
    if (!is_open(self, "send_many")) return -1;
    int status = try_send_many(self, &out, 0);
    if ((status == SHM_FULL && !self->raises_full) || status == SHM_BUSY) {
      status = wait_for(self, try_send_many, &out, self->raises_full ? SHM_BUSY : SHM_FULL, timeout_ns, 0);
    }
    if (status == SHM_OK || (status != -1000 && status != SHM_FORKED && out.done > 0)) return (Py_ssize_t)out.done;
    if (status == -1000 || fail(self, status, "send_many", timeout_ns) != 0) return -1;
  }
}

static PyObject *port_send_many(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"values", "timeout"};
  Port *self = (Port *)object;
  PyObject *slots[2];
  if (parse_arguments(args, nargs, kwnames, names, 1, 2, slots) != 0) return NULL;
  int64_t timeout_ns = parse_timeout(self, slots[1]);
  if (timeout_ns == -2) return NULL;
  PyObject *list = PySequence_List(slots[0]), *kept = PyList_New(0);
  Py_ssize_t sent = -1, count = list ? PyList_Size(list) : 0;
  shm_piece *pieces = malloc((size_t)(count ? count : 1) * sizeof *pieces);
  if (list && kept && pieces && encode_all(self, list, kept, pieces) == 0) sent = put_all(self, pieces, count, timeout_ns);
  if (!pieces) PyErr_NoMemory();
  free(pieces);
  Py_XDECREF(list);
  Py_XDECREF(kept);
  return sent < 0 ? NULL : PyLong_FromSsize_t(sent);
}

/* ---- the type --------------------------------------------------------------------------------------------------------------- */
/* _bind(handle, encode, decode, timeout_ns, max_message, bytes_pass, raises_full) */
static PyObject *port_bind(PyObject *object, PyObject *args) {
  Port *self = (Port *)object;
  unsigned long long handle, most;
  long long timeout_ns;
  PyObject *encode, *decode;
  int bytes_pass, raises_full;
  if (!PyArg_ParseTuple(args, "KOOLKpp", &handle, &encode, &decode, &timeout_ns, &most, &bytes_pass, &raises_full)) return NULL;
  Py_INCREF(encode);
  Py_INCREF(decode);
  Py_XDECREF(self->encode);
  Py_XDECREF(self->decode);
  self->encode = encode;
  self->decode = decode;
  self->timeout_ns = timeout_ns;
  self->max_message_bytes = most;
  self->bytes_pass = bytes_pass;
  self->raises_full = raises_full;
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
  Py_XDECREF(self->encode);
  Py_XDECREF(self->decode);
  Py_XDECREF(self->rest);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(object);
  Py_DECREF(type);
}


#define FAST (METH_FASTCALL | METH_KEYWORDS)
#define CALL(function) (PyCFunction)(void (*)(void))(function)
static PyMethodDef port_methods[] = {
    {"_bind", port_bind, METH_VARARGS, NULL},
    {"_mark_closing", port_mark_closing, METH_NOARGS, NULL},
    {"_recv", CALL(port_recv), FAST, NULL},
    {"_recv_stored", CALL(port_recv_stored), METH_FASTCALL, NULL},
    {"_recv_many", CALL(port_recv_many), FAST, NULL},
    {"_send", CALL(port_send), FAST, NULL},
    {"_send_stored", CALL(port_send_stored), METH_FASTCALL, NULL},
    {"_send_many", CALL(port_send_many), FAST, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef port_getset[] = {{"_rest", port_get_rest, port_set_rest, NULL, NULL}, {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot port_slots[] = {
    {Py_tp_dealloc, port_dealloc},
    {Py_tp_methods, port_methods},
    {Py_tp_getset, port_getset},
    {0, NULL},
};

static PyType_Spec port_spec = {"shmspace._native.Port", sizeof(Port), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, port_slots};

/* Called once, through cffi, with the module that Port goes into and options.timeout_ns; 0, or -1. */
int shm_hot_install(void *module, void *checker) {
  PyGILState_STATE state = PyGILState_Ensure(); /* cffi has released it */
  PyObject *type = PyType_FromSpec(&port_spec);
  int status = type ? PyObject_SetAttrString((PyObject *)module, "Port", type) : -1;
  Py_XDECREF(type);
  timeout_checker = checker;
  Py_INCREF(timeout_checker);
  PyGILState_Release(state);
  return status;
}
