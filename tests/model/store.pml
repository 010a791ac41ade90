/* store.pml: the change of a key's value, csrc/types/store_shard.c, store.c and store_feed.c, under deaths at every step.
 *
 * A step (a statement, or an atomic block) has one access to shared memory; steps interleave freely. A death is a step
 * of the process killer: its victim never moves again (unless). The shard's lock is what lock.pml proves it to be.
 * There is one item; its value lies in a block of its own. Value v is in block v, which has those bytes until it is freed.
 *
 *   writer      shm__store_change: tell the shard what the item gets, commit, carry out. Each writes another value
 *   carry_out   shm__drawer_carry_out: own the new block, set_item, shm__feed_publish, disown the old block
 *   repair      an heir of the lock carries out again what was committed, and frees what was let go of
 *   reader      copy_item, without a lock: of the item, or of what is told when its word is odd; then it looks again
 *   watcher     shm__feed_read
 *   reapers     recover, which takes the lock; then shm__blocks_reap. Two, at once; one may die
 *
 * Proved
 *   whoever reads gets the version with its value, one that has been committed, and never an older one than before
 *   each change that was committed gives one event, with what it set, in order; another gives none
 *   in the end the item has what was committed last, its block is the only one left, and nothing is half done
 *
 * Mutants: NEVER_ODD ITEM_READ_ODD NO_RELOOK COMMIT_LATE RELEASE_FIRST EVENT_TWICE DONE_BEFORE_EVENT NO_REPAIR
 * BLOCKS_FIRST NOT_OWNED.
 */
#ifndef DEATHS
#define DEATHS 2
#endif
#ifndef READS
#define READS 2
#endif
#define WRITERS 2     /* tokens 2 and 3; so are their values */
#define MORTAL 4      /* reapers */
#define SURVIVOR 5
#define FREE 0        /* a block: FREE, HELD by a token, or LINKED */
#define LINKED 9

byte block[4], bytes[4], lock;
byte word, item_version = 1, item_block = 1;
bool changing;
byte told_version, told_block, told_old, told_number;
byte slot_word[WRITERS + 1], slot_version[WRITERS + 1], tail;
bool dead[6], reaped[6];
byte deaths;

/* What the properties speak of. */
byte commits, order[WRITERS + 1]; /* values in the order of their commits */
byte place[4];                    /* of a value in it; 0: it was there before */

/* A step: take the lock, then go on at whole; or take it over from one who is dead, then go on behind, to repair. */
#define LOCK(whole) \
  atomic { \
    if \
    :: lock == 0 -> lock = me; goto whole \
    :: lock != 0 && dead[lock] -> lock = me \
    fi }

/* A step: compare-and-swap of a block's word; ours says whether it was so. */
#define CHANGE(b, from, to) \
  atomic { \
    ours = (block[b] == (from)); \
    if \
    :: ours -> block[b] = to \
    :: else \
    fi }

/* A step: shm__block_free of a block that we hold; its bytes become something else. */
#define FREE_HELD(b) \
  atomic { \
    if \
    :: block[b] == me -> block[b] = FREE; bytes[b] = 0 \
    :: else \
    fi }

#define COMMIT \
  atomic { changing = true; order[commits] = told_version; place[told_version] = commits + 1; commits++ }

inline set_item() {
#ifndef MUTANT_NEVER_ODD
  word = word | 1;
#endif
  item_version = told_version;
  item_block = told_block;
  word = (word | 1) + 1
}

inline publish() {
  if
#ifndef MUTANT_EVENT_TWICE
  :: tail == told_number ->
#else
  :: true -> told_number = tail;
#endif
     slot_word[told_number] = 2 * told_number + 1;
     slot_version[told_number] = told_version;
     slot_word[told_number] = 2 * told_number + 2;
     tail = told_number + 1
#ifndef MUTANT_EVENT_TWICE
  :: else
#endif
  fi
}

inline disown() {
  CHANGE(told_old, LINKED, me);
  ours = false
}

inline carry_out() {
#ifndef MUTANT_NOT_OWNED
  atomic { /* own: ours, or a dead one's */
    if
    :: block[told_block] != FREE -> block[told_block] = LINKED
    :: else
    fi };
#endif
#ifdef MUTANT_RELEASE_FIRST /* who reads meanwhile, or dies now, still needs it */
  disown();
  FREE_HELD(told_old);
#endif
  set_item();
#ifdef MUTANT_COMMIT_LATE
  COMMIT;
#endif
#ifdef MUTANT_DONE_BEFORE_EVENT
  changing = false;
#endif
  publish();
  disown();
  changing = false
}

inline repair() {
  if
#ifndef MUTANT_NO_REPAIR
  :: changing ->
     carry_out();
     FREE_HELD(told_old)
#endif
  :: else
  fi
}

proctype writer(byte me) {
  bool ours;
  byte old;
  {
    LOCK(whole);
    repair();
whole:
    told_version = me;
    told_block = me;
    atomic { told_old = item_block; old = item_block }; /* only who has the lock writes either */
    told_number = tail;
#ifndef MUTANT_COMMIT_LATE
    COMMIT;
#endif
    carry_out();
    lock = 0;
    FREE_HELD(old)
  } unless { atomic { dead[me] -> ours = false; old = 0 } }
}

/* More than once: what was seen is not undone. */
proctype reader() {
  byte seen, version, from, value, last, count;
  do
  :: count < READS ->
     seen = word;
     if
#ifndef MUTANT_ITEM_READ_ODD
     :: seen % 2 == 1 ->
        version = told_version;
        from = told_block
     :: seen % 2 == 0 ->
#else
     :: true ->
#endif
        version = item_version;
        from = item_block
     fi;
     value = bytes[from];
     if
#ifndef MUTANT_NO_RELOOK
     :: word != seen
     :: word == seen ->
#else
     :: true ->
#endif
        atomic {
          assert(value == version && (version == 1 || place[version] > 0));
          assert(place[version] >= last);
          last = place[version];
          count++
        }
     fi
  :: else -> break
  od
}

proctype watcher() {
  byte number, before, version;
  do
  :: number < WRITERS ->
end_idle:
     tail > number;
     before = slot_word[number];
     version = slot_version[number];
     atomic {
       assert(slot_word[number] == before && before == 2 * number + 2 && version == order[number]);
       number++
     }
  :: else -> break
  od
}

/* Two steps: taken over, then freed. */
#define FREE_DEAD(b) \
  CHANGE(b, gone, me); \
  FREE_HELD(b)

inline reap_blocks() {
  FREE_DEAD(2);
  FREE_DEAD(3);
  FREE_DEAD(1)
}

proctype reaper(byte me) {
  byte gone;
  bool ours;
  {
end_idle:
    do
    :: atomic {
         if
         :: dead[2] && !reaped[2] -> gone = 2
         :: dead[3] && !reaped[3] -> gone = 3
         :: me == SURVIVOR && dead[MORTAL] && !reaped[MORTAL] -> gone = MORTAL
         fi };
#ifdef MUTANT_BLOCKS_FIRST
       reap_blocks();
#endif
       LOCK(whole);
       repair();
whole:
       lock = 0;
       reap_blocks();
       atomic { reaped[gone] = true; gone = 0; ours = false }
    od
  } unless { atomic { dead[me] -> gone = 0; ours = false } }
}

proctype killer() {
  do
  :: atomic { deaths < DEATHS -> deaths++;
       if
       :: dead[2] = true
#ifndef ONE_VICTIM
       :: dead[3] = true
#endif
#if DEATHS > 1
       :: dead[MORTAL] = true
#endif
       fi }
  :: break
  od
}

/* Looks when nothing moves any more. */
active proctype monitor() {
end_quiet:
  atomic {
    timeout ->
    assert(lock == 0 && !changing && word % 2 == 0 && tail == commits);
    assert(item_version == (commits > 0 -> order[commits - 1] : 1) && item_block == item_version);
    assert(block[item_block] == LINKED && bytes[item_block] == item_version);
    assert((item_block == 1 || block[1] == FREE) && (item_block == 2 || block[2] == FREE) && (item_block == 3 || block[3] == FREE))
  }
}

init {
  atomic {
    block[1] = LINKED; block[2] = 2; block[3] = 3;
    bytes[1] = 1; bytes[2] = 2; bytes[3] = 3;
    run writer(2); run writer(3); run reaper(SURVIVOR); run killer();
#ifndef NO_READER
    run reader();
#endif
#ifndef NO_WATCHER
    run watcher();
#endif
#if DEATHS > 1
    run reaper(MORTAL)
#endif
  }
}
