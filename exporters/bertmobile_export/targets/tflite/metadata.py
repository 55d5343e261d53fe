"""TFLite Metadata: the flatbuffer inside a model file that tells a client how to feed it and read it.

Field and enumeration numbers are those of ``metadata_schema.fbs``, schema version 1.5.0, as the package
``mediapipe`` carries it (``mediapipe/tasks/metadata``). A table is a dictionary from field number to value:
text, a table, a list of tables, an ``int`` for a byte, a ``float`` for a 32-bit float.
"""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, TypeAlias

import flatbuffers

# The entry of the model's own metadata that holds this flatbuffer.
ENTRY = "TFLITE_METADATA"
FILE_IDENTIFIER = b"M001"
# The oldest parser that knows BertTokenizerOptions, the newest of the tables used here.
MIN_PARSER_VERSION = "1.1.0"
# Archives know no earlier moment; a real one would make every export differ.
NO_DATE = (1980, 1, 1, 0, 0, 0)

Table: TypeAlias = dict[int, Any]


class FileType(IntEnum):
    """``AssociatedFileType``"""

    TENSOR_AXIS_LABELS = 2
    VOCABULARY = 5


class _Unit(IntEnum):
    """``ProcessUnitOptions``"""

    SCORE_THRESHOLDING = 3
    BERT_TOKENIZER = 4


@dataclass(frozen=True)
class TensorRole:
    """What a client is told about one tensor.

    Attributes:
        name: by which clients find it.
        description: for people.
        labels: name of the packed file with a label for each value, one a line.
        threshold: values below it are not shown.
    """

    name: str
    description: str
    labels: str | None = None
    threshold: float | None = None

    def table(self) -> Table:
        table: Table = {0: self.name, 1: self.description}
        if self.threshold is not None:
            table[4] = [{0: int(_Unit.SCORE_THRESHOLDING), 1: {0: self.threshold}}]
        if self.labels is not None:
            table[6] = [_associated_file(self.labels, FileType.TENSOR_AXIS_LABELS)]
        return table


def _associated_file(name: str, kind: FileType) -> Table:
    return {0: name, 2: int(kind)}


def bert_metadata(
    name: str, inputs: Sequence[TensorRole], outputs: Sequence[TensorRole], vocabulary: str
) -> bytes:
    """The flatbuffer for a model whose text goes through BERT's tokenizer.

    Args:
        name: of the model.
        inputs, outputs: in the order of the model's tensors.
        vocabulary: name of the packed file with one token a line.
    """
    tokenizer: Table = {
        0: int(_Unit.BERT_TOKENIZER),
        1: {0: [_associated_file(vocabulary, FileType.VOCABULARY)]},
    }
    subgraph: Table = {
        2: [role.table() for role in inputs],
        3: [role.table() for role in outputs],
        5: [tokenizer],
    }
    builder = flatbuffers.Builder(0)
    root = _pack(builder, {0: name, 3: [subgraph], 7: MIN_PARSER_VERSION})
    builder.Finish(root, FILE_IDENTIFIER)
    return bytes(builder.Output())


def _pack(builder: Any, value: str | Table | list[Table]) -> Any:
    """The offset of a value, written after everything that it refers to."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, list):
        offsets = [_pack(builder, table) for table in value]
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()
    packed = {
        number: field if isinstance(field, int | float) else _pack(builder, field)
        for number, field in value.items()
    }
    builder.StartObject(max(value) + 1)
    for number, field in value.items():
        if isinstance(field, int):
            builder.PrependUint8Slot(number, field, 0)
        elif isinstance(field, float):
            builder.PrependFloat32Slot(number, field, 0.0)
        else:
            builder.PrependUOffsetTRelativeSlot(number, packed[number], 0)
    return builder.EndObject()


def append_files(model: Path, files: Mapping[str, bytes]) -> None:
    """Append files to a model file, as an archive behind its last byte.

    Clients map the file and read the entries in place, so they are stored uncompressed.
    """
    with zipfile.ZipFile(model, "a") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, NO_DATE), content)
