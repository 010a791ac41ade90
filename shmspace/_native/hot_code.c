/* hot_code.c: values become bytes and back. codec.py decides how; for the commonest values of the common codecs it names a
 * function that does all the work (Codec.shortcut), which is called from here without a step of Python in between. What the
 * shortcut does not take goes to the codec's encode and decode; so does the error if it fails.
 */
#include "hot_code.h"

int hot_append(PyObject *list, PyObject *value) {
  if (!value) return -1;
  int status = PyList_Append(list, value);
  Py_DECREF(value);
  return status;
}

PyObject *hot_named(PyObject *type, PyObject **items, Py_ssize_t count) {
  Py_ssize_t made = 0;
  while (made < count && items[made]) made++;
  PyObject *tuple = made == count ? PyType_GenericAlloc((PyTypeObject *)type, count) : NULL;
  for (Py_ssize_t i = 0; i < count; i++) {
    if (tuple) PyTuple_SetItem(tuple, i, items[i]);
    else Py_XDECREF(items[i]);
  }
  return tuple;
}

static PyObject *keep(PyObject *object) {
  Py_XINCREF(object);
  return object;
}

int hot_coder_set(Coder *coder, PyObject *codec, uint64_t most_bytes) {
  Coder made = {.most_bytes = most_bytes};
  PyObject *shortcut = PyObject_GetAttrString(codec, "shortcut");
  PyObject *passes = PyObject_GetAttrString(codec, "passes_bytes");
  int status = shortcut && passes ? 0 : -1;
  made.bytes_pass = passes == Py_True;
  if (status == 0 && shortcut != Py_None) {
    PyObject *pack, *argument, *unpack;
    status = PyArg_ParseTuple(shortcut, "IIOOpO", &made.number, &made.tuple_number, &pack, &argument, &made.takes_all, &unpack)
                 ? 0
                 : -1;
    if (status == 0) {
      made.pack = keep(pack);
      made.argument = argument == Py_None ? NULL : keep(argument);
      made.unpack = keep(unpack);
    }
  }
  Py_XDECREF(shortcut);
  Py_XDECREF(passes);
  if (status != 0) return status;
  made.codec = keep(codec);
  hot_coder_clear(coder);
  *coder = made;
  return 0;
}

void hot_coder_clear(Coder *coder) {
  Coder old = *coder;
  *coder = (Coder){.codec = NULL};
  Py_XDECREF(old.codec);
  Py_XDECREF(old.pack);
  Py_XDECREF(old.argument);
  Py_XDECREF(old.unpack);
}

/* ---- what a shortcut takes ----------------------------------------------------------------------------------------------- */
static int is_plain(PyObject *value) {
  return PyUnicode_CheckExact(value) || PyLong_CheckExact(value) || PyFloat_CheckExact(value) || value == Py_None ||
         PyBool_Check(value) || PyBytes_CheckExact(value);
}

static int all_plain(PyObject *values, PyObject *(*item)(PyObject *, Py_ssize_t), Py_ssize_t count) {
  for (Py_ssize_t i = 0; i < count; i++) {
    if (!is_plain(item(values, i))) return 0;
  }
  return 1;
}

static int is_plain_dict(PyObject *value) {
  PyObject *key, *item;
  Py_ssize_t at = 0;
  while (PyDict_Next(value, &at, &key, &item)) {
    if (!PyUnicode_CheckExact(key) || !is_plain(item)) return 0;
  }
  return 1;
}

static int is_taken(const Coder *coder, PyObject *value) {
  if (!coder->pack) return 0;
  if (coder->takes_all || is_plain(value)) return 1;
  if (PyTuple_CheckExact(value)) return all_plain(value, PyTuple_GetItem, PyTuple_Size(value));
  if (PyList_CheckExact(value)) return all_plain(value, PyList_GetItem, PyList_Size(value));
  return PyDict_CheckExact(value) && is_plain_dict(value);
}

/* The codec's method that refuses what, with the exception that is set; it raises another one. Not for KeyboardInterrupt.
 * Steals what. */
static void refuse(const Coder *coder, const char *method, PyObject *what) {
  PyObject *type, *error, *trace;
  if (!what || !PyErr_ExceptionMatches(PyExc_Exception)) {
    Py_XDECREF(what);
    return;
  }
  PyErr_Fetch(&type, &error, &trace);
  PyErr_NormalizeException(&type, &error, &trace);
  if (trace) PyException_SetTraceback(error, trace);
  PyObject *done = PyObject_CallMethod(coder->codec, method, "OO", what, error);
  Py_XDECREF(done);
  Py_DECREF(what);
  Py_XDECREF(type);
  Py_XDECREF(error);
  Py_XDECREF(trace);
}

/* ---- there and back ------------------------------------------------------------------------------------------------------ */
static PyObject *encoded(const Coder *coder, PyObject *value, uint32_t *number) {
  if (coder->bytes_pass && PyBytes_CheckExact(value)) {
    *number = 0;
    return keep(value);
  }
  if (is_taken(coder, value)) {
    PyObject *bytes = PyObject_CallFunctionObjArgs(coder->pack, value, coder->argument, NULL);
    *number = PyTuple_CheckExact(value) ? coder->tuple_number : coder->number;
    if (!bytes) refuse(coder, "_refuse", keep(value));
    return bytes;
  }
  PyObject *pair = PyObject_CallMethod(coder->codec, "encode", "(O)", value);
  if (!pair) return NULL;
  *number = (uint32_t)PyLong_AsUnsignedLong(PyTuple_GetItem(pair, 0));
  PyObject *bytes = PyBytes_FromObject(PyTuple_GetItem(pair, 1));
  Py_DECREF(pair);
  return bytes;
}

PyObject *hot_encoded(PyObject *owner, const Coder *coder, PyObject *value, uint32_t *number) {
  PyObject *bytes = encoded(coder, value, number);
  if (!bytes || (uint64_t)PyBytes_Size(bytes) <= coder->most_bytes) return bytes;
  PyObject *done = PyObject_CallMethod(owner, "_refuse_length", "n", PyBytes_Size(bytes));
  Py_XDECREF(done);
  Py_DECREF(bytes);
  return NULL;
}

PyObject *hot_decoded(const Coder *coder, uint32_t number, PyObject *data) {
  if (number == 0) return keep(data);
  if (coder->unpack && (number == coder->number || number == coder->tuple_number)) {
    PyObject *value = PyObject_CallFunctionObjArgs(coder->unpack, data, NULL);
    if (value && number != coder->number) {
      PyObject *tuple = PyList_CheckExact(value) ? PyList_AsTuple(value)
                                                 : PyErr_Format(PyExc_TypeError, "a tuple must be an array");
      Py_DECREF(value);
      value = tuple;
    }
    if (!value) refuse(coder, "_refuse_record", PyLong_FromUnsignedLong(number));
    return value;
  }
  return PyObject_CallMethod(coder->codec, "decode", "kO", (unsigned long)number, data);
}

int hot_encode_all(PyObject *owner, const Coder *coder, PyObject *list, PyObject *kept, shm_piece *pieces) {
  Py_ssize_t count = PyList_Size(list);
  for (Py_ssize_t i = 0; i < count; i++) {
    uint32_t number;
    PyObject *bytes = hot_encoded(owner, coder, PyList_GetItem(list, i), &number);
    if (!bytes) return -1;
    char *data = PyBytes_AsString(bytes);
    pieces[i] = (shm_piece){data, (uint64_t)PyBytes_Size(bytes), number};
    if (hot_append(kept, bytes) != 0) return -1;
  }
  return 0;
}
