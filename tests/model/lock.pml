/* lock.pml: the lock word of csrc/core/lock.c, under deaths at every step.
 *
 * A step (a statement, or an atomic block) has one access to shared memory or one system call; steps interleave freely,
 * so a process that is slow or stopped anywhere needs nothing of its own. A death is a step of the process killer: its
 * victim never moves again (unless), leaves the kernel's queue, and is found dead by probes from then on.
 *
 *   fast, spin        shm__lock; spin: one attempt on a word found free
 *   look .. late      the loop of shm__lock_watching: look, announce, nap, probe, take_dead, or give up
 *   inherit           shm__lock_inherit as recover.c calls it, then repair and shm__unlock, or shm__unlock_broken
 *   unlock, wake      shm__unlock, shm__unlock_wake
 *
 * futex_wait compares and queues in one step, futex_wake takes any one of the queue. A nap may end at any time.
 *
 * Proved
 *   mutual exclusion     two of the living are never in the guarded section
 *   nobody robbed        a word is taken over from the dead only, and nobody but the owner frees it
 *   repair               data that a death left half changed is repaired before anybody uses it, though repairers die
 *   no lost wake-up      without deaths nobody needs a nap to end (-DDEATHS=0: no nap ends, and nobody sleeps for ever)
 *   nobody waits on      with deaths, naps and a fair scheduler every survivor finishes (-DLIVENESS)
 *
 * Mutants: UNREPAIRED ROBBER BLIND_TAKEOVER KEPT_DATA; of -DDEATHS=0: FORGETFUL NO_COMPARE TORN_UNLOCK;
 *          of -DLIVENESS: NO_PROBE.
 */
#ifndef MEMBERS
#define MEMBERS 3
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#define NAPS (DEATHS > 0)
#ifdef LIVENESS
#define SIGNALS 0
#else
#define SIGNALS 1
#endif

#define OWNER(w) ((w) & 3) /* SHM_TOKEN_MASK; tokens are 1 .. MEMBERS, 0 is nobody */
#define REPAIR 4
#define WAITERS 8

byte word;                 /* the lock */
bool dead[4];              /* what a probe finds, by token */
bool asleep[4];            /* the kernel's queue */
byte deaths, signals;

/* What the properties speak of. */
bool whole = true;         /* the guarded data */
byte inside;               /* the living in the guarded section: bit = token */
#ifdef LIVENESS
bool done[4];
#endif

#define ANY(map) (map[1] || map[2] || map[3])

#ifdef MUTANT_FORGETFUL /* who has slept takes the lock without the waiters bit */
#define SLEPT 0
#else
#define SLEPT bits
#endif

#ifdef MUTANT_UNREPAIRED /* the repair bit gets lost when the lock is given up unrepaired */
#define BROKEN 0
#else
#define BROKEN REPAIR
#endif

/* Part of a step: the word is ours now. */
#define ENTER(must_repair) \
  assert(inside == 0 && (whole || must_repair)); inside = 1 << me; repair = must_repair; found = 0; bits = 0

/* A step: compare-and-swap of the word found, and where to go on. */
#define TAKE(desired, must_repair, won, lost) \
  atomic { \
    if \
    :: word == found -> word = desired; ENTER(must_repair); goto won \
    :: else -> found = 0; goto lost \
    fi }
#define TAKE_FREE(more, won, lost) \
  TAKE(me | found & (REPAIR | WAITERS) | more, (found & REPAIR) != 0, won, lost)

#ifdef MUTANT_BLIND_TAKEOVER /* takes the word as it is by now, not as it was when the owner was probed */
#define TAKE_DEAD(won, lost) \
  atomic { word = me | REPAIR | WAITERS; ENTER(true); goto won }
#else
#define TAKE_DEAD(won, lost) \
  assert(dead[OWNER(found)]); TAKE(me | REPAIR | WAITERS, true, won, lost)
#endif

/* A step: shm__unlock, shm__unlock_broken; what was there is found. */
#define EXCHANGE(rest) \
  d_step { found = word; assert(OWNER(found) == me); word = rest; inside = 0 }

inline futex_wake_one() {
  atomic {
    found = 0;
    if
    :: asleep[1] -> asleep[1] = false
    :: asleep[2] -> asleep[2] = false
    :: asleep[3] -> asleep[3] = false
    :: else
    fi
  }
}

proctype member(byte me) {
  byte found, bits, rounds;
  bool repair;
  {
    skip;
begin:
    if
    :: rounds == ROUNDS -> goto finish
    :: rounds < ROUNDS -> rounds++
    :: atomic { rounds < ROUNDS && ANY(dead) -> rounds++; goto inherit }
    fi;

fast:
    TAKE(me, false, section, spin);
spin:
    atomic {
      found = word;
      if
      :: OWNER(found) == 0
      :: else -> found = 0; goto look
      fi };
    TAKE_FREE(0, section, look);

look:
    atomic {
      found = word;
      if
      :: OWNER(found) == 0
      :: OWNER(found) != 0 && !(found & WAITERS) -> goto announce
      :: OWNER(found) != 0 && (found & WAITERS) -> goto patience
      fi };
    TAKE_FREE(SLEPT, section, look);
announce:
    atomic {
      if
      :: word == found -> found = found | WAITERS; word = found
      :: else -> found = 0; goto look
      fi };
patience:
    if
    :: true
    :: goto late /* the deadline has come */
    fi;
    d_step { /* shm__futex_wait */
      bits = WAITERS;
      if
#ifdef MUTANT_NO_COMPARE /* sleeps without comparing */
      :: true -> asleep[me] = true
#else
      :: word == found -> asleep[me] = true
#endif
      :: else
      fi;
      found = 0 };
    if
    :: !asleep[me] -> goto look
    :: atomic { NAPS && asleep[me] -> asleep[me] = false } /* the nap is over */
    :: atomic { asleep[me] && signals < SIGNALS -> signals++; asleep[me] = false; goto leave }
    fi;
#ifdef MUTANT_NO_PROBE /* nobody finds out that the owner is dead */
    goto look;
#endif
    found = word;
    atomic { /* shm__token_alive */
      if
#ifdef MUTANT_ROBBER /* takes slowness for death */
      :: OWNER(found) != 0
#else
      :: dead[OWNER(found)]
#endif
      :: else -> found = 0; goto look
      fi };
    TAKE_DEAD(section, look);
late:
    atomic { /* shm__token_alive */
      if
      :: dead[OWNER(found)]
      :: else -> goto leave
      fi };
    TAKE_DEAD(section, look);

inherit: /* a reaper, who has proof that somebody is dead */
    found = word;
    atomic {
      if
      :: dead[OWNER(found)]
      :: else -> goto leave
      fi };
    TAKE_DEAD(heir, inherit);
heir:
    if
    :: true -> goto section
    :: EXCHANGE(BROKEN) -> goto wake
    fi;

section:
    if
#ifdef MUTANT_KEPT_DATA /* the heir uses what he finds */
    :: repair -> repair = false
#else
    :: repair -> whole = true; repair = false
#endif
    :: else
    fi;
    d_step { assert(whole); whole = false };
    whole = true;
#ifdef MUTANT_TORN_UNLOCK /* looks for waiters, then frees the word by a plain store */
    found = word;
    d_step { word = 0; inside = 0 };
#else
    EXCHANGE(0);
#endif
wake:
    if
    :: found & WAITERS -> futex_wake_one()
    :: else
    fi;
leave:
    atomic { found = 0; bits = 0; goto begin };
finish:
#ifdef LIVENESS
    done[me] = true
#else
    skip
#endif
  } unless { d_step { dead[me] -> found = 0; bits = 0; rounds = 0; repair = false } }
}

proctype killer() {
  byte who;
  do
  :: atomic { deaths < DEATHS -> deaths++;
       select (who : 1 .. MEMBERS);
       dead[who] = true; asleep[who] = false; inside = inside & ~(1 << who);
       who = 0 }
  :: break
  od
}

init {
  byte i;
  atomic {
    for (i : 1 .. MEMBERS) { run member(i) }
    i = 0;
    run killer()
  }
}

#ifdef LIVENESS
#define OVER(i) (dead[i] || done[i])
ltl nobody_waits_on { <> (OVER(1) && OVER(2) && OVER(3)) }
#endif
