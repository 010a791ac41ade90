/* handoff.pml: values handed to those who wait for them, csrc/types/fifo.c and fifo_wait.c, under deaths at every step.
 *
 * A step (a statement, or an atomic block) has one access to shared memory, or several of which nobody without the lock
 * sees the order; steps interleave freely. A death is a step of the process killer: its victim never moves again
 * (unless). Locks are what lock.pml proves them to be, fences what wake.pml proves. There is one segment with a cell for
 * every value; values are inline, so that who reads pins nothing. A waiter has the number of its owner.
 *
 *   putter      shm__fifo_put, then the look at the line: shm__lane_serve_if_waited
 *   taker       shm__queue_take: take_some with a waiter, the second look, sleep_in_line, collect_grant; or, when its
 *               deadline has come, shm__queue_leave_line. With -DRETURNS it may give back what it got: shm__queue_nack
 *   reader      shm__tuples_read: the same for one that only looks (-DREADERS=1)
 *   serve_line  shm__waiters_settle under the take lock: find_waiting, show, give, take_out; shm__wakes_send
 *   repair      what the heir of the take lock does: shm__fifo_repair_out, shm__waiters_repair
 *   reaper      recover of csrc/types/queue.c: shm__waiters_recover, shm__fifo_recover, then the line; then the blocks of
 *               the dead. It stands for all whose naps end. With -DREAPERS=2 there are two, of which one may die
 *
 * Nobody naps while nobody has died; after a death whoever was told, and not woken, finds out. VICTIM alone may die, and
 * with -DNO_DEADLINE nobody gives up, where all would be too many.
 *
 * Proved
 *   every value that was put is taken once, or ready; nobody loses a value that is held for him while he lives
 *   when nothing moves any more nobody living sleeps while a value is ready
 *   values are given in order, to who came first; all who wait to read have been shown one before
 *   a waiter is freed once, when nothing leads to it any more; the line is right in the end, and so are the hints
 *
 * Mutants: LOOK_BEFORE_LINK LOOK_BEFORE_PUT PLAIN_GIVE_UP UNWANTED OVERTAKEN LATE_PUT FREED_IN_LINE OUT_FIRST; of
 * deaths: TELL_BEFORE_HOLD FORGOTTEN_GRANT TAIL_TRUSTED NO_SERVICE BLOCKS_FIRST; of -DTAKERS=3: LAST_BEHIND; of
 * -DREADERS=1: TAKERS_FIRST; of -DRETURNS: RETURN_UNSEEN.
 */
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef READERS
#define READERS 0
#endif
#ifndef TAKERS
#define TAKERS 2
#endif
#ifndef REAPERS
#define REAPERS 1
#endif
#ifndef VALUES
#define VALUES 2
#endif
#define PUTTER 1
#define FIRST 2                     /* takers 2, ..., then the readers */
#define PEOPLE (FIRST + TAKERS + READERS)
#define SURVIVOR PEOPLE             /* reapers */
#define MORTAL (PEOPLE + 1)
#define IS_TAKER(w) ((w) < FIRST + TAKERS)

#define FREE 0                      /* a cell: FREE, READY, TAKEN, or HELD by a token */
#define READY 1
#define TAKEN 2
#define HELD 8
#define NOBODY 0                    /* a waiter's block */
#define OUT 9                       /* next of a waiter that is in no line */
#define WAITING 0
#define GRANTED 1
#define SHOWN 2
#define GONE 3
#define CLOSED 4

byte cell[VALUES], head, tail, taken, take_lock;
byte first, last, next[PEOPLE], state[PEOPLE], chosen[PEOPLE], block[PEOPLE]; /* chosen: the value, plus 1 */
bool asleep[PEOPLE];                /* the kernel's */
bool dead[PEOPLE + 2];
byte deaths, graves;               /* graves: a bit for each of the dead who is to be reaped */

/* What the properties speak of. */
byte published, arrivals, arrived[PEOPLE];

#define WAITS(w) (!dead[w] && arrived[w] && state[w] == WAITING)
#define BEFORE(v, w) (WAITS(v) && arrived[v] < arrived[w])

/* Nobody who came before w is still waiting, and no value before n is ready. */
inline in_order(n, w) {
  for (i : FIRST .. PEOPLE - 1) {
    assert(i == w || !WAITS(i) || (IS_TAKER(i) && arrived[w] && arrived[w] < arrived[i]))
  }
  for (i : 0 .. VALUES - 1) { assert(i >= n || cell[i] != READY) }
  i = 0
}

/* A process that has died: for fewer states. */
#define FORGET i = 0; n = 0; at = 0; before = 0; after = 0; gone = false; ours = false; over = false; wakes = 0

/* ---- the lock ---- */
inline lock() {
  if
  :: atomic { take_lock == 0 -> take_lock = me }
  :: atomic { take_lock != 0 && dead[take_lock] -> take_lock = me; begin_repair() };
     repair()
  fi
}

/* Then wake all who were told something: shm__wakes_send. */
inline unlock() {
  if
  :: atomic { wakes == 0 -> take_lock = 0; at = 0; before = 0 }
  :: atomic { wakes != 0 -> take_lock = 0; at = 0; before = 0 };
     d_step {
       for (i : FIRST .. PEOPLE - 1) { asleep[i] = asleep[i] && !(wakes & (1 << i)) }
       i = 0;
       wakes = 0 }
  fi
}

/* ---- the line ---- */
inline free_waiter(w, mine) {
  d_step {
    if
    :: block[w] == mine ->
       i = first;
       do
       :: i != 0 && i != OUT -> assert(i != w); i = next[i]
       :: else -> break
       od;
       i = 0;
       block[w] = NOBODY
    :: else
    fi }
}

/* at is the waiter, before the one in front of it, or 0. Then at is the next one. */
inline take_out() {
  d_step {
    gone = (state[at] == GONE);
#ifndef MUTANT_LAST_BEHIND
    if
    :: last == at -> last = before
    :: else
    fi;
#endif
    after = next[at] };
#ifdef MUTANT_OUT_FIRST
  next[at] = OUT;
#endif
  d_step {
    if
    :: before == 0 -> first = after
    :: else -> next[before] = after
    fi };
  if
  :: atomic { !gone -> next[at] = OUT; at = after; after = 0 }
  :: atomic { gone -> next[at] = OUT };
     d_step { /* shm__block_pass: only what its owner has not freed */
       ours = (block[at] == at);
       if
       :: ours -> block[at] = me
       :: else
       fi };
     if
     :: ours -> free_waiter(at, me)
     :: else
     fi;
     atomic { at = after; after = 0; gone = false; ours = false }
  fi
}

inline begin_walk() { d_step { at = first; before = 0 } }
inline step() { d_step { before = at; at = next[at]; assert(at != OUT) } }

/* From at on the first that wants to take, or to read: at, or 0. What is over is taken out on the way. */
inline find_waiting(reads) {
  do
  :: atomic {
       do
       :: at == 0 || state[at] != WAITING || (reads && IS_TAKER(at)) -> break
       :: at != 0 && state[at] == WAITING && !reads && IS_TAKER(at) -> break
       :: at != 0 && state[at] == WAITING && reads && !IS_TAKER(at) -> break
       :: at != 0 && state[at] == WAITING && !reads && !IS_TAKER(at) -> step()
       od;
       assert(at == 0 || block[at] != NOBODY);
       if
       :: at != 0 && state[at] != WAITING
       :: at == 0 || state[at] == WAITING -> at = (at != 0 && IS_TAKER(at) == !reads -> at : 0); break
       fi };
     take_out()
  od
}

/* ---- values ---- */
/* Head moves on to what is ready or free. */
inline find_ready() {
  d_step {
    do
    :: head < VALUES && cell[head] != READY && cell[head] != FREE -> head++
    :: else -> break
    od }
}
#define READY_THERE (head < VALUES && cell[head] == READY)

/* The value at head, which is ready, is held by w. */
inline hold(w) {
  atomic { in_order(head, w); cell[head] = HELD + w };
  d_step { head++; taken++ }
}

/* Value n is ready again. */
inline ready_again(n) {
  d_step { /* head: only the heir of the lock sees it when we die in between, and finds it anew */
    cell[n] = READY;
    head = (n < head -> n : head) };
  taken--
}

/* shm__waiter at is told, if it still waits. */
#define TELL(what) state[at] == WAITING -> state[at] = what; wakes = wakes | (1 << at)

/* at is given the value at head. */
inline give() {
  d_step { n = head; chosen[at] = n + 1 };
#ifdef MUTANT_TELL_BEFORE_HOLD
  if
  :: atomic { TELL(GRANTED) }; hold(at)
  :: atomic { state[at] != WAITING }
  fi;
#else
  hold(at);
  if
  :: atomic { TELL(GRANTED) }
#ifndef MUTANT_UNWANTED /* forgets that who it was for may have given up */
  :: atomic { state[at] != WAITING -> ready_again(n) }
#else
  :: atomic { state[at] != WAITING }
#endif
  fi;
#endif
  n = 0
}

inline settle() {
  do
  :: atomic {
       find_ready();
       if
       :: first == 0 || !READY_THERE -> break
       :: first != 0 && READY_THERE -> begin_walk()
       fi };
#ifdef MUTANT_TAKERS_FIRST
     at = 0;
#else
     find_waiting(true);
#endif
     if
     :: at != 0 ->
        if
        :: atomic { TELL(SHOWN) }
        :: atomic { state[at] != WAITING }
        fi
     :: atomic { at == 0 -> begin_walk() };
        find_waiting(false);
        if
        :: at != 0 -> give()
        :: at == 0 -> break
        fi
     fi;
     take_out()
  od
}

inline serve_line() {
  lock();
  settle();
  unlock()
}

/* ---- death: by the heir of the take lock ---- */
/* shm__fifo_repair_out. A value may have been taken before tail moved behind it. */
inline begin_repair() {
  d_step {
#ifdef MUTANT_TAIL_TRUSTED
    taken = tail;
#else
    taken = tail + (tail < VALUES && cell[tail] != FREE);
#endif
    head = taken;
    n = taken;
    for (i : 0 .. VALUES - 1) {
      if
      :: cell[i] == READY && i < n -> taken--; head = (i < head -> i : head)
      :: else
      fi }
    i = 0;
    n = 0;
    begin_walk() }
}

#ifdef MUTANT_FORGOTTEN_GRANT
#define GRANTED_HALF(w) false
#else
#define GRANTED_HALF(w) (chosen[w] && (state[w] == WAITING || state[w] == GONE) && cell[chosen[w] - 1] == HELD + w)
#endif
/* shm__waiters_repair. Nobody is woken: naps end. */
inline repair() {
  do
  :: atomic { at == 0 -> last = before; before = 0; wakes = 0; break }
#ifndef MUTANT_FORGOTTEN_GRANT
  :: atomic { at != 0 && GRANTED_HALF(at) ->
       if
       :: TELL(GRANTED)
       :: state[at] == GONE -> n = chosen[at] - 1; ready_again(n); n = 0
       fi };
     take_out()
#endif
  :: atomic { at != 0 && state[at] == WAITING && !GRANTED_HALF(at) -> chosen[at] = 0; step() }
  :: atomic { at != 0 && state[at] != WAITING && !GRANTED_HALF(at) };
     take_out()
  od
}

/* ---- who puts ---- */
proctype putter(byte me) {
  byte i, n, at, before, after, wakes;
  bool gone, ours, over;
  {
    do
    :: atomic { published < VALUES ->
#ifdef MUTANT_LOOK_BEFORE_PUT
         over = (first != 0)
       };
       atomic {
#endif
         cell[published] = READY; published++ };
       tail++;
       if
#ifdef MUTANT_LOOK_BEFORE_PUT
       :: over -> over = false; serve_line()
#else
       :: first != 0 -> serve_line()
#endif
       :: else
       fi
    :: atomic { published == VALUES -> break }
    od
  } unless { atomic { dead[me] -> FORGET } }
}

/* ---- who takes, or reads ---- */
/* Behind the last one; who only reads goes in front. */
inline add() {
  d_step {
    if
    :: IS_TAKER(me) ->
       next[me] = 0;
       before = (first != 0 -> last : 0);
       do
       :: before == 0 && first != 0 -> before = first
       :: before != 0 && next[before] != 0 && next[before] != OUT -> before = next[before]
       :: else -> break
       od;
       last = me
    :: else ->
       next[me] = first;
       last = (first == 0 -> me : last)
    fi };
  d_step {
    arrivals++;
    arrived[me] = arrivals;
    if
    :: before == 0 -> first = me
    :: else -> next[before] = me
    fi;
    before = 0 }
}

/* Free ours, which has been told something. */
inline free_told() {
#ifndef MUTANT_FREED_IN_LINE /* whoever told it may not have taken it out yet */
  if
  :: next[me] != OUT ->
     lock();
     unlock()
  :: else
  fi;
#endif
  free_waiter(me, me)
}

/* shm__queue_leave_line, leave: we have given up. */
inline leave() {
  lock();
  atomic {
    begin_walk();
    do
    :: at != 0 && at != me -> step()
    :: else -> break
    od };
  if
  :: atomic { at == me && block[me] == me -> state[me] = CLOSED };
     take_out()
  :: else
  fi;
  unlock();
  free_waiter(me, me)
}

proctype caller(byte me) {
  byte i, n, at, before, after, wakes, mine;
  bool gone, ours, over, patient;
  {
    block[me] = me;
    lock();
#ifndef MUTANT_OVERTAKEN
    settle(); /* shm__fifo_serve */
#endif
#if !defined(MUTANT_OVERTAKEN) && !defined(MUTANT_LATE_PUT) /* what is put behind the back of settle is for those who wait */
    if
    :: atomic { first != 0 -> begin_walk() };
       find_waiting(true);
       if
       :: atomic { at == 0 -> begin_walk() };
          find_waiting(false)
       :: at != 0
       fi
    :: atomic { first == 0 }
    fi;
#endif
    atomic {
      find_ready();
      if
      :: at == 0 && READY_THERE && IS_TAKER(me) -> mine = head
      :: at == 0 && READY_THERE && !IS_TAKER(me) -> goto looked
      :: at != 0 || !READY_THERE -> goto wait
      fi };
    hold(me);
looked:
    unlock();
    free_waiter(me, me);
    goto has;
wait:
    add();
    unlock();
#ifndef MUTANT_LOOK_BEFORE_LINK
    if
    :: !IS_TAKER(me) || tail > taken -> serve_line()
    :: else
    fi;
#endif
    atomic {
      asleep[me] = (state[me] == WAITING);
#ifndef NO_DEADLINE
      if
      :: patient = true
      :: skip /* its deadline comes */
      fi
#else
      patient = true
#endif
    };
end_asleep:
    atomic {
      if
      :: !asleep[me]
      :: asleep[me] && !patient -> asleep[me] = false
      :: asleep[me] && deaths && state[me] != WAITING -> asleep[me] = false /* its nap ends */
      fi;
      patient = false };
#ifdef MUTANT_PLAIN_GIVE_UP
    d_step { over = (state[me] == WAITING) };
    if
    :: over -> state[me] = GONE
    :: else
    fi;
#else
    d_step { /* shm__waiter_give_up */
      over = (state[me] == WAITING);
      if
      :: over -> state[me] = GONE
      :: else
      fi };
#endif
    if
    :: over -> over = false; leave(); goto done
    :: atomic { !over -> mine = chosen[me] - IS_TAKER(me) }
    fi;
    free_told();
has:
    if
    :: !IS_TAKER(me)
    :: atomic { IS_TAKER(me) -> assert(cell[mine] == HELD + me); cell[mine] = TAKEN }
#ifdef RETURNS
    :: atomic { IS_TAKER(me) -> assert(cell[mine] == HELD + me) };
       lock();
       ready_again(mine);
       unlock();
#ifndef MUTANT_RETURN_UNSEEN
       serve_line()
#endif
#endif
    fi;
done:
    mine = 0
  } unless { atomic { dead[me] -> FORGET; mine = 0; patient = false; asleep[me] = false } }
}

/* ---- who buries ---- */
inline find_corpse() {
  atomic {
    begin_walk();
    do
    :: at != 0 && at != corpse -> step()
    :: else -> break
    od }
}

proctype reaper(byte me) {
  byte i, n, at, before, after, wakes, corpse, v;
  bool gone, ours, over;
  {
end_idle:
    do
    :: atomic { graves != 0 ->
         corpse = PUTTER;
         do
         :: !(graves & (1 << corpse)) -> corpse++
         :: else -> break
         od };
#ifdef MUTANT_BLOCKS_FIRST
       for (v : FIRST .. PEOPLE - 1) { free_waiter(v, corpse) }
#endif
       if
       :: atomic { corpse == PUTTER && tail < VALUES && cell[tail] != FREE -> tail++ } /* shm__fifo_repair_in */
       :: else
       fi;
       lock();
       find_corpse(); /* shm__waiters_recover */
       if
       :: at != 0 -> take_out()
       :: else
       fi;
       v = 0;
       do /* shm__fifo_recover */
       :: atomic {
            do
            :: v < VALUES && cell[v] != HELD + corpse -> v++
            :: else -> break
            od;
            if
            :: v == VALUES -> break
            :: v < VALUES
            fi };
          ready_again(v)
       od;
       unlock();
#ifndef MUTANT_NO_SERVICE
       serve_line();
#endif
       atomic {
         for (v : FIRST .. PEOPLE - 1) { free_waiter(v, corpse) }
         graves = graves & ~(1 << corpse); corpse = 0; v = 0 }
    od
  } unless { atomic { dead[me] -> FORGET; corpse = 0; v = 0 } }
}

proctype killer() {
  byte who;
  do
  :: atomic { deaths < DEATHS -> deaths++;
#ifdef VICTIM
       who = VICTIM;
#else
       select (who : PUTTER .. PEOPLE + REAPERS - 1);
#endif
       if
       :: who != SURVIVOR && !dead[who] -> dead[who] = true; graves = graves | (1 << who)
       :: else
       fi;
       who = 0 }
  :: break
  od
}

/* Looks when nothing moves any more. */
active proctype monitor() {
  byte i, here;
end_quiet:
  atomic {
    timeout ->
    assert(take_lock == 0 && tail == published && graves == 0);
    for (i : 0 .. VALUES - 1) {
      here = here + (cell[i] == READY);
      assert(cell[i] == (i < published -> cell[i] : FREE) && cell[i] < HELD && (i >= published || cell[i] != FREE))
    }
    assert(taken == tail - here);
    for (i : FIRST .. PEOPLE - 1) {
      assert(block[i] == (asleep[i] -> i : NOBODY));
      assert(!asleep[i] || (here == 0 && state[i] == WAITING && !dead[i]))
    }
    here = 0;
    for (i : FIRST .. PEOPLE - 1) { here = here + asleep[i] }
    for (i : FIRST .. PEOPLE - 1) {
      assert(first == 0 || asleep[first]);
      here = here - (first != 0);
      first = (first != 0 -> next[first] : 0)
    }
    assert(first == 0 && here == 0)
  }
}

init {
  byte i;
  atomic {
    for (i : FIRST .. PEOPLE - 1) { next[i] = OUT; run caller(i) }
    run putter(PUTTER); run reaper(SURVIVOR);
#if REAPERS == 2
    run reaper(MORTAL);
#endif
    run killer();
    i = 0
  }
}
