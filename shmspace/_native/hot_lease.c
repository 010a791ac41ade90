/* hot_lease.c: Lease, a value that is held until it is acknowledged or given back; see hot_values.c. */
#include "hot_values.h"

#include <stddef.h>
#include <structmember.h>

typedef struct {
  PyObject_HEAD
  Shelf *owner;     /* NULL: over */
  PyObject *value;
  shm_taken taken;
  uint32_t epoch;   /* fork epoch in which it was got: in a child it is the parent's */
} Lease;

PyTypeObject *hot_lease_type;

static Lease *new_lease(void) { return (Lease *)PyType_GenericAlloc(hot_lease_type, 0); }

static void hold_lease(Lease *lease, Shelf *owner, const shm_taken *taken) {
  lease->taken = *taken;
  lease->epoch = shm_fork_epoch();
  Py_INCREF((PyObject *)owner);
  lease->owner = owner;
}

PyObject *shelf_lease(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"timeout"};
  PyObject *slots[1] = {NULL};
  Shelf *self = (Shelf *)object;
  if ((nargs || kwnames) && hot_arguments(args, nargs, kwnames, names, 0, 1, slots) != 0) return NULL;
  Call call;
  hot_begin(&call, self, "lease", SHM_TAKE_LEASE);
  int64_t timeout_ns = hot_timeout(slots[0], FOREVER);
  if (timeout_ns == -2) return NULL;
  Lease *lease = new_lease(); /* memory first, then the value */
  if (!lease) return NULL;
  if (self->queue) hot_look_for_dead(&call); /* what a dead holder had comes first again */
  for (;;) {
    int decoded, status = self->queue ? hot_persist(&call, hot_step_take, SHM_EMPTY, timeout_ns) : SHM_CLOSED;
    if (status == SHM_OK) {
      lease->value = hot_value_of(&call, &decoded);
      if (!lease->value) { /* a value that cannot be decoded comes again, until it is delivered too often */
        hot_return(&call);
        break;
      }
      hold_lease(lease, self, &call.taken);
      return (PyObject *)lease;
    }
    if (status == RAISED || hot_fail(object, status, "lease", timeout_ns) != 0) break;
  }
  Py_DECREF((PyObject *)lease);
  return NULL;
}

/* _adopt_lease(address): a Lease of what another call has taken, a shm_taken. */
PyObject *shelf_adopt_lease(PyObject *object, PyObject *address) {
  Shelf *self = (Shelf *)object;
  Call call;
  hot_begin(&call, self, "lease", SHM_TAKE_LEASE);
  int decoded;
  const shm_taken *taken = PyLong_AsVoidPtr(address);
  if (!taken) return NULL;
  call.taken = *taken;
  Lease *lease = new_lease();
  if (lease) lease->value = hot_value_of(&call, &decoded);
  if (!lease || !lease->value) {
    hot_return(&call);
    Py_XDECREF((PyObject *)lease);
    return NULL;
  }
  hold_lease(lease, self, &call.taken);
  return (PyObject *)lease;
}

/* Give it up, to be let go of by the caller once: its owner, or NULL if it is over already. */
static Shelf *give_up(Lease *lease) {
  Shelf *owner = lease->owner;
  lease->owner = NULL;
  return owner;
}

static void put_back(Lease *lease) {
  Shelf *owner = give_up(lease);
  if (!owner) return;
  if (lease->epoch == shm_fork_epoch()) {
    Py_BEGIN_ALLOW_THREADS
    shm_queue_nack(owner->queue, owner->lane, &lease->taken);
    Py_END_ALLOW_THREADS
  }
  Py_DECREF((PyObject *)owner);
}

static PyObject *lease_ack(PyObject *object, PyObject *unused) {
  Lease *lease = (Lease *)object;
  (void)unused;
  Shelf *owner = give_up(lease);
  if (!owner) Py_RETURN_NONE;
  int status = lease->epoch == shm_fork_epoch() ? shm_queue_ack(owner->queue, owner->lane, &lease->taken, 0) : SHM_OK;
  while (status == SHM_BUSY || status == SHM_TIMEOUT || status == SHM_INTERRUPTED) {
    if (PyErr_CheckSignals() != 0) {
      lease->owner = owner; /* it was not acknowledged */
      return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = shm_queue_ack(owner->queue, owner->lane, &lease->taken, shm_monotonic_ns() + SLICE_NS);
    Py_END_ALLOW_THREADS
  }
  Py_DECREF((PyObject *)owner);
  Py_RETURN_NONE;
}

static PyObject *lease_nack(PyObject *object, PyObject *unused) {
  (void)unused;
  put_back((Lease *)object);
  Py_RETURN_NONE;
}

static PyObject *lease_enter(PyObject *object, PyObject *unused) {
  (void)unused;
  Py_INCREF(object);
  return object;
}

static PyObject *lease_exit(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
  if (nargs == 0 || args[0] == Py_None) return lease_ack(object, NULL);
  return lease_nack(object, NULL);
}

static PyObject *lease_deliveries(PyObject *object, void *unused) {
  (void)unused;
  return PyLong_FromUnsignedLong(((Lease *)object)->taken.deliveries);
}

static PyObject *lease_closed(PyObject *object, void *unused) {
  (void)unused;
  return PyBool_FromLong(((Lease *)object)->owner == NULL);
}

static void lease_dealloc(PyObject *object) {
  Lease *lease = (Lease *)object;
  if (lease->owner) {
    PyObject *kind, *value, *trace;
    PyErr_Fetch(&kind, &value, &trace);
    put_back(lease);
    PyErr_Restore(kind, value, trace);
  }
  Py_XDECREF(lease->value);
  PyObject_Free(object);
  Py_DECREF((PyObject *)hot_lease_type);
}

static PyMethodDef lease_methods[] = {
    {"ack", lease_ack, METH_NOARGS, "Acknowledge: the value is done with, and counts as ``task_done``. Once."},
    {"nack", lease_nack, METH_NOARGS, "Give the value back to the head of the queue, for somebody else. Once."},
    {"close", lease_nack, METH_NOARGS, "As `nack`, unless it is over."},
    {"__enter__", lease_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))lease_exit, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef lease_getset[] = {
    {"deliveries", lease_deliveries, NULL, "How often it was leased, this time included.", NULL},
    {"closed", lease_closed, NULL, "Whether it was acknowledged or given back.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef lease_members[] = {
    {"value", T_OBJECT_EX, offsetof(Lease, value), READONLY, "The value."}, /* the interpreter reads this kind by itself */
    {NULL, 0, 0, 0, NULL},
};

static const char lease_text[] = "A value that is held until it is acknowledged; `Queue.lease` gives it.";

static PyType_Slot lease_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)lease_text},
    {Py_tp_members, lease_members},
    {Py_tp_dealloc, lease_dealloc},
    {Py_tp_methods, lease_methods},
    {Py_tp_getset, lease_getset},
    {0, NULL},
};

PyType_Spec hot_lease_spec = {"shmspace.Lease", sizeof(Lease), 0, Py_TPFLAGS_DEFAULT, lease_slots};
