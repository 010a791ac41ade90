/* hot_store.c: keys of stores, and reading them; see hot.c. hot_store_change.c has the changes, hot_store_list.c the lists.
 *
 * A value is copied out without a lock: into a buffer on the stack, or, if it is longer, into bytes of its length, again if
 * it has grown meanwhile.
 */
#include "hot_store.h"

#include <string.h>

enum { SMALL = 512, NAP_NS = 20000 };

/* ---- keys ---------------------------------------------------------------------------------------------------------------- */
enum { KEY_BYTES_MOST = 1024 };

/* Why something is no key; Store._refuse_key has the words. */
enum { FINE, LENGTH, TEXT, CONTROL, SEGMENT, STAR, NO_STAR };

/* Printable ASCII in segments, and no star: as nearly every key is. */
static int is_common(const uint8_t *key, Py_ssize_t length) {
  unsigned odd = 0, last = '/';
  for (Py_ssize_t i = 0; i < length; i++) {
    unsigned c = key[i];
    odd |= (unsigned)(c - 0x20u >= 0x5fu) | (unsigned)(c == '*') | ((unsigned)(c == '/') & (unsigned)(last == '/'));
    last = c;
  }
  return !odd && last != '/';
}

static int flaw_of(const uint8_t *key, Py_ssize_t length, int may_be) {
  int stars = 0;
  if (length < 1 || length > KEY_BYTES_MOST) return LENGTH;
  if (may_be != KEY_GLOB && is_common(key, length)) return FINE;
  for (Py_ssize_t i = 0; i < length; i++) {
    if (key[i] < 0x20 || key[i] == 0x7f || (key[i] == 0xc2 && i + 1 < length && key[i + 1] < 0xa0)) return CONTROL;
    if (key[i] == '/' && (i == 0 || i + 1 == length || key[i - 1] == '/')) return SEGMENT;
    stars += key[i] == '*';
  }
  if (stars && may_be == KEY_PLAIN) return STAR;
  return !stars && may_be == KEY_GLOB ? NO_STAR : FINE;
}

int cabinet_key(Cabinet *self, PyObject *object, int may_be, Key *key) {
  int flaw = TEXT;
  if (!PyUnicode_Check(object)) {
    PyErr_Format(PyExc_TypeError, "a key of a store must be str, not %R", (PyObject *)Py_TYPE(object));
    return -1;
  }
  key->object = object;
  key->bytes = PyUnicode_AsUTF8AndSize(object, &key->length);
  if (key->bytes) flaw = flaw_of((const uint8_t *)key->bytes, key->length, may_be);
  else if (!PyErr_ExceptionMatches(PyExc_UnicodeError)) return -1;
  if (flaw == FINE) return 0;
  PyErr_Clear();
  PyObject *done = PyObject_CallMethod((PyObject *)self, "_refuse_key", "Oi", object, flaw);
  Py_XDECREF(done);
  return -1;
}

/* _key(key, what it may be): its bytes. */
static PyObject *cabinet_bytes_of(PyObject *object, PyObject *args) {
  PyObject *key_object;
  int may_be;
  Key key;
  if (!PyArg_ParseTuple(args, "Oi", &key_object, &may_be)) return NULL;
  if (cabinet_key((Cabinet *)object, key_object, may_be, &key) != 0) return NULL;
  return PyBytes_FromStringAndSize(key.bytes, key.length);
}

/* ---- what goes wrong ----------------------------------------------------------------------------------------------------- */
int cabinet_fail(Cabinet *self, int status, const char *what, int64_t timeout_ns, PyObject *key) {
  if (status == SHM_BUSY) { /* of a read: the value changed all the while */
    Py_BEGIN_ALLOW_THREADS
    shm_nap_ns(NAP_NS);
    Py_END_ALLOW_THREADS
    return PyErr_CheckSignals();
  }
  PyObject *done = PyObject_CallMethod((PyObject *)self, "_fail_key", "isLO", status, what, (long long)timeout_ns, key);
  if (!done) return -1;
  Py_DECREF(done);
  return 0;
}

int cabinet_is_open(Cabinet *self, const char *what) {
  if (self->store) return 1;
  hot_fail((PyObject *)self, SHM_CLOSED, what, FOREVER);
  if (!PyErr_Occurred()) PyErr_SetString(PyExc_RuntimeError, "closed");
  return 0;
}

int cabinet_tell_read(Cabinet *self, PyObject *key) {
  if (!self->on_read) return 0;
  PyObject *hook = self->on_read;
  Py_INCREF(hook); /* it may take itself away */
  PyObject *done = PyObject_CallFunctionObjArgs(hook, key, NULL);
  Py_DECREF(hook);
  Py_XDECREF(done);
  return done ? 0 : -1;
}

int cabinet_tell_write(Cabinet *self, const char *op, PyObject *key) {
  if (!self->on_write) return 0;
  PyObject *hook = self->on_write;
  Py_INCREF(hook);
  PyObject *done = PyObject_CallFunction(hook, "sO", op, key);
  Py_DECREF(hook);
  Py_XDECREF(done);
  return done ? 0 : -1;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------- */
PyObject *cabinet_stored(Cabinet *self, const Key *key, shm_item_facts *facts, int *status) {
  char small[SMALL];
  uint32_t length = (uint32_t)key->length;
  *status = shm_store_get(self->store, key->bytes, length, small, sizeof small, facts);
  if (*status == SHM_OK) {
    PyObject *bytes = PyBytes_FromStringAndSize(small, (Py_ssize_t)facts->length_bytes);
    if (!bytes) *status = RAISED;
    return bytes;
  }
  while (*status == SHM_SHORT) {
    uint64_t room = facts->length_bytes;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)room);
    if (!bytes) {
      *status = RAISED;
      return NULL;
    }
    char *to = PyBytes_AsString(bytes);
    if (room < LONG_COPY) {
      *status = shm_store_get(self->store, key->bytes, length, to, room, facts);
    } else {
      Py_BEGIN_ALLOW_THREADS
      *status = shm_store_get(self->store, key->bytes, length, to, room, facts);
      Py_END_ALLOW_THREADS
    }
    if (*status == SHM_OK && facts->length_bytes == room) return bytes;
    if (*status == SHM_OK) { /* another one, which is shorter, by now */
      PyObject *cut = PyBytes_FromStringAndSize(to, (Py_ssize_t)facts->length_bytes);
      Py_DECREF(bytes);
      if (!cut) *status = RAISED;
      return cut;
    }
    Py_DECREF(bytes);
  }
  return NULL;
}

/* Can what is in it not lead back to it? */
static int is_leaf(PyObject *value) {
  return PyBytes_CheckExact(value) || PyUnicode_CheckExact(value) || PyLong_CheckExact(value) || PyFloat_CheckExact(value) ||
         value == Py_None;
}

PyObject *cabinet_entry(Cabinet *self, PyObject *key, PyObject *value, const shm_item_facts *facts) {
  if (!value) return NULL;
  PyObject *items[] = {PyUnicode_FromObject(key), value, PyLong_FromLongLong(facts->created), PyLong_FromLongLong(facts->updated),
                       PyLong_FromUnsignedLongLong(facts->version)};
  PyObject *entry = hot_named(self->entry_type, items, 5);
  if (entry && is_leaf(value)) PyObject_GC_UnTrack(entry);
  return entry;
}

enum { READ_ENTRY, READ_VALUE, READ_UNTOLD };

/* The entry (or only the value) of a key, a new reference; NULL with an exception, or, without one, if it is not there. */
static PyObject *read_key(Cabinet *self, PyObject *object, const char *what, int how) {
  Key key;
  shm_item_facts facts;
  int status;
  if (cabinet_key(self, object, KEY_PLAIN, &key) != 0) return NULL;
  if (how != READ_UNTOLD && cabinet_tell_read(self, object) != 0) return NULL;
  for (;;) {
    if (!cabinet_is_open(self, what)) return NULL;
    PyObject *data = cabinet_stored(self, &key, &facts, &status);
    if (data) {
      PyObject *value = hot_decoded(&self->coder, facts.codec, data);
      Py_DECREF(data);
      return how == READ_VALUE ? value : cabinet_entry(self, object, value, &facts);
    }
    if (status == SHM_NOT_FOUND || status == RAISED) return NULL;
    if (cabinet_fail(self, status, what, 0, object) != 0) return NULL;
  }
}

static PyObject *cabinet_get(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const char *const names[] = {"key", "default"};
  Cabinet *self = (Cabinet *)object;
  PyObject *slots[2] = {NULL, NULL};
  if (nargs == 1 && !kwnames) slots[0] = args[0];
  else if (hot_arguments(args, nargs, kwnames, names, 1, 2, slots) != 0) return NULL;
  PyObject *entry = read_key(self, slots[0], "get", READ_ENTRY);
  if (entry || PyErr_Occurred()) return entry;
  if (!slots[1]) {
    cabinet_fail(self, SHM_NOT_FOUND, "get", 0, slots[0]);
    return NULL;
  }
  Py_INCREF(slots[1]);
  return slots[1];
}

/* _peek(key): its entry or None; on_read is not told. */
static PyObject *cabinet_peek(PyObject *object, PyObject *key) {
  PyObject *entry = read_key((Cabinet *)object, key, "get", READ_UNTOLD);
  if (entry || PyErr_Occurred()) return entry;
  Py_INCREF(Py_None);
  return Py_None;
}

static PyObject *cabinet_subscript(PyObject *object, PyObject *key) {
  PyObject *value = read_key((Cabinet *)object, key, "reading", READ_VALUE);
  if (!value && !PyErr_Occurred()) cabinet_fail((Cabinet *)object, SHM_NOT_FOUND, "reading", 0, key);
  return value;
}

static int cabinet_contains(PyObject *object, PyObject *key_object) {
  Cabinet *self = (Cabinet *)object;
  Key key;
  shm_item_facts facts;
  char none[1];
  if (cabinet_key(self, key_object, KEY_PLAIN, &key) != 0 || cabinet_tell_read(self, key_object) != 0) return -1;
  for (;;) {
    if (!cabinet_is_open(self, "in")) return -1;
    int status = shm_store_get(self->store, key.bytes, (uint32_t)key.length, none, 0, &facts);
    if (status == SHM_OK || status == SHM_SHORT) return 1;
    if (status == SHM_NOT_FOUND) return 0;
    if (cabinet_fail(self, status, "in", 0, key_object) != 0) return -1;
  }
}

static Py_ssize_t cabinet_length(PyObject *object) {
  Cabinet *self = (Cabinet *)object;
  for (;;) {
    if (!cabinet_is_open(self, "len")) return -1;
    int64_t length = shm_store_length(self->store);
    if (length >= 0) return (Py_ssize_t)length;
    if (hot_fail(object, (int)length, "len", 0) != 0) return -1;
  }
}

/* ---- the type ------------------------------------------------------------------------------------------------------------ */
/* _bind(store, codec, most_bytes, type of entries) */
static PyObject *cabinet_bind(PyObject *object, PyObject *args) {
  Cabinet *self = (Cabinet *)object;
  unsigned long long store, most;
  PyObject *codec, *entry_type;
  if (!PyArg_ParseTuple(args, "KOKO", &store, &codec, &most, &entry_type)) return NULL;
  if (hot_coder_set(&self->coder, codec, most) != 0) return NULL;
  Py_INCREF(entry_type);
  Py_XDECREF(self->entry_type);
  self->entry_type = entry_type;
  self->store = (shm_store *)(uintptr_t)store;
  Py_RETURN_NONE;
}

static PyObject *cabinet_mark_closing(PyObject *object, PyObject *unused) {
  Cabinet *self = (Cabinet *)object;
  (void)unused;
  if (self->store) shm_store_mark_closing(self->store);
  Py_RETURN_NONE;
}

/* The closure of the two attributes says which: NULL is on_read. */
static PyObject **hook_of(PyObject *object, const void *which) {
  Cabinet *self = (Cabinet *)object;
  return which ? &self->on_write : &self->on_read;
}

static PyObject *cabinet_get_hook(PyObject *object, void *which) {
  PyObject *hook = *hook_of(object, which);
  if (!hook) hook = Py_None;
  Py_INCREF(hook);
  return hook;
}

static int cabinet_set_hook(PyObject *object, PyObject *value, void *which) {
  PyObject **hook = hook_of(object, which), *old = *hook;
  if (value && value != Py_None && !PyCallable_Check(value)) {
    const char *name = which ? "on_write" : "on_read";
    PyErr_Format(PyExc_TypeError, "%s must be callable or None, not %R", name, (PyObject *)Py_TYPE(value));
    return -1;
  }
  *hook = value == Py_None ? NULL : value;
  Py_XINCREF(*hook);
  Py_XDECREF(old);
  return 0;
}

static int cabinet_traverse(PyObject *object, visitproc visit, void *arg) {
  Cabinet *self = (Cabinet *)object;
  Py_VISIT((PyObject *)Py_TYPE(object));
  Py_VISIT(self->on_read);
  Py_VISIT(self->on_write);
  return 0;
}

static int cabinet_clear(PyObject *object) {
  Cabinet *self = (Cabinet *)object;
  Py_CLEAR(self->on_read);
  Py_CLEAR(self->on_write);
  return 0;
}

static void cabinet_dealloc(PyObject *object) {
  Cabinet *self = (Cabinet *)object;
  PyTypeObject *type = Py_TYPE(object);
  PyObject_GC_UnTrack(object);
  cabinet_clear(object);
  hot_coder_clear(&self->coder);
  Py_XDECREF(self->entry_type);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(object);
  Py_DECREF(type);
}

#define FAST (METH_FASTCALL | METH_KEYWORDS)
#define CALL(function) (PyCFunction)(void (*)(void))(function)
static PyMethodDef cabinet_methods[] = {
    {"_bind", cabinet_bind, METH_VARARGS, NULL},
    {"_mark_closing", cabinet_mark_closing, METH_NOARGS, NULL},
    {"_key", cabinet_bytes_of, METH_VARARGS, NULL},
    {"_peek", cabinet_peek, METH_O, NULL},
    {"_get", CALL(cabinet_get), FAST, NULL},
    {"_set", CALL(cabinet_set), FAST, NULL},
    {"_incr", CALL(cabinet_incr), FAST, NULL},
    {"_write", cabinet_write, METH_VARARGS, NULL},
    {"_remove", cabinet_remove, METH_VARARGS, NULL},
    {"_listed", cabinet_listed, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef cabinet_getset[] = {
    {"on_read", cabinet_get_hook, cabinet_set_hook,
     "None, or called with the key (or glob; None: all keys) before each read or listing through this handle.", NULL},
    {"on_write", cabinet_get_hook, cabinet_set_hook,
     "None, or called with \"set\" or \"del\" and the key after each change through this handle, before its call returns.", ""},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot cabinet_slots[] = {
    {Py_tp_dealloc, cabinet_dealloc},
    {Py_tp_traverse, cabinet_traverse},
    {Py_tp_clear, cabinet_clear},
    {Py_tp_methods, cabinet_methods},
    {Py_tp_getset, cabinet_getset},
    {Py_mp_length, cabinet_length},
    {Py_mp_subscript, cabinet_subscript},
    {Py_mp_ass_subscript, cabinet_assign},
    {Py_sq_contains, cabinet_contains},
    {0, NULL},
};

PyType_Spec hot_cabinet_spec = {"shmspace._native.Cabinet", sizeof(Cabinet), 0,
                                Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, cabinet_slots};
