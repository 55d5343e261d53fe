/* LiteRT through the C API of libLiteRt.so 2.3, without its headers.
 *
 * Functions: https://github.com/google-ai-edge/LiteRT/tree/main/litert/c
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "runner.h"

typedef void *handle;

#define CPU 1                /* kLiteRtHwAcceleratorCpu */
#define ACCELERATORS_TAG 24  /* kLiteRtEnvOptionTagAutoRegisterAccelerators */
#define SEVERITY_TAG 25      /* kLiteRtEnvOptionTagMinLoggerSeverity */
#define ERRORS_ONLY 3
#define ANY_INT 2
#define ELEMENT_INT32 2
#define READ 0
#define WRITE 1
#define MAX_SIGNATURES 64
#define MAX_TENSORS 16

struct option {
  int tag;
  struct {
    int type;
    int64_t value;
  } any;
};

/* LiteRtRankedTensorType, and room for what later releases add: the library fills it and reads it back. */
struct tensor_type {
  int32_t element;
  unsigned rank_and_flags; /* the rank is in the lowest seven bits */
  int32_t dims[MAX_RANK];
  char rest[128];
};

struct side {
  size_t count;
  const char *names[MAX_TENSORS];
  struct tensor_type types[MAX_TENSORS];
  handle buffers[MAX_TENSORS];
};

struct signature {
  const char *key;
  handle handle;
  size_t index;
  bool open;
  struct side inputs, outputs;
};

static handle environment, model, compiled;
static size_t signature_count;
static struct signature signatures[MAX_SIGNATURES];
static const struct signature *last;

static int (*create_managed)(handle, const void *, handle, handle *);
static int (*lock_buffer)(handle, void **, int);
static int (*unlock_buffer)(handle);
static int (*packed_size)(handle, size_t *);
static int (*run_compiled)(handle, size_t, size_t, handle *, size_t, handle *);
static int (*input_requirements)(handle, size_t, size_t, handle *);
static int (*output_requirements)(handle, size_t, size_t, handle *);

static void check(int status, const char *what) {
  if (status != 0) fail("LiteRT cannot %s: status %d", what, status);
}

#define FUNCTION(name, ...) ((int (*)(__VA_ARGS__))symbol(library, name))

static void read_side(void *library, handle signature, bool input, struct side *side) {
  check(FUNCTION(input ? "LiteRtGetNumSignatureInputs" : "LiteRtGetNumSignatureOutputs", handle, size_t *)(
            signature, &side->count),
        "count a signature's tensors");
  if (side->count > MAX_TENSORS) fail("%zu tensors are more than any of our models has", side->count);
  for (size_t i = 0; i < side->count; i++) {
    handle tensor;
    check(FUNCTION(input ? "LiteRtGetSignatureInputName" : "LiteRtGetSignatureOutputName", handle, size_t,
                   const char **)(signature, i, &side->names[i]),
          "name a tensor");
    check(FUNCTION(input ? "LiteRtGetSignatureInputTensorByIndex" : "LiteRtGetSignatureOutputTensorByIndex", handle,
                   size_t, handle *)(signature, i, &tensor),
          "find a tensor");
    check(FUNCTION("LiteRtGetRankedTensorType", handle, void *)(tensor, &side->types[i]), "tell a tensor's type");
  }
}

static const char *open_model(void *library, const char *path, int threads) {
  /* No GPU library is looked for, which would cost memory. */
  struct option options[] = {{ACCELERATORS_TAG, {ANY_INT, CPU}}, {SEVERITY_TAG, {ANY_INT, ERRORS_ONLY}}};
  check(FUNCTION("LiteRtCreateEnvironment", int, const struct option *, handle *)(2, options, &environment),
        "create an environment");
  check(FUNCTION("LiteRtCreateModelFromFile", handle, const char *, handle *)(environment, path, &model),
        "read the model");
  handle compilation, opaque;
  char threads_toml[64];
  snprintf(threads_toml, sizeof threads_toml, "num_threads = %d\n", threads);
  check(FUNCTION("LiteRtCreateOptions", handle *)(&compilation), "create options");
  check(FUNCTION("LiteRtSetOptionsHardwareAccelerators", handle, int)(compilation, CPU), "choose the CPU");
  check(FUNCTION("LiteRtCreateOpaqueOptions", const char *, void *, void (*)(void *), handle *)(
            "xnnpack", strdup(threads_toml), free, &opaque),
        "create options of the CPU");
  check(FUNCTION("LiteRtAddOpaqueOptions", handle, handle)(compilation, opaque), "set the number of threads");
  check(FUNCTION("LiteRtCreateCompiledModel", handle, handle, handle, handle *)(environment, model, compilation,
                                                                                &compiled),
        "compile the model");
  check(FUNCTION("LiteRtGetNumModelSignatures", handle, size_t *)(model, &signature_count), "count signatures");
  if (signature_count > MAX_SIGNATURES) fail("%zu signatures are more than any of our models has", signature_count);
  for (size_t i = 0; i < signature_count; i++) {
    struct signature *signature = &signatures[i];
    signature->index = i;
    check(FUNCTION("LiteRtGetModelSignature", handle, size_t, handle *)(model, i, &signature->handle),
          "find a signature");
    check(FUNCTION("LiteRtGetSignatureKey", handle, const char **)(signature->handle, &signature->key),
          "name a signature");
    read_side(library, signature->handle, true, &signature->inputs);
    read_side(library, signature->handle, false, &signature->outputs);
  }
  create_managed = symbol(library, "LiteRtCreateManagedTensorBufferFromRequirements");
  lock_buffer = symbol(library, "LiteRtLockTensorBuffer");
  unlock_buffer = symbol(library, "LiteRtUnlockTensorBuffer");
  packed_size = symbol(library, "LiteRtGetTensorBufferPackedSize");
  run_compiled = symbol(library, "LiteRtRunCompiledModel");
  input_requirements = symbol(library, "LiteRtGetCompiledModelInputBufferRequirements");
  output_requirements = symbol(library, "LiteRtGetCompiledModelOutputBufferRequirements");
  return NULL;
}

static void open_side(const struct signature *signature, struct side *side, bool input) {
  for (size_t i = 0; i < side->count; i++) {
    handle requirements;
    check((input ? input_requirements : output_requirements)(compiled, signature->index, i, &requirements),
          "tell what a buffer needs");
    check(create_managed(environment, &side->types[i], requirements, &side->buffers[i]), "create a buffer");
  }
}

/* Buffers of a signature are created at its first run, and kept. */
static struct signature *opened(const char *key) {
  for (size_t i = 0; i < signature_count; i++) {
    struct signature *signature = &signatures[i];
    if (strcmp(signature->key, key) != 0) continue;
    if (!signature->open) {
      open_side(signature, &signature->inputs, true);
      open_side(signature, &signature->outputs, false);
      signature->open = true;
    }
    return signature;
  }
  fail("the model has no signature %s", key);
}

static const struct tensor *named(const struct sample *sample, const char *name) {
  for (uint32_t i = 0; i < sample->count; i++)
    if (strcmp(sample->tensors[i].name, name) == 0) return &sample->tensors[i];
  fail("no input is called %s", name);
}

static void run(const struct sample *sample) {
  struct signature *signature = opened(sample->signature);
  for (size_t i = 0; i < signature->inputs.count; i++) {
    const struct tensor *input = named(sample, signature->inputs.names[i]);
    void *memory;
    size_t size;
    check(packed_size(signature->inputs.buffers[i], &size), "tell a buffer's size");
    if (size != input->bytes || input->type != TYPE_INT32 || signature->inputs.types[i].element != ELEMENT_INT32)
      fail("%s must have %zu bytes of int32", input->name, size);
    check(lock_buffer(signature->inputs.buffers[i], &memory, WRITE), "open an input");
    memcpy(memory, input->data, size);
    check(unlock_buffer(signature->inputs.buffers[i]), "close an input");
  }
  check(run_compiled(compiled, signature->index, signature->inputs.count, signature->inputs.buffers,
                     signature->outputs.count, signature->outputs.buffers),
        "run the model");
  last = signature;
}

static void write_outputs(FILE *file, const struct sample *inputs) {
  write_sample_head(file, inputs->signature, (uint32_t)last->outputs.count);
  for (size_t i = 0; i < last->outputs.count; i++) {
    const struct tensor_type *type = &last->outputs.types[i];
    struct tensor tensor = {.name = (char *)last->outputs.names[i], .type = TYPE_FLOAT};
    size_t size;
    if (type->element != TYPE_FLOAT) fail("%s is not a float tensor", tensor.name);
    tensor.rank = type->rank_and_flags & 0x7f;
    for (uint32_t axis = 0; axis < tensor.rank; axis++) tensor.dims[axis] = type->dims[axis];
    check(packed_size(last->outputs.buffers[i], &size), "tell a buffer's size");
    tensor.bytes = size;
    check(lock_buffer(last->outputs.buffers[i], &tensor.data, READ), "open an output");
    write_tensor(file, &tensor);
    check(unlock_buffer(last->outputs.buffers[i]), "close an output");
  }
}

const struct engine litert_engine = {"litert", open_model, run, write_outputs};
