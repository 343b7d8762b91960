"""Writing (and reading back) GGUF v3 files, as far as kith-guide needs it: F32 and Q8_0 tensors."""
import struct

import numpy as np

ALIGNMENT = 32
F32, Q8_0 = 0, 8
U32, I32, FLOAT, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
QK8_0 = 32


def pack_string(s):
    b = s.encode("utf-8")
    return struct.pack("<Q", len(b)) + b


def pack_value(kind, v):
    if kind == STRING:
        return pack_string(v)
    return struct.pack({U32: "<I", I32: "<i", FLOAT: "<f", BOOL: "<?"}[kind], v)


def pack_pair(key, kind, v):
    """kind is a value type, or (ARRAY, element type)."""
    out = pack_string(key)
    if isinstance(kind, tuple):
        out += struct.pack("<IIQ", ARRAY, kind[1], len(v))
        return out + b"".join(pack_value(kind[1], x) for x in v)
    return out + struct.pack("<I", kind) + pack_value(kind, v)


def quantise_q8_0(w):
    """[rows, cols] float32 -> bytes: per 32 values a float16 scale, then 32 int8 (halves round away from 0)."""
    blocks = w.astype(np.float32).reshape(-1, QK8_0)
    scale = np.abs(blocks).max(1) / np.float32(127)
    inverse = np.where(scale > 0, np.float32(1) / np.where(scale > 0, scale, 1), 0).astype(np.float32)
    x = blocks * inverse[:, None]
    q = (np.sign(x) * np.floor(np.abs(x) + np.float32(0.5))).astype(np.int8)
    out = np.empty(len(blocks), dtype=[("d", "<f2"), ("q", "i1", (QK8_0,))])
    out["d"], out["q"] = scale.astype(np.float16), q
    return out.tobytes()


def dequantise_q8_0(data, shape):
    b = np.frombuffer(data, dtype=[("d", "<f2"), ("q", "i1", (QK8_0,))])
    return (b["d"].astype(np.float32)[:, None] * b["q"].astype(np.float32)).reshape(shape)


def write(path, pairs, tensors):
    """pairs: [(key, kind, value)]; tensors: [(name, float32 array, F32 or Q8_0)] in file order."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs))
    head += b"".join(pack_pair(*p) for p in pairs)
    blobs, offset = [], 0
    for name, w, kind in tensors:
        data = quantise_q8_0(w) if kind == Q8_0 else w.astype("<f4").tobytes()
        dims = w.shape[::-1]  # GGUF counts dimensions from the fastest one
        head += pack_string(name) + struct.pack("<I", len(dims)) + struct.pack("<%dQ" % len(dims), *dims)
        head += struct.pack("<IQ", kind, offset)
        data += b"\0" * (-len(data) % ALIGNMENT)
        blobs.append(data)
        offset += len(data)
    head += b"\0" * (-len(head) % ALIGNMENT)
    with open(path, "wb") as f:
        f.write(head)
        for b in blobs:
            f.write(b)


def read(path):
    """-> ({key: value}, {name: float32 array}), the tensors dequantised."""
    with open(path, "rb") as f:
        data = f.read()
    at = 0

    def take(fmt):
        nonlocal at
        v = struct.unpack_from(fmt, data, at)
        at += struct.calcsize(fmt)
        return v if len(v) > 1 else v[0]

    def string():
        nonlocal at
        n = take("<Q")
        s = data[at : at + n].decode("utf-8")
        at += n
        return s

    def value(kind):
        if kind == STRING:
            return string()
        if kind == ARRAY:
            element, n = take("<IQ")
            return [value(element) for _ in range(n)]
        return take({U32: "<I", I32: "<i", FLOAT: "<f", BOOL: "<?"}[kind])

    assert data[:4] == b"GGUF"
    at = 4
    version, n_tensors, n_pairs = take("<IQQ")
    assert version == 3
    pairs = {}
    for _ in range(n_pairs):
        key = string()
        pairs[key] = value(take("<I"))
    infos = []
    for _ in range(n_tensors):
        name = string()
        n = take("<I")
        dims = [take("<Q") for _ in range(n)]
        kind, offset = take("<IQ")
        infos.append((name, dims[::-1], kind, offset))
    at += -at % ALIGNMENT
    tensors = {}
    for name, shape, kind, offset in infos:
        count = int(np.prod(shape))
        if kind == Q8_0:
            raw = data[at + offset : at + offset + count // QK8_0 * 34]
            tensors[name] = dequantise_q8_0(raw, shape)
        else:
            tensors[name] = np.frombuffer(data, "<f4", count, at + offset).reshape(shape)
    return pairs, tensors
