/* log.pml: records of a log, csrc/types/log.c and log_read.c, read without a lock while others append and one of them dies.
 *
 * A step (a statement, or an atomic block) has one access to shared memory; steps interleave freely. A death is a step of
 * the process killer: its victim never moves again (unless). The lock is what lock.pml proves it to be. A processor here
 * keeps the order of its stores, and of its loads. A segment is one record, so two are kept; the key of a record is who
 * appended it; it is in a block. A word is 1 + the index, without the bit of deletion.
 *
 *   appender    shm__log_lock, repair, write_all, write_slot, for 1 to MOST records at once
 *   reader      shm__log_see and copying, or shm__log_see_key
 *
 * Proved
 *   a record that was read is what was published under its index, in a block that was its own while it was copied
 *   whoever finds a slot changing finds the reason in first: nothing that exists seems damaged
 *   a search by key finds the newest that was there when it began, or a newer one; nothing only if there was none meanwhile
 *   while nobody appends, slots that hold nothing published are nobody's, and blocks are those of the others
 *
 * Mutants: FIRST_LATE WORD_KEPT TAIL_EARLY SLOTS_KEPT NO_LEAD_BACK DROP_FIRST; of -DDEATHS=0 -DMOST=1: SEARCH_ENDS AHEAD_FORGOTTEN.
 */
#ifndef DEATHS
#define DEATHS 1
#endif
#ifdef LONG         /* one record, or more than the log keeps */
#define MOST 3
#endif
#ifndef MOST
#define MOST 2
#endif
#ifndef TURNS
#define TURNS 2     /* of the survivor */
#endif
#define MORTAL 1
#define SURVIVOR 2
#define INDICES 9   /* MOST * (TURNS + 1) at most */

byte lock, tail, first;
byte word[2], meta[2], block[2], chain[2]; /* of the slots; meta: all else that is in one */
byte bucket[3];                            /* of each key: one for each appender */
bool linked[19];                           /* blocks */
bool dead;

/* What the properties speak of. */
byte truth[INDICES];  /* what was published */
byte newest[3];       /* 1 + index, of each key */
bool searching, gone; /* gone: there was no record with the key of the search since it began */
byte wanted, begun_with;

#define VALUE(index, who) (2 * (index) + (who)) /* from 1 on */
#define SLOT(index) ((index) % 2)
#define ABSENT (newest[wanted] == 0 || newest[wanted] - 1 < first)
#define NOTE gone = gone || (searching && ABSENT)

inline drop(s) { /* a step each: the block, then the slot */
  linked[block[s]] = false;
  block[s] = 0
}

inline repair() {
  d_step { key = 1; i = 0 };
  do
#ifndef MUTANT_NO_LEAD_BACK
  :: key <= 2 && bucket[key] > tail -> bucket[key] = chain[SLOT(bucket[key] - 1)]
#endif
  :: key <= 2 && bucket[key] <= tail -> key++
#ifdef MUTANT_NO_LEAD_BACK
  :: key <= 2 && bucket[key] > tail -> key++
#endif
  :: key > 2 -> break
  od;
#ifndef MUTANT_SLOTS_KEPT
  do
  :: i < 2 && (word[i] == 0 || word[i] > tail) -> drop(i); word[i] = 0; i++
  :: i < 2 && word[i] != 0 && word[i] <= tail -> i++
  :: i == 2 -> break
  od;
#endif
  if
  :: first > tail -> first = tail
  :: else
  fi
}

inline write(n) {
#ifdef MUTANT_DROP_FIRST
  drop(SLOT(n));
  word[SLOT(n)] = 0;
#else
#ifndef MUTANT_WORD_KEPT
  word[SLOT(n)] = 0;
#endif
  drop(SLOT(n));
#endif
  meta[SLOT(n)] = VALUE(n, me);
  block[SLOT(n)] = VALUE(n, me);
  linked[VALUE(n, me)] = true;
  chain[SLOT(n)] = bucket[me];
  word[SLOT(n)] = n + 1;
  bucket[me] = n + 1
}

inline publish(to) {
  atomic {
    i = tail;
    do
    :: i < to -> truth[i] = VALUE(i, me); i++
    :: else -> break
    od;
    tail = to;
    newest[me] = to;
    NOTE
  }
}

#define KEEP (end > 2 -> end - 2 : 0)

inline purge() {
  if
  :: KEEP > first -> atomic { first = (KEEP < tail -> KEEP : tail); NOTE }
  :: else
  fi
}

inline append(count) {
  end = tail + count;
#ifndef MUTANT_FIRST_LATE
  purge();
#endif
#ifdef MUTANT_TAIL_EARLY
  publish(end);
#endif
  i = (KEEP > end - count -> KEEP : end - count);
  do
  :: i < end ->
     write(i);
     i++
  :: i == end -> break
  od;
#ifdef MUTANT_FIRST_LATE
  purge();
#endif
  if
  :: KEEP > tail -> first = KEEP
  :: else
  fi;
  publish(end)
}

/* What holds whenever the lock is given up; bytes of the region that only its holder changes. */
inline be_sound() {
  atomic {
    i = 0;
    do
    :: i < 2 ->
       assert(word[i] <= tail);
       assert(word[i] == 0 || (block[i] == truth[word[i] - 1] && linked[block[i]]));
       assert(word[i] != 0 || block[i] == 0);
       i++
    :: else -> break
    od;
    key = 0; /* how many blocks there are */
    i = 1;
    do
    :: i < 19 -> key = key + linked[i]; i++
    :: else -> break
    od;
    assert(key == (block[0] != 0) + (block[1] != 0));
    assert(first <= tail && bucket[1] <= tail && bucket[2] <= tail);
    i = 0; key = 0; end = 0
  }
}

proctype appender(byte me; byte turns) {
  byte i, key, end;
  {
    do
    :: turns > 0 ->
       atomic {
         if
         :: lock == 0 -> lock = me; goto whole
         :: lock == MORTAL && dead -> lock = me
         fi };
       repair();
whole:
       if
       :: append(1)
#if MOST > 1 && !defined(LONG)
       :: append(2)
#endif
#if MOST > 2
       :: append(3)
#endif
       fi;
       be_sound();
       atomic { lock = 0; turns-- }
    :: turns == 0 -> break
    od
  } unless { atomic { me == MORTAL && dead -> i = 0; key = 0; end = 0 } }
}

/* ---- looking ---- */
inline copy(n) {
  got = meta[SLOT(n)];
  from = block[SLOT(n)];
  atomic { sound = linked[from]; intact = true }; /* the bytes of the block */
  if
  :: word[SLOT(n)] == n + 1 -> assert(got == truth[n] && from == got && sound)
  :: else -> intact = false
  fi;
  atomic { got = 0; from = 0; sound = false }
}

inline see(n) {
  do
  :: n >= tail -> break
  :: n < tail ->
     if
     :: n < first -> break
     :: n >= first ->
        if
        :: word[SLOT(n)] == n + 1 ->
           copy(n);
           if
           :: intact -> intact = false; break
           :: else
           fi
        :: word[SLOT(n)] != n + 1 -> assert(n < first)
        fi
     fi
  od
}

inline see_key() {
  atomic { searching = true; gone = ABSENT; begun_with = newest[wanted] };
  head = bucket[wanted];
  at = head;
  do
  :: at == 0 ->
#ifdef MUTANT_SEARCH_ENDS
     break
#else
     at = bucket[wanted];
     if
#ifdef MUTANT_AHEAD_FORGOTTEN
     :: at == head -> at = 0; break
#else
     :: at == head && (ahead == 0 || ahead > tail) -> at = 0; break
#endif
     :: else -> atomic { head = at; ahead = 0 }
     fi
#endif
  :: at != 0 ->
     atomic { there = (word[SLOT(at - 1)] == at); behind = 0 };
     behind = chain[SLOT(at - 1)];
     if
     :: there && at <= tail ->
        if
        :: at > first ->
           got = meta[SLOT(at - 1)];
           if
           :: word[SLOT(at - 1)] != at -> there = false
           :: word[SLOT(at - 1)] == at && (got - wanted) % 2 == 0 -> got = 0; break
           :: else
           fi;
           got = 0
        :: at <= first
        fi
     :: there && at > tail -> ahead = at
     :: !there
     fi;
     if
     :: there && word[SLOT(at - 1)] == at -> at = (behind < at -> behind : 0)
     :: else ->
        if
        :: at <= first -> at = 0
        :: at > first -> at = bucket[wanted]; head = at
        fi
     fi
  od;
  atomic {
    assert(at != 0 || gone);
    assert(at == 0 || at >= begun_with || begun_with - 1 < first);
    searching = false; gone = false; begun_with = 0; head = 0; ahead = 0; behind = 0; there = false; at = 0
  }
}

proctype reader() {
  byte n, got, from, at, head, behind, ahead;
  bool sound, intact, there;
  if
  :: n < INDICES - 1 -> do
     :: n < MOST * 2 -> n++
     :: break
     od;
     see(n)
  :: atomic { wanted = MORTAL }; see_key()
  :: atomic { wanted = SURVIVOR }; see_key()
  fi
}

proctype killer() {
  if
  :: DEATHS > 0 -> dead = true
  :: true
  fi
}

init {
  atomic {
    run appender(MORTAL, 1); run appender(SURVIVOR, TURNS); run reader(); run killer()
  }
}
