/* ONNX Runtime through its C API, without its header.
 *
 * The API is a table of functions to which releases only append; OrtGetApiBase() gives the table of a version.
 * Places: https://github.com/microsoft/onnxruntime/blob/main/include/onnxruntime/core/session/onnxruntime_c_api.h
 */
#include <string.h>

#include "runner.h"

#define API_VERSION 17u /* of a release that Android still gets from Maven; newer ones serve it too */
#define FATAL 4         /* errors come back as a status, too */
#define DEVICE_ALLOCATOR 0
#define CPU_MEMORY 0
#define MAX_TENSORS 16

enum place {
  GET_ERROR_MESSAGE = 2,
  CREATE_ENV = 3,
  DISABLE_TELEMETRY_EVENTS = 6,
  CREATE_SESSION = 7,
  RUN = 9,
  CREATE_SESSION_OPTIONS = 10,
  SET_SESSION_LOG_SEVERITY_LEVEL = 22,
  SET_INTRA_OP_NUM_THREADS = 24,
  SET_INTER_OP_NUM_THREADS = 25,
  SESSION_GET_OUTPUT_COUNT = 31,
  SESSION_GET_OUTPUT_NAME = 37,
  CREATE_TENSOR_WITH_DATA = 49,
  GET_TENSOR_MUTABLE_DATA = 51,
  GET_TENSOR_ELEMENT_TYPE = 60,
  GET_DIMENSIONS_COUNT = 61,
  GET_DIMENSIONS = 62,
  GET_TENSOR_TYPE_AND_SHAPE = 65,
  CREATE_CPU_MEMORY_INFO = 69,
  GET_ALLOCATOR = 78,
  RELEASE_VALUE = 96,
  RELEASE_TENSOR_TYPE_AND_SHAPE = 99,
};

struct api_base {
  const void *const *(*get_api)(uint32_t version);
  const char *(*version)(void);
};

static const void *const *api;
static void *session, *memory;
static size_t output_count;
static char *output_names[MAX_TENSORS];
static void *outputs[MAX_TENSORS];

/* Calls the function at a place of the table; its arguments have the types of the C API. */
#define CALL(place, ...) check(((void *(*)())api[place])(__VA_ARGS__))

static void check(void *status) {
  if (status) fail("ONNX Runtime: %s", ((const char *(*)(const void *))api[GET_ERROR_MESSAGE])(status));
}

static const char *open_model(void *library, const char *model, int threads) {
  const struct api_base *base = ((const struct api_base *(*)(void))symbol(library, "OrtGetApiBase"))();
  api = base->get_api(API_VERSION);
  if (!api) fail("ONNX Runtime %s is too old", base->version());
  void *env, *options, *allocator;
  CALL(CREATE_ENV, FATAL, "bertmobile", &env);
  CALL(DISABLE_TELEMETRY_EVENTS, env);
  CALL(CREATE_SESSION_OPTIONS, &options);
  CALL(SET_SESSION_LOG_SEVERITY_LEVEL, options, FATAL);
  CALL(SET_INTRA_OP_NUM_THREADS, options, threads);
  CALL(SET_INTER_OP_NUM_THREADS, options, 1);
  CALL(CREATE_SESSION, env, model, options, &session);
  CALL(CREATE_CPU_MEMORY_INFO, DEVICE_ALLOCATOR, CPU_MEMORY, &memory);
  CALL(GET_ALLOCATOR, &allocator);
  CALL(SESSION_GET_OUTPUT_COUNT, session, &output_count);
  if (output_count > MAX_TENSORS) fail("%zu outputs are more than any of our models has", output_count);
  for (size_t i = 0; i < output_count; i++)
    CALL(SESSION_GET_OUTPUT_NAME, session, i, allocator, &output_names[i]);
  return base->version();
}

static void release_outputs(void) {
  for (size_t i = 0; i < output_count; i++) {
    if (outputs[i]) ((void (*)(void *))api[RELEASE_VALUE])(outputs[i]);
    outputs[i] = NULL;
  }
}

static void run(const struct sample *inputs) {
  const char *names[MAX_TENSORS];
  void *values[MAX_TENSORS] = {NULL};
  if (inputs->count > MAX_TENSORS) fail("%u inputs are more than any of our models has", inputs->count);
  release_outputs();
  for (uint32_t i = 0; i < inputs->count; i++) {
    const struct tensor *input = &inputs->tensors[i];
    names[i] = input->name;
    CALL(CREATE_TENSOR_WITH_DATA, memory, input->data, (size_t)input->bytes, input->dims, (size_t)input->rank,
         (int)input->type, &values[i]);
  }
  CALL(RUN, session, NULL, names, values, (size_t)inputs->count, output_names, output_count, outputs);
  for (uint32_t i = 0; i < inputs->count; i++) ((void (*)(void *))api[RELEASE_VALUE])(values[i]);
}

static void write_outputs(FILE *file, const struct sample *inputs) {
  write_sample_head(file, inputs->signature, (uint32_t)output_count);
  for (size_t i = 0; i < output_count; i++) {
    struct tensor tensor = {.name = output_names[i], .bytes = sizeof(float)};
    void *info;
    int type;
    size_t rank;
    CALL(GET_TENSOR_TYPE_AND_SHAPE, outputs[i], &info);
    CALL(GET_TENSOR_ELEMENT_TYPE, info, &type);
    CALL(GET_DIMENSIONS_COUNT, info, &rank);
    if (type != TYPE_FLOAT || rank > MAX_RANK) fail("%s is not a float tensor of %d axes", output_names[i], MAX_RANK);
    CALL(GET_DIMENSIONS, info, tensor.dims, rank);
    ((void (*)(void *))api[RELEASE_TENSOR_TYPE_AND_SHAPE])(info);
    tensor.type = TYPE_FLOAT;
    tensor.rank = (uint32_t)rank;
    for (size_t axis = 0; axis < rank; axis++) tensor.bytes *= (uint64_t)tensor.dims[axis];
    CALL(GET_TENSOR_MUTABLE_DATA, outputs[i], &tensor.data);
    write_tensor(file, &tensor);
  }
}

const struct engine onnxruntime_engine = {"onnxruntime", open_model, run, write_outputs};
