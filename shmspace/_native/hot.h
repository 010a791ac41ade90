/* hot.h: Port, the native base of channels, readers and writers; see hot.c. */
#ifndef SHMSPACE_NATIVE_HOT_H
#define SHMSPACE_NATIVE_HOT_H

#include "hot_code.h"

enum { SLICE_NS = 100000000, PATIENCE_NS = 50000000, LONG_COPY = 16384 };

typedef struct {
  PyObject_HEAD
  shm_channel *handle;
  Coder coder;
  PyObject *rest;      /* what read() left of a message, or NULL */
  PyObject *kept;      /* list of (number, bytes) taken by a call that was interrupted before it could return, or NULL */
  int64_t timeout_ns;  /* of calls that give none; FOREVER */
  int raises_full;     /* overflow="error": a full channel is never waited for */
  int indirect;        /* another port receives for this one: _receiver() gives it */
} Port;

enum { FOREVER = -1, RAISED = -1000 }; /* a timeout; a status: an exception is set */

/* One call of the C core; its status. */
typedef int attempt(Port *self, void *context, uint64_t deadline_ns);

/* Call attempt until it says something else than "nothing yet" (none), or time is up: then none. RAISED when a signal
 * handler raised. writers: whose death matters. */
int hot_wait(Port *self, attempt *attempt, void *context, int none, int64_t timeout_ns, int writers);

/* Let Python raise what the status means, or mend it (a fork): 0 to try again, -1 with an exception. */
int hot_fail(PyObject *self, int status, const char *what, int64_t timeout_ns);

/* 1 when the port has a native handle; else an exception is set. */
int hot_is_open(Port *self, const char *what);

/* Nanoseconds of a timeout argument, otherwise for None; -2 with an exception. */
int64_t hot_timeout(PyObject *timeout, int64_t otherwise);

/* Positional and keyword arguments into slots[0..count); -1 with an exception. */
int hot_arguments(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, const char *const *names, int least, int count,
                  PyObject **slots);

PyObject *port_recv(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *port_keep(PyObject *object, PyObject *args);
PyObject *port_recv_stored(PyObject *object, PyObject *const *args, Py_ssize_t nargs);
PyObject *port_recv_many(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *port_send(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *port_send_stored(PyObject *object, PyObject *const *args, Py_ssize_t nargs);
PyObject *port_send_many(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);

#endif
