"""A model file that MediaPipe's ``TextClassifier`` or ``TextEmbedder`` runs as it is.

MediaPipe takes a file with one subgraph, tokenizes the text itself with the vocabulary packed into the file,
and shows every output of the subgraph as it comes: each is a head of the classifier, or an embedding.
"""

import copy
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from bertmobile_export.plan import PROBABILITIES, Plan
from bertmobile_export.targets.tflite import flatbuffer, metadata

VOCABULARY_FILE = "vocab.txt"
LABELS_FILE = "labels.txt"
# By these names MediaPipe finds the inputs.
INPUTS = {
    "input_ids": metadata.TensorRole("ids", "Token ids: [CLS], the text, [SEP], padding."),
    "attention_mask": metadata.TensorRole("mask", "1 for tokens, 0 for padding."),
    "token_type_ids": metadata.TensorRole("segment_ids", "0 everywhere: one text."),
}
# What each task is to show, first; the outputs of the bundle's own contract follow.
OUTPUTS = {
    "text-classification": (
        metadata.TensorRole(PROBABILITIES, "The score of each label.", labels=LABELS_FILE),
        # A head, too, for MediaPipe; no score reaches the threshold, so it shows nothing.
        metadata.TensorRole(
            "logits",
            "The scores before softmax or sigmoid.",
            labels=LABELS_FILE,
            threshold=float(np.finfo(np.float32).max),
        ),
    ),
    "feature-extraction": (
        metadata.TensorRole("sentence_embedding", "The text's vector."),
        metadata.TensorRole("last_hidden_state", "The vectors of its tokens."),
    ),
}


def adapt(model: flatbuffer.Model, plan: Plan) -> None:
    """Give the one subgraph of ``model`` the outputs and the metadata that MediaPipe reads.

    Weights and signature stay; the signature of a classifier gains the output ``probabilities``. Outputs that
    are there for diagnosis follow, without a description.
    """
    subgraph, signature = model.subgraphs[0], model.signatureDefs[0]
    if plan.task == "text-classification":
        _add_probabilities(model, exclusive=plan.function_to_apply == "softmax")
    tensors = {entry.name.decode(): entry.tensorIndex for entry in signature.outputs}
    outputs = OUTPUTS[plan.task]
    described = [tensors.pop(role.name) for role in outputs]
    subgraph.outputs = np.array([*described, *tensors.values()], np.int32)
    names = {entry.tensorIndex: entry.name.decode() for entry in signature.inputs}
    content = metadata.bert_metadata(
        plan.bundle_name, [INPUTS[names[index]] for index in subgraph.inputs], outputs, VOCABULARY_FILE
    )
    entry = schema.MetadataT()
    entry.name = metadata.ENTRY.encode()
    entry.buffer = flatbuffer.add_buffer(model, np.frombuffer(content, np.uint8))
    model.metadata = [*(model.metadata or []), entry]


def pack_files(path: Path, plan: Plan, vocabulary: bytes) -> None:
    """Append the files that the metadata of :func:`adapt` names to a written model.

    Args:
        path: the model file.
        plan: what it was made from.
        vocabulary: one token a line, in id order, UTF-8.
    """
    files = {VOCABULARY_FILE: vocabulary}
    if plan.task == "text-classification":
        files[LABELS_FILE] = "".join(f"{label}\n" for label in plan.config.labels).encode()
    metadata.append_files(path, files)


def _add_probabilities(model: flatbuffer.Model, *, exclusive: bool) -> None:
    """Append softmax (or sigmoid, where labels do not compete) of the logits as one more output."""
    subgraph, signature = model.subgraphs[0], model.signatureDefs[0]
    logits = next(entry for entry in signature.outputs if entry.name == b"logits")
    tensor = copy.copy(subgraph.tensors[logits.tensorIndex])
    tensor.name = PROBABILITIES.encode()
    subgraph.tensors.append(tensor)
    operator = schema.OperatorT()
    operator.inputs = np.array([logits.tensorIndex], np.int32)
    operator.outputs = np.array([len(subgraph.tensors) - 1], np.int32)
    if exclusive:
        operator.opcodeIndex = flatbuffer.operator_code(model, schema.BuiltinOperator.SOFTMAX)
        operator.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
        operator.builtinOptions = schema.SoftmaxOptionsT()
        operator.builtinOptions.beta = 1.0
    else:
        operator.opcodeIndex = flatbuffer.operator_code(model, schema.BuiltinOperator.LOGISTIC)
    subgraph.operators.append(operator)
    output = copy.copy(logits)
    output.name, output.tensorIndex = PROBABILITIES.encode(), len(subgraph.tensors) - 1
    signature.outputs = [*signature.outputs, output]
