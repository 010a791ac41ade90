/* hot_receive.c: recv, read and recv_many of Port; see hot.c. */
#include "hot.h"

enum { BATCH = 64, INLINE = 80 };

struct incoming {
  uint8_t *buffer;
  uint64_t room_bytes, length_bytes;
  uint32_t codec;
};

static int try_recv(Port *self, void *context, uint64_t deadline_ns) {
  struct incoming *in = context;
  return shm_channel_recv(self->handle, in->buffer, in->room_bytes, &in->length_bytes, &in->codec, deadline_ns);
}

/* Keep a message for the next call, before all others: a signal handler raised after it was taken. The exception stays. */
static void keep(Port *self, uint32_t codec, PyObject *data) {
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  if (!self->kept) self->kept = PyList_New(0);
  PyObject *pair = self->kept ? Py_BuildValue("kO", (unsigned long)codec, data) : NULL;
  if (pair) PyList_Insert(self->kept, 0, pair);
  Py_XDECREF(pair);
  PyErr_Restore(type, value, trace);
}

/* _keep(number, data): what an interrupted call has taken. */
PyObject *port_keep(PyObject *object, PyObject *args) {
  unsigned long codec;
  PyObject *data;
  if (!PyArg_ParseTuple(args, "kS", &codec, &data)) return NULL;
  keep((Port *)object, (uint32_t)codec, data);
  Py_RETURN_NONE;
}

/* The oldest message kept, a new reference in *data; 0 if there is none. */
static int take_kept(Port *self, PyObject **data, uint32_t *codec) {
  if (!self->kept || PyList_Size(self->kept) == 0) return 0;
  PyObject *pair = PyList_GetItem(self->kept, 0);
  *codec = (uint32_t)PyLong_AsUnsignedLong(PyTuple_GetItem(pair, 0));
  *data = PyTuple_GetItem(pair, 1);
  Py_INCREF(*data);
  PyList_SetSlice(self->kept, 0, 1, NULL);
  return 1;
}

/* The value of a message that was taken; if a signal handler raises meanwhile the message is kept. Steals data. */
static PyObject *delivered(Port *self, uint32_t codec, PyObject *data) {
  PyObject *value = hot_decoded(&self->coder, codec, data);
  if (value && PyErr_CheckSignals() != 0) {
    keep(self, codec, data);
    Py_DECREF(value);
    value = NULL;
  } else if (!value && !PyErr_ExceptionMatches(PyExc_Exception)) {
    keep(self, codec, data); /* KeyboardInterrupt in the codec */
  }
  Py_DECREF(data);
  return value;
}

/* The next message, as bytes in *data; a status, or RAISED with an exception. */
static int take(Port *self, int64_t timeout_ns, PyObject **data, uint32_t *codec) {
  uint8_t small[INLINE];
  struct incoming in = {small, INLINE, 0, 0};
  PyObject *large = NULL;
  int status = try_recv(self, &in, 0);
  for (;;) {
    if (status == SHM_EMPTY || status == SHM_BUSY) status = hot_wait(self, try_recv, &in, SHM_EMPTY, timeout_ns, 1);
    if (status != SHM_SHORT) break;
    /* Memory first, then the message: nothing is taken that could not be handed over. */
    Py_XDECREF(large);
    large = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)in.length_bytes);
    if (!large) return RAISED;
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
  return status == SHM_OK && !*data ? RAISED : status;
}

/* 1 if the structure is still there; else an exception is set. */
static int is_there(Port *self) {
  PyObject *done = PyObject_CallMethod((PyObject *)self, "_look_there", NULL);
  Py_XDECREF(done);
  return done != NULL;
}

/* recv and read: the value of the next message, or (number, stored bytes). */
static PyObject *receive(Port *self, PyObject *timeout, const char *what, int stored) {
  PyObject *data;
  uint32_t codec;
  int64_t timeout_ns = hot_timeout(timeout, self->timeout_ns);
  if (timeout_ns == -2) return NULL;
  if (self->rest && !stored) {
    if (!is_there(self)) return NULL;
    data = self->rest;
    self->rest = NULL;
    if (data) return data; /* else another thread was quicker */
  }
  for (;;) {
    if (!hot_is_open(self, what)) return NULL;
    int status = take_kept(self, &data, &codec) ? SHM_OK : take(self, timeout_ns, &data, &codec);
    if (status == SHM_OK) {
      if (!stored) return delivered(self, codec, data);
      PyObject *pair = Py_BuildValue("kO", (unsigned long)codec, data);
      if (!pair || PyErr_CheckSignals() != 0) {
        keep(self, codec, data);
        Py_XDECREF(pair);
        pair = NULL;
      }
      Py_DECREF(data);
      return pair;
    }
    if (status == RAISED || hot_fail((PyObject *)self, status, what, timeout_ns) != 0) return NULL;
  }
}

/* The port that receives for this one, a new reference. */
static Port *receiver(PyObject *object) {
  if (((Port *)object)->indirect) return (Port *)PyObject_CallMethod(object, "_receiver", NULL);
  Py_INCREF(object);
  return (Port *)object;
}

PyObject *port_recv(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"timeout"};
  PyObject *slots[1] = {NULL};
  if ((nargs || kwnames) && hot_arguments(args, nargs, kwnames, names, 0, 1, slots) != 0) return NULL;
  Port *self = receiver(object);
  PyObject *value = self ? receive(self, slots[0], "recv", 0) : NULL;
  Py_XDECREF((PyObject *)self);
  return value;
}

/* _recv_stored(timeout): (number, bytes), for read(), whatever the codec. */
PyObject *port_recv_stored(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
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

/* Messages on their way to the user are bytes, or (number, bytes) if they are to be decoded. Steals data. */
static int append_message(PyObject *list, uint32_t codec, PyObject *data, int *coded) {
  if (codec == 0 || !data) return hot_append(list, data);
  *coded = 1;
  int status = hot_append(list, Py_BuildValue("kO", (unsigned long)codec, data));
  Py_DECREF(data);
  return status;
}

/* Take up to count messages into list; the first with timeout_ns, the others at once. A status. */
static int take_many(Port *self, PyObject *list, Py_ssize_t count, int64_t timeout_ns, int *coded) {
  shm_small messages[BATCH];
  PyObject *data;
  uint32_t codec;
  Py_ssize_t have = PyList_Size(list);
  for (; have < count && take_kept(self, &data, &codec); have++) {
    if (append_message(list, codec, data, coded) != 0) return RAISED;
  }
  while (have < count) {
    Py_ssize_t left = count - have;
    struct incoming_many in = {messages, (uint64_t)(left < BATCH ? left : BATCH), 0};
    int status = try_recv_many(self, &in, 0);
    if ((status == SHM_EMPTY || status == SHM_BUSY) && have == 0) {
      status = hot_wait(self, try_recv_many, &in, SHM_EMPTY, timeout_ns, 1);
    }
    if (status == SHM_SHORT) { /* a long one: by itself */
      status = take(self, have ? 0 : timeout_ns, &data, &codec);
      if (status == SHM_OK && append_message(list, codec, data, coded) != 0) return RAISED;
      have += status == SHM_OK;
      if (status == SHM_OK) continue;
    }
    if (status == SHM_LAGGED && have > 0) shm_channel_lag_again(self->handle);
    if (status != SHM_OK) return status == RAISED || have == 0 ? status : SHM_OK;
    for (uint64_t i = 0; i < in.done; i++) {
      data = PyBytes_FromStringAndSize((const char *)messages[i].data, (Py_ssize_t)messages[i].length_bytes);
      if (append_message(list, messages[i].codec, data, coded) != 0) return RAISED;
    }
    have += (Py_ssize_t)in.done;
  }
  return SHM_OK;
}

/* Keep the messages of a list from this one on, in order; the exception stays set. */
static void keep_from(Port *self, PyObject *list, Py_ssize_t from) {
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  PyList_SetSlice(list, 0, from, NULL);
  for (Py_ssize_t i = 0; i < PyList_Size(list); i++) {
    PyObject *item = PyList_GetItem(list, i);
    if (PyBytes_Check(item)) PyList_SetItem(list, i, Py_BuildValue("kO", 0ul, item));
  }
  if (!self->kept) self->kept = PyList_New(0);
  if (self->kept) PyList_SetSlice(self->kept, 0, 0, list);
  PyErr_Restore(type, value, trace);
}

/* The values of the messages in list, a new list; all are kept if a signal handler raises. Of one that cannot be decoded the
 * exception is raised if it is the first; else those before it are returned, and it is the first of the next call. */
static PyObject *delivered_all(Port *self, PyObject *list, int coded) {
  PyObject *values = coded ? PyList_GetSlice(list, 0, PyList_Size(list)) : list;
  if (!coded) Py_INCREF(values);
  Py_ssize_t i = 0;
  for (; coded && values && i < PyList_Size(values); i++) {
    PyObject *item = PyList_GetItem(list, i);
    if (PyBytes_Check(item)) continue;
    uint32_t codec = (uint32_t)PyLong_AsUnsignedLong(PyTuple_GetItem(item, 0));
    PyObject *value = hot_decoded(&self->coder, codec, PyTuple_GetItem(item, 1));
    if (!value || PyList_SetItem(values, i, value) != 0) break;
  }
  int signalled = !PyErr_Occurred() && PyErr_CheckSignals() != 0;
  if (!PyErr_Occurred()) return values;
  if (signalled || !PyErr_ExceptionMatches(PyExc_Exception)) {
    keep_from(self, list, 0);
  } else {
    keep_from(self, list, i ? i : 1);
    if (i > 0 && values && PyList_SetSlice(values, i, PyList_Size(values), NULL) == 0) {
      PyErr_Clear();
      return values;
    }
  }
  Py_XDECREF(values);
  return NULL;
}

static PyObject *receive_many(Port *self, Py_ssize_t count, PyObject *timeout) {
  int64_t timeout_ns = hot_timeout(timeout, self->timeout_ns);
  PyObject *list = timeout_ns == -2 ? NULL : PyList_New(0), *values = NULL, *first = NULL;
  int status = RAISED, coded = 0;
  if (!list) return NULL;
  if (self->rest && is_there(self)) { /* ours from here on: other threads may come for it */
    first = self->rest;
    self->rest = NULL;
  }
  while (!PyErr_Occurred() && hot_is_open(self, "recv_many")) {
    status = take_many(self, list, count - (first != NULL), first ? 0 : timeout_ns, &coded);
    if (status == RAISED) break;
    if (status == SHM_OK || first) {
      values = delivered_all(self, list, coded);
      break;
    }
    if (hot_fail((PyObject *)self, status, "recv_many", timeout_ns) != 0) break;
  }
  if (status == RAISED && PyList_Size(list) > 0) keep_from(self, list, 0);
  if (first && values && PyList_Insert(values, 0, first) == 0) {
    Py_DECREF(first);
  } else if (first) { /* it stays for the next read */
    Py_XDECREF(self->rest);
    self->rest = first;
  }
  Py_DECREF(list);
  return values;
}

PyObject *port_recv_many(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"max_count", "timeout"};
  PyObject *slots[2];
  if (hot_arguments(args, nargs, kwnames, names, 1, 2, slots) != 0) return NULL;
  if (!PyLong_Check(slots[0])) return PyErr_Format(PyExc_TypeError, "max_count must be an int, not %R", slots[0]);
  Py_ssize_t count = PyLong_AsSsize_t(slots[0]);
  if (count == -1 && PyErr_Occurred()) return NULL;
  if (count < 1) return PyErr_Format(PyExc_ValueError, "max_count=%zd is below 1", count);
  Port *self = receiver(object);
  PyObject *list = self ? receive_many(self, count, slots[1]) : NULL;
  Py_XDECREF((PyObject *)self);
  return list;
}

