/* Runs the signatures of a SavedModel with TensorFlow's C library: the loader a model server uses, and no Python.
 *
 *   loader SAVED_MODEL_DIR MANIFEST
 *
 * The manifest has one word sequence per line:
 *   in TENSOR TYPE FILE RANK SIZE...   a tensor's name, its TF_DataType, the raw file with its values, its shape
 *   out TENSOR FILE                    where to write the values of an output
 *   run                                runs what has been named since the last `run`
 * For each output it prints: FILE TYPE RANK SIZE...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

#define MOST 32

/* What a model server does unless a flag tells it otherwise: tensorflow::DisableXlaCompilation(). */
extern void disable_xla(void) __asm__("_ZN10tensorflow21DisableXlaCompilationEv");

static void fail(const char* what, const char* why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void check(const char* what, TF_Status* status) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

static TF_Output find(TF_Graph* graph, char* name) {
  char* colon = strrchr(name, ':');
  TF_Output output;
  if (colon == NULL) fail(name, "not OPERATION:INDEX");
  *colon = '\0';
  output.oper = TF_GraphOperationByName(graph, name);
  output.index = atoi(colon + 1);
  if (output.oper == NULL) fail(name, "no such operation");
  return output;
}

static TF_Tensor* read_tensor(FILE* manifest, int type, const char* path) {
  int64_t sizes[MOST];
  long long size;
  int rank;
  size_t bytes = TF_DataTypeSize((TF_DataType)type);
  if (fscanf(manifest, "%d", &rank) != 1 || rank > MOST) fail(path, "no rank");
  for (int i = 0; i < rank; i++) {
    if (fscanf(manifest, "%lld", &size) != 1) fail(path, "no size");
    sizes[i] = size;
    bytes *= (size_t)size;
  }
  TF_Tensor* tensor = TF_AllocateTensor((TF_DataType)type, sizes, rank, bytes);
  FILE* file = fopen(path, "rb");
  if (file == NULL || fread(TF_TensorData(tensor), 1, bytes, file) != bytes) fail(path, "can't read");
  fclose(file);
  return tensor;
}

static void write_tensor(TF_Tensor* tensor, const char* path) {
  FILE* file = fopen(path, "wb");
  size_t bytes = TF_TensorByteSize(tensor);
  if (file == NULL || fwrite(TF_TensorData(tensor), 1, bytes, file) != bytes) fail(path, "can't write");
  fclose(file);
  printf("%s %d %d", path, (int)TF_TensorType(tensor), TF_NumDims(tensor));
  for (int i = 0; i < TF_NumDims(tensor); i++) printf(" %lld", (long long)TF_Dim(tensor, i));
  printf("\n");
}

static void serve(TF_Session* session, TF_Graph* graph, FILE* manifest) {
  TF_Output inputs[MOST], outputs[MOST];
  TF_Tensor *values[MOST], *results[MOST];
  char word[8], name[512], path[4096], paths[MOST][4096];
  int type, num_inputs = 0, num_outputs = 0;
  TF_Status* status = TF_NewStatus();
  while (fscanf(manifest, "%7s", word) == 1) {
    if (num_inputs == MOST || num_outputs == MOST) fail("manifest", "too many tensors");
    if (strcmp(word, "in") == 0) {
      if (fscanf(manifest, "%511s %d %4095s", name, &type, path) != 3) fail("manifest", "bad input");
      inputs[num_inputs] = find(graph, name);
      values[num_inputs++] = read_tensor(manifest, type, path);
    } else if (strcmp(word, "out") == 0) {
      if (fscanf(manifest, "%511s %4095s", name, paths[num_outputs]) != 2) fail("manifest", "bad output");
      outputs[num_outputs++] = find(graph, name);
    } else {
      TF_SessionRun(session, NULL, inputs, values, num_inputs, outputs, results, num_outputs, NULL, 0, NULL, status);
      check("run", status);
      for (int i = 0; i < num_inputs; i++) TF_DeleteTensor(values[i]);
      for (int i = 0; i < num_outputs; i++) {
        write_tensor(results[i], paths[i]);
        TF_DeleteTensor(results[i]);
      }
      num_inputs = num_outputs = 0;
    }
  }
  TF_DeleteStatus(status);
}

int main(int argc, char** argv) {
  if (argc != 3) fail("usage", "loader SAVED_MODEL_DIR MANIFEST");
  disable_xla();
  const char* tags[] = {"serve"};
  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  TF_Session* session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL, status);
  check("load", status);
  FILE* manifest = fopen(argv[2], "r");
  if (manifest == NULL) fail(argv[2], "can't read");
  serve(session, graph, manifest);
  fclose(manifest);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
