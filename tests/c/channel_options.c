/* Options out of range are refused before anything is made; others than the channel was made with are named; a message
 * longer than allowed is refused; one of no bytes is a message.
 *
 * Runs: processes
 */
#include "channels.h"

static int try(shm_space *space, u32 given, shm_channel_options options) {
  shm_channel *channel;
  int status = shm_channel_open(space, "c", 1, &options, given, 1, in_ns(LONG), &channel);
  if (status == SHM_OK) shm_channel_free(channel);
  return status;
}

static const shm_channel_options good = {.capacity = 4, .replay = 2, .max_message_bytes = 100, .codec = "raw"};

#define WITH(field, value)                                                                                             \
  ({                                                                                                                   \
    shm_channel_options options_ = good;                                                                               \
    options_.field = (value);                                                                                          \
    options_;                                                                                                          \
  })

static void refuse_what_cannot_be(shm_space *space) {
  u64 before = used_bytes(space);
  IS(try(space, 0, WITH(capacity, 0)), SHM_INVALID);
  IS(try(space, 0, WITH(capacity, UINT64_MAX)), SHM_INVALID);
  IS(try(space, 0, WITH(capacity, 1ull << 63 | 1)), SHM_INVALID);
  IS(try(space, 0, WITH(replay, 5)), SHM_INVALID);
  IS(try(space, 0, WITH(delivery, 2)), SHM_INVALID);
  IS(try(space, 0, WITH(overflow, 3)), SHM_INVALID);
  IS(try(space, 0, WITH(capacity, 1 << 30)), SHM_SPACE_FULL);
  SAME((u64)shm_space_entries(space, NULL, 0), 0);
  SAME(used_bytes(space), before);
}

static void name_what_differs(shm_space *space) {
  OK(try(space, ~0u, good));
  OK(try(space, 0, WITH(capacity, 5)));
  IS(try(space, SHM_GIVEN_CAPACITY, WITH(capacity, 5)), SHM_MISMATCH);
  CHECK(strstr(shm_error_text(), "capacity=4"));
  IS(try(space, SHM_GIVEN_REPLAY, WITH(replay, 3)), SHM_MISMATCH);
  CHECK(strstr(shm_error_text(), "replay=2"));
  IS(try(space, SHM_GIVEN_MAX_MESSAGE, WITH(max_message_bytes, 101)), SHM_MISMATCH);
  CHECK(strstr(shm_error_text(), "max_message=100"));
  IS(try(space, SHM_GIVEN_DELIVERY, WITH(delivery, 1)), SHM_MISMATCH);
  CHECK(strstr(shm_error_text(), "delivery=\"one\""));
  IS(try(space, SHM_GIVEN_OVERFLOW, WITH(overflow, 1)), SHM_MISMATCH);
  CHECK(strstr(shm_error_text(), "overflow=\"wait\""));
  IS(try(space, SHM_GIVEN_CODEC, WITH(codec[0], 'l')), SHM_MISMATCH);
  CHECK(strstr(shm_error_text(), "codec=\"raw\""));
}

static void bound_messages(shm_space *space) {
  shm_channel *channel = open_channel(space, "c", good);
  shm_view view;
  u8 data[101] = {0};
  u64 length = 77, done;
  u32 codec;
  IS(shm_channel_send(channel, data, 101, 0, 0), SHM_TOO_LARGE);
  IS(shm_channel_send(channel, data, UINT64_MAX, 0, 0), SHM_TOO_LARGE);
  IS(shm_channel_reserve(channel, 101, 0, &view), SHM_TOO_LARGE);
  shm_piece pieces[] = {{data, 100, 5}, {data, 101, 0}, {data, 1, 0}};
  IS(shm_channel_send_many(channel, pieces, 3, 0, &done), SHM_TOO_LARGE);
  SAME(done, 1);
  IS(shm_channel_recv(channel, data, 99, &length, &codec, 0), SHM_SHORT);
  SAME(length, 100);
  OK(shm_channel_recv(channel, data, 100, &length, &codec, 0));
  SAME(codec, 5);
  OK(shm_channel_send(channel, NULL, 0, 7, 0));
  OK(shm_channel_recv(channel, NULL, 0, &length, &codec, 0));
  SAME(length, 0);
  SAME(codec, 7);
  OK(shm_channel_reserve(channel, 0, 0, &view));
  OK(shm_channel_commit(channel, &view, 0));
  OK(shm_channel_recv(channel, NULL, 0, &length, &codec, 0));
  SAME(length, 0);
  OK(shm_channel_send_many(channel, NULL, 0, 0, &done));
  IS(shm_channel_recv_many(channel, NULL, 0, 0, &done), SHM_EMPTY);
  SAME(done, 0);
  shm_channel_free(channel);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  shm_space *space = make_space(2 << 20, 4);
  refuse_what_cannot_be(space);
  name_what_differs(space);
  bound_messages(space);
  delete_channel(space, "c");
  end_space(space);
  return 0;
}
