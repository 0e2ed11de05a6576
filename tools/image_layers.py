"""What an image adds to its base: `image_layers.py IMAGE.tar BASE.tar`, two docker-archives.

Prints the size of each layer, uncompressed, beside the instruction that made it, and their sum.
"""

import json
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Layer:
    """A layer of an image: its digest, size in bytes, and the instruction that made it."""

    digest: str
    size: int
    made_by: str


def layers(archive: Path) -> list[Layer]:
    """The layers of the one image in an archive, the lowest first."""
    with tarfile.open(archive) as tar:
        (image,) = _json(tar, "manifest.json")
        config = _json(tar, image["Config"])
        sizes = [tar.getmember(name).size for name in image["Layers"]]
    digests = config["rootfs"]["diff_ids"]
    return [Layer(*parts) for parts in zip(digests, sizes, _instructions(config), strict=True)]


def added(image: list[Layer], base: list[Layer]) -> list[Layer]:
    """The layers of `image` above `base`.

    Raises:
        ValueError: the image is not made on that base.
    """
    below = [layer.digest for layer in base]
    if [layer.digest for layer in image[: len(below)]] != below:
        raise ValueError("the image is not made on this base: its lowest layers are others")
    return image[len(below) :]


def _json(tar: tarfile.TarFile, name: str) -> Any:  # noqa: ANN401 - JSON
    file = tar.extractfile(name)
    assert file is not None, f"{name} is not a file"
    return json.load(file)


def _instructions(config: Mapping[str, Any]) -> list[str]:
    return [step.get("created_by", "") for step in config["history"] if not step.get("empty_layer")]


def main(archive: Path, base: Path) -> None:
    """Print the table."""
    above = added(layers(archive), layers(base))
    for layer in above:
        print(f"{layer.size / 1e6:8.1f} MB  {layer.made_by[:100]}")
    print(f"{sum(layer.size for layer in above) / 1e6:8.1f} MB  above the base")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
