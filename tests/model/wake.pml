/* wake.pml: the event words of csrc/core/wake.c: nobody sleeps while there is something for him.
 *
 * A step (a statement, or an atomic block) has one access to shared memory or one system call; steps interleave freely.
 * Nobody dies and no nap ever ends, so every lost wake-up is a sleep for ever.
 *
 *   sleeper        wait_for of csrc/types/channel.c around shm__event_announce and shm__futex_wait; what it waits for
 *                  is abstract: a number of things published, of which TAKE takes one
 *   loop           the event loop of a member: shm__event_arm_bell, look, wait until the bell was rung (-DLOOPS=1)
 *   waker          publish one thing or two, then shm__event_notify, shm__event_notify_slow, ring_bells
 *   store_buffer   what a waker publishes waits in its CPU's buffer, and becomes visible at any later time (x86-TSO); a
 *                  full fence (an unlock is one) waits until it is empty. Read-modify-writes go to memory at once.
 *
 * futex_wait compares and queues in one step, futex_wake takes any of the queue.
 *
 * Proved: when nothing moves any more, either nobody sleeps or nothing is left to take.
 *
 * Mutants: NO_FENCE NO_RELOOK NO_COMPARE NO_SECOND_WAKE; of -DLOOPS=1: FLAG_BEFORE_BIT MAP_BEFORE_FLAG.
 */
#ifndef LOOPS
#define LOOPS 0
#endif
#define SLEEPERS 2
#define WAKERS 2

#define SLEEP 1  /* SHM_EVENT_SLEEPERS */
#define BELLS 2  /* SHM_EVENT_BELLS */
#define STEP 4   /* SHM_EVENT_STEP */
#define ALL 255  /* UINT32_MAX */

byte word;                      /* event.word */
bool bell_map;                  /* event.bells: the bit of the one member with an event loop */
bool rung;                      /* its bell differs from what it has seen */
byte things;                    /* visible, not taken */
byte buffered[WAKERS];          /* published, but not visible yet */
bool asleep[SLEEPERS];          /* the kernel's queue */

/* What the property speaks of. */
bool idle;                      /* the event loop waits for its bell */

inline announce() { d_step { word = word | SLEEP; value = word } }

inline futex_wait() {
  d_step {
    if
#ifdef MUTANT_NO_COMPARE /* sleeps without comparing */
    :: true -> asleep[me] = true
#else
    :: word == value -> asleep[me] = true
#endif
    :: else
    fi;
    value = 0 }
}

/* The first of the queue, or the last: any of two. */
inline futex_wake(count) {
  atomic {
    woken = 0;
    do
    :: woken < count && asleep[0] -> asleep[0] = false; woken++
    :: woken < count && asleep[1] -> asleep[1] = false; woken++
    :: else -> break
    od }
}

/* A thing if there is one: the look that decides, under the structure's lock. */
#define TAKE(got) \
  atomic { \
    if \
    :: things > 0 -> things--; goto got \
    :: else \
    fi }
#define LOOK(found) \
  atomic { \
    if \
    :: things > 0 -> value = 0; goto found \
    :: else \
    fi }

proctype sleeper(byte me) {
  byte value;
again:
  TAKE(again);
  if
  :: true
  :: goto leave /* the deadline has come */
  fi;
  announce();
#ifndef MUTANT_NO_RELOOK /* trusts the look before the announcement */
  LOOK(again);
#endif
  futex_wait();
end_asleep:
  atomic { !asleep[me] -> goto again };
leave:
  skip
}

proctype loop() {
  byte value;
again:
  TAKE(again);
#ifdef MUTANT_FLAG_BEFORE_BIT
  word = word | BELLS;
  bell_map = true;
#else
  bell_map = true;
  d_step { word = word | BELLS }; /* a read-modify-write, and so a fence */
#endif
  LOOK(again);
  idle = true;
end_idle:
  atomic { rung -> rung = false; idle = false; goto again }
}

proctype waker(byte me) {
  byte value, count, woken, left = (me == 0 && !LOOPS -> 2 : 1);
  do
  :: atomic { left > 0 -> /* publish, as the holder of a lock */
       if
       :: count = 1
       :: left > 1 -> count = 2
       fi;
       left = left - count;
       buffered[me] = count };
#ifndef MUTANT_NO_FENCE /* looks for sleepers while the publication may still be in the buffer */
     buffered[me] == 0; /* shm__unlock */
#endif
     atomic { /* shm__event_notify */
       if
       :: word & (SLEEP | BELLS)
       :: else -> goto done
       fi };
     atomic { /* shm__event_notify_slow */
       value = word;
       if
       :: value & BELLS
       :: else -> goto sleepers
       fi };
     /* ring_bells */
#ifdef MUTANT_MAP_BEFORE_FLAG
     d_step { rung = rung | bell_map; bell_map = false };
     word = word & ~BELLS;
#else
     word = word & ~BELLS;
     d_step { rung = rung | bell_map; bell_map = false };
#endif
sleepers:
     atomic {
       if
       :: value & SLEEP
       :: else -> goto done
       fi;
       word = word + STEP;
       value = word };
     atomic {
       futex_wake(count);
       if
       :: woken >= count -> goto done
       :: else
       fi };
     atomic {
       if
       :: word == value -> word = (value + STEP) & ~SLEEP
       :: else -> goto done
       fi };
#ifndef MUTANT_NO_SECOND_WAKE /* who slept between the wake-up and clearing the flag sleeps on, unannounced */
     futex_wake(ALL);
#endif
done:
     atomic { value = 0; woken = 0; count = 0; buffered[me] == 0 }
  :: left == 0 -> break
  od
}

proctype store_buffer(byte me) {
end_drained:
  do
  :: atomic { buffered[me] > 0 -> things = things + buffered[me]; buffered[me] = 0 }
  od
}

/* Looks when nothing moves any more. */
active proctype monitor() {
end_quiet:
  atomic { timeout -> assert(things == 0 || !asleep[0] && !asleep[1] && !idle) }
}

init {
  byte i;
  atomic {
    for (i : 0 .. SLEEPERS - LOOPS - 1) { run sleeper(i) }
    for (i : 0 .. WAKERS - 1) { run waker(i); run store_buffer(i) }
    i = 0;
#if LOOPS
    run loop()
#endif
  }
}
