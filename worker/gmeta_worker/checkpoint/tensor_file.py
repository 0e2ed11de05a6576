"""Writing tensors as a safetensors file, straight from their memory.

The library's own `save` makes two more copies of every tensor and lets no other thread run meanwhile, a second for
every 256 MB: training would stand still for as long. The format is simple: the length of a JSON header in 8 bytes, the
header, and the tensors' bytes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import xxhash
from torch import Tensor

from gmeta_worker.checkpoint.files import write_durably
from gmeta_worker.checkpoint.object_path import Folder

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_ALIGNMENT = 8


@dataclass(frozen=True)
class Written:
    """Size and checksum of a file."""

    bytes: int
    xxh3: str


def write_tensors(path: Folder, tensors: Mapping[str, Tensor]) -> Written:
    """Write `tensors` to the safetensors file `path`, durably.

    Raises:
        CheckpointError: the file cannot be written.
    """
    # Wide numbers first, so that every tensor is aligned.
    ordered = dict(sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0])))
    pieces = [_header(ordered), *map(_bytes, ordered.values())]
    digest = xxhash.xxh3_64()
    for piece in pieces:
        digest.update(piece)
    write_durably(path, *pieces)
    return Written(sum(len(piece) for piece in pieces), digest.hexdigest())


def _header(tensors: Mapping[str, Tensor]) -> memoryview:
    entries, end = {}, 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        entries[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    padded = text + b" " * (-len(text) % _ALIGNMENT)
    return memoryview(len(padded).to_bytes(8, "little") + padded)


def _bytes(tensor: Tensor) -> memoryview:
    """The tensor's numbers in row-major order; no copy where they already lie so in the machine's memory."""
    if tensor.numel() == 0:
        return memoryview(b"")
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data
