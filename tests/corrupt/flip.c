/* Every control word of a region is set to what it should never be, and the region is used: each call must answer with a
 * documented status, in time (two seconds of work, ten of waiting), and nothing else may happen.
 *
 *     flip make DIRECTORY NAME                        makes the region and leaves it, with two dead members in it
 *     flip copy|live STRIDE DIRECTORY NAME TARGETS    NAME is a region made before; TARGETS a file of lines
 *                                                     "offset bytes label", the words to change
 *
 * copy: a process comes to the changed region. live: one that has everything open in it goes on before another comes, and
 * when that one has left. Every STRIDE-th bit of all the words is flipped, with a STRIDE of 0 each word is set to its
 * extremes. What goes wrong is printed, and the exit status is 1.
 *
 * Link: --wrap=shm__nap_ns
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

static const char *current_call = "?";

static void begin_call(const char *name);

#define CALLED(name) begin_call(name)
#define WRONG(name, status) (printf("%s gave %d: ", name, status), exit(1))
#include "region.h"

#include "../../csrc/base/hash.h"

enum { HANG_STATUS = 98, FAULTS_SHOWN = 40, WORKS_S = 2, WAITS_S = 10 };

static const char *directory, *name;
static int live;
static u8 *golden;
static u64 stride, bits_seen, cases, faults;
static u32 *stage; /* shared: the holder 1 has everything open, 2 goes on, 3 has done so, 4 goes on again and ends */
static u32 *holders_token; /* shared: it is the same every time */

void __wrap_shm__nap_ns(u64 nap_ns);
void __wrap_shm__nap_ns(u64 nap_ns) { (void)nap_ns; } /* nobody is waited for */

/* For ever on the CPU, or for ever asleep: the machine may be busy with other things. */
static void begin_call(const char *call) {
  current_call = call;
  setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = WORKS_S}, NULL);
  alarm(WAITS_S);
}

static void on_alarm(int signal) {
  static const char text[] = " hangs: ";
  (void)signal;
  if (write(1, current_call, strlen(current_call)) < 0 || write(1, text, sizeof text - 1) < 0) _exit(HANG_STATUS);
  _exit(HANG_STATUS);
}

static char *path_of_region(void) {
  static char path[512];
  snprintf(path, sizeof path, "%s/shmspace.%s", directory, name);
  return path;
}

static pid_t in_child(void (*work)(void)) {
  fflush(NULL);
  pid_t parent = getpid(), child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  signal(SIGALRM, on_alarm);
  signal(SIGPROF, on_alarm);
  work();
  fflush(NULL);
  _exit(0);
}

static int ended_well(pid_t child) {
  int status;
  if (waitpid(child, &status, 0) != child) return 0;
  if (WIFSIGNALED(status)) printf("signal %d: ", WTERMSIG(status));
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- the region ---------------------------------------------------------------------------------------------------------- */
static void make_and_die(void) {
  struct handles first, second;
  shm_space *space;
  if (open_region(directory, name, SHM_OPEN_CREATE, &space) != SHM_OK) exit(1);
  open_handles(&first, space);
  fill_region(&first);
  if (open_region(directory, name, 0, &space) != SHM_OK) exit(1);
  open_handles(&second, space);
}

static u8 *read_golden(void) {
  int fd = open(path_of_region(), O_RDONLY);
  u8 *bytes = malloc(REGION_BYTES);
  if (fd < 0 || pread(fd, bytes, REGION_BYTES, 0) != REGION_BYTES) {
    fprintf(stderr, "%s: %s\n", path_of_region(), strerror(errno));
    exit(2);
  }
  close(fd);
  return bytes;
}

/* The region as it was made, mapped; the file may have been removed. */
static u8 *restore(void) {
  int fd = open(path_of_region(), O_RDWR | O_CREAT, 0600);
  if (fd < 0 || ftruncate(fd, REGION_BYTES) != 0 || pwrite(fd, golden, REGION_BYTES, 0) != REGION_BYTES) exit(2);
  u8 *bytes = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (bytes == MAP_FAILED) exit(2);
  return bytes;
}

/* ---- one case ------------------------------------------------------------------------------------------------------------ */
static void come_and_use(void) { use_region(directory, name, !live); }

/* The holder is at this stage; on to the next one when it is told to. */
static void meet(u32 mine) {
  alarm(0);
  setitimer(ITIMER_PROF, &(struct itimerval){0}, NULL);
  __atomic_store_n(stage, mine, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(stage, __ATOMIC_SEQ_CST) == mine) usleep(50);
}

/* Let the holder go on (not if it has just begun) until it has come to that stage, or has ended. */
static int lead(pid_t holder, u32 from, u32 to) {
  siginfo_t info = {0};
  if (from) __atomic_store_n(stage, from, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(stage, __ATOMIC_SEQ_CST) != to) {
    if (waitid(P_PID, (id_t)holder, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == holder) return 0;
    usleep(50);
  }
  return 1;
}

static void hold_and_go_on(void) {
  shm_space *space;
  struct handles handles;
  if (open_region(directory, name, 0, &space) != SHM_OK) exit(1);
  open_handles(&handles, space);
  send_length(handles.writer, 300);
  CALL(shm_channel_recv_view, handles.second, &handles.view, soon());
  hold_shelves(&handles.shelves);
  *holders_token = space->token;
  meet(1);
  use_handles(&handles);
  look_around(space);
  meet(3);
  use_handles(&handles);
  end_handles(&handles);
  end_space(space);
}

static void reseal(u8 *bytes) {
  struct shm_header *header = (struct shm_header *)bytes;
  header->sections_crc = shm__crc32c(0, bytes + sizeof *header, SHM__SECTIONS * sizeof(struct shm_section));
  header->header_crc = shm__header_crc(header);
}

/* The word at offset becomes value; in the header, with checksums made right again if sealed. */
static int survives(u64 offset, u64 width, u64 value, int sealed) {
  u8 *bytes = restore();
  *stage = 0;
  pid_t holder = live ? in_child(hold_and_go_on) : 0;
  int well = !live || lead(holder, 0, 1);
  memcpy(bytes + offset, &value, width);
  if (sealed) reseal(bytes);
  if (live) lead(holder, 2, 3);
  well &= ended_well(in_child(come_and_use));
  __atomic_store_n(stage, 4, __ATOMIC_SEQ_CST);
  if (holder && !ended_well(holder)) {
    printf("the holder: ");
    well = 0;
  }
  munmap(bytes, REGION_BYTES);
  return well;
}

static void attempt(u64 offset, u64 width, u64 value, const char *label) {
  u64 before = 0;
  memcpy(&before, golden + offset, width);
  int header = offset < SHM_HEADER_BYTES;
  for (int sealed = 0; sealed <= header; sealed++) {
    cases++;
    if (survives(offset, width, value, sealed)) continue;
    printf("%s %s (offset %llu) set from %llx to %llx%s\n", live ? "live" : "copy", label, (unsigned long long)offset,
           (unsigned long long)before, (unsigned long long)value, sealed ? ", checksums made right" : "");
    if (++faults == FAULTS_SHOWN) exit(1);
  }
}

static void attempt_all(u64 offset, u64 width, const char *label) {
  u64 mask = width == 8 ? UINT64_MAX : (1ull << width * 8) - 1, value = 0, done[6];
  u32 count = 0;
  memcpy(&value, golden + offset, width);
  if (stride) {
    for (u64 bit = 0; bit < width * 8; bit++) {
      if (bits_seen++ % stride == 0) attempt(offset, width, value ^ 1ull << bit, label);
    }
    return;
  }
  /* The last one makes a lock that of a living member who knows nothing of it. */
  const u64 extremes[] = {0, mask, value ^ 1ull << (width * 8 - 1), value + 1, value - 1, *holders_token};
  for (u32 i = 0; i < sizeof extremes / sizeof extremes[0]; i++) {
    u64 extreme = extremes[i] & mask;
    int known = extreme == value || (i == 5 && width != sizeof *holders_token);
    for (u32 k = 0; k < count; k++) known |= done[k] == extreme;
    if (known) continue;
    done[count++] = extreme;
    attempt(offset, width, extreme, label);
  }
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc == 4 && strcmp(argv[1], "make") == 0) {
    directory = argv[2], name = argv[3];
    return ended_well(in_child(make_and_die)) ? 0 : 1;
  }
  if (argc != 6) return 2;
  live = strcmp(argv[1], "live") == 0, stride = strtoull(argv[2], NULL, 10);
  directory = argv[3], name = argv[4];
  golden = read_golden();
  stage = mmap(NULL, 2 * sizeof *stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  holders_token = stage + 1;
  if (!survives(0, 8, *(u64 *)golden, 0)) {
    printf("with nothing changed\n");
    return 1;
  }
  FILE *targets = fopen(argv[5], "r");
  unsigned long long offset, width;
  char label[128];
  while (targets && fscanf(targets, "%llu %llu %127s", &offset, &width, label) == 3) attempt_all(offset, width, label);
  if (!targets || fclose(targets) != 0 || cases == 0) return 2;
  printf("%llu cases, %llu faults\n", (unsigned long long)cases, (unsigned long long)faults);
  free(golden);
  return faults ? 1 : 0;
}
