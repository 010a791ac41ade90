/* err.h: the last error of a thread: what was asked, what was found, what to do. */
#ifndef SHM_BASE_ERR_H
#define SHM_BASE_ERR_H

#include "../include/shmspace_errors.h"

/* Keep the formatted text for this thread and return code. */
int shm__fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Like shm__fail, with the text of an errno behind it. */
int shm__fail_os(int code, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The text kept last in this thread; "" if there is none. */
const char *shm__error_text(void);

/* Name, Python class and general message of a status; NULL for an unknown code. */
const char *shm__error_name(int code);
const char *shm__error_class(int code);
const char *shm__error_message(int code);

#endif
