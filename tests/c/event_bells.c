/* A member that armed its bell is rung once by the next event, and not by later ones until it arms again; who did not
 * arm is not rung.
 *
 * Runs: processes
 */
#include "channels.h"

enum { MEMBERS = 5 };

static u32 bell_of(shm_space *space) { return shm_bell_wait(space, UINT32_MAX, 0); }

int main(int argc, char **argv) {
  begin(argc, argv);
  shm_space *spaces[MEMBERS];
  shm_channel *channels[MEMBERS];
  spaces[0] = make_space(1 << 20, 70);
  for (u32 i = 0; i < MEMBERS; i++) {
    if (i > 0) spaces[i] = join_space();
    channels[i] = open_channel(spaces[i], "c", (shm_channel_options){0});
  }
  for (u32 round = 0; round < 50; round++) {
    u32 before[MEMBERS];
    for (u32 i = 0; i < MEMBERS; i++) {
      before[i] = bell_of(spaces[i]);
      if ((round + i) % 3 == 0) shm_channel_arm(channels[i], 0);
    }
    OK(shm_channel_send(channels[round % MEMBERS], "x", 1, 0, 0));
    OK(shm_channel_send(channels[round % MEMBERS], "y", 1, 0, 0));
    for (u32 i = 0; i < MEMBERS; i++) SAME(bell_of(spaces[i]) - before[i], (round + i) % 3 == 0 ? 1u : 0u);
    u8 data[8];
    u64 length;
    u32 codec;
    OK(shm_channel_recv(channels[0], data, sizeof data, &length, &codec, 0));
    OK(shm_channel_recv(channels[0], data, sizeof data, &length, &codec, 0));
  }
  u32 bell = bell_of(spaces[0]);
  shm_bell_ring_self(spaces[0]);
  u64 start_ns = shm_monotonic_ns();
  SAME(shm_bell_wait(spaces[0], bell, 10 * SECONDS), bell + 1);
  CHECK(shm_monotonic_ns() - start_ns < 5 * SECONDS);
  for (u32 i = MEMBERS; i-- > 0;) {
    shm_channel_free(channels[i]);
    if (i > 0) leave_space(spaces[i]);
  }
  end_space(spaces[0]);
  return 0;
}
