/* stream.pml: ports and the end of a stream, csrc/types/channel.c and channel_port.c, under deaths at every step.
 * Delivery is "one" or, with -DALL, "all" with a reader who may be overtaken; head is then that reader's cursor.
 *
 * A step (a statement, or an atomic block) has one access to shared memory; steps interleave freely. A death is a step
 * of the process killer: its victim never moves again (unless). Locks are what lock.pml proves them to be, waiting what
 * wake.pml proves, taking one message what ring.pml proves; readers need not die, for they change nothing here.
 *
 *   writer       shm__channel_open_port; shm__ring_publish under the producer lock: the slot's seq, then tail;
 *                shm__channel_close_port
 *   remove_port, repair   remove_port; shm__ring_repair_producers: tail, the links and the count of ports
 *   reader       shm__channel_recv until SHM_END: shm__channel_look (seq and tail in one step: both only rise), take
 *   reaper       recover: the port of the dead is removed under the producer lock; then shm__blocks_reap
 *
 * Proved
 *   a reader gets the end only when all that was sent before it has been taken (-DREADERS=2 -DSLOTS=2 -DDEATHS=0 too)
 *   the end is declared only when no writer is left, and it is declared, however the last one went
 *   in the end the count of writers is right, and each port's block is free, or linked and in the chain
 *
 * Mutants: END_AFTER_UNLINK END_EARLY NO_RECOUNT; with two readers: NO_SECOND_LOOK STALE_HEAD; of -DALL: LAPPED.
 */
#define WRITERS 2
#ifndef READERS
#define READERS 1
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#ifndef SLOTS
#define SLOTS 1
#endif
#define SLOT(n) seq[(n) & (SLOTS - 1)]
#define READY(n) (SLOT(n) == (n) + 1)
#ifdef ALL /* overflow drops the oldest */
#define ROOM true
#define PASSED(n) (tail > n)
#else
#define ROOM (tail - head < SLOTS)
#define PASSED(n) false
#endif

#define OPEN 0
#define ENDED 1
#define FREE 0   /* a port's block: FREE, HELD by a token, or LINKED */
#define LINKED 9
#define REAPER 3 /* tokens: writers 1 and 2, the reaper */

byte seq[SLOTS], head, tail, producer_lock, stream, writers;
bool chained[WRITERS + 1];   /* in the chain of ports; a writer has one */
byte block[WRITERS + 1];
bool dead[REAPER + 1], reaped[REAPER + 1];
byte deaths, unreaped;

/* What the properties speak of. */
bool begun;                  /* somebody has opened a port */
bool has[WRITERS + 1];       /* a living writer has opened, and not begun to close */
byte sent_before_end;        /* tail when the end was declared last */
byte published;

/* A step: take the lock, then go on at whole; or take it over from one who is dead, then go on behind, to repair. */
#define LOCK(whole) \
  atomic { \
    if \
    :: producer_lock == 0 -> producer_lock = me; goto whole \
    :: producer_lock != 0 && dead[producer_lock] -> producer_lock = me \
    fi }

inline repair() {
  do
  :: atomic { READY(tail) -> tail++ }
  :: atomic { !READY(tail) -> break }
  od;
  atomic {
    if
    :: chained[1] && block[1] != FREE -> block[1] = LINKED
    :: else
    fi;
    if
    :: chained[2] && block[2] != FREE -> block[2] = LINKED
    :: else
    fi };
#ifndef MUTANT_NO_RECOUNT /* trusts the count of writers */
  writers = chained[1] + chained[2];
#endif
}

inline declare_end() {
  atomic {
    if
#ifdef MUTANT_END_EARLY /* does not look whether others write */
    :: stream == OPEN
#else
    :: stream == OPEN && writers <= 1
#endif
       -> stream = ENDED;
       sent_before_end = published;
       assert(!has[1] && !has[2])
    :: else
    fi }
}

/* The port of writer p is in the chain, and the lock is ours. */
inline remove_port(p) {
#ifndef MUTANT_END_AFTER_UNLINK
  declare_end();
#endif
  d_step {
    if
    :: writers > 0 -> writers--
    :: else
    fi };
  d_step {
    if
    :: block[p] == LINKED -> block[p] = me /* shm__block_hold */
    :: else
    fi };
  chained[p] = false;
#ifdef MUTANT_END_AFTER_UNLINK
  declare_end();
#endif
  d_step {
    if
    :: block[p] == me -> block[p] = FREE /* shm__block_free */
    :: else
    fi }
}

proctype writer(byte me; byte left) {
  {
    block[me] = me;
    LOCK(opening);
    repair();
opening:
    atomic { chained[me] = true; begun = true };
    block[me] = LINKED;
    writers++;
    atomic { stream = OPEN; has[me] = true };
    producer_lock = 0;

    do
    :: left > 0 ->
send:  LOCK(sending);
       repair();
sending:
       atomic {
         if
         :: ROOM -> goto publish
         :: else -> producer_lock = 0
         fi };
end_full:
       atomic { ROOM -> goto send };
publish:
       atomic { SLOT(tail) = tail + 1; published++ };
       tail++;
       atomic { producer_lock = 0; left-- }
    :: left == 0 -> break
    od;

    LOCK(closing);
    repair();
closing:
    atomic { has[me] = false };
    remove_port(me);
    producer_lock = 0
  } unless { atomic { dead[me] -> left = 0 } }
}

#define LOOK(got) \
  atomic { \
    if \
    :: got -> at = 0; saw = 0; goto take \
    :: else \
    fi }

proctype reader() {
  byte at, saw;
look:
  at = head;
  LOOK(READY(at) || PASSED(at));
  atomic {
    at = 0;
    if
    :: stream == OPEN
    :: stream == ENDED -> saw = sent_before_end; goto again
    fi };
end_waiting:
  atomic { READY(head) || PASSED(head) || stream != OPEN -> goto look };
again:
#ifndef MUTANT_NO_SECOND_LOOK /* trusts the look before the end was seen */
  at = head;
#ifdef MUTANT_LAPPED /* forgets that writers may have overtaken the reader meanwhile */
  LOOK(READY(at));
#else
  LOOK(READY(at) || PASSED(at));
#endif
#ifndef MUTANT_STALE_HEAD /* forgets that others may have moved head, and a new writer used the slot again */
  if
  :: head == at
  :: head != at -> goto again
  fi;
#endif
#endif
  atomic { assert(head >= saw); goto done }; /* SHM_END */
take:
  atomic {
    if
    :: READY(head) -> head++
    :: else ->
       if
       :: PASSED(head + SLOTS) -> head = tail - SLOTS /* catch_up */
       :: else
       fi
    fi;
    goto look };
done:
  skip
}

proctype reaper(byte me) {
  byte gone;
end_idle:
  do
  :: atomic { unreaped > 0 -> unreaped--;
       if
       :: dead[1] && !reaped[1] -> gone = 1
       :: dead[2] && !reaped[2] -> gone = 2
       fi };
     LOCK(sweep);
     repair();
sweep:
     if
     :: chained[gone] -> remove_port(gone)
     :: else
     fi;
     producer_lock = 0;
     atomic {
       if
       :: block[gone] == gone -> block[gone] = FREE /* shm__blocks_reap */
       :: else
       fi;
       reaped[gone] = true; gone = 0 }
  od
}

proctype killer() {
  byte who;
  do
  :: atomic { deaths < DEATHS -> deaths++;
       select (who : 1 .. WRITERS);
       if
       :: !dead[who] -> dead[who] = true; unreaped++; has[who] = false
       :: else
       fi;
       who = 0 }
  :: break
  od
}

/* Looks when nothing moves any more. */
active proctype monitor() {
end_quiet:
  atomic {
    timeout ->
    assert(producer_lock == 0 && tail == published && writers == chained[1] + chained[2]);
    assert((!chained[1] || !dead[1] && block[1] == LINKED) && (!chained[2] || !dead[2] && block[2] == LINKED));
    assert((chained[1] || block[1] == FREE) && (chained[2] || block[2] == FREE));
    assert(stream == (begun && !chained[1] && !chained[2] -> ENDED : OPEN))
  }
}

init {
  atomic {
    run writer(1, SLOTS); run writer(2, 1);
    run reader();
#if READERS == 2
    run reader();
#endif
    run reaper(REAPER); run killer()
  }
}
