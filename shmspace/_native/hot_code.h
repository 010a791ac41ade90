/* hot_code.h: how values become bytes and back, with shortcuts for the commonest; see hot_code.c. */
#ifndef SHMSPACE_NATIVE_HOT_CODE_H
#define SHMSPACE_NATIVE_HOT_CODE_H

#define Py_LIMITED_API 0x030a0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#include "../../csrc/include/shmspace.h"

/* A codec of codec.py. */
typedef struct {
  PyObject *codec;
  PyObject *pack, *argument; /* pack(value) or pack(value, argument) -> bytes, of what the shortcut takes; NULL: it has none */
  PyObject *unpack;          /* unpack(bytes) -> value, for the numbers below */
  uint32_t number, tuple_number;
  int takes_all;             /* the shortcut takes every value; else plain ones, and containers of these */
  int bytes_pass;            /* bytes are stored as they are */
  uint64_t most_bytes;
} Coder;

/* 0, or -1 with an exception. */
int hot_coder_set(Coder *coder, PyObject *codec, uint64_t most_bytes);
void hot_coder_clear(Coder *coder);

/* The bytes of a value, a new reference, and the number to store with them; NULL with an exception. */
PyObject *hot_encoded(PyObject *owner, const Coder *coder, PyObject *value, uint32_t *number);

/* The value of stored bytes, a new reference; NULL with an exception. */
PyObject *hot_decoded(const Coder *coder, uint32_t number, PyObject *data);

/* Encode every value of the list into pieces before anything is sent; what keeps the bytes alive goes into kept. 0, or -1
 * with an exception: owner's _refuse_length says what is wrong with a long one. */
int hot_encode_all(PyObject *owner, const Coder *coder, PyObject *list, PyObject *kept, shm_piece *pieces);

/* A named tuple of these items, without a call of its Python constructor. The items are given up; where one is NULL: NULL. */
PyObject *hot_named(PyObject *type, PyObject **items, Py_ssize_t count);

/* Append and give up value, which may be NULL: 0, or -1 with an exception. */
int hot_append(PyObject *list, PyObject *value);

#endif
