/* ring.pml: the ring of csrc/types/ring.c with delivery "one", every message in a block, under deaths at every step.
 *
 * A step (a statement, or an atomic block) has one access to shared memory; steps interleave freely. A death is a step
 * of the process killer: its victim never moves again (unless). Locks are what lock.pml proves them to be: free,
 * somebody's, or taken over from one found dead by who then repairs. Waiting is what wake.pml proves it to be. A block
 * is allocated and freed in one step, as under the lock of its class.
 *
 *   producer      shm__channel_send: lock, shm__ring_room, shm__ring_publish, unlock, or wait for
 *                 shm__channel_look_room; -DOLDEST: shm__ring_drop_oldest (drop_head) instead of waiting
 *   consumer      take_one: look, lock, shm__ring_take, unlock, copy out, shm__block_free
 *   take, drop, repair_producers, repair_consumers   shm__ring_take, shm__block_drop, shm__ring_repair_*
 *   reaper        shm__reap of each of the dead: recover of channel_port.c takes both locks, so that no heir is still
 *                 at his repair; then shm__blocks_reap frees what the dead one holds (reapers that die: recover.pml)
 *
 * Proved
 *   a message is taken once at most, whole, in order, from a block that nobody else has
 *   none is lost but with one who died after taking it; none is seen that was not published
 *   in the end each block is free, or belongs to one message that still waits; tail is what was published
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
#define SLOTS 1 /* the capacity too */
#endif
#ifndef MESSAGES
#define MESSAGES (SLOTS + 1) /* one each, and the first producer the rest */
#endif
#define BLOCKS 4

#define PEOPLE (PRODUCERS + CONSUMERS) /* tokens are 1 .. PEOPLE */
#define REAPER (PEOPLE + 1)
#define FREE 0   /* a block's word: FREE, HELD by a token, or LINKED; and its generation */
#define LINKED 9

typedef slot_t { byte seq, block, gen }; /* block 0: none */
typedef block_t { byte who, gen, message };

slot_t slots[SLOTS];
block_t blocks[BLOCKS + 1];
byte head, tail, producer_lock, consumer_lock;
bool dead[REAPER + 1], reaped[REAPER + 1];
byte deaths, unreaped;

/* What the properties speak of. */
byte order[MESSAGES];  /* the message of each number */
bool taken[MESSAGES];
byte published;        /* how many */
byte waiting;          /* the living who wait for room: bit = token */

#define SLOT(n) slots[(n) & (SLOTS - 1)]
#define READY(n) (SLOT(n).seq == (n) + 1) /* shm__ring_ready */
#define ROOM (tail - head < SLOTS)        /* negative when one died before moving tail */

/* A step: take a lock, then go on at whole; or take it over from one who is dead, then go on behind, to repair. */
#define LOCK(lock, whole) \
  atomic { \
    if \
    :: lock == 0 -> lock = me; goto whole \
    :: lock != 0 && dead[lock] -> lock = me \
    fi }

/* Part of a step: compare-and-swap of a block's word. */
#define IS(b, g, w) (blocks[b].gen == g && blocks[b].who == w)
#define CHANGE(b, g, from, to) \
  if \
  :: IS(b, g, from) -> blocks[b].who = to \
  :: else \
  fi

inline drop() {
  atomic { CHANGE(block, gen, LINKED, me) };
  atomic { CHANGE(block, gen, me, FREE) }
}

inline repair_producers() {
  do
  :: atomic { READY(tail) -> tail++ }
  :: atomic { !READY(tail) -> break }
  od;
  atomic { /* the slot that was being filled; of a full ring it is still the oldest message */
    if
#ifdef MUTANT_KEPT_SLOT /* leaves it as it is */
    :: false
#elif defined(MUTANT_ALWAYS_DROP) /* even the oldest message */
    :: SLOT(tail).block != 0
#else
    :: SLOT(tail).block != 0 && tail - head < SLOTS
#endif
       -> block = SLOT(tail).block; gen = SLOT(tail).gen
    :: else
    fi };
  if
  :: block != 0 ->
     drop();
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

#define MOVE_HEAD atomic { assert(!taken[head]); taken[head] = true; head++ }

/* The oldest message, if there is one: its block is ours then. */
inline take() {
  atomic {
    if
    :: READY(head) -> block = SLOT(head).block; gen = SLOT(head).gen
    :: else
    fi };
  if
  :: block != 0 ->
#ifdef MUTANT_HEAD_BEFORE_HOLD
     MOVE_HEAD;
#endif
     atomic { assert(IS(block, gen, LINKED)); blocks[block].who = me }; /* shm__block_hold */
#ifndef MUTANT_HEAD_BEFORE_HOLD
     MOVE_HEAD
#endif
  :: else
  fi
}

/* A step: shm__block_free of what was taken, with its payload as it was sent. */
inline free_taken() {
  atomic {
    if
    :: block != 0 ->
       assert(IS(block, gen, me) && blocks[block].message == order[n]);
       blocks[block].who = FREE
    :: else
    fi;
    block = 0; gen = 0; n = 0 }
}

#define PUBLISH atomic { SLOT(tail).seq = tail + 1; order[tail] = blocks[mine].message; published++ }

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
         blocks[mine].gen++;
         blocks[mine].who = me;
         blocks[mine].message = 2 * left + me;
         mine_gen = blocks[mine].gen };
again:
       LOCK(producer_lock, room);
       repair_producers();
room:
       atomic {
         if
         :: ROOM -> goto fill
#ifdef OLDEST
         :: else
         fi };
       LOCK(consumer_lock, first);
       repair_consumers();
first:
       atomic { n = head };
       take();
       consumer_lock = 0;
       free_taken();
       goto room;
#else
         :: else -> producer_lock = 0; waiting = waiting | 1 << me
         fi };
end_full:
       atomic {
#ifdef MUTANT_ROOM_UNSIGNED /* takes a head that has passed tail for a full ring */
         tail >= head && ROOM
#else
         ROOM
#endif
           -> waiting = waiting & ~(1 << me); goto again };
#endif
fill:
       SLOT(tail).block = mine;
       SLOT(tail).gen = mine_gen;
#ifdef MUTANT_SEQ_BEFORE_LINK
       PUBLISH;
#endif
       atomic { CHANGE(mine, mine_gen, me, LINKED) }; /* shm__block_link */
#ifdef MUTANT_TAIL_BEFORE_SEQ
       tail++;
       atomic { SLOT(tail - 1).seq = tail; order[tail - 1] = blocks[mine].message; published++ };
#else
#ifndef MUTANT_SEQ_BEFORE_LINK
       PUBLISH;
#endif
       tail++;
#endif
       atomic { producer_lock = 0; left--; mine = 0; mine_gen = 0 }
    :: left == 0 -> break
    od
  } unless { atomic { dead[me] -> n = 0; block = 0; gen = 0; mine = 0; mine_gen = 0; left = 0 } }
}

proctype consumer(byte me) {
  byte n, block, gen;
  {
end_waiting:
    do
    :: READY(head) ->
       LOCK(consumer_lock, whole);
       repair_consumers();
whole:
       atomic { n = head };
       take();
       consumer_lock = 0;
       free_taken()
    od
  } unless { atomic { dead[me] -> n = 0; block = 0; gen = 0 } }
}

inline reap_blocks() {
  atomic {
    n = 1;
    do
    :: n <= BLOCKS -> CHANGE(n, blocks[n].gen, gone, FREE); n++
    :: else -> break
    od;
    n = 0 }
}

proctype reaper(byte me) {
  byte gone, n, block, gen;
end_idle:
  do
  :: atomic { unreaped > 0 -> unreaped--;
       do
       :: gone++;
          if
          :: dead[gone] && !reaped[gone] -> break
          :: else
          fi
       od };
#ifdef MUTANT_BLOCKS_BEFORE_LOCKS
     reap_blocks();
#endif
#ifdef MUTANT_HEIR_IGNORED /* only if the lock still is that of the dead one: an heir may be at his repair */
     atomic {
       if
       :: consumer_lock == gone -> consumer_lock = me
       :: else -> goto producers
       fi };
#else
     LOCK(consumer_lock, relinked);
#endif
     repair_consumers();
relinked:
     consumer_lock = 0;
producers:
     LOCK(producer_lock, moved);
     repair_producers();
moved:
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

/* Looks when nothing moves any more. */
active proctype monitor() {
  byte i, linked;
end_quiet:
  atomic {
    timeout ->
    assert(waiting == 0 || published - head >= SLOTS);
#ifndef NO_REAPER
    assert(tail == published && head <= tail && producer_lock == 0 && consumer_lock == 0);
    for (i : 1 .. BLOCKS) {
      if
      :: blocks[i].who == FREE
      :: blocks[i].who == LINKED -> linked++
      :: else -> assert(waiting & 1 << blocks[i].who) /* of one who waits for room */
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
