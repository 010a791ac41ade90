/* pins.pml: views of messages with delivery "all", csrc/types/channel_port.c and ring.c, under deaths at every step.
 *
 * A step (a statement, or an atomic block) has one access to shared memory; steps interleave freely. A death is a step
 * of the process killer: its victim never moves again (unless). The producer lock is what lock.pml proves it to be.
 * There is one message, in a block that two readers look at; a port has the token of its owner.
 *
 *   reader      view_all: pin, move the cursor; look; shm__channel_unpin: let_go, clear the pin, shm__ring_retire. The
 *               two are alike, and one may die
 *   writer      shm__ring_retire by somebody else
 *   retire, give_back, repair   retire_slot: unpublish, then free the block, or hand it to one who pins it; an heir
 *               goes on with it
 *   let_go      hand a retired block on to the next who pins it, or free it; only then is the pin cleared
 *   reapers     recover with remove_port, shm__ring_retire; then shm__blocks_reap. Two, at once; one may die
 *
 * Proved
 *   the block is not freed while somebody alive looks at it
 *   it is freed in the end, once, whoever died
 *
 * Mutants: PIN_CLEARED_FIRST FREED_THOUGH_PINNED BLOCKS_FIRST NO_REPAIR.
 */
#ifndef DEATHS
#define DEATHS 2
#endif
#define READERS 2     /* tokens 1 and 2 */
#define MORTAL 3      /* reapers */
#define SURVIVOR 4
#define WRITER 5
#define FREE 0        /* the block: FREE, HELD by a token, or LINKED */
#define LINKED 9

byte block = LINKED, producer_lock;
bool published = true;   /* the slot's seq says so */
bool slot_block = true;  /* the slot refers to the block */
bool pins[3], cursor[3], chained[3];
bool dead[6], reaped[6];
byte deaths;

/* What the properties speak of. */
bool looks[3];           /* alive, and has a view of the block */

/* A step: take the lock, then go on at whole; or take it over from one who is dead, then go on behind, to repair. */
#define LOCK(whole) \
  atomic { \
    if \
    :: producer_lock == 0 -> producer_lock = me; goto whole \
    :: producer_lock != 0 && dead[producer_lock] -> producer_lock = me \
    fi }

#define PINNED(p) (chained[p] && pins[p])    /* shm__ring_pinned */
#define PASSED(p) (!chained[p] || cursor[p]) /* shm__ring_slowest */

/* A step: compare-and-swap of the block's word; ours says whether it was so. */
#define CHANGE(from, to) \
  atomic { \
    ours = (block == (from)); \
    if \
    :: ours -> block = to \
    :: else \
    fi }

/* A step: shm__block_free of a block that we hold. */
#define FREE_OURS \
  atomic { assert(block == me && !looks[1] && !looks[2]); block = FREE }

inline give_back() {
  atomic {
    if
#ifndef MUTANT_FREED_THOUGH_PINNED
    :: PINNED(1) -> other = 1
    :: !PINNED(1) && PINNED(2) -> other = 2
#endif
    :: else -> other = 0
    fi };
  if
  :: other != 0 -> CHANGE(LINKED, other)
  :: other == 0 -> /* shm__block_drop */
     CHANGE(LINKED, me);
     if
     :: ours -> FREE_OURS
     :: else
     fi
  fi;
  atomic { other = 0; ours = false; slot_block = false }
}

/* shm__ring_retire, retire_slot */
inline retire() {
  if
  :: published && PASSED(1) && PASSED(2) ->
     published = false;
     give_back()
  :: else
  fi
}

/* shm__ring_repair_producers: a slot that was being retired */
inline repair() {
  if
#ifndef MUTANT_NO_REPAIR
  :: !published && slot_block -> give_back()
#endif
  :: else
  fi
}

/* let_go: port p, and its owner, give up the pin. */
inline let_go(p) {
#ifdef MUTANT_PIN_CLEARED_FIRST /* who dies in between leaves a block held that nobody hands on */
  pins[p] = false;
#endif
  if
  :: block == p -> /* retired: else it is still in the ring */
     other = (PINNED(3 - p) -> 3 - p : me);
     CHANGE(p, other);
     if
     :: ours && other == me -> FREE_OURS
     :: else
     fi
  :: else
  fi;
  atomic { other = 0; ours = false; pins[p] = false }
}

proctype reader(byte me) {
  byte other;
  bool ours;
  {
    LOCK(view);
    repair();
view:
    atomic { pins[me] = true };
    atomic { cursor[me] = true; looks[me] = true; assert(block != FREE) };
    producer_lock = 0;
    looks[me] = false;
    LOCK(unpin);
    repair();
unpin:
    atomic { assert(producer_lock == me) };
    let_go(me);
    retire();
    producer_lock = 0
  } unless { atomic { dead[me] -> other = 0; ours = false } }
}

/* Who retires a message that was read: a writer, or another reader. */
proctype writer(byte me) {
  byte other;
  bool ours;
  PASSED(1) && PASSED(2);
  LOCK(whole);
  repair();
whole:
  retire();
  producer_lock = 0
}

inline reap_block() {
  CHANGE(gone, me);
  if
  :: ours -> FREE_OURS
  :: else
  fi;
  ours = false
}

proctype reaper(byte me) {
  byte gone, other;
  bool ours;
  {
end_idle:
    do
    :: atomic {
         if
         :: dead[1] && !reaped[1] -> gone = 1
         :: me == SURVIVOR && dead[MORTAL] && !reaped[MORTAL] -> gone = MORTAL
         fi };
#ifdef MUTANT_BLOCKS_FIRST
       reap_block();
#endif
       LOCK(sweep);
       repair();
sweep: /* remove_port */
       if
       :: gone <= READERS && pins[gone] -> let_go(gone)
       :: else
       fi;
       if
       :: gone <= READERS && chained[gone] -> chained[gone] = false
       :: else
       fi;
       retire();
       producer_lock = 0;
       reap_block();
       atomic { reaped[gone] = true; gone = 0 }
    od
  } unless { atomic { dead[me] -> gone = 0; other = 0; ours = false } }
}

proctype killer() {
  do
  :: atomic { deaths < DEATHS -> deaths++;
       if
       :: dead[1] = true; looks[1] = false
       :: dead[MORTAL] = true
       fi }
  :: break
  od
}

/* Looks when nothing moves any more. */
active proctype monitor() {
end_quiet:
  atomic {
    timeout ->
    assert(producer_lock == 0 && block == FREE && !published && !slot_block);
    assert((!dead[1] || !chained[1]) && !PINNED(1) && !PINNED(2))
  }
}

init {
  atomic {
    chained[1] = true; chained[2] = true;
    run reader(1); run reader(2); run reaper(MORTAL); run reaper(SURVIVOR); run writer(WRITER); run killer()
  }
}
