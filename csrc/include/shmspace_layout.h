/* shmspace_layout.h: every byte that processes share, declared once.
 *
 * Each struct of the region is a table: F(type, name, offset, sync, meaning) for a field, A(type, name, count, offset,
 * sync, meaning) for an array. The tables make the C structs and one static assert per field; scripts/gen_layout makes
 * shmspace/layout.json, csrc/LAYOUT.md and include/shmspace_layout_json.h (the copy that each region carries) from them.
 *
 * Little-endian, fixed widths, natural alignment, no hidden padding. Positions are byte offsets from the start of the
 * region; 0 is none. Words of different writers lie on different 128-byte lines.
 *
 * Sync classes:
 *   INIT        written before the region (or structure) is published, never changed afterwards: plain loads
 *   PUBLISH     a release store makes the bytes that the meaning names valid: acquire loads
 *   COUNTER     changed by atomic add or compare-and-swap; a hint or a statistic: relaxed loads
 *   OWNER       who owns what; changed by one compare-and-swap only: acquire loads
 *   SEQ(w)      valid while sequence word w is the same before and after the read
 *   LOCK(w)     written only by the holder of lock w; readers without it see a hint
 *   ZERO        always zero
 */
#ifndef SHMSPACE_LAYOUT_H
#define SHMSPACE_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/* ---- constants: C(name, value, meaning) ---------------------------------------------------------------------- */
#define SHM_CONSTANTS(C)                                                                                               \
  C(SHM_MAGIC, 0x45434150534d4853, "the bytes SHMSPACE, little-endian")                                                \
  C(SHM_READY, 0x59444145, "value of header.ready once everything INIT is written")                                    \
  C(SHM_COMPAT, 0, "compat feature flags of this version: a reader may ignore unknown ones")                           \
  C(SHM_INCOMPAT, 1, "incompat feature flags of this version: a reader refuses unknown ones")                          \
  C(SHM_HEADER_BYTES, 4096, "size of the header with its section table")                                               \
  C(SHM_PAGE_BYTES, 4096, "unit of the page pool")                                                                     \
  C(SHM_LINE_BYTES, 128, "words of different writers are this far apart")                                              \
  C(SHM_SIZE_LEAST, 0x100000, "smallest size of a space, bytes")                                                       \
  C(SHM_SIZE_MOST, 0x100000000000, "largest size of a space, bytes")                                                   \
  C(SHM_MEMBERS_MOST, 4095, "most members of a space; with the spare slot they fill the bit maps")                     \
  C(SHM_MEMBER_LOCK, 0x4000000000000000, "file byte of member slot 0; slot n is at + n")                               \
  C(SHM_CREATOR_LOCK, 0x3fffffffffffffff, "file byte that a creator holds while the region has a temporary name")      \
  C(SHM_SLOT_BITS, 12, "low bits of a token: the member slot")                                                         \
  C(SHM_TOKEN_MASK, 0x3fffffff, "bits of a 32-bit owner word that are the token: generation << 12 | slot")             \
  C(SHM_LOCK_REPAIR, 0x40000000, "lock word: the last owner died, what is guarded may be half changed")                \
  C(SHM_LOCK_WAITERS, 0x80000000, "lock word: somebody may sleep on it")                                               \
  C(SHM_EVENT_SLEEPERS, 1, "event word: somebody may sleep on it")                                                     \
  C(SHM_EVENT_BELLS, 2, "event word: a bit may be set in its bell map")                                                \
  C(SHM_EVENT_STEP, 4, "event word: what an event adds")                                                               \
  C(SHM_SECTION_LAYOUT, 1, "section kind: this description")                                                           \
  C(SHM_SECTION_MEMBERS, 2, "section kind: member rows")                                                               \
  C(SHM_SECTION_DIRECTORY, 3, "section kind: the directory")                                                           \
  C(SHM_SECTION_CLASSES, 4, "section kind: size classes")                                                              \
  C(SHM_SECTION_POOL, 5, "section kind: the page pool")                                                                \
  C(SHM_SECTION_PAGE_WORDS, 6, "section kind: a word per page")                                                        \
  C(SHM_SECTION_PAGES, 7, "section kind: the pages")                                                                   \
  C(SHM_MEMBER_STATE_BIT, 30, "first bit of the state in a member's word; below it the token")                         \
  C(SHM_BLOCK_STATE_BIT, 60, "first bit of the state in a block's word")                                               \
  C(SHM_BLOCK_GENERATION_BIT, 32, "first bit of the generation in a block's word; below it who")                       \
  C(SHM_BLOCK_GENERATIONS, 0x0fffffff, "bits of that generation")                                                      \
  C(SHM_PAGE_STATE_BIT, 56, "first bit of the state in a page word")                                                   \
  C(SHM_PAGE_CLASS_BIT, 32, "first bit of the size class (8 bits) in a page word; below it the number of pages")       \
  C(SHM_MEMBER_FREE, 0, "member state: nobody; may be claimed")                                           \
  C(SHM_MEMBER_ACTIVE, 1, "member state: attached, alive while its file byte is locked")                               \
  C(SHM_MEMBER_DEAD, 2, "member state: proved dead, what it left is being handed back")                                \
  C(SHM_LIFE_LIVE, 1, "life word of a space or structure: in use")                                                     \
  C(SHM_LIFE_DELETED, 2, "life word: deleted; blocked calls leave with Closed")                                        \
  C(SHM_BLOCK_FREE, 0, "block state: on nobody's account")                                                \
  C(SHM_BLOCK_HELD, 1, "block state: a member's (token), freed when it dies")                                          \
  C(SHM_BLOCK_LINKED, 2, "block state: a structure's (id)")                                                            \
  C(SHM_PAGE_RUN, 1, "page state: first page of a free run")                                                    \
  C(SHM_PAGE_SPAN, 2, "page state: first page of a span of blocks")                                                     \
  C(SHM_BLOCK_HEADER_BYTES, 16, "bytes before the payload of a block")                                                 \
  C(SHM_SPAN_PAD_BYTES, 48, "bytes before the first block of a span, so that payloads are aligned")                    \
  C(SHM_CLASS_HUGE, 63, "size class of a block that has a span of its own, given back to the pool when freed")         \
  C(SHM_CLASSES, 64, "number of size classes")                                                                         \
  C(SHM_BUCKETS, 1024, "hash chains of the directory")                                                                 \
  C(SHM_NAME_BYTES, 256, "room for a structure's name")                                                                \
  C(SHM_WAITS, 4, "waits that a member can show at once")                                                              \
  C(SHM_KIND_CHANNEL, 1, "structure kind")                                                                             \
  C(SHM_KIND_LOG, 2, "structure kind")                                                                                 \
  C(SHM_KIND_SHARDED_LOG, 3, "structure kind")                                                                         \
  C(SHM_KIND_TUPLES, 4, "structure kind")                                                                              \
  C(SHM_KIND_QUEUE, 5, "structure kind")                                                                               \
  C(SHM_KIND_STORE, 6, "structure kind")                                                                               \
  C(SHM_KIND_LOCK, 7, "structure kind: a named lock, not listed among the names")                                      \
  C(SHM_INLINE_BYTES, 80, "payload that fits into a ring slot")                                                        \
  C(SHM_PINS, 4, "views that a port can pin in shared memory at once")                                                 \
  C(SHM_DELIVERY_ONE, 0, "every message to exactly one reader")                                                        \
  C(SHM_DELIVERY_ALL, 1, "every message to every reader")                                                              \
  C(SHM_OVERFLOW_WAIT, 0, "a full channel makes writers wait")                                                         \
  C(SHM_OVERFLOW_ERROR, 1, "a full channel refuses")                                                                   \
  C(SHM_OVERFLOW_OLDEST, 2, "a full channel drops its oldest message")                                                 \
  C(SHM_STREAM_OPEN, 0, "stream state: has writers, or never had one")                                                 \
  C(SHM_STREAM_ENDED, 1, "stream state: the last writer has left")                                                     \
  C(SHM_STREAM_SHUT, 2, "stream state: shut down for good")                                                            \
  C(SHM_VALUE_FREE, 0, "state of a cell's word (bits 30, 31): for the value with this index, to come")                 \
  C(SHM_VALUE_READY, 1, "state: the value is there")                                                                   \
  C(SHM_VALUE_HELD, 2, "state: a member (token) is taking it, or has a lease on it")                                   \
  C(SHM_VALUE_RETURNED, 3, "state: given back; ready again as soon as the take side is locked")                        \
  C(SHM_WAIT_WAITING, 0, "state of a waiter")                                                                          \
  C(SHM_WAIT_GRANTED, 1, "state of a waiter: a value is held for it, or (to put) there is room to try for")            \
  C(SHM_WAIT_SHOWN, 2, "state of a waiter: what it wanted to read is in it, or in the block that it pins")             \
  C(SHM_WAIT_GONE, 3, "state of a waiter: its owner does not come back to it")                                         \
  C(SHM_WAIT_CLOSED, 4, "state of a waiter: the structure was shut down")                                              \
  C(SHM_WAITER_TAKE, 1, "kind of a waiter")                                                                            \
  C(SHM_WAITER_READ, 2, "kind of a waiter")                                                                            \
  C(SHM_WAITER_PUT, 3, "kind of a waiter: for room")                                                                   \
  C(SHM_INTENT_NONE, 0, "lane.intent")                                                                                 \
  C(SHM_INTENT_FINISH, 1, "lane.intent: count a value that is held as done with, and let go of it")                    \
  C(SHM_INTENT_BURY, 2, "lane.intent: make a value that is ready a dead letter")                                       \
  C(SHM_LOG_KEY_INDEX, 1, "log_main.flags: records are found by key")                                                  \
  C(SHM_LOG_TIME_INDEX, 2, "log_main.flags: records are found by time")                                                \
  C(SHM_RECORD_DELETED, 1, "bit of record.word")                                                                       \
  C(SHM_RECORD_KEY, 1, "record.flags: it has a key, which may be empty")                                               \
  C(SHM_RECORD_DATA, 2, "record.flags: it has data, which may be empty; else it is a tombstone")                       \
  C(SHM_RECORD_INLINE, 64, "key and data of a record that fit into its slot")                                          \
  C(SHM_CHANGE_SET, 1, "store_shard.change: the item gets what is told there")                                         \
  C(SHM_CHANGE_INSERT, 2, "store_shard.change: the item is new")                                                       \
  C(SHM_CHANGE_REMOVE, 3, "store_shard.change: the item goes")                                                         \
  C(SHM_ITEM_INLINE, 192, "longest value that lies in its item")                                                       \
  C(SHM_ORDER_LEVELS, 12, "levels of the order of a shard's keys")                                                     \
  C(SHM_FEED_LOST, 0, "feed.op: there was no memory for the event, or it was needed for something else")               \
  C(SHM_FEED_SET, 1, "feed.op: a key was set")                                                                         \
  C(SHM_FEED_DEL, 2, "feed.op: a key was removed, or has expired")                                                     \
  C(SHM_CLAIM_LOCK, 1, "claim.kind: the lock of a key")                                                                \
  C(SHM_CLAIM_WATCH, 2, "claim.kind: a watch")                                                                         \
  C(SHM_PORT_READER, 1, "port role")                                                                                   \
  C(SHM_PORT_WRITER, 2, "port role")                                                                                   \
  C(SHM_PORT_PINS, 3, "port role: a reader that was closed while views of it are in use")                               \
  C(SHM_PORT_ROLE, 3, "bits of role that are the role")                                                                 \
  C(SHM_PORT_LEFT, 4, "bit of role: a reader that was closed while views of it are in use, not yet counted out")         \
  C(SHM_PIN_OVER, 1, "bit of a pin: the view is over, the next who has the producer lock lets go of the block")         \
  C(SHM_PORT_GONE, 8, "bit of role: was closed, and is to be removed by who next has the producer lock")

/* ---- the header, at offset 0 --------------------------------------------------------------------------------- */
#define SHM_HEADER_TABLE(F, A)                                                                                         \
  F(u64, magic, 0, INIT, "SHM_MAGIC")                                                                                  \
  F(u32, ready, 8, PUBLISH, "SHM_READY once every INIT field and table below is written")                              \
  F(u32, header_size, 12, INIT, "SHM_HEADER_BYTES")                                                                    \
  F(u64, compat, 16, INIT, "feature flags that a reader may ignore")                                                   \
  F(u64, incompat, 24, INIT, "feature flags that a reader must know")                                                  \
  A(u8, region_id, 16, 32, INIT, "random bytes, new for every region")                                                 \
  A(u8, boot_id, 16, 48, INIT, "the kernel's boot id: a region from before a reboot is a leftover")                    \
  F(u64, size_bytes, 64, INIT, "most that the region may grow to; the length of the file")                             \
  F(u64, created_ns, 72, INIT, "when, ns since the epoch, UTC")                                                        \
  F(u32, member_count, 80, INIT, "members that may be attached; the table has one spare slot more")                    \
  F(u32, section_count, 84, INIT, "entries of the section table")                                                      \
  F(u32, section_offset, 88, INIT, "where the section table is")                                                       \
  F(u32, creator_uid, 92, INIT, "user id of the creator")                                                              \
  F(u32, sections_crc, 96, INIT, "CRC32C of the section table")                                                        \
  F(u32, header_crc, 100, INIT, "CRC32C of bytes 0..99 with ready taken as zero")                                      \
  F(u64, clock_offset, 104, COUNTER, "what CLOCK_BOOTTIME lacks to the time since the epoch; only rises")              \
  A(u8, pad0, 16, 112, ZERO, "")                                                                                       \
  F(u64, committed_bytes, 128, PUBLISH, "data pages below this offset have memory; grows by compare-and-swap")         \
  A(u8, pad1, 120, 136, ZERO, "")                                                                                      \
  F(u64, stamp_ns, 256, COUNTER, "the last time stamp handed out; the next is larger")                                 \
  A(u8, pad2, 120, 264, ZERO, "")                                                                                      \
  F(u32, life, 384, PUBLISH, "SHM_LIFE_LIVE, or SHM_LIFE_DELETED once the space is destroyed")                         \
  F(u32, structure_id, 388, COUNTER, "the last structure id handed out")                                               \
  F(u64, deletions, 392, PUBLISH, "raised by a deletion before anything is freed, and again before its entry is")      \
  F(u64, recoveries, 400, COUNTER, "dead members whose leavings were handed back")                                     \
  A(u8, pad3, 104, 408, ZERO, "")

/* ---- section table: the fixed parts of the region ------------------------------------------------------------- */
#define SHM_SECTION_TABLE(F, A)                                                                                        \
  F(u32, kind, 0, INIT, "1 layout JSON, 2 members, 3 directory, 4 classes, 5 pool, 6 page table, 7 pages")             \
  F(u32, version, 4, INIT, "1")                                                                                        \
  F(u64, offset, 8, INIT, "where it begins")                                                                           \
  F(u64, length, 16, INIT, "its bytes")                                                                                \
  F(u32, item_size, 24, INIT, "bytes of one item")                                                                     \
  F(u32, count, 28, INIT, "items")                                                                                     \
  A(u8, name, 32, 32, INIT, "for people, NUL-padded")

/* ---- one member: a process that is attached ------------------------------------------------------------------- */
#define SHM_MEMBER_TABLE(F, A)                                                                                         \
  F(u32, word, 0, OWNER, "state << 30 | generation << 12 | slot; the low 30 bits are the member's token")              \
  F(u32, pid, 4, PUBLISH, "process id in its own namespace; valid while word is active")                               \
  F(u64, start_ticks, 8, PUBLISH, "start time of the process as in /proc/PID/stat")                                    \
  F(u64, since_ns, 16, PUBLISH, "when it attached")                                                                    \
  F(u64, pid_namespace, 24, PUBLISH, "inode of its PID namespace")                                                     \
  F(u32, uid, 32, PUBLISH, "its user")                                                                                 \
  A(u8, pad0, 92, 36, ZERO, "")                                                                                        \
  F(u32, bell, 128, COUNTER, "futex word: rung when something that its event loop waits for may have happened")        \
  F(u32, bell_armed, 132, COUNTER, "1 while a thread of the member sleeps on bell")                                    \
  A(u32, wait_structure, 4, 136, OWNER, "structure ids that its threads sleep on, 0 is a free place")                  \
  A(u32, wait_what, 4, 152, COUNTER, "what for: 1 a message, 2 room, 3 a lock")                                        \
  A(u64, wait_since_ns, 4, 168, COUNTER, "since when")                                                                 \
  A(u8, pad1, 56, 200, ZERO, "")                                                                                       \
  A(u8, command, 128, 256, PUBLISH, "how it was started, UTF-8, NUL-padded")

/* ---- the directory of structures ------------------------------------------------------------------------------ */
#define SHM_DIRECTORY_TABLE(F, A)                                                                                      \
  F(u32, lock, 0, OWNER, "guards the chains")                                                                          \
  A(u8, pad0, 124, 4, ZERO, "")                                                                                        \
  A(u64, bucket, 1024, 128, LOCK(lock), "first entry (payload offset) of the chain of FNV-1a(name) % 1024; PUBLISH")

/* ---- a directory entry: the payload of a block of its own ------------------------------------------------------ */
#define SHM_ENTRY_TABLE(F, A)                                                                                          \
  F(u64, next, 0, LOCK(directory.lock), "next entry of the chain; PUBLISH")                                            \
  F(u64, main, 8, INIT, "payload offset of the structure's main block")                                                \
  F(u32, life, 16, PUBLISH, "SHM_LIFE_LIVE or SHM_LIFE_DELETED")                                                       \
  F(u32, kind, 20, INIT, "SHM_KIND_*")                                                                                 \
  F(u32, id, 24, INIT, "structure id, never used again")                                                               \
  F(u32, hash, 28, INIT, "FNV-1a 32 of the name")                                                                      \
  F(u64, created_ns, 32, INIT, "when")                                                                                 \
  F(u32, main_gen, 40, INIT, "generation of the main block")                                                           \
  F(u32, name_length, 44, INIT, "bytes of the name")                                                                   \
  A(u8, pad0, 16, 48, ZERO, "")                                                                                        \
  A(u8, name, 256, 64, INIT, "the name, NUL-padded")                                                                   \
  A(u64, users, 64, 320, OWNER, "bit n % 64 of word n / 64: member slot n has the structure open")

/* ---- a size class ---------------------------------------------------------------------------------------------- */
#define SHM_CLASS_TABLE(F, A)                                                                                          \
  F(u32, lock, 0, OWNER, "guards the free list and the headers of free blocks")                                        \
  F(u32, stride_bytes, 4, INIT, "bytes from one block to the next")                                                    \
  F(u32, span_pages, 8, INIT, "pages of a span")                                                                       \
  F(u32, span_blocks, 12, INIT, "blocks of a span")                                                                    \
  F(u64, free_head, 16, LOCK(lock), "header offset of the first free block; a hint that can be rebuilt")               \
  F(u64, used_blocks, 24, LOCK(lock), "blocks that are not free; a hint that can be rebuilt")                          \
  F(u64, frees, 32, LOCK(lock), "blocks freed so far")                                                                 \
  A(u8, pad0, 88, 40, ZERO, "")

/* ---- the page pool --------------------------------------------------------------------------------------------- */
#define SHM_POOL_TABLE(F, A)                                                                                           \
  F(u32, lock, 0, OWNER, "guards the page words of runs, and top")                                                     \
  F(u32, pad0, 4, ZERO, "")                                                                                            \
  F(u64, top_pages, 8, LOCK(lock), "pages that the page table describes")                                              \
  F(u64, cursor_pages, 16, LOCK(lock), "where the next search begins; a hint")                                         \
  F(u64, used_pages, 24, LOCK(lock), "pages in spans; a hint that can be rebuilt")                                     \
  F(u64, frees_seen, 32, LOCK(lock), "sum of class.frees at the last search for empty spans; a hint")                  \
  F(u64, generation, 40, LOCK(lock), "generation that the blocks of the next span begin with")                         \
  A(u8, pad1, 80, 48, ZERO, "")

/* ---- the header of a block: the 16 bytes before its payload ----------------------------------------------------- */
#define SHM_BLOCK_TABLE(F, A)                                                                                          \
  F(u64, word, 0, OWNER, "state << 60 | generation << 32 | token or structure id")                                     \
  F(u32, size_class, 8, PUBLISH, "its size class; written before the span is published")                               \
  F(u32, pages, 12, PUBLISH, "pages of its span")

/* ---- a ring: the payload of the main block of a channel ---------------------------------------------------------- */
#define SHM_RING_TABLE(F, A)                                                                                           \
  F(u32, life, 0, PUBLISH, "as in its directory entry")                                                                \
  F(u32, id, 4, INIT, "structure id")                                                                                  \
  F(u64, capacity, 8, INIT, "messages that may wait")                                                                  \
  F(u64, slot_count, 16, INIT, "slots, a power of two not below capacity")                                             \
  F(u64, replay, 24, INIT, "messages that a new reader gets from before")                                              \
  F(u64, max_message_bytes, 32, INIT, "longest payload")                                                               \
  F(u64, slots_offset, 40, INIT, "from the start of the ring to slot 0")                                               \
  F(u32, delivery, 48, INIT, "SHM_DELIVERY_*")                                                                         \
  F(u32, overflow, 52, INIT, "SHM_OVERFLOW_*")                                                                         \
  A(u8, codec, 32, 56, INIT, "name of the codec option, NUL-padded")                                                   \
  F(u32, stream, 88, PUBLISH, "SHM_STREAM_*; written under the producer lock, seldom")                                 \
  A(u8, pad0, 36, 92, ZERO, "")                                                                                        \
  F(u32, producer_lock, 128, OWNER, "serialises writers, and opening and closing of ports")                            \
  F(u32, pad1, 132, ZERO, "")                                                                                          \
  F(u64, tail, 136, PUBLISH, "number of the next message; slot.seq is the truth, this follows it")                     \
  F(u64, seen_head, 144, LOCK(producer_lock), "a lower bound of what readers still need; a hint")                      \
  F(u64, retired, 152, LOCK(producer_lock), "all: blocks of messages below this number are given back")                \
  F(u64, dropped, 160, COUNTER, "messages dropped unread by overflow")                                                 \
  F(u64, ports, 168, LOCK(producer_lock), "first port (payload offset) of the chain; PUBLISH")                         \
  F(u32, writers, 176, LOCK(producer_lock), "open writer ports; a hint that can be rebuilt")                           \
  F(u32, readers, 180, LOCK(producer_lock), "open reader ports; a hint that can be rebuilt")                           \
  F(u64, floor, 184, PUBLISH, "all: messages below this number are gone for readers")                                  \
  F(u64, discarded, 192, PUBLISH, "one: messages discarded by shutdown; all: those below this number were")            \
  F(u64, received_all, 200, LOCK(producer_lock), "all: messages that readers closed by now took")                      \
  F(u64, linked_blocks, 208, LOCK(producer_lock), "all: unretired messages in blocks; a hint that can be rebuilt")     \
  A(u64, probed_ns, 2, 216, COUNTER, "when a sleeper last looked for dead readers, writers (monotonic); a hint")       \
  A(u8, pad2, 24, 232, ZERO, "")                                                                                       \
  F(u32, consumer_lock, 256, OWNER, "one: serialises readers")                                                         \
  F(u32, pad3, 260, ZERO, "")                                                                                          \
  F(u64, head, 264, PUBLISH, "one: number of the next message to take; below it slots may be reused")                  \
  A(u8, pad4, 112, 272, ZERO, "")                                                                                      \
  F(u32, data_event, 384, COUNTER, "event word: a message came, or the stream changed")                                \
  A(u8, pad5, 124, 388, ZERO, "")                                                                                      \
  F(u32, room_event, 512, COUNTER, "event word: room came, or the stream changed")                                     \
  A(u8, pad6, 124, 516, ZERO, "")                                                                                      \
  A(u64, data_bells, 64, 640, COUNTER, "members whose event loop waits for data")                                      \
  A(u64, room_bells, 64, 1152, COUNTER, "members whose event loop waits for room")

/* ---- a slot of a ring --------------------------------------------------------------------------------------------- */
#define SHM_SLOT_TABLE(F, A)                                                                                           \
  F(u64, seq, 0, PUBLISH, "message number + 1 when the slot holds that message whole; else 0 or an older one")         \
  F(u64, block, 8, SEQ(seq), "payload offset of the block with the message; 0: it is inline")                          \
  F(u32, block_gen, 16, SEQ(seq), "generation of that block")                                                          \
  F(u32, codec, 20, SEQ(seq), "codec number of the message")                                                           \
  F(u64, length_bytes, 24, SEQ(seq), "bytes of the payload")                                                           \
  A(u8, pad0, 16, 32, ZERO, "")                                                                                        \
  A(u8, data, 80, 48, SEQ(seq), "the payload when it is inline")

/* ---- a port: an open reader or writer, the payload of a block of its own -------------------------------------------- */
#define SHM_PORT_TABLE(F, A)                                                                                           \
  F(u64, next, 0, LOCK(producer_lock), "next port of the chain")                                                       \
  F(u32, owner, 8, OWNER, "token of the member that opened it")                                                        \
  F(u32, role, 12, OWNER, "SHM_PORT_*")                                                                  \
  F(u64, since_ns, 16, INIT, "when")                                                                                   \
  A(u8, pad0, 104, 24, ZERO, "")                                                                                       \
  F(u64, cursor, 128, PUBLISH, "all: number of the next message that this reader takes")                               \
  A(u64, pins, 4, 136, LOCK(producer_lock), "all: payload offsets of blocks that views of this reader look at")        \
  F(u64, received, 168, COUNTER, "all: messages that this reader took")                                                \
  A(u8, pad1, 80, 176, ZERO, "")

/* ---- a cell: the place of a value in a segment -------------------------------------------------------------------- */
#define SHM_CELL_TABLE(F, A)                                                                                           \
  F(u64, word, 0, PUBLISH, "index << 32 | SHM_VALUE_* << 30 | token; the index that a free cell is for, or that its value has")\
  F(u64, block, 8, SEQ(word), "payload offset of the block with the value; 0: it is inline")                           \
  F(u32, block_gen, 16, SEQ(word), "generation of that block")                                                         \
  F(u32, codec, 20, SEQ(word), "codec number of the value")                                                            \
  F(u64, length_bytes, 24, SEQ(word), "bytes of the value")                                                            \
  F(u64, since_ns, 32, SEQ(word), "when it was put; held: since when; for people")                                     \
  F(u32, deliveries, 40, LOCK(take_lock), "leases on it so far")                                                       \
  F(u32, leased, 44, LOCK(take_lock), "1: held by a lease, 0: by a call")                                              \
  A(u8, data, 80, 48, SEQ(word), "the value when it is inline")

/* ---- a segment: a ring of cells, part of a fifo; the cells follow, two cache lines each ------------------------------------- */
#define SHM_SEGMENT_TABLE(F, A)                                                                                        \
  F(u64, next, 0, PUBLISH, "the next segment (payload offset); 0: this is the last one")                               \
  F(u64, base, 8, INIT, "index of the first value in it")                                                              \
  F(u32, cells, 16, INIT, "how many, a power of two")                                                                  \
  F(u32, pad0, 20, ZERO, "")                                                                                           \
  A(u64, pad1, 5, 24, ZERO, "")

/* ---- the put side of a fifo --------------------------------------------------------------------------------------- */
#define SHM_FIFO_IN_TABLE(F, A)                                                                                        \
  F(u64, tail, 0, PUBLISH, "index of the next value; cell.word is the truth, this follows it")                         \
  F(u64, last, 8, LOCK(put_lock), "the last segment; a hint: it may have one successor")                               \
  F(u64, seen_taken, 16, COUNTER, "a lower bound of taken, which the take side lowers when a value comes back; a hint")

/* ---- the take side of a fifo -------------------------------------------------------------------------------------- */
#define SHM_FIFO_OUT_TABLE(F, A)                                                                                       \
  F(u64, head, 0, LOCK(take_lock), "no value below this index is ready; a hint that can be rebuilt")                   \
  F(u64, taken, 8, COUNTER, "values that are not ready any more; a hint that can be rebuilt; PUBLISH")                 \
  F(u64, first, 16, LOCK(take_lock), "the oldest segment (payload offset)")                                            \
  F(u64, current, 24, LOCK(take_lock), "the segment that head is in; a hint that can be rebuilt")                      \
  A(u64, pad0, 2, 32, ZERO, "")                                                                                        \
  F(u32, returned, 48, COUNTER, "values given back without the lock so far")                                           \
  F(u32, returned_seen, 52, LOCK(take_lock), "those that are ready again")                                             \
  F(u64, top, 56, LOCK(take_lock), "above the index of every value that is held or given back")

/* ---- the line of those who wait at a fifo; apart from what changes with every value ------------------------------ */
#define SHM_FIFO_LINE_TABLE(F, A)                                                                                      \
  F(u64, first, 0, LOCK(take_lock), "the first waiter (payload offset); PUBLISH")                                      \
  F(u64, last, 8, LOCK(take_lock), "the last waiter; a hint that can be rebuilt")

/* ---- a waiter: a blocked call, the payload of a block of its owner ------------------------------------------------ */
#define SHM_WAITER_TABLE(F, A)                                                                                         \
  F(u32, state, 0, OWNER, "SHM_WAIT_*; what its owner sleeps on")                                                      \
  F(u32, kind, 4, INIT, "SHM_WAITER_*")                                                                                \
  F(u64, next, 8, LOCK(take_lock), "the next one in the order they came; 1: it stands in no line; PUBLISH")            \
  F(u32, owner, 16, INIT, "token of the member that waits")                                                            \
  F(u32, bell, 20, INIT, "1: ring the member's bell, 0: wake a sleeper")                                               \
  F(u64, segment, 24, LOCK(take_lock), "segment of the value that is granted; PUBLISH by state")                       \
  F(u64, index, 32, LOCK(take_lock), "index of that value")                                                            \
  F(u64, block, 40, LOCK(take_lock), "shown: the block that is pinned; 0: the value is in data")                       \
  F(u32, block_gen, 48, LOCK(take_lock), "generation of that block")                                                   \
  F(u32, codec, 52, LOCK(take_lock), "shown: codec number")                                                            \
  F(u64, length_bytes, 56, LOCK(take_lock), "shown: bytes of the value")                                               \
  F(u64, since_ns, 64, INIT, "when it came")                                                                           \
  F(u64, line, 72, LOCK(take_lock), "the shm_fifo_line that it stands in (region offset)")                           \
  A(u8, data, 80, 80, LOCK(take_lock), "shown: the value when it is inline")

/* ---- a queue: the payload of its main block; two lanes follow it, the values and the dead letters ----------------- */
#define SHM_QUEUE_MAIN_TABLE(F, A)                                                                                          \
  F(u32, life, 0, PUBLISH, "as in its directory entry")                                                                \
  F(u32, id, 4, INIT, "structure id")                                                                                  \
  F(u64, maxsize, 8, INIT, "values that may wait; 0: any number")                                                      \
  F(u32, max_deliveries, 16, INIT, "leases on a value before it becomes a dead letter; 0: any number")                 \
  F(u32, stream, 20, PUBLISH, "SHM_STREAM_OPEN or SHM_STREAM_SHUT")                                                    \
  F(u32, discarding, 24, PUBLISH, "1: shut down at once, what comes back is discarded")                                \
  F(u32, pad0, 28, ZERO, "")                                                                                           \
  A(u8, codec, 32, 32, INIT, "name of the codec option, NUL-padded")                                                   \
  A(u8, pad1, 64, 64, ZERO, "")

/* ---- a lane of a queue -------------------------------------------------------------------------------------------- */
#define SHM_LANE_TABLE(F, A)                                                                                           \
  F(u32, put_lock, 0, OWNER, "serialises those who put")                                                               \
  F(u32, pad0, 4, ZERO, "")                                                                                            \
  A(u8, pad1, 32, 8, ZERO, "")                                                                                         \
  A(u64, in, 3, 40, LOCK(put_lock), "a shm_fifo_in")                                                                   \
  A(u8, pad2, 64, 64, ZERO, "")                                                                                        \
  F(u32, take_lock, 128, OWNER, "serialises those who take, finish and give back")                                     \
  F(u32, pad3, 132, ZERO, "")                                                                                          \
  F(u64, finished, 136, LOCK(take_lock), "values that are done with: acknowledged, task_done, discarded, buried")      \
  F(u32, intent, 144, LOCK(take_lock), "SHM_INTENT_*: what the holder is about to do with one value")                  \
  F(u32, buried, 148, LOCK(put_lock), "of the dead letters: 1: one is being put, 2: it is published")                  \
  F(u64, intent_segment, 152, LOCK(take_lock), "segment of that value")                                                \
  F(u64, intent_index, 160, LOCK(take_lock), "index of that value")                                                    \
  F(u64, intent_finished, 168, LOCK(take_lock), "finished before that")                                                \
  F(u64, probed_ns, 176, COUNTER, "when a waiter last looked for the dead (monotonic); a hint")                        \
  F(u64, buried_index, 184, LOCK(put_lock), "of the dead letters: index at which that one is put")                     \
  A(u64, out, 8, 192, LOCK(take_lock), "a shm_fifo_out")                                                               \
  A(u64, line, 2, 256, LOCK(take_lock), "a shm_fifo_line")                                                             \
  F(u32, join_event, 272, COUNTER, "event word: every value is done with")                                             \
  A(u8, pad5, 108, 276, ZERO, "")                                                                                      \
  A(u64, join_bells, 64, 384, COUNTER, "members whose event loop waits for that")

/* ---- a shard of a table ------------------------------------------------------------------------------------------- */
#define SHM_SHARD_TABLE(F, A)                                                                                          \
  F(u32, put_lock, 0, OWNER, "serialises those who put; with take_lock: the shard's entries")                          \
  F(u32, pad0, 4, ZERO, "")                                                                                            \
  F(u64, put_entry, 8, LOCK(put_lock), "the entry that was put into last: to be repaired by the heir of put_lock")     \
  A(u8, pad1, 112, 16, ZERO, "")                                                                                       \
  F(u32, take_lock, 128, OWNER, "serialises those who take")                                                           \
  F(u32, idle, 132, LOCK(take_lock), "entries in the list of idle ones; a hint that can be rebuilt")                   \
  F(u64, idle_first, 136, LOCK(take_lock), "oldest idle entry; a hint that can be rebuilt")                            \
  F(u64, idle_last, 144, LOCK(take_lock), "newest idle entry; a hint that can be rebuilt")                             \
  F(u64, take_entry, 152, LOCK(take_lock), "the entry that was taken from last: to be repaired by the heir of take_lock")\
  A(u8, pad2, 96, 160, ZERO, "")                                                                                       \
  F(u64, buckets, 256, PUBLISH, "payload offset of the chains; 0: none yet, the entries are few")                      \
  F(u64, first, 264, PUBLISH, "oldest entry (payload offset) in order of creation")                                    \
  F(u64, last, 272, LOCK(put_lock), "newest entry; a hint that can be rebuilt")                                        \
  F(u64, changes, 280, PUBLISH, "odd while entries come or go; a reader without locks begins again when it changed")   \
  F(u32, keys, 288, LOCK(put_lock), "entries; a hint that can be rebuilt")                                             \
  F(u32, pad3, 292, ZERO, "")                                                                                          \
  A(u8, pad4, 88, 296, ZERO, "")

/* ---- the chains of a shard: this and mask + 1 words, each the first entry (payload offset) of a chain ------------- */
#define SHM_BUCKETS_TABLE(F, A)                                                                                        \
  F(u64, mask, 0, INIT, "number of chains - 1")

/* ---- an entry of a table: what it is found by; the key's bytes are at its end ------------------------------------- */
#define SHM_KEY_TABLE(F, A)                                                                                            \
  F(u64, chain, 0, PUBLISH, "next entry of its chain; a hint that can be rebuilt")                                     \
  F(u64, next, 8, PUBLISH, "next entry in order of creation: the truth about what is in a shard")                      \
  F(u64, previous, 16, LOCK(put_lock), "the one before; a hint that can be rebuilt")                                   \
  F(u32, hash, 24, INIT, "FNV-1a 32 of the key")                                                                       \
  F(u32, length, 28, INIT, "bytes of the key")

/* ---- a tuple space: the payload of its main block; its shards follow ---------------------------------------------- */
#define SHM_TUPLES_TABLE(F, A)                                                                                         \
  F(u32, life, 0, PUBLISH, "as in its directory entry")                                                                \
  F(u32, id, 4, INIT, "structure id")                                                                                  \
  F(u64, bound, 8, INIT, "values that may wait under a key; 0: any number")                                            \
  F(u32, shards, 16, INIT, "how many")                                                                                 \
  F(u32, stream, 20, PUBLISH, "SHM_STREAM_OPEN or SHM_STREAM_SHUT")                                                    \
  A(u8, codec, 32, 24, INIT, "name of the codec option, NUL-padded")                                                   \
  F(u64, probed_ns, 56, COUNTER, "when a waiter last looked for the dead (monotonic); a hint")                         \
  A(u8, pad0, 64, 64, ZERO, "")

/* ---- the values under a key of a tuple space: the payload of a block; a segment of one cell and the key follow ---- */
#define SHM_TUPLE_TABLE(F, A)                                                                                          \
  A(u64, entry, 4, 0, PUBLISH, "a shm_key")                                                                            \
  F(u64, idle_next, 32, LOCK(take_lock), "next idle entry, 1 at the end of their list, 0 outside it; a hint that can be rebuilt")\
  A(u64, line, 2, 40, LOCK(take_lock), "a shm_fifo_line")                                                              \
  F(u64, pad0, 56, ZERO, "")                                                                                           \
  A(u64, out, 8, 64, LOCK(take_lock), "a shm_fifo_out")                                                                \
  A(u64, in, 3, 128, LOCK(put_lock), "a shm_fifo_in")                                                                  \
  A(u64, pad1, 5, 152, ZERO, "")

/* ---- a log, or a sharded log: the payload of its main block; its shards follow, then the sharder ---------------------- */
#define SHM_LOG_MAIN_TABLE(F, A)                                                                                       \
  F(u32, life, 0, PUBLISH, "as in its directory entry")                                                                \
  F(u32, id, 4, INIT, "structure id")                                                                                  \
  F(u64, start_offset, 8, INIT, "offset of record 0")                                                                  \
  F(u64, segment_size, 16, INIT, "records of a segment; there are two")                                                \
  F(u64, max_record_bytes, 24, INIT, "longest record, key and data")                                                   \
  F(u64, rollover_bytes, 32, INIT, "option, for durable logs")                                                         \
  F(u32, shards, 40, INIT, "how many; of a log 1")                                                                     \
  F(u32, flags, 44, INIT, "SHM_LOG_KEY_INDEX, SHM_LOG_TIME_INDEX")                                                     \
  F(u32, sharder_bytes, 48, INIT, "bytes of the keys with a shard each; 0: shards by hash")                            \
  F(u32, pad0, 52, ZERO, "")                                                                                           \
  A(u8, codec, 32, 56, INIT, "name of the codec option, NUL-padded")                                                   \
  A(u8, pad1, 40, 88, ZERO, "")

/* ---- a shard of a log -------------------------------------------------------------------------------------------- */
#define SHM_LOG_SHARD_TABLE(F, A)                                                                                            \
  F(u64, slots, 0, PUBLISH, "where record slot 0 is (region offset); 0: nothing was appended yet")                     \
  F(u64, slots_block, 8, LOCK(lock), "the block that it is in (payload offset); 0: the main block")                    \
  F(u32, slots_gen, 16, LOCK(lock), "generation of that block")                                                        \
  F(u32, pad0, 20, ZERO, "")                                                                                           \
  F(u64, first, 24, PUBLISH, "index of the first record that exists; at or above tail: there is none")                 \
  F(u64, floor, 32, PUBLISH, "index below which segments were dropped; what was deleted may be above it")              \
  A(u8, pad1, 88, 40, ZERO, "")                                                                                        \
  F(u32, lock, 128, OWNER, "serialises those who append and delete")                                                   \
  F(u32, pad2, 132, ZERO, "")                                                                                          \
  F(u64, tail, 136, PUBLISH, "index of the next record: makes all below it visible at once")                           \
  F(u64, deletions, 144, COUNTER, "calls that deleted something")                                                      \
  F(u64, index_ns, 152, LOCK(lock), "largest time so far; a hint that can be rebuilt")                                 \
  A(u64, records, 2, 160, LOCK(lock), "records of the even and the odd segment; hints that can be rebuilt")            \
  A(u64, bytes, 2, 176, LOCK(lock), "their bytes; hints that can be rebuilt")                                          \
  A(u8, pad3, 64, 192, ZERO, "")                                                                                       \
  F(u32, event, 256, COUNTER, "event word: there are new records")                                                     \
  A(u8, pad4, 124, 260, ZERO, "")                                                                                      \
  A(u64, bells, 64, 384, COUNTER, "members whose event loop waits for that")

/* ---- a record slot: record n is in slot n mod (2 * segment_size) ---------------------------------------------------- */
#define SHM_RECORD_TABLE(F, A)                                                                                         \
  F(u64, word, 0, PUBLISH, "2 * (n + 1) when it holds record n, 1 more when that is deleted; 0 while it changes")      \
  F(u64, time_ns, 8, SEQ(word), "time of the record, signed")                                                          \
  F(u64, index_ns, 16, SEQ(word), "largest time up to here, signed")                                                   \
  F(u64, block, 24, SEQ(word), "payload offset of the block with key and data; 0: they are inline")                    \
  F(u32, block_gen, 32, SEQ(word), "generation of that block")                                                         \
  F(u32, codec, 36, SEQ(word), "codec number of the data")                                                             \
  F(u64, data_bytes, 40, SEQ(word), "bytes of the data, which follow the key")                                         \
  F(u32, key_bytes, 48, SEQ(word), "bytes of the key")                                                                 \
  F(u32, flags, 52, SEQ(word), "SHM_RECORD_KEY, SHM_RECORD_DATA")                                                      \
  F(u64, chain, 56, SEQ(word), "key index: 1 + index of the record before it in its bucket; 0: none")                  \
  A(u8, data, 64, 64, SEQ(word), "key and data when they are inline")

/* ---- a store: the payload of its main block; its shards follow, then the globs without events ------------------------- */
#define SHM_STORE_MAIN_TABLE(F, A)                                                                                     \
  F(u32, life, 0, PUBLISH, "as in its directory entry")                                                                \
  F(u32, id, 4, INIT, "structure id")                                                                                  \
  F(u32, shards, 8, INIT, "how many")                                                                                  \
  F(u32, feed, 12, INIT, "events that a shard remembers")                                                              \
  F(u32, quiet_bytes, 16, INIT, "bytes of the globs of keys without events, a NUL behind each")                        \
  F(u32, pad0, 20, ZERO, "")                                                                                           \
  A(u8, codec, 32, 24, INIT, "name of the codec option, NUL-padded")                                                   \
  F(u64, soonest_ns, 56, COUNTER, "when the next key expires (CLOCK_BOOTTIME), or before; 0: none does; a hint")            \
  F(u64, sweep_ns, 64, COUNTER, "when to look for expired keys again (CLOCK_BOOTTIME); a hint")                             \
  F(u64, probed_ns, 72, COUNTER, "when a watcher last looked for the dead (monotonic); a hint")                        \
  A(u64, pad1, 6, 80, ZERO, "")                                                                                        \
  F(u32, watch_event, 128, COUNTER, "event word: there are events")                                                    \
  A(u8, pad2, 124, 132, ZERO, "")                                                                                      \
  A(u64, watch_bells, 64, 256, COUNTER, "members whose event loop waits for that")                                     \
  F(u32, lock_event, 768, COUNTER, "event word: the lock of a key is free")                                            \
  A(u8, pad3, 124, 772, ZERO, "")                                                                                      \
  A(u64, lock_bells, 64, 896, COUNTER, "members whose event loop waits for that")

/* ---- a shard of a store: its keys, what is being changed, its order, its events ---------------------------------------- */
#define SHM_STORE_SHARD_TABLE(F, A)                                                                                    \
  A(u64, table, 48, 0, PUBLISH, "a shm_shard; its put_lock guards all of this")                                        \
  F(u64, changing, 384, PUBLISH, "the item that is being changed (payload offset), as told below; 0: none")            \
  F(u32, change, 392, LOCK(put_lock), "SHM_CHANGE_*")                                                                  \
  F(u32, tells, 396, LOCK(put_lock), "1: the change gives an event")                                                   \
  F(u64, number, 400, LOCK(put_lock), "the number of that event")                                                      \
  F(u64, stamp, 408, LOCK(put_lock), "its stamp")                                                                      \
  F(u64, version, 416, LOCK(put_lock), "SET: what the item gets: its version")                                               \
  F(u64, created, 424, LOCK(put_lock), "as in the item")                                                               \
  F(u64, updated, 432, LOCK(put_lock), "as in the item")                                                               \
  F(u64, expires_ns, 440, LOCK(put_lock), "as in the item")                                                            \
  F(u64, length_bytes, 448, LOCK(put_lock), "as in the item")                                                          \
  F(u64, block, 456, LOCK(put_lock), "as in the item")                                                                 \
  F(u32, block_gen, 464, LOCK(put_lock), "as in the item")                                                             \
  F(u32, codec, 468, LOCK(put_lock), "as in the item")                                                                 \
  F(u64, old_block, 472, LOCK(put_lock), "the block that the item had before")                                         \
  F(u32, old_gen, 480, LOCK(put_lock), "generation of that block")                                                     \
  F(u32, event_gen, 484, LOCK(put_lock), "generation of event_block")                                                  \
  F(u64, event_block, 488, LOCK(put_lock), "key and value of the event when they are long")                            \
  A(u64, pad0, 2, 496, ZERO, "")                                                                                       \
  A(u8, data, 192, 512, LOCK(put_lock), "the value when it is inline")                                                 \
  A(u64, pad1, 8, 704, ZERO, "")                                                                                       \
  A(u64, order, 12, 768, PUBLISH, "first items in byte order, a word for each level")                                  \
  A(u64, pad2, 4, 864, ZERO, "")                                                                                       \
  F(u64, feed, 896, PUBLISH, "payload offset of the ring of events; 0: none yet")                                      \
  F(u32, feed_gen, 904, LOCK(put_lock), "generation of that block")                                                    \
  F(u32, feed_count, 908, LOCK(put_lock), "events that it has room for")                                               \
  F(u64, tail, 912, PUBLISH, "number of the next event")                                                               \
  F(u64, forgotten, 920, PUBLISH, "stamp of the last event that was overwritten")                                      \
  F(u64, claims, 928, LOCK(put_lock), "locks of its keys; of shard 0 also the watches (payload offset of the first)")  \
  F(u64, soonest_ns, 936, LOCK(put_lock), "when the next key expires, or before; 0: none does")                        \
  F(u64, since_sweep_ns, 944, LOCK(put_lock), "the same of keys that were set since a sweep began")                    \
  F(u64, size_bytes, 952, COUNTER, "bytes of the values; a hint that can be rebuilt")                                  \
  F(u64, last_stamp, 960, LOCK(put_lock), "the last stamp of a change in it")                                          \
  F(u64, forgets, 968, PUBLISH, "odd while the ring of events is given up: what was read of it meanwhile does not count")\
  A(u64, pad3, 6, 976, ZERO, "")

/* ---- a key of a store and its value: the payload of a block. The key follows, rounded up to 8 bytes; then a word for each
   level of the order that it is in, 1 to SHM_ORDER_LEVELS, and the value when it is inline -------------------------------- */
#define SHM_ITEM_TABLE(F, A)                                                                                           \
  A(u64, entry, 4, 0, PUBLISH, "a shm_key")                                                                            \
  F(u64, word, 32, PUBLISH, "rises by 2 with every change; odd while it is changed: then the shard says what to")      \
  F(u64, version, 40, SEQ(word), "stamp of the last change")                                                           \
  F(u64, created, 48, SEQ(word), "when it was made, ns since the epoch")                                               \
  F(u64, updated, 56, SEQ(word), "when it was changed, ns since the epoch; 0: never")                                  \
  F(u64, inserted, 64, INIT, "stamp of its making")                                                                    \
  F(u64, expires_ns, 72, SEQ(word), "when it is gone (CLOCK_BOOTTIME); 0: never")                                           \
  F(u64, length_bytes, 80, SEQ(word), "bytes of the value")                                                            \
  F(u64, block, 88, SEQ(word), "payload offset of the block with the value; 0: it is inline")                          \
  F(u32, block_gen, 96, SEQ(word), "generation of that block")                                                         \
  F(u32, codec, 100, SEQ(word), "codec number of the value")

/* ---- an event of a store --------------------------------------------------------------------------------------------- */
#define SHM_FEED_TABLE(F, A)                                                                                           \
  F(u64, word, 0, PUBLISH, "2 * number + 2; odd while it is written")                                                  \
  F(u64, stamp, 8, SEQ(word), "its stamp")                                                                             \
  F(u64, version, 16, SEQ(word), "version of the key's value")                                                        \
  F(u64, created, 24, SEQ(word), "of it")                                                                               \
  F(u64, updated, 32, SEQ(word), "of it")                                                                               \
  F(u64, length_bytes, 40, SEQ(word), "bytes of the value")                                                            \
  F(u64, block, 48, SEQ(word), "SET: the block with key and value, 0: they are inline; DEL: the item that was removed") \
  F(u32, block_gen, 56, SEQ(word), "generation of that block")                                                         \
  F(u32, codec, 60, SEQ(word), "codec number of the value")                                                            \
  F(u32, op, 64, SEQ(word), "SHM_FEED_*")                                                                              \
  F(u32, key_length, 68, SEQ(word), "bytes of the key")                                                                \
  A(u8, data, 184, 72, SEQ(word), "key and value when they are inline")

/* ---- the lock of a key, or a watch: the payload of a block; the key follows ------------------------------------------- */
#define SHM_CLAIM_TABLE(F, A)                                                                                          \
  F(u64, next, 0, LOCK(put_lock), "the next one of the shard (payload offset)")                                        \
  F(u32, owner, 8, LOCK(put_lock), "token of the member that has it; 0: nobody")                                       \
  F(u32, kind, 12, INIT, "SHM_CLAIM_*")                                                                                \
  F(u64, holder, 16, LOCK(put_lock), "which thread, or watch, of that member")                                         \
  F(u64, since_ns, 24, LOCK(put_lock), "since when, ns since the epoch")                                               \
  F(u32, died, 32, LOCK(put_lock), "1: its last owner died without giving it up")                                      \
  F(u32, key_length, 36, INIT, "bytes of the key")

/* ---- a named lock: the payload of its main block --------------------------------------------------------------------- */
#define SHM_MUTEX_TABLE(F, A)                                                                                          \
  F(u32, life, 0, PUBLISH, "as in its directory entry")                                                                \
  F(u32, id, 4, INIT, "structure id")                                                                                  \
  F(u64, since_ns, 8, COUNTER, "when the holder got it")                                                               \
  A(u8, pad0, 112, 16, ZERO, "")                                                                                       \
  F(u32, word, 128, OWNER, "the lock; its repair bit means that the last holder died")                                 \
  A(u8, pad1, 124, 132, ZERO, "")

/* struct(name, TABLE, size): what gen_layout, the asserts below and dump walk over */
#define SHM_STRUCTS(S)                                                                                                 \
  S(shm_header, SHM_HEADER_TABLE, 512)                                                                                 \
  S(shm_section, SHM_SECTION_TABLE, 64)                                                                                \
  S(shm_member, SHM_MEMBER_TABLE, 384)                                                                                 \
  S(shm_directory, SHM_DIRECTORY_TABLE, 8320)                                                                          \
  S(shm_entry, SHM_ENTRY_TABLE, 832)                                                                                   \
  S(shm_class, SHM_CLASS_TABLE, 128)                                                                                   \
  S(shm_pool, SHM_POOL_TABLE, 128)                                                                                     \
  S(shm_block, SHM_BLOCK_TABLE, 16)                                                                                    \
  S(shm_ring, SHM_RING_TABLE, 1664)                                                                                    \
  S(shm_slot, SHM_SLOT_TABLE, 128)                                                                                     \
  S(shm_port, SHM_PORT_TABLE, 256)                                                                                     \
  S(shm_cell, SHM_CELL_TABLE, 128)                                                                                     \
  S(shm_segment, SHM_SEGMENT_TABLE, 64)                                                                                \
  S(shm_fifo_in, SHM_FIFO_IN_TABLE, 24)                                                                                \
  S(shm_fifo_out, SHM_FIFO_OUT_TABLE, 64)                                                                              \
  S(shm_fifo_line, SHM_FIFO_LINE_TABLE, 16)                                                                            \
  S(shm_waiter, SHM_WAITER_TABLE, 160)                                                                                 \
  S(shm_queue_main, SHM_QUEUE_MAIN_TABLE, 128)                                                                                   \
  S(shm_lane, SHM_LANE_TABLE, 896)                                                                                     \
  S(shm_shard, SHM_SHARD_TABLE, 384)                                                                                   \
  S(shm_buckets, SHM_BUCKETS_TABLE, 8)                                                                                 \
  S(shm_key, SHM_KEY_TABLE, 32)                                                                                        \
  S(shm_tuples_main, SHM_TUPLES_TABLE, 128)                                                                            \
  S(shm_tuple, SHM_TUPLE_TABLE, 192)                                                                                   \
  S(shm_log_main, SHM_LOG_MAIN_TABLE, 128)                                                                             \
  S(shm_log_shard, SHM_LOG_SHARD_TABLE, 896)                                                                           \
  S(shm_record, SHM_RECORD_TABLE, 128)                                                                                 \
  S(shm_store_main, SHM_STORE_MAIN_TABLE, 1408)                                                                        \
  S(shm_store_shard, SHM_STORE_SHARD_TABLE, 1024)                                                                      \
  S(shm_item, SHM_ITEM_TABLE, 104)                                                                                     \
  S(shm_feed, SHM_FEED_TABLE, 256)                                                                                     \
  S(shm_claim, SHM_CLAIM_TABLE, 40)                                                                                    \
  S(shm_mutex, SHM_MUTEX_TABLE, 256)

#define SHM__CONSTANT(name, value, meaning) enum { name = value };
SHM_CONSTANTS(SHM__CONSTANT)
#undef SHM__CONSTANT

#define SHM__FIELD(type, name, offset, sync, meaning) type name;
#define SHM__ARRAY(type, name, count, offset, sync, meaning) type name[count];
#define SHM__STRUCT(name, table, size)                                                                                 \
  struct name {                                                                                                        \
    table(SHM__FIELD, SHM__ARRAY)                                                                                      \
  };                                                                                                                   \
  _Static_assert(sizeof(struct name) == (size), #name " has hidden padding or a wrong size");
SHM_STRUCTS(SHM__STRUCT)
#undef SHM__STRUCT
#undef SHM__FIELD
#undef SHM__ARRAY

#endif
