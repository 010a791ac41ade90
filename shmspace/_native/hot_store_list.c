/* hot_store_list.c: many keys of a store at once, with what they have; see hot_store.c. */
#include "hot_store.h"

#include <string.h>

/* What is wanted of each key. */
enum { KEYS, ENTRIES, VALUES, ITEMS };

typedef struct {
  const char *glob;
  Py_ssize_t glob_length;
  uint32_t order;
  int64_t since, until;
  uint64_t limit;
  uint8_t *keys;
  uint64_t size_bytes, count;
} Search;

/* Ask the C core for the keys: 0, or -1 with an exception. */
static int find(Cabinet *self, Search *search, const char *what, int64_t timeout_ns) {
  uint64_t limit_ns = timeout_ns < 0 ? SHM_NEVER : shm_monotonic_ns() + (uint64_t)timeout_ns;
  for (;;) {
    if (PyErr_CheckSignals() != 0 || !cabinet_is_open(self, what)) return -1;
    uint64_t now_ns = shm_monotonic_ns(), slice_ns = now_ns + SLICE_NS < limit_ns ? now_ns + SLICE_NS : limit_ns;
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = shm_store_keys(self->store, search->glob, (uint32_t)search->glob_length, search->order, search->since, search->until,
                            search->limit, slice_ns, &search->keys, &search->size_bytes, &search->count);
    Py_END_ALLOW_THREADS
    if (status == SHM_OK) return 0;
    shm_store_free_keys(search->keys);
    search->keys = NULL;
    if (status == SHM_INTERRUPTED || ((status == SHM_BUSY || status == SHM_TIMEOUT) && now_ns < limit_ns)) continue;
    if (hot_fail((PyObject *)self, status, what, timeout_ns) != 0) return -1;
  }
}

/* What is wanted of a key, a new reference; NULL with an exception, or, without one, if the key has gone meanwhile. Takes name. */
static PyObject *wanted_of(Cabinet *self, PyObject *name, int want) {
  if (!name || want == KEYS) return name;
  Key key = {.object = name};
  shm_item_facts facts;
  int status = RAISED;
  PyObject *data = NULL, *result = NULL;
  key.bytes = PyUnicode_AsUTF8AndSize(name, &key.length);
  do {
    if (!key.bytes || !cabinet_is_open(self, "listing")) break;
    data = cabinet_stored(self, &key, &facts, &status);
  } while (!data && status != SHM_NOT_FOUND && status != RAISED && cabinet_fail(self, status, "listing", 0, name) == 0);
  if (data) {
    PyObject *value = hot_decoded(&self->coder, facts.codec, data);
    Py_DECREF(data);
    if (want == ENTRIES) result = cabinet_entry(self, name, value, &facts);
    else if (want == VALUES || !value) result = value;
    else result = Py_BuildValue("ON", name, value);
  }
  Py_DECREF(name);
  return result;
}

/* _listed(glob bytes or None, want, order, since, until, limit, timeout_ns): a list. */
PyObject *cabinet_listed(PyObject *object, PyObject *args) {
  Cabinet *self = (Cabinet *)object;
  Search search = {.keys = NULL};
  int want;
  unsigned int order;
  long long since, until, timeout_ns;
  unsigned long long limit;
  if (!PyArg_ParseTuple(args, "z#iILLKL", &search.glob, &search.glob_length, &want, &order, &since, &until, &limit, &timeout_ns)) {
    return NULL;
  }
  search.order = order;
  search.since = since;
  search.until = until;
  search.limit = limit;
  if (find(self, &search, "listing", timeout_ns) != 0) return NULL;
  PyObject *list = PyList_New(0);
  uint64_t at = 0;
  while (list && at + 4 <= search.size_bytes) {
    uint32_t length;
    memcpy(&length, search.keys + at, 4);
    PyObject *name = PyUnicode_DecodeUTF8((const char *)search.keys + at + 4, (Py_ssize_t)length, NULL);
    PyObject *found = wanted_of(self, name, want);
    if ((found && hot_append(list, found) != 0) || (!found && PyErr_Occurred())) Py_CLEAR(list);
    at += 4 + length;
  }
  shm_store_free_keys(search.keys);
  return list;
}
