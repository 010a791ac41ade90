/* shmspace_errors.h: every status that a call can return, once.
 *
 * E(name, code, Python class, message). Refusals (full, empty, timeout, closed) are results of healthy calls; the rest
 * are errors whose last words are in shm_error_text().
 */
#ifndef SHMSPACE_ERRORS_H
#define SHMSPACE_ERRORS_H

#define SHM_ERRORS(E)                                                                                                  \
  E(SHM_OK, 0, None, "done")                                                                                           \
  E(SHM_EMPTY, -1, Empty, "nothing to take")                                                                           \
  E(SHM_FULL, -2, Full, "no room")                                                                                     \
  E(SHM_TIMEOUT, -3, Timeout, "the holder of a lock did not give it up in time")                                       \
  E(SHM_LOCKED, -4, Locked, "somebody else holds the lock")                                                            \
  E(SHM_CLOSED, -5, Closed, "closed, shut down or deleted")                                                            \
  E(SHM_END, -6, EndOfStream, "the last writer has left and everything was read")                                      \
  E(SHM_LAGGED, -7, Lagged, "the reader was overtaken")                                                                \
  E(SHM_INTERRUPTED, -8, None, "a signal came; nothing was done")                                                      \
  E(SHM_BUSY, -9, None, "would have to wait; nothing was done")                                                        \
  E(SHM_FORKED, -10, None, "the handle was inherited over a fork and must attach anew")                                \
  E(SHM_SHORT, -11, None, "the buffer is too short; nothing was done")                                                 \
  E(SHM_NOT_FOUND, -12, NotFound, "there is no such thing")                                                            \
  E(SHM_EXISTS, -13, AlreadyExists, "it exists already")                                                               \
  E(SHM_TOO_LARGE, -14, TooLarge, "longer than max_message")                                                           \
  E(SHM_SPACE_FULL, -15, SpaceFull, "no memory left")                                                                  \
  E(SHM_NOT_A_SPACE, -16, NotASpace, "not a shmspace region")                                                          \
  E(SHM_INCOMPATIBLE, -17, IncompatibleLayout, "made by another version of the layout")                                \
  E(SHM_CORRUPTED, -18, Corrupted, "bytes in the region are damaged")                                                  \
  E(SHM_DENIED, -19, PermissionDenied, "not permitted")                                                                \
  E(SHM_READ_ONLY, -20, ReadOnly, "the space is open read-only")                                                       \
  E(SHM_TOO_MANY_MEMBERS, -21, TooManyMembers, "every member slot is taken")                                           \
  E(SHM_MISMATCH, -22, OptionsMismatch, "options differ from those it was made with")                                  \
  E(SHM_INVALID, -23, InvalidName, "an argument is out of range")                                                      \
  E(SHM_OS, -24, ShmspaceError, "the operating system refused")

#define SHM__ERROR_CODE(name, code, class, message) name = code,
enum shm_status { SHM_ERRORS(SHM__ERROR_CODE) };
#undef SHM__ERROR_CODE
#endif
