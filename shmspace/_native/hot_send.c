/* hot_send.c: send and send_many of Port; see hot.c. */
#include "hot.h"

#include <stdlib.h>

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
    if (!hot_is_open(self, "send")) return -1;
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
      status = hot_wait(self, try_send, &out, self->raises_full ? SHM_BUSY : SHM_FULL, timeout_ns, 0);
      if (status == SHM_OK) return 0;
    }
    if (status == RAISED || hot_fail((PyObject *)self, status, "send", timeout_ns) != 0) return -1;
  }
}

PyObject *port_send(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"value", "timeout"};
  Port *self = (Port *)object;
  PyObject *slots[2];
  if (hot_arguments(args, nargs, kwnames, names, 1, 2, slots) != 0) return NULL;
  int64_t timeout_ns = hot_timeout(slots[1], self->timeout_ns);
  if (timeout_ns == -2) return NULL;
  uint32_t number;
  PyObject *bytes = hot_encoded(object, &self->coder, slots[0], &number);
  int status = bytes ? put(self, number, bytes, timeout_ns) : -1;
  Py_XDECREF(bytes);
  if (status != 0) return NULL;
  Py_RETURN_NONE;
}

/* (number, bytes, timeout_ns): what is encoded already. */
PyObject *port_send_stored(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
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

/* Number sent, or -1 with an exception. */
static Py_ssize_t put_all(Port *self, const shm_piece *pieces, Py_ssize_t count, int64_t timeout_ns) {
  struct outgoing_many out = {pieces, (uint64_t)count, 0};
  for (;;) {
    if (!hot_is_open(self, "send_many")) return -1;
    int status = try_send_many(self, &out, 0);
    if ((status == SHM_FULL && !self->raises_full) || status == SHM_BUSY) {
      status = hot_wait(self, try_send_many, &out, self->raises_full ? SHM_BUSY : SHM_FULL, timeout_ns, 0);
    }
    if (status == SHM_OK || (status != RAISED && status != SHM_FORKED && out.done > 0)) return (Py_ssize_t)out.done;
    if (status == RAISED || hot_fail((PyObject *)self, status, "send_many", timeout_ns) != 0) return -1;
  }
}

PyObject *port_send_many(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"values", "timeout"};
  Port *self = (Port *)object;
  PyObject *slots[2];
  if (hot_arguments(args, nargs, kwnames, names, 1, 2, slots) != 0) return NULL;
  int64_t timeout_ns = hot_timeout(slots[1], self->timeout_ns);
  if (timeout_ns == -2) return NULL;
  PyObject *list = PySequence_List(slots[0]), *kept = PyList_New(0);
  Py_ssize_t sent = -1, count = list ? PyList_Size(list) : 0;
  shm_piece *pieces = malloc((size_t)(count ? count : 1) * sizeof *pieces);
  if (list && kept && pieces && hot_encode_all(object, &self->coder, list, kept, pieces) == 0) {
    sent = put_all(self, pieces, count, timeout_ns);
  }
  if (!pieces) PyErr_NoMemory();
  free(pieces);
  Py_XDECREF(list);
  Py_XDECREF(kept);
  return sent < 0 ? NULL : PyLong_FromSsize_t(sent);
}

