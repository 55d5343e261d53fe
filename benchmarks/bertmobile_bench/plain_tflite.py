"""The script a developer would write without us: one length, full logits, int8, no check of any kind.

Usage: python -m bertmobile_bench.plain_tflite CHECKPOINT LENGTH FILE
"""

import sys
from pathlib import Path

import litert_torch
import torch
from litert_quantizer import quantizer, recipe
from torch import nn
from transformers import BertForMaskedLM


class _Named(nn.Module):
    """Inputs and outputs by name."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        outputs = self.model(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        )
        return {"logits": outputs.logits}


def main(checkpoint: str, length: int, path: Path) -> None:
    model = BertForMaskedLM.from_pretrained(checkpoint).eval()
    inputs = {
        name: torch.ones(1, length, dtype=torch.int32)
        for name in ("input_ids", "attention_mask", "token_type_ids")
    }
    float32 = path.with_suffix(".float32.tflite")
    litert_torch.convert(_Named(model).eval(), sample_kwargs=inputs).export(str(float32))
    quantized = quantizer.Quantizer(str(float32), recipe.dynamic_wi8_afp32()).quantize()
    quantized.export_model(str(path), overwrite=True)
    float32.unlink()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
