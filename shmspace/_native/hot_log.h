/* hot_log.h: Pages, the native base of logs, and LogStream; see hot_log.c. */
#ifndef SHMSPACE_NATIVE_HOT_LOG_H
#define SHMSPACE_NATIVE_HOT_LOG_H

#include "hot.h"

typedef struct {
  PyObject_HEAD
  shm_log *log;
  uint32_t shard;
  Coder coder;
  PyObject *types; /* list of 256: the type of records by codec number, or None until the first one */
  PyObject *last_type; /* of these, the one used last; or NULL */
  uint32_t last_codec;
} Pages;

enum { OLDEST = -2, NEWEST = -1, CHANGED = 1 };

/* The record where it lies, a new reference; NULL with an exception, or *status CHANGED: it was gone before it was copied. */
PyObject *log_record(Pages *self, const shm_seen *seen, int *status);

/* Is it of that key (NULL: any)? 0, 1; CHANGED + 1: it was gone before that was known. */
int log_has_key(const shm_seen *seen, PyObject *key);

/* An offset argument: 0, or -1 with an exception; beyond 64 bits it is the largest. */
int log_offset(PyObject *object, long long *offset, unsigned long long *position);

extern PyType_Spec hot_pages_spec, hot_stream_spec;

#endif
