"""The smallest network that OpenCV's face recogniser takes: the mean of each colour of a 112 px face, as ONNX bytes."""


def _number(field: int, value: int) -> bytes:
    return bytes([field << 3]) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _tensor(name: bytes, shape: tuple[int, ...]) -> bytes:
    """ValueInfoProto of float32."""
    dims = b"".join(_bytes(1, _number(1, size)) for size in shape)
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, 1) + _bytes(2, dims)))


def mean_colour() -> bytes:
    node = _bytes(1, b"data") + _bytes(2, b"mean") + _bytes(3, b"pool") + _bytes(4, b"GlobalAveragePool")
    graph = _bytes(1, node) + _bytes(2, b"tiny")
    graph += _bytes(11, _tensor(b"data", (1, 3, 112, 112))) + _bytes(12, _tensor(b"mean", (1, 3, 1, 1)))
    return _number(1, 7) + _bytes(7, graph) + _bytes(8, _bytes(1, b"") + _number(2, 11))
