"""TensorBoard's event files: protocol buffers in TFRecord frames.

Only scalars and restarts are written, six fields in all. TensorBoard's own writer would bring a tree of packages, and
tensorboardX imports torch, which the coordinator does without.
"""

import struct
from collections.abc import Mapping

_POLYNOMIAL = 0x82F63B78


def _crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_CRCS = tuple(map(_crc_of_byte, range(256)))


def version_record(wall_time: float) -> bytes:
    """The record that every file begins with."""
    return _record(wall_time, 0, _bytes_field(3, b"brain.Event:2"))


def restart_record(wall_time: float, step: int) -> bytes:
    """Tell TensorBoard to forget what it has read of `step` and later ones: they are trained again."""
    return _record(wall_time, step, _bytes_field(7, _varint_field(1, 1)))


def scalars_record(wall_time: float, step: int, scalars: Mapping[str, float]) -> bytes:
    """The values of tags at a step."""
    values = (_bytes_field(1, tag.encode()) + _float_field(2, value) for tag, value in scalars.items())
    return _record(wall_time, step, _bytes_field(5, b"".join(_bytes_field(1, value) for value in values)))


def _record(wall_time: float, step: int, content: bytes) -> bytes:
    event = b"\x09" + struct.pack("<d", wall_time) + _varint_field(2, step) + content
    length = struct.pack("<Q", len(event))
    return length + _checksum(length) + event + _checksum(event)


def _checksum(data: bytes) -> bytes:
    """CRC-32C, masked as TFRecord wants it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRCS[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF)


def _varint_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes_field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _float_field(number: int, value: float) -> bytes:
    return _varint(number << 3 | 5) + struct.pack("<f", value)


def _varint(value: int) -> bytes:
    groups = []
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
