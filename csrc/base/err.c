/* err.c: see err.h. */
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static __thread char last_text[768];

int shm__fail(int code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(last_text, sizeof last_text, format, args);
  va_end(args);
  return code;
}

int shm__fail_os(int code, int error, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int used = vsnprintf(last_text, sizeof last_text, format, args);
  va_end(args);
  if (used >= 0 && (size_t)used < sizeof last_text) {
    snprintf(last_text + used, sizeof last_text - (size_t)used, ": %s", strerror(error));
  }
  return code;
}

const char *shm__error_text(void) { return last_text; }

struct row {
  int code;
  const char *name, *class, *message;
};
#define ROW(name, code, class, message) {code, #name, #class, message},
static const struct row rows[] = {SHM_ERRORS(ROW)};

static const struct row *find_row(int code) {
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (rows[i].code == code) return &rows[i];
  }
  return NULL;
}

const char *shm__error_name(int code) { return find_row(code) ? find_row(code)->name : NULL; }
const char *shm__error_class(int code) { return find_row(code) ? find_row(code)->class : NULL; }
const char *shm__error_message(int code) { return find_row(code) ? find_row(code)->message : NULL; }
