/* ring.pml: the ring of csrc/types/ring.c with delivery "one", every message in a block, under deaths at every step.
 *
 * A step (a statement, or an atomic block) has one access to shared memory; steps interleave freely. A death is a step of
 * the process killer: its victim never moves again (unless). Locks are what lock.pml proves them to be: free, somebody's,
 * or taken over from one found dead by who then repairs. Waiting is what wake.pml proves it to be. Blocks are allocated
 * and freed in one step, as under the lock of their class.
 *
 *   producer    shm__channel_send: lock, shm__ring_room, shm__ring_publish, unlock, else wait for shm__channel_look_room
 *   consumer    take_one: look, lock, shm__ring_take, unlock, copy out, shm__block_free
 *   repair_producers, repair_consumers, give_back    of the same names
 *   reaper      shm__reap of each of the dead: recover of channel.c takes both locks, so that no heir is still
 *               repairing, then shm__blocks_reap frees what the dead holds (reapers that die: recover.pml)
 *
 * Proved
 *   a message is taken once at most, whole, in order, from a block that nobody else has
 *   none is lost but with one who died after taking it; none that was never published is seen
 *   in the end each block is free, or belongs to one message that still waits
 *   nobody waits for room that there is, even if nobody reaps (-DNO_REAPER)
 *
 * Mutants: TAIL_BEFORE_SEQ SEQ_BEFORE_LINK HEAD_BEFORE_HOLD BLOCKS_BEFORE_LOCKS HEIR_IGNORED ALWAYS_DROP KEPT_SLOT
 *          NO_RELINK; of -DNO_REAPER: ROOM_UNSIGNED.
 */
#ifndef PRODUCERS
#define PRODUCERS 1
#endif
#ifndef CONSUMERS
#define CONSUMERS 2
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
#define MASK (SLOTS - 1)
#define CAPACITY SLOTS
#ifndef MESSAGES
#define MESSAGES (SLOTS + 1)
#endif
#define BLOCKS 4

#define PEOPLE (PRODUCERS + CONSUMERS) /* tokens are 1 .. PEOPLE */
#define REAPER (PEOPLE + 1)
#define FREE 0                         /* a block's word: FREE, HELD by a token, or LINKED; and its generation */
#define LINKED 9

typedef slot_t { byte seq, block, gen } /* block 0: none */
typedef block_t { byte who, gen, message }

slot_t slots[SLOTS];
block_t blocks[BLOCKS + 1];
byte head, tail, producer_lock, consumer_lock;
bool dead[REAPER + 1], reaped[REAPER + 1];
byte deaths, unreaped;

/* What the properties speak of. */
byte order[MESSAGES];       /* the messages by number, from 1 */
bool taken[MESSAGES];
byte published;
byte waiting;               /* the living who wait for room: bit = token */

#define SLOT(n) slots[(n) & MASK]
#define READY(n) (SLOT(n).seq == (n) + 1) /* shm__ring_ready */

/* A step: take a lock, then go on at whole; or take it over from one who is dead, then go on behind, to repair. */
#define LOCK(lock, whole) \
  atomic { \
    if \
    :: lock == 0 -> lock = me; goto whole \
    :: lock != 0 && dead[lock] -> lock = me \
    fi }

/* Part of a step: compare-and-swap of a block's word. */
#define IS(b, g, w) (blocks[b].gen == (g) && blocks[b].who == (w))
#define CHANGE(b, g, from, to) \
  if \
  :: IS(b, g, from) -> blocks[b].who = to \
  :: else \
  fi

/* shm__block_drop */
inline drop(b, g) {
  atomic { CHANGE(b, g, LINKED, me) };
  atomic { CHANGE(b, g, me, FREE) }
}

inline repair_producers() {
  do
  :: atomic { READY(tail) -> tail++ }
  :: atomic { !READY(tail) -> break }
  od;
  atomic {
    if
#ifdef MUTANT_KEPT_SLOT /* leaves the slot that was being filled as it is */
    :: false
#elif defined(MUTANT_ALWAYS_DROP) /* takes the oldest message of a full ring for an unpublished one */
    :: SLOT(tail).block != 0
#else
    :: SLOT(tail).block != 0 && tail - head <= MASK
#endif
       -> block = SLOT(tail).block; gen = SLOT(tail).gen
    :: else
    fi };
  if
  :: block != 0 ->
     drop(block, gen);
     SLOT(tail).block = 0
  :: else
  fi;
  atomic { block = 0; gen = 0 }
}

inline repair_consumers() {
  atomic {
    if
    :: READY(head) -> block = SLOT(head).block; gen = SLOT(head).gen
    :: else
    fi };
  atomic { /* shm__block_relink: whoever holds it */
    if
#ifndef MUTANT_NO_RELINK /* leaves the block held that was being taken */
    :: block != 0 && blocks[block].gen == gen && blocks[block].who != FREE -> blocks[block].who = LINKED
#endif
    :: else
    fi;
    block = 0; gen = 0 }
}

proctype producer(byte me; byte left) {
  byte n, block, gen, mine, mine_gen;
  {
    do
    :: left > 0 ->
       atomic { /* shm__block_alloc, and the payload */
         mine = 1;
         do
         :: blocks[mine].who == FREE -> break
         :: else -> mine++
         od;
         blocks[mine].who = me;
         blocks[mine].gen++;
         mine_gen = blocks[mine].gen;
         blocks[mine].message = 2 * left + me };
again:
       LOCK(producer_lock, room);
       repair_producers();
room:
       atomic {
         if
         :: tail - head < CAPACITY -> n = tail; goto fill
         :: else -> producer_lock = 0; waiting = waiting | 1 << me
         fi };
end_full:
       atomic {
#ifdef MUTANT_ROOM_UNSIGNED /* one who died before moving tail makes head pass it: no room, it seems */
         tail >= head && tail - head < CAPACITY -> waiting = waiting & ~(1 << me); goto again
#else
         tail - head < CAPACITY -> waiting = waiting & ~(1 << me); goto again
#endif
       };
fill:
       SLOT(n).block = mine;
       SLOT(n).gen = mine_gen;
#ifdef MUTANT_SEQ_BEFORE_LINK
       d_step { SLOT(n).seq = n + 1; order[n] = blocks[mine].message; published++ };
#endif
       d_step { CHANGE(mine, mine_gen, me, LINKED) }; /* shm__block_link */
#ifdef MUTANT_TAIL_BEFORE_SEQ
       tail = n + 1;
#endif
#ifndef MUTANT_SEQ_BEFORE_LINK
       d_step { SLOT(n).seq = n + 1; order[n] = blocks[mine].message; published++ };
#endif
       tail = n + 1;
       d_step { producer_lock = 0; left--; n = 0; mine = 0; mine_gen = 0 }
    :: left == 0 -> break
    od
  } unless { d_step { dead[me] -> n = 0; block = 0; gen = 0; mine = 0; mine_gen = 0; left = 0 } }
}

proctype consumer(byte me) {
  byte n, block, gen;
  {
end_waiting:
    do
    :: READY(head) ->
       LOCK(consumer_lock, take);
       repair_consumers();
take:
       atomic {
         n = head;
         if
         :: READY(n) -> block = SLOT(n).block; gen = SLOT(n).gen
         :: else -> goto unlock
         fi };
#ifdef MUTANT_HEAD_BEFORE_HOLD
       d_step { head = n + 1; assert(!taken[n]); taken[n] = true };
#endif
       d_step { assert(IS(block, gen, LINKED)); blocks[block].who = me }; /* shm__block_hold */
#ifndef MUTANT_HEAD_BEFORE_HOLD
       d_step { head = n + 1; assert(!taken[n]); taken[n] = true };
#endif
unlock:
       atomic {
         consumer_lock = 0;
         if
         :: block != 0
         :: else -> goto next
         fi };
       d_step { /* copy, shm__block_free */
         assert(IS(block, gen, me) && blocks[block].message == order[n]);
         blocks[block].who = FREE };
next:
       atomic { n = 0; block = 0; gen = 0 }
    od
  } unless { d_step { dead[me] -> n = 0; block = 0; gen = 0 } }
}

inline reap_blocks() {
  d_step {
    who = 1;
    do
    :: who <= BLOCKS -> CHANGE(who, blocks[who].gen, gone, FREE); who++
    :: else -> break
    od;
    who = 0 }
}

proctype reaper(byte me) {
  byte gone, who, block, gen;
end_idle:
  do
  :: atomic { unreaped > 0 -> unreaped--;
       do
       :: gone++; if :: dead[gone] && !reaped[gone] -> break :: else fi
       od };
#ifdef MUTANT_BLOCKS_BEFORE_LOCKS
     reap_blocks();
#endif
     /* recover of csrc/types/channel.c */
#ifdef MUTANT_HEIR_IGNORED /* only if the lock still is that of the dead: an heir may be repairing */
     if
     :: atomic { consumer_lock == gone -> consumer_lock = me }
     :: consumer_lock != gone -> goto producers
     fi;
#else
     LOCK(consumer_lock, unlock);
#endif
     repair_consumers();
unlock:
     consumer_lock = 0;
producers:
     LOCK(producer_lock, done);
     repair_producers();
done:
     producer_lock = 0;
     reap_blocks();
     atomic { reaped[gone] = true; gone = 0 }
  od
}


proctype killer() {
  byte who;
  do
  :: atomic { deaths < DEATHS -> deaths++;
       select (who : 1 .. PEOPLE);
       if
       :: !dead[who] -> dead[who] = true; unreaped++; waiting = waiting & ~(1 << who)
       :: else
       fi;
       who = 0 }
  :: break
  od
}

active proctype monitor() {
  byte i, linked;
end_quiet:
  atomic {
    timeout ->
    assert(waiting == 0 || published - head >= CAPACITY);
#ifndef NO_REAPER
    assert(tail == published && head <= tail && producer_lock == 0 && consumer_lock == 0);
    for (i : 1 .. BLOCKS) {
      if
      :: blocks[i].who == FREE
      :: blocks[i].who == LINKED -> linked++
      :: else -> assert(blocks[i].who <= PRODUCERS && !dead[blocks[i].who]) /* of one who waits for room */
      fi
    }
    assert(linked == tail - head)
#endif
  }
}

init {
  byte i;
  atomic {
    for (i : 1 .. PRODUCERS) { run producer(i, (i == 1 -> MESSAGES - PRODUCERS + 1 : 1)) }
    for (i : PRODUCERS + 1 .. PEOPLE) { run consumer(i) }
    i = 0;
    run killer();
#ifndef NO_REAPER
    run reaper(REAPER)
#endif
  }
}
