/* What the parts of the runner know of each other. */
#ifndef BERTMOBILE_RUNNER_H
#define BERTMOBILE_RUNNER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define MAX_RANK 8

/* ONNX's numbers for element types, in our files whatever the engine. */
enum type { TYPE_FLOAT = 1, TYPE_INT32 = 6, TYPE_INT64 = 7 };

struct tensor {
  char *name;
  uint32_t type;
  uint32_t rank;
  int64_t dims[MAX_RANK];
  uint64_t bytes;
  void *data;
};

/* Tensors of one run, and the signature that takes or gave them. */
struct sample {
  char *signature;
  uint32_t count;
  struct tensor *tensors;
};

struct cases {
  uint32_t count;
  struct sample *samples;
};

/* The file's layout is in bertmobile_bench/device/cases.py. */
void read_cases(const char *path, struct cases *cases);
FILE *create_cases(const char *path, uint32_t count);
void write_sample_head(FILE *file, const char *signature, uint32_t tensors);
void write_tensor(FILE *file, const struct tensor *tensor);
void finish_cases(FILE *file, const char *path);

/* A runtime library. It is opened when the runner starts, so that one runner serves all of them. */
struct engine {
  const char *name;
  /* Returns the library's version, or NULL where it does not tell. */
  const char *(*open)(void *library, const char *model, int threads);
  void (*run)(const struct sample *inputs);
  /* The outputs of the last run. */
  void (*write_outputs)(FILE *file, const struct sample *inputs);
};

extern const struct engine litert_engine;
extern const struct engine onnxruntime_engine;

/* Ends the process with one line on stderr. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *allocate(size_t bytes);
void *symbol(void *library, const char *name);

#endif
