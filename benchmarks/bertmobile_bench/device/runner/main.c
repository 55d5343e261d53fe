/* Runs a model on a device when told to, and says how long each run took.
 *
 * Usage: bertmobile-runner ENGINE LIBRARY MODEL THREADS WORKLOAD=FILE...
 *
 * ENGINE is litert or onnxruntime, LIBRARY its shared library, and each FILE holds the inputs of a workload, which
 * runs take in turn. The first line on stdout says what was opened. Then each line on stdin, "WORKLOAD COUNT", is
 * answered by a JSON list of so many latencies in seconds; "peak 1" by the peak of the resident bytes; and
 * "answers WORKLOAD", which runs each of its inputs once and writes the outputs to FILE.answers, by their number.
 * The runner ends with its stdin: when the host is gone, so is it. bertmobile_bench/host/worker.py speaks the same.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runner.h"

struct workload {
  char *name;
  char *path;
  struct cases cases;
  uint32_t next;
};

static const struct engine *const ENGINES[] = {&litert_engine, &onnxruntime_engine};

void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("error: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  /* Not exit(): libraries that are half open may crash when they are torn down. */
  fflush(stdout);
  _exit(1);
}

void *allocate(size_t bytes) {
  void *found = calloc(1, bytes > 0 ? bytes : 1);
  if (!found) fail("out of memory: %zu bytes more", bytes);
  return found;
}

void *symbol(void *library, const char *name) {
  void *found = dlsym(library, name);
  if (!found) fail("the runtime library has no %s; take the release that the bundle's README names", name);
  return found;
}

static double seconds_of(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Since this process was started, to a hundredth of a second: the kernel counts in ticks. */
static double age(void) {
  char line[1024];
  FILE *file = fopen("/proc/self/stat", "r");
  if (!file || !fgets(line, sizeof line, file)) fail("/proc/self/stat cannot be read");
  fclose(file);
  char *rest = strrchr(line, ')'); /* the program's name may hold anything */
  unsigned long long started = 0;
  /* The 22nd field; the one after the name is the third. */
  if (!rest || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                      &started) != 1)
    fail("/proc/self/stat has another form");
  return seconds_of(CLOCK_BOOTTIME) - (double)started / (double)sysconf(_SC_CLK_TCK);
}

static long long peak_bytes(void) {
  char line[256];
  long long kilobytes = -1;
  FILE *file = fopen("/proc/self/status", "r");
  if (!file) fail("/proc/self/status cannot be read");
  while (fgets(line, sizeof line, file))
    if (sscanf(line, "VmHWM: %lld kB", &kilobytes) == 1) break;
  fclose(file);
  return kilobytes * 1024;
}

static void run_next(const struct engine *engine, struct workload *workload) {
  engine->run(&workload->cases.samples[workload->next]);
  workload->next = (workload->next + 1) % workload->cases.count;
}

static void answer_runs(const struct engine *engine, struct workload *workload, long count) {
  printf("[");
  for (long i = 0; i < count; i++) {
    double before = seconds_of(CLOCK_MONOTONIC);
    run_next(engine, workload);
    printf("%s%.9f", i ? ", " : "", seconds_of(CLOCK_MONOTONIC) - before);
  }
  printf("]\n");
}

static void answer_outputs(const struct engine *engine, const struct workload *workload) {
  char *path = allocate(strlen(workload->path) + sizeof ".answers");
  sprintf(path, "%s.answers", workload->path);
  FILE *file = create_cases(path, workload->cases.count);
  for (uint32_t i = 0; i < workload->cases.count; i++) {
    engine->run(&workload->cases.samples[i]);
    engine->write_outputs(file, &workload->cases.samples[i]);
  }
  finish_cases(file, path);
  free(path);
  printf("[%u]\n", workload->cases.count);
}

static struct workload *find(struct workload *workloads, int count, const char *name) {
  for (int i = 0; i < count; i++)
    if (strcmp(workloads[i].name, name) == 0) return &workloads[i];
  fail("no workload is called %s", name);
}

int main(int argc, char **argv) {
  if (argc < 6) fail("usage: %s ENGINE LIBRARY MODEL THREADS WORKLOAD=FILE...", argv[0]);
  const struct engine *engine = NULL;
  for (size_t i = 0; i < sizeof ENGINES / sizeof *ENGINES; i++)
    if (strcmp(argv[1], ENGINES[i]->name) == 0) engine = ENGINES[i];
  if (!engine) fail("no engine is called %s", argv[1]);
  int threads = atoi(argv[4]), count = argc - 5;
  if (threads < 1) fail("%s is not a number of threads", argv[4]);
  struct workload *workloads = allocate((size_t)count * sizeof *workloads);
  for (int i = 0; i < count; i++) {
    char *split = strchr(argv[5 + i], '=');
    if (!split) fail("%s is not WORKLOAD=FILE", argv[5 + i]);
    *split = 0;
    workloads[i].name = argv[5 + i];
    workloads[i].path = split + 1;
    read_cases(workloads[i].path, &workloads[i].cases);
  }
  setenv("ORT_DISABLE_TELEMETRY", "1", 1); /* releases after 1.28 send some */
  double before = seconds_of(CLOCK_MONOTONIC);
  void *library = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL);
  if (!library) fail("%s", dlerror());
  const char *version = engine->open(library, argv[3], threads);
  double load = seconds_of(CLOCK_MONOTONIC) - before;
  run_next(engine, &workloads[0]);
  printf("{\"engine\": \"%s\", \"engine_version\": %s%s%s, \"load_seconds\": %.9f, \"cold_start_seconds\": %.3f}\n",
         engine->name, version ? "\"" : "", version ? version : "null", version ? "\"" : "", load, age());
  fflush(stdout);
  char line[1024], name[512], number[32];
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    if (sscanf(line, "%511s %31s", name, number) != 2) fail("not WORKLOAD COUNT: %s", line);
    if (strcmp(name, "peak") == 0)
      printf("[%lld]\n", peak_bytes());
    else if (strcmp(name, "answers") == 0)
      answer_outputs(engine, find(workloads, count, number));
    else
      answer_runs(engine, find(workloads, count, name), atol(number));
    fflush(stdout);
  }
  fflush(stdout);
  _exit(0);
}
