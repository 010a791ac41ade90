/* hot_store.h: Cabinet, the native base of stores, and Watch; see hot_store.c. */
#ifndef SHMSPACE_NATIVE_HOT_STORE_H
#define SHMSPACE_NATIVE_HOT_STORE_H

#include "hot.h"

typedef struct {
  PyObject_HEAD
  shm_store *store;
  Coder coder;
  PyObject *entry_type;         /* Entry */
  PyObject *on_read, *on_write; /* called for each call, or NULL */
} Cabinet;

/* A key argument: the object, and its bytes, which are the object's. */
typedef struct {
  PyObject *object;
  const char *bytes;
  Py_ssize_t length;
} Key;

/* A change on its way. */
typedef struct change {
  Key key;
  const char *what;   /* the method, for errors */
  shm_piece piece;    /* set */
  int64_t by, sum;    /* incr */
  shm_write how;
  int64_t timeout_ns;
  shm_item_facts facts;
} Change;

/* What a key argument may be. */
enum { KEY_PLAIN, KEY_GLOB, KEY_EITHER };

/* 0, or -1 with an exception. */
int cabinet_key(Cabinet *self, PyObject *object, int may_be, Key *key);

/* 1, or 0 with an exception. */
int cabinet_is_open(Cabinet *self, const char *what);

/* Have Python raise what a status means for that key: 0 to try again, -1 with an exception. Of SHM_BUSY after a nap. */
int cabinet_fail(Cabinet *self, int status, const char *what, int64_t timeout_ns, PyObject *key);

/* The stored bytes of a key, a new reference; NULL with *status, of which RAISED is an exception. */
PyObject *cabinet_stored(Cabinet *self, const Key *key, shm_item_facts *facts, int *status);

/* An Entry, a new reference. Takes the value, which may be NULL: then NULL, as with any exception. */
PyObject *cabinet_entry(Cabinet *self, PyObject *key, PyObject *value, const shm_item_facts *facts);

/* Call on_read or on_write, if there is one: 0, or -1 with an exception. */
int cabinet_tell_read(Cabinet *self, PyObject *key);
int cabinet_tell_write(Cabinet *self, const char *op, PyObject *key);

PyObject *cabinet_set(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *cabinet_incr(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *cabinet_write(PyObject *object, PyObject *args);
PyObject *cabinet_remove(PyObject *object, PyObject *args);
int cabinet_assign(PyObject *object, PyObject *key, PyObject *value);
PyObject *cabinet_listed(PyObject *object, PyObject *args);

extern PyType_Spec hot_cabinet_spec, hot_watch_spec;

#endif
