/* Reads inputs and writes outputs; both are files of one kind. */
#include <errno.h>
#include <string.h>

#include "runner.h"

static const char MAGIC[4] = {'B', 'M', 'C', '1'};
/* More than any bundle's, less than what a damaged file would ask for. */
#define MAX_TEXT 4096u
#define MAX_COUNT 100000u
#define MAX_BYTES (1u << 30)

static void take(FILE *file, const char *path, void *into, size_t bytes) {
  if (bytes > 0 && fread(into, bytes, 1, file) != 1) fail("%s ends in the middle of a sample", path);
}

static uint32_t take_number(FILE *file, const char *path, uint32_t most) {
  uint32_t value;
  take(file, path, &value, sizeof value);
  if (value > most) fail("%s is damaged: %u where at most %u can be", path, value, most);
  return value;
}

static char *take_text(FILE *file, const char *path) {
  uint32_t length = take_number(file, path, MAX_TEXT);
  char *text = allocate(length + 1);
  take(file, path, text, length);
  text[length] = 0;
  return text;
}

/* What a tensor's type and sizes make; more than MAX_BYTES where they cannot be. */
static uint64_t expected_bytes(const struct tensor *tensor) {
  if (tensor->type != TYPE_FLOAT && tensor->type != TYPE_INT32 && tensor->type != TYPE_INT64) return UINT64_MAX;
  uint64_t bytes = tensor->type == TYPE_INT64 ? 8 : 4;
  for (uint32_t axis = 0; axis < tensor->rank; axis++) {
    if (tensor->dims[axis] < 0 || tensor->dims[axis] > MAX_BYTES) return UINT64_MAX;
    bytes *= (uint64_t)tensor->dims[axis];
    if (bytes > MAX_BYTES) return UINT64_MAX; /* before the next could overflow */
  }
  return bytes;
}

static void take_tensor(FILE *file, const char *path, struct tensor *tensor) {
  tensor->name = take_text(file, path);
  tensor->type = take_number(file, path, TYPE_INT64);
  tensor->rank = take_number(file, path, MAX_RANK);
  take(file, path, tensor->dims, tensor->rank * sizeof tensor->dims[0]);
  take(file, path, &tensor->bytes, sizeof tensor->bytes);
  if (tensor->bytes != expected_bytes(tensor))
    fail("%s is damaged: a tensor of %llu bytes", path, (unsigned long long)tensor->bytes);
  tensor->data = allocate(tensor->bytes);
  take(file, path, tensor->data, tensor->bytes);
}

void read_cases(const char *path, struct cases *cases) {
  FILE *file = fopen(path, "rb");
  char magic[sizeof MAGIC];
  if (!file) fail("%s: %s", path, strerror(errno));
  take(file, path, magic, sizeof magic);
  if (memcmp(magic, MAGIC, sizeof MAGIC) != 0) fail("%s does not hold inputs", path);
  cases->count = take_number(file, path, MAX_COUNT);
  if (cases->count == 0) fail("%s holds no inputs", path);
  cases->samples = allocate(cases->count * sizeof *cases->samples);
  for (uint32_t i = 0; i < cases->count; i++) {
    struct sample *sample = &cases->samples[i];
    sample->signature = take_text(file, path);
    sample->count = take_number(file, path, MAX_COUNT);
    sample->tensors = allocate(sample->count * sizeof *sample->tensors);
    for (uint32_t k = 0; k < sample->count; k++) take_tensor(file, path, &sample->tensors[k]);
  }
  fclose(file);
}

static void put_number(FILE *file, uint32_t value) { fwrite(&value, sizeof value, 1, file); }

static void put_text(FILE *file, const char *text) {
  put_number(file, (uint32_t)strlen(text));
  fwrite(text, strlen(text), 1, file);
}

FILE *create_cases(const char *path, uint32_t count) {
  FILE *file = fopen(path, "wb");
  if (!file) fail("%s: %s", path, strerror(errno));
  fwrite(MAGIC, sizeof MAGIC, 1, file);
  put_number(file, count);
  return file;
}

void write_sample_head(FILE *file, const char *signature, uint32_t tensors) {
  put_text(file, signature);
  put_number(file, tensors);
}

void write_tensor(FILE *file, const struct tensor *tensor) {
  put_text(file, tensor->name);
  put_number(file, tensor->type);
  put_number(file, tensor->rank);
  fwrite(tensor->dims, sizeof tensor->dims[0], tensor->rank, file);
  fwrite(&tensor->bytes, sizeof tensor->bytes, 1, file);
  fwrite(tensor->data, 1, tensor->bytes, file);
}

void finish_cases(FILE *file, const char *path) {
  int failed = ferror(file);
  if (fclose(file) != 0 || failed) fail("%s cannot be written: %s", path, strerror(errno));
}
