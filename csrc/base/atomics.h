/* atomics.h: the few verbs that own memory order. Everything shared goes through them.
 *
 * A comment with the same label (SYNC name: ...) stands at both ends of every pair.
 */
#ifndef SHM_BASE_ATOMICS_H
#define SHM_BASE_ATOMICS_H

#include "../include/shmspace_layout.h"

#define shm_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define shm_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define shm_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define shm_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define shm_exchange(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define shm_add(p, v) __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define shm_or(p, v) __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define shm_and(p, v) __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)

/* Compare-and-swap; *expected gets what was found when it fails. */
#define shm_cas(p, expected, desired)                                                                                  \
  __atomic_compare_exchange_n((p), (expected), (desired), 0, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE)

static inline void shm_fence_acquire(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
static inline void shm_fence_release(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }
static inline void shm_fence_full(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/* A full fence for code that has just done a sequentially consistent read-modify-write: x86 has it already. */
static inline void shm_fence_after_rmw(void) {
#if defined(__x86_64__) || defined(__i386__)
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
#else
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* Tell the CPU that this is a spin loop. */
static inline void shm_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

/* Copy bytes that another process may be overwriting. The caller validates a sequence word afterwards and throws the
 * copy away when it changed, so a torn copy is harmless; thread sanitizers cannot know that. */
#if defined(__SANITIZE_THREAD__)
#define SHM_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHM_TSAN
#endif
#endif
#ifdef SHM_TSAN
#define SHM_NO_TSAN __attribute__((no_sanitize("thread"), noinline))
#else
#define SHM_NO_TSAN
#endif

#ifdef SHM_TSAN
SHM_NO_TSAN __attribute__((unused)) static void shm_copy_racing(void *to, const void *from, u64 length) {
  for (u64 i = 0; i < length; i++) ((volatile u8 *)to)[i] = ((const volatile u8 *)from)[i]; /* memcpy is watched too */
}
#else
static inline void shm_copy_racing(void *to, const void *from, u64 length) {
  if (length) __builtin_memcpy(to, from, length);
}
#endif

/* Read a word whose memory may have become something else: a hint, whatever it says. A volatile read is relaxed here. */
#ifdef SHM_TSAN
SHM_NO_TSAN __attribute__((unused)) static u64 shm_load_stale(const u64 *word) { return *(const volatile u64 *)word; }
SHM_NO_TSAN __attribute__((unused)) static u32 shm_load_stale32(const u32 *word) { return *(const volatile u32 *)word; }
SHM_NO_TSAN __attribute__((unused)) static u64 shm_load_stale_acquire(const u64 *word) { return *(const volatile u64 *)word; }
SHM_NO_TSAN __attribute__((unused)) static int shm_compare_racing(const void *a, const void *b, u64 length) {
  int difference = 0;
  for (u64 i = 0; i < length && difference == 0; i++) difference = ((const volatile u8 *)a)[i] - ((const volatile u8 *)b)[i];
  return difference;
}
#else
static inline u64 shm_load_stale(const u64 *word) { return shm_load_relaxed(word); }
static inline u32 shm_load_stale32(const u32 *word) { return shm_load_relaxed(word); }
static inline u64 shm_load_stale_acquire(const u64 *word) { return shm_load_acquire(word); }
static inline int shm_compare_racing(const void *a, const void *b, u64 length) { return __builtin_memcmp(a, b, length); }
#endif
#endif
