/* recover.pml: shm__reap of csrc/core/recover.c and shm__member_claim of members.c, under deaths at every step.
 *
 * A step (a statement, or an atomic block) has one access to shared memory or one system call; steps interleave freely.
 * A death is a step of the process killer: its victim never moves again (unless), and the kernel unlocks its file byte.
 * Slot 1 is first the patient's, then, one generation on, the newcomer's. A word is owned by a token, never by a slot.
 *
 *   patient     takes a structure's lock, publishes a block there and links it; has another block, and the structure
 *               open; then leaves: shm__detach reaps its own token, and unlocks its byte. It may die anywhere
 *   reapers     shm__reap_dead, over and over. Two, at once; one of them may die anywhere, and is then reaped too
 *   newcomer    claim_slot; opens the structure (its bit in the users map), allocates the block that became free.
 *               -DSPARE: slot 1 is the spare one; the newcomer takes it over unreaped, leaves at once, and may die too;
 *               one reaper then
 *   ALIVE       shm__token_alive: the member's word says that the token is active, and its byte is locked
 *   GONE_WITH   shm__token_gone_with
 *   reap        shm__reap: mark dead who does not leave by himself; the structure's lock, with repair; the users map,
 *               under the directory's lock; blocks, taken over first, then freed; the slot last
 *
 * Proved
 *   a slot is claimed again only when nothing is left of its last token (but the spare one)
 *   a late reaper touches nothing of the next generation
 *   nobody alive is robbed, not even one who is just leaving
 *   a published block is linked in the end, others are freed, once; everything of the dead is handed back
 *
 * Mutants: EVICT_BY_SLOT LEAVER_ROBBED SLOT_FIRST BLIND_MARK BLIND_FREE HEIR_IGNORED BLOCKS_FIRST NO_TAKEOVER;
 *          of -DSPARE: EXACT_TOKEN.
 */
#ifndef DEATHS
#define DEATHS 2
#endif
#define PATIENT 1 /* tokens, each a slot and a generation */
#define MORTAL 2
#define SURVIVOR 3
#define NEWCOMER 4

#define SLOT(token) (token == NEWCOMER -> PATIENT : token) /* the newcomer follows the patient */

#define FREE 0   /* a member's word: state | token; a block's: FREE, LINKED, or HELD by a token */
#define ACTIVE 8
#define DEAD 16
#define LINKED 9

#ifdef SPARE
#define OTHER NEWCOMER /* who may die too */
#else
#define OTHER MORTAL
#endif

byte member[4];             /* by slot */
byte byte_lock[4];          /* who has the file byte, by slot: the kernel's proof of life */
byte lock, directory_lock;  /* their owners */
bool users;                 /* the structure's bit for slot 1 */
byte block[2];              /* the one that gets published, and another */
byte deaths;

/* What the properties speak of. */
bool dead[5];
bool published;             /* block[0] is reachable */
bool opened;                /* the bit is the newcomer's */

#define IS(state, token) (member[SLOT(token)] == (state | token))
#define ALIVE(token) (IS(ACTIVE, token) && byte_lock[SLOT(token)] != 0)
#define IS_OF_SLOT_1(token) (token == PATIENT || token == NEWCOMER)
#define FOUND_DEAD(token) (IS(DEAD, token) || IS(ACTIVE, token) && byte_lock[SLOT(token)] == 0)
#ifdef MUTANT_EXACT_TOKEN /* forgets what an earlier token of the spare slot may have left */
#define GONE_WITH(token) (token == gone)
#else
#define GONE_WITH(token) (token == gone || IS_OF_SLOT_1(token) && SLOT(gone) == 1 && !IS(ACTIVE, token))
#endif
#ifdef MUTANT_LEAVER_ROBBED /* who begins to leave marks himself dead */
#define MARK DEAD
#else
#define MARK (gone == me -> ACTIVE : DEAD)
#endif

/* A step: take a lock, then go on at whole; or take it over from one found dead, then go on behind, to repair. */
#define LOCK(word, whole) \
  atomic { \
    if \
    :: word == 0 -> word = me; goto whole \
    :: word != 0 && !ALIVE(word) -> assert(dead[word]); word = me \
    fi }
#define UNLOCK(word) \
  atomic { assert(word == me); word = 0 }

/* shm__ring_repair_*, shm__directory_repair: whoever holds it, the block is reachable and so the structure's. */
inline repair() {
  atomic {
    if
    :: published && block[0] != FREE -> block[0] = LINKED
    :: else
    fi }
}

/* One turn of shm__blocks_reap, with shm__block_free in two steps, as for blocks with a span of their own. */
inline reap_block(b) {
  atomic {
    if
#ifdef MUTANT_NO_TAKEOVER /* frees what the dead one holds without holding it first */
    :: GONE_WITH(block[b]) -> held = block[b]
#else
    :: GONE_WITH(block[b]) -> block[b] = me; held = me
#endif
    :: else
    fi };
  atomic {
    if
    :: held != 0 && block[b] == held
    :: else -> held = 0
    fi };
  atomic {
    if
    :: held != 0 -> assert(block[b] == held); block[b] = FREE; held = 0
    :: else
    fi }
}

inline reap_blocks() {
  reap_block(0);
  reap_block(1)
}

inline free_slot() {
#ifdef MUTANT_BLIND_FREE /* frees the slot whoever has it by now */
  member[SLOT(gone)] = FREE | gone
#else
  atomic {
    if
    :: IS(MARK, gone) -> member[SLOT(gone)] = FREE | gone
    :: else
    fi }
#endif
}

inline reap() {
  atomic {
    if
#ifdef MUTANT_BLIND_MARK /* marks the slot whoever has it by now */
    :: true -> member[SLOT(gone)] = MARK | gone
#else
    :: IS(ACTIVE, gone) || IS(MARK, gone) -> member[SLOT(gone)] = MARK | gone
    :: else -> goto over /* reaped by somebody else */
#endif
    fi };
#ifdef MUTANT_SLOT_FIRST
  free_slot();
#endif
#ifdef MUTANT_BLOCKS_FIRST
  reap_blocks();
#endif
  /* recover_structures */
#ifdef MUTANT_HEIR_IGNORED /* only if the lock still is that of the dead: an heir may be repairing */
  atomic {
    if
    :: GONE_WITH(lock) -> lock = me
    :: else -> goto evict
    fi };
#else
  LOCK(lock, whole);
#endif
  repair();
whole:
  UNLOCK(lock);
evict: /* shm__directory_evict */
  LOCK(directory_lock, counted);
  repair();
counted:
#ifndef MUTANT_EVICT_BY_SLOT /* clears the slot's bit whoever has the slot by now */
  if
  :: IS(MARK, gone)
  :: !IS(MARK, gone) -> goto evicted
  fi;
#endif
  atomic {
    if
    :: SLOT(gone) == PATIENT -> assert(!opened || dead[NEWCOMER]); users = false
    :: else
    fi };
evicted:
  UNLOCK(directory_lock);
  reap_blocks();
  free_slot();
over:
  atomic { gone = 0; held = 0 }
}

proctype process(byte me) {
  byte gone, held;
  {
    if
    :: me == PATIENT
    :: me != PATIENT -> goto end_idle
    fi;
    atomic { lock == 0 -> lock = me };
    published = true;
    block[0] = LINKED; /* shm__block_link */
    UNLOCK(lock);
    gone = me; /* shm__detach */
    goto reaping;

end_idle: /* shm__reap_dead */
    if
    :: atomic { FOUND_DEAD(PATIENT) -> gone = PATIENT }
    :: atomic { FOUND_DEAD(NEWCOMER) -> gone = NEWCOMER }
    :: atomic { me == SURVIVOR && FOUND_DEAD(MORTAL) -> gone = MORTAL }
    fi;
reaping:
    reap();
    if
    :: me != PATIENT -> goto end_idle
    :: me == PATIENT -> byte_lock[SLOT(me)] = 0 /* shm__member_leave */
    fi
  } unless { atomic { dead[me] -> gone = 0; held = 0 } }
}

proctype newcomer(byte me) {
  byte gone, held, word;
  {
    skip;
claim:
#ifdef SPARE
    byte_lock[1] == 0;
#else
    member[1] < ACTIVE;
#endif
    atomic {
      if
      :: byte_lock[1] == 0 -> byte_lock[1] = me
      :: else -> goto claim
      fi };
    word = member[1];
    atomic {
      if
      :: member[1] == word -> member[1] = ACTIVE | me; word = 0
      :: else -> byte_lock[1] = 0; word = 0; goto claim /* a reaper was at it */
      fi;
#ifdef SPARE
      gone = me };
    reap();
    byte_lock[1] = 0
#else
      assert(lock != PATIENT && directory_lock != PATIENT && block[0] != PATIENT && block[1] != PATIENT && !users) };
    LOCK(directory_lock, open);
    repair();
open:
    atomic { users = true; opened = true };
    UNLOCK(directory_lock);
    atomic {
      if
      :: block[1] == FREE -> block[1] = me
      :: else
      fi }
#endif
  } unless { atomic { dead[me] -> gone = 0; held = 0; word = 0 } }
}

proctype killer() {
  byte who;
  do
  :: atomic { deaths < DEATHS -> deaths++;
       if
       :: who = PATIENT
       :: who = OTHER
       fi;
       dead[who] = true;
       if
       :: byte_lock[SLOT(who)] == who -> byte_lock[SLOT(who)] = 0
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
    assert(lock == 0 && directory_lock == 0 && users == opened && (!dead[MORTAL] || IS(FREE, MORTAL)));
    assert(block[0] == (published -> LINKED : FREE) && (block[1] == FREE || opened && block[1] == NEWCOMER));
#ifdef SPARE
    assert(member[1] < ACTIVE)
#else
    assert(opened && IS(ACTIVE, NEWCOMER))
#endif
  }
}

init {
  atomic {
    block[0] = PATIENT; block[1] = PATIENT; users = true;
    member[PATIENT] = ACTIVE | PATIENT; byte_lock[PATIENT] = PATIENT;
    member[MORTAL] = ACTIVE | MORTAL; byte_lock[MORTAL] = MORTAL;
    member[SURVIVOR] = ACTIVE | SURVIVOR; byte_lock[SURVIVOR] = SURVIVOR;
    run process(PATIENT); run process(SURVIVOR);
#ifndef SPARE
    run process(MORTAL);
#endif
    run newcomer(NEWCOMER); run killer()
  }
}
