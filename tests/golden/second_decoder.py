"""A second decoder for `.nvc` files, written from docs/bitstream.md alone.

It is long on purpose: one file follows the document section by section. It imports nothing of the
project, so that the golden streams test the document and not the code. Section numbers in the
comments are those of the document. It is slow, so pictures must be small.
"""

import bisect
import functools
import importlib.util
import itertools
import math
import struct
import types
import zlib
from pathlib import Path

import numpy as np

# Section 16.
R_LISTED = """
   1440801    5145013   15004422   36905875   78665070  148652826  253857248  398132550
 581260615  799036310 1044178424 1307656790 1580030169 1852521207 2117713904 2369882518
2605029347 2820730047 3015876649 3190386796 3344923893 3480652712 3599040369 3701703250
3790295335 3866431115 3931635878 3987316692 4034748382 4075069962 4109287957 4138284039
4162825044 4183574096 4201101925 4215897841 4228380000 4238904802 4247775344 4255248918
4261543595 4266843974 4271306145 4275061981 4278222805 4280882540 4283120382 4285003080
4286586875 4287919135 4289039749 4289982295 4290775039 4291441769 4292002499 4292474072
4292870656 4293204170 4293484642 4293720503 4293918848 4294085643 4294225905 4294343854
"""
R = [int(word) for word in R_LISTED.split()]
STEPS = (8388608, 9147842, 9975792, 10878679, 11863283, 12937002, 14107901, 15384775)
ONE = 1 << 32


def check(condition, what):
    if not condition:
        raise ValueError(what)


class Bytes:
    """A reader of the types of section 1, one after another."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def raw(self, size):
        check(size <= len(self.data) - self.at, f"byte {self.at}: a field passes the end")
        self.at += size
        return self.data[self.at - size : self.at]

    def rest(self):
        return self.raw(len(self.data) - self.at)

    def fixed(self, form):
        return struct.unpack("<" + form, self.raw(struct.calcsize("<" + form)))[0]

    def uvar(self):
        value = 0
        for i in range(10):
            byte = self.fixed("B")
            value |= (byte & 127) << 7 * i
            if byte < 128:
                check((byte or not i) and value < 1 << 64, "not a valid uvar")
                return value
        raise ValueError("a uvar of more than ten bytes")

    def svar(self):
        value = self.uvar()
        return -(value + 1) // 2 if value & 1 else value // 2

    def bytes(self):
        return self.raw(self.uvar())

    def ratio(self):
        return self.uvar(), self.uvar()


# Part 1: the container.


def sections(data):
    """Yield type and payload of each section, front to back (sections 2 and 3)."""
    check(data[:8] == b"\x8aNVC\r\n\x1a\n" and data[8] == 1, "not a version 1 file")
    file, kind = Bytes(data), b""
    file.at = 10
    while kind != b"DONE":
        start = file.at
        kind = file.raw(4)
        payload = file.bytes()
        crc = zlib.crc32(data[0 if kind == b"HEAD" else start : file.at])
        check(crc == file.fixed("I"), f"{kind}: checksum")
        yield kind, payload


def read_head(payload, minor):
    b = Bytes(payload)
    head = {"width": b.uvar(), "height": b.uvar(), "time_base": b.ratio(), "rate": b.ratio()}
    head["aspect"] = b.ratio()
    for name in ("primaries", "transfer", "matrix", "full_range", "model", "yuv"):
        head[name] = b.fixed("B")
    check(head["model"] in range(1, 7), f"unknown model {head['model']}")
    check(head["yuv"] in (0, 1), f"unknown colour mode {head['yuv']}")
    head["config"] = b.bytes()
    head["tokens"] = None
    use = b.fixed("B") if minor and b.at < len(payload) else 0
    check(use in range(3), "a use of tokens")
    if use:
        head["tokens"] = {"use": use, "tokenizer": b.raw(16).hex()}
        head["tokens"] |= {"time_stride": b.fixed("B"), "space_stride": b.fixed("B")}
        head["tokens"]["levels"] = [b.fixed("B") for _ in range(b.fixed("B"))]
    return head


def read_pack(payload):
    """Return the track, and pts and data of each packet (section 3.4)."""
    b = Bytes(payload)
    track, count, expected, duration, packets = b.fixed("B"), b.uvar(), 0, 0, []
    for _ in range(count):
        flags = b.fixed("B")
        check(not flags & 128 and flags & 6 != 6 and flags & 24 != 24, "packet flags")
        pts = None if flags & 2 else expected + (b.svar() if flags & 4 else 0)
        base = expected if pts is None else pts
        dts = None if flags & 16 else base + b.svar() if flags & 8 else pts
        duration = b.uvar() if flags & 32 else duration
        for _ in range(b.uvar() if flags & 64 else 0):
            b.uvar(), b.bytes()
        packets.append((pts, b.bytes()))
        time = next(t for t in (pts, dts, expected) if t is not None)
        expected = min(time + duration, 2**62 - 2)
    check(not b.rest(), "bytes behind the last packet")
    return track, packets


def read_chap(payload):
    """Return start, end and title of each chapter, times in nanoseconds (section 3.9)."""
    b, chapters, start = Bytes(payload), [], 0
    for _ in range(b.uvar()):
        start += b.svar()
        chapters.append((start, start + b.uvar(), b.bytes().decode()))
    return chapters


def read_segm(payload):
    """Parse a segment (section 3.5).

    Returns whether it is predicted, the number of its first frame, pts, durations and network
    state.
    """
    b = Bytes(payload)
    flags, first, frames, start = b.fixed("B"), b.uvar(), b.uvar() + 1, b.svar()
    check(flags in range(4), "flags of SEGM")
    if flags & 2:
        timing = Bytes(zlib.decompress(b.bytes()))
        gaps = [timing.uvar() for _ in range(frames - 1)]
        durations = [gap + timing.svar() for gap in [*gaps, gaps[-1]]]
    else:
        step = b.uvar()
        gaps, durations = [step] * (frames - 1), [step + b.svar()] * frames
    pts = [start + sum(gaps[:k]) for k in range(frames)]
    return bool(flags & 1), first, pts, durations, b.rest()


# Part 2: the payload of a segment.


class Rans:
    """The rANS decoder of section 12."""

    def __init__(self, data):
        data += bytes(-len(data) % 4)
        self.words = iter(struct.unpack(f"<{len(data) // 4}I", data))
        self.x = next(self.words, 0) | next(self.words, 0) << 32

    def symbol(self, table):
        y = self.x & 0xFFFF
        v = bisect.bisect_right(table, y) - 1
        self.x = (table[v + 1] - table[v]) * (self.x >> 16) + y - table[v]
        if self.x < 1 << 31:
            self.x = self.x << 32 | next(self.words, 0)
        return v


def cumulative(masses):
    total, n = sum(masses), len(masses)
    f = [1 + (m * (65536 - n) // total if total else 0) for m in masses]
    f[masses.index(max(masses))] += 65536 - sum(f)
    return list(itertools.accumulate(f, initial=0))


def scale_table(logistic, index, low, span):
    """Return the table of the values low to low + span (section 11)."""
    r = p = R[index]
    squared, s = r * r // ONE, []
    for _ in range(max(abs(low), abs(low + span)) + 1):
        s.append(p * ONE // (ONE + p) if logistic else p // 2)
        p = p * squared // ONE
    mass = [ONE - 2 * s[0]] + [a - b for a, b in itertools.pairwise(s)]
    return cumulative([mass[abs(x)] for x in range(low, low + span + 1)])


def layers_and_latent(head, config, frames):
    """Return stages, layers as (weight shape, group) and the shape of the latents (section 13)."""
    c = Bytes(config)
    n, width = c.fixed("B"), c.fixed("H")
    boosted, n = n >> 7, n & 127
    stages = [(c.fixed("B"), c.fixed("B"), c.fixed("H")) for _ in range(n)]
    product = math.prod(s for s, _, _ in stages)
    half = 2 if head["yuv"] else 1
    native = -(-head["height"] // half), -(-head["width"] // half)
    h, w = -(-native[0] // product), -(-native[1] // product)
    net = {"native": native, "stages": stages, "first": (width, h, w), "latent": None}
    net["side"] = half * product
    z = net["boosted"] = c.fixed("B") if boosted else 0
    check(z or not boosted, "a boosted network without z")
    layers = [((2 * z, 160), 1), ((z, 2 * z), 1)] if boosted else []

    def follow(width):
        if boosted:
            half = [((z, z), 1), ((width, z), 1)] * 2 + [((width, width, 3, 3), 1)]
            layers.extend(half * 2)

    head_kernel = 1
    if head["model"] in (1, 4):
        hidden, net["levels"], net["base"] = c.fixed("H"), c.fixed("B"), c.fixed("B")
        wide = 2 * hidden if head["model"] == 4 else hidden
        layers += [((wide, 2 * net["levels"]), 1), ((width * h * w, hidden), 1)]
    elif head["model"] == 5:
        head_kernel = 3
        net["depth"] = c.fixed("B")
        check(not boosted and 1 <= net["depth"] <= 16, "a nirvana configuration")
        layers += [((width, n, 1, 1), 1) for n in (2, *[width] * (net["depth"] - 1))]
    else:
        d, net["fed"] = c.fixed("B"), bool(c.data[c.at :])
        check(not net["fed"] or c.fixed("B") == 1, "whether it is fed by tokens")
        check(net["fed"] == (head["tokens"] is not None and head["tokens"]["use"] == 2), "tokens")
        check(d or net["fed"], "no embedding and no tokens")
        net["latent"] = (frames, d, h, w) if d else None
        layers.append(((width, d + 38 * net["fed"], 1, 1), 1))
        head_kernel = 3
        follow(width)
    for s, k, out in stages:
        if head["model"] == 4:
            e = 8 * out // 3
            layers += [((out, width, 1, 1), 1), ((2 * e, out, 1, 1), 1), ((out, 1, 5, 5), 1)]
            layers += [((out, e, 1, 1), 1), ((out * s * s, out, k, k), s * s)]
            layers += [((out, 1, 3, 3), 1), ((out, out, 1, 1), 1), ((out, out, 1, 1), 1)]
        else:
            layers.append(((out * s * s, width, k, k), s * s))
        width = out
        follow(width)
    made = (6 if head["yuv"] else 3) * (frames if head["model"] == 5 else 1)
    layers.append(((made, width, head_kernel, head_kernel), 1))
    check(not c.rest(), "bytes behind the configuration")
    return net, layers


def read_array(b, n):
    """Read the part of an array that is in a tensor header (section 9)."""
    array = {"n": n, "first": b.svar(), "low": 0, "span": 0}
    if n > 1:
        array["low"], array["span"], array["scale"] = b.svar(), b.uvar(), b.fixed("B")
    return array


def finish_array(array, side):
    """Return the values of an array, with differences from the side information (section 10)."""
    low, span, differences = array["low"], array["span"], [array["low"]] * (array["n"] - 1)
    if differences and span:
        table = scale_table(False, array["scale"], low, span)
        differences = [low + side.symbol(table) for _ in differences]
    return np.cumsum([array["first"], *differences]).tolist()


def network(head, config, frames):
    """Return the network, and its tensors as (shape, channel axis, group)."""
    if head["model"] == 6:
        return part("second_ngp").layout(TOOLS, head, config)
    net, layers = layers_and_latent(head, config, frames)
    tensors = []
    for shape, group in layers:
        tensors += [(shape, 0, group), (shape[:1], 0, group)]
    if net["latent"]:
        tensors.append((net["latent"], 1, 1))
    return net, tensors


def read_tensors(head, config, frames, body):
    """Return the network, its tensors as float32, and their symbols and step indices."""
    b = Bytes(body)
    headers_length, side_length = b.uvar(), b.uvar()
    headers, side, symbols = Bytes(b.raw(headers_length)), Rans(b.raw(side_length)), Rans(b.rest())
    net, tensors = network(head, config, frames)
    parsed = []
    for shape, axis, group in tensors:
        channels, flags = shape[axis], headers.fixed("B")
        counts = (1, -(-channels // group), channels)
        t = {"family": flags & 3, "tables": flags >> 2 & 3, "steps": flags >> 4 & 3}
        t["differences"] = flags >> 6 & 1
        t["low"], t["span"] = headers.svar(), headers.uvar()
        check(3 not in (t["family"], t["tables"], t["steps"]), "tensor header")
        parameters = t["span"] + 1 if t["family"] == 2 else counts[t["tables"]]
        present = (True, t["span"] > 0, flags >> 7)
        sizes = (counts[t["steps"]], parameters, channels)
        t["arrays"] = [
            read_array(headers, n) if p else None for p, n in zip(present, sizes, strict=True)
        ]
        parsed.append(t)
    check(not headers.rest(), "bytes behind the tensor headers")
    for t in parsed:
        t["arrays"] = [finish_array(a, side) if a else None for a in t["arrays"]]

    values, coded = [], []
    for (shape, axis, group), t in zip(tensors, parsed, strict=True):
        steps, parameters, locations = t["arrays"]
        low, span = t["low"], t["span"]
        moved = (shape[axis], *shape[:axis], *shape[axis + 1 :])
        per_channel = math.prod(moved[1:])
        q = np.full((moved[0], per_channel), low, np.int64)
        if span:
            if t["family"] == 2:
                tables = [cumulative([(64, 76, 91, 108)[e % 4] << e // 4 for e in parameters])]
            else:
                tables = [scale_table(t["family"] == 1, i, low, span) for i in parameters]
            for c in range(moved[0]):
                table = tables[(0, c // group, c)[t["tables"]]]
                q[c] += [symbols.symbol(table) for _ in range(per_channel)]
        q = q.reshape(moved)
        if t["differences"]:
            q = q.cumsum(axis=1)  # latents only, whose shape here is (channels, frames, h, w)
        if locations:
            q += np.reshape(locations, (-1,) + (1,) * (q.ndim - 1))
        q = np.moveaxis(q, 0, axis)
        index = [steps[(0, c // group, c)[t["steps"]]] for c in range(moved[0])]
        step = np.array([math.ldexp(STEPS[j % 8], j // 8 - 43) for j in index], np.float32)
        step = step.reshape([-1 if i == axis else 1 for i in range(q.ndim)])
        values.append(q.astype(np.float32) * step)
        coded += [q.astype("<i4"), np.array(steps, "<i4")]
    return net, values, coded


# Section 14: the network. An activation has the shape (channels, height, width).


def gelu(x):
    return x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def silu(x):
    return x / (1 + np.exp(-x))


def convolution(x, weight, bias):
    pad = weight.shape[-1] // 2
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], (1, 2))
    return np.einsum("iyxab,oiab->oyx", windows, weight) + bias[:, None, None]


def shuffle(x, s):
    c, h, w = x.shape
    x = x.reshape(c // (s * s), s, s, h, w)
    return x.transpose(0, 3, 1, 4, 2).reshape(c // (s * s), h * s, w * s)


def depthwise(x, weight, bias):
    return np.concatenate([convolution(x[[c]], weight[[c]], bias[[c]]) for c in range(len(x))])


def bilinear(x, s):
    for axis in (1, 2):
        n = x.shape[axis]
        at = np.clip((np.arange(n * s) + 0.5) / s - 0.5, 0, n - 1)
        low = np.floor(at).astype(int)
        part = (at - low).reshape([-1 if i == axis else 1 for i in range(3)])
        above = np.take(x, np.minimum(low + 1, n - 1), axis)
        x = np.take(x, low, axis) * (1 - part) + above * part
    return x


def code(levels, base, t, frames):
    angles = [math.pi * (base / 100) ** i * t / frames for i in range(levels)]
    return np.array([f(a) for a in angles for f in (math.sin, math.cos)])


def linear(x, weight, bias):
    return weight @ x + bias


def correct(x, z, pairs):
    """Apply what follows a block of a boosted network."""
    y = x
    for turn in range(2):
        scale, shift = (
            linear(np.maximum(linear(z, *next(pairs)), 0), *next(pairs))[:, None, None]
            for _ in range(2)
        )
        y = convolution(y * (1 + scale) + shift, *next(pairs))
        y = gelu(y) if not turn else y
    return x + y


def nervpp_stage(x, s, activation, pairs):
    x = convolution(x, *next(pairs))
    (gate, value), width = np.split(convolution(x, *next(pairs)), 2), len(x)
    value = np.concatenate([depthwise(value[:width], *next(pairs)), value[width:]])
    y = x + convolution(silu(gate) * value, *next(pairs))
    y = activation(shuffle(convolution(y, *next(pairs)), s))
    z = gelu(convolution(depthwise(y, *next(pairs)), *next(pairs)))
    return bilinear(x, s) + y + convolution(z, *next(pairs))


def run_network(head, net, values, t, frames):
    values = [v.astype(np.float64) for v in values]
    pairs = iter(zip(values[0::2], values[1::2], strict=False))  # without the latents
    activation = {1: silu, 2: gelu, 4: silu, 5: gelu}[head["model"]]
    if net["boosted"]:
        activation, z = np.sin, code(80, 125, t, frames)
        z = np.sin(linear(np.sin(linear(z, *next(pairs))), *next(pairs)))
    if head["model"] == 2:
        x = values[-1][t] if net["latent"] else np.empty((0, *net["first"][1:]))
        if net["fed"]:
            where = net["first"][1:], net["side"]
            x = np.concatenate([x, part("second_tokens").around(head, head["digits"], t, *where)])
        x = activation(convolution(x, *next(pairs)))
        x = correct(x, z, pairs) if net["boosted"] else x
    elif head["model"] == 5:
        _, h, w = net["first"]
        x = np.array(np.meshgrid((2 * np.arange(w) + 1) / w - 1, (2 * np.arange(h) + 1) / h - 1))
        for _ in range(net["depth"]):
            x = np.sin(convolution(x, *next(pairs)))
    else:
        x = linear(code(net["levels"], net["base"], t, frames), *next(pairs))
        if head["model"] == 4:
            gate, x = np.split(x, 2)
            x = linear(silu(gate) * x, *next(pairs))
        else:
            x = silu(linear(silu(x), *next(pairs)))
        x = x.reshape(net["first"])
    for s, _, _ in net["stages"]:
        if head["model"] == 4:
            x = nervpp_stage(x, s, activation, pairs)
        else:
            x = activation(shuffle(convolution(x, *next(pairs)), s))
        x = correct(x, z, pairs) if net["boosted"] else x
    x = np.tanh(convolution(x, *next(pairs))) / 2 + 0.5
    if head["model"] == 5:
        x = np.split(x, frames)[t]
    return x[:, : net["native"][0], : net["native"][1]]


# Section 15: samples.


def to_planes(head, x):
    x = np.clip(np.rint(255 * x), 0, 255)
    if head["yuv"]:
        luma = shuffle(x[:4], 2)[0, : head["height"], : head["width"]]
        return [plane.astype(np.uint8) for plane in (luma, x[4], x[5])]
    return from_rgb(head, x)


def from_rgb(head, x):
    width, height = head["width"], head["height"]
    large = width >= 1280 or height > 576
    matrix = (1 if large else 5) if head["matrix"] == 2 else head["matrix"]
    check(matrix in (1, 5, 6, 9), f"matrix {matrix}")
    kr, kb = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}.get(matrix, (0.299, 0.114))
    y = kr * x[0] + (1 - kr - kb) * x[1] + kb * x[2]
    luma, chroma, offset = (1, 1, 0) if head["full_range"] else (219 / 255, 224 / 255, 16)
    planes = [offset + luma * y]
    for difference in (x[2] - y) / (2 - 2 * kb), (x[0] - y) / (2 - 2 * kr):
        d = np.pad(difference, ((0, height % 2), (1, 1 + width % 2)), "edge")
        d = ((d[:, :-2] + 2 * d[:, 1:-1] + d[:, 2:]) / 4)[:, ::2]
        planes.append(128 + chroma * (d[::2] + d[1::2]) / 2)
    return [np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in planes]


def decode_networks(head, config, frames, body, before):
    """Decode a segment of model 1, 2 or 4 to 6.

    `before` has the tensors of the previous segment and their number of frames, for a predicted
    segment. Returns symbols and steps, the planes of each frame, and such tensors for the next
    segment.
    """
    check(before is None or head["model"] == 5, "a predicted segment of another model")
    if before and not body:
        net, _ = network(head, config, frames)
        values, coded = [np.float32(0)] * len(before[0]), []
    else:
        net, values, coded = read_tensors(head, config, frames, body)
    if before:
        known, then = before
        known = [*known]
        for place in (-2, -1):
            known[place] = np.concatenate([np.split(known[place], then)[-1]] * frames)
        values = [value + base for value, base in zip(values, known, strict=True)]
        check(all(v.dtype == np.float32 for v in values), "sums in float32")
    if head["model"] == 6:
        pictures = [part("second_ngp").run(net, values, t, frames) for t in range(frames)]
    else:
        pictures = [run_network(head, net, values, t, frames) for t in range(frames)]
    return coded, [to_planes(head, x) for x in pictures], (values, frames)


def decode_grids(head, config, frames, body, before=None):
    """Decode a segment of model 3.

    `before` is the state of the last frame of the previous segment, for a predicted segment.
    Returns symbols of each kind and band with the steps, the planes of each frame, and the state of
    the last.
    """
    coded, pictures, last = part("second_latentgrid").decode(
        TOOLS, head, config, frames, body, before
    )
    if not head["yuv"]:
        pictures = [from_rgb(head, np.array(picture, np.float64)) for picture in pictures]
    return coded, pictures, last


@functools.cache
def part(name):
    """Return a part of this decoder that has a file of its own."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Functions that these parts use.
TOOLS = types.SimpleNamespace(**globals())


def decode(data):
    """Decode everything in a file, by the keys of the result."""
    out = {"pts": [], "durations": [], "symbols": [], "packets": {}, "tokens": [], "chapters": []}
    pictures, head, last, times = [], None, None, None
    for kind, payload in sections(data):
        if kind == b"HEAD":
            head = out["head"] = read_head(payload, data[9])
        elif kind == b"pack":
            track, packets = read_pack(payload)
            out["packets"].setdefault(track, []).extend(packets)
        elif kind == b"chap":
            out["chapters"] = read_chap(payload)
        elif kind == b"SEGM":
            predicted, first, pts, durations, state = read_segm(payload)
            check(times in (None, (first, pts, durations)), "tokens of another segment")
            check((times is None) == (head["tokens"] is None), "a segment without tokens")
            times = None
            check(not predicted or len(pictures), "the first segment is predicted")
            check(first == len(out["pts"]), "frames are missing")
            payload = Bytes(state)
            config = payload.bytes() or head["config"]
            read = decode_grids if head["model"] == 3 else decode_networks
            before = last if predicted else None
            coded, frames, last = read(head, config, len(pts), payload.rest(), before)
            out["pts"] += pts
            out["durations"] += durations
            out["symbols"].append(coded)
            pictures += frames
        elif head["tokens"] and kind == (b"toks", b"TOKS")[head["tokens"]["use"] - 1]:
            predicted, *times, message = read_segm(payload)
            check(not predicted, "tokens of a predicted segment")
            times, tokens = tuple(times), part("second_tokens")
            shape = tokens.grid(head, len(times[1]))
            digits = tokens.decode(TOOLS, message, shape, head["tokens"]["levels"])
            head["digits"] = digits
            out["tokens"].append(tokens.ids(head, digits))
        else:
            check(kind in (b"indx", b"DONE") or kind[0] & 32, f"unknown section {kind}")
    out["planes"] = {name: np.stack([p[i] for p in pictures]) for i, name in enumerate("yuv")}
    return out
