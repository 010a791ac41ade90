/* members.h: the processes attached to a space, see members.c. */
#ifndef SHM_CORE_MEMBERS_H
#define SHM_CORE_MEMBERS_H

#include "space.h"

enum { SHM__WAITS_MESSAGE = 1, SHM__WAITS_ROOM = 2, SHM__WAITS_LOCK = 3 };

/* Claim a slot for this process: its token is in space->token. SHM_TOO_MANY_MEMBERS when all are taken by the living. */
int shm__member_claim(struct shm__space *space);

/* Leave: everything of ours must have been handed back (shm__reap). */
void shm__member_leave(struct shm__space *space);

/* 1 while the member with this token is attached and its process lives, stopped or not. The kernel says so. */
int shm__token_alive(const struct shm__space *space, u32 token);

/* Does the reaper of the dead one hand this token's things back too? It is the same, or one of its slot that nobody has
 * any more: of a spare slot that was taken over from a dead attacher. */
int shm__token_gone_with(const struct shm__space *space, u32 token, u32 dead);

/* Token of the member in this slot if it is attached (or dead and not reaped yet), else 0. */
u32 shm__slot_token(const struct shm__space *space, u32 slot);

/* Ring the bell of the member in this slot. */
void shm__member_ring(struct shm__space *space, u32 slot);

/* Show in the member's row what a thread of ours sleeps on; the place to hide again (SHM_WAITS: there was none left). */
u32 shm__wait_show(struct shm__space *space, u32 id, u32 what);
void shm__wait_hide(struct shm__space *space, u32 place);

static inline u32 shm__member_state(u32 word) { return word >> SHM_MEMBER_STATE_BIT; }
static inline u32 shm__member_word(u32 state, u32 token) { return state << SHM_MEMBER_STATE_BIT | token; }

#endif

