/* channels.h: channels and messages of the test programs. */
#ifndef SHM_TEST_CHANNELS_H
#define SHM_TEST_CHANNELS_H

#include "../../csrc/core/directory.h"
#include "harness.h"

static inline shm_channel *open_channel(shm_space *space, const char *name, shm_channel_options options) {
  shm_channel *channel = NULL;
  if (options.capacity == 0) options.capacity = 16;
  if (options.max_message_bytes == 0) options.max_message_bytes = 1 << 20;
  if (options.codec[0] == 0) memcpy(options.codec, "raw", 4);
  OK(shm_channel_open(space, name, (u32)strlen(name), &options, 0, 1, in_ns(LONG), &channel));
  return channel;
}

static inline shm_channel *open_reader(shm_channel *channel) {
  shm_channel *reader = NULL;
  OK(shm_channel_open_reader(channel, in_ns(LONG), &reader));
  return reader;
}

static inline shm_channel *open_writer(shm_channel *channel) {
  shm_channel *writer = NULL;
  OK(shm_channel_open_writer(channel, in_ns(LONG), &writer));
  return writer;
}

static inline void delete_channel(shm_space *space, const char *name) {
  OK(shm_space_delete(space, SHM_KIND_CHANNEL, name, (u32)strlen(name), in_ns(LONG)));
}

/* Its bytes. */
static inline struct shm_ring *ring_of(shm_space *space, const char *name) {
  const struct shm_entry *entry = shm__directory_look(space, SHM_KIND_CHANNEL, name, (u32)strlen(name));
  CHECK(entry);
  struct shm_ring *ring = shm__at(space, entry->main, sizeof *ring, 16);
  CHECK(ring);
  return ring;
}

static inline shm_channel_facts channel_facts(shm_channel *channel) {
  shm_channel_facts facts;
  OK(shm_channel_stat(channel, &facts));
  return facts;
}

/* Messages that can be told apart: sender, number, and a pattern over the rest that depends on both. */
struct letter {
  u32 sender, number;
};

enum { LETTER_MOST = 1 << 17 };

static inline void write_letter(u8 *data, u64 length_bytes, u32 sender, u32 number) {
  struct letter letter = {sender, number};
  CHECK(length_bytes >= sizeof letter);
  memcpy(data, &letter, sizeof letter);
  memset(data + sizeof letter, (int)(sender * 31 + number), length_bytes - sizeof letter);
}

static inline struct letter read_letter(const u8 *data, u64 length_bytes) {
  struct letter letter = {0, 0};
  CHECK(length_bytes >= sizeof letter);
  memcpy(&letter, data, sizeof letter);
  u8 expected = (u8)(letter.sender * 31 + letter.number);
  for (u64 i = sizeof letter; i < length_bytes; i++) {
    if (data[i] != expected) FAIL("message %u of %u is torn at byte %llu", letter.number, letter.sender, (unsigned long long)i);
  }
  return letter;
}

static inline int send_letter(shm_channel *writer, u64 length_bytes, u32 sender, u32 number, u64 deadline_ns) {
  static __thread u8 data[LETTER_MOST];
  write_letter(data, length_bytes, sender, number);
  return shm_channel_send(writer, data, length_bytes, 0, deadline_ns);
}

/* As shm_channel_recv; *letter only with SHM_OK. */
static inline int recv_letter(shm_channel *reader, struct letter *letter, u64 deadline_ns) {
  static __thread u8 data[LETTER_MOST];
  u64 length_bytes;
  u32 codec;
  int status = shm_channel_recv(reader, data, sizeof data, &length_bytes, &codec, deadline_ns);
  if (status == SHM_OK) *letter = read_letter(data, length_bytes);
  return status;
}

/* Receive one that must be there. */
static inline void expect_letter(shm_channel *reader, u32 sender, u32 number) {
  struct letter letter = {0, 0};
  OK(recv_letter(reader, &letter, in_ns(LONG)));
  if (letter.sender != sender || letter.number != number) {
    FAIL("message %u of %u came, not %u of %u", letter.number, letter.sender, number, sender);
  }
}

#endif
