"""The oracle's own model as an engine: a tiny Hugging Face BERT with seeded weights."""

import torch
import transformers

from .helpers import HIDDEN, VOCABULARY

_CLASSES = {
    "fill-mask": transformers.BertForMaskedLM,
    "next-sentence": transformers.BertForNextSentencePrediction,
    "text-classification": transformers.BertForSequenceClassification,
    "token-classification": transformers.BertForTokenClassification,
    "question-answering": transformers.BertForQuestionAnswering,
    "feature-extraction": transformers.BertModel,
}


def tiny_bert(manifest):
    """A model whose outputs are far from flat: a fresh initialisation would answer everything alike."""
    config = transformers.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=512,
        id2label=dict(enumerate(manifest.labels)) or None,
        label2id={label: index for index, label in enumerate(manifest.labels)} or None,
        problem_type=manifest.problem_type,
    )
    torch.manual_seed(7)
    model = _CLASSES[manifest.task](config).eval()
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.mul_(20)
    return model


class TorchEngine:
    name = "torch"
    version = torch.__version__

    def __init__(self, manifest, model):
        self.manifest = manifest
        self.model = model
        self.runs = 0

    def run(self, inputs):
        self.runs += 1
        assert set(inputs) == {spec.name for spec in self.manifest.inputs}
        for spec in self.manifest.inputs:
            assert inputs[spec.name].dtype == spec.dtype
        tensors = {name: torch.from_numpy(values).long() for name, values in inputs.items()}
        positions = tensors.pop("mask_positions", None)
        pooled = tensors.pop("pooling_mask", tensors["attention_mask"])
        with torch.no_grad():
            outputs = dict(self.model(**tensors).items())
        if positions is not None:
            outputs["logits"] = outputs["logits"][:, positions[0]]
        if self.manifest.task == "feature-extraction":
            keep = pooled.unsqueeze(-1)
            states = outputs["last_hidden_state"]
            outputs["sentence_embedding"] = (states * keep).sum(1) / keep.sum(1)
        return {spec.name: outputs[spec.name].numpy().copy() for spec in self.manifest.outputs}

    def close(self):
        pass
