"""Results of the codec do not depend on settings of the host program, and leave them as they were."""

from __future__ import annotations

import contextlib
import decimal
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import nvcodec
from nvcodec.host import settings as host_settings
from nvcodec.host.settings import OwnSettings, own_random_numbers
from nvcodec.metrics import ms_ssim
from nvcodec.models.latentgrid import wavelets
from nvcodec.tokenizer.tokenizer import VideoTokenizer

GOLDEN = Path(__file__).parents[1] / "golden" / "v1"
STREAMS = ("latentgrid-predicted-rgb", "hnerv-yuv420", "nirvana-predicted-yuv420", "ngp-yuv420")


class Doubling(TorchFunctionMode):
    """A mode that changes what functions of torch return."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        floating = isinstance(result, torch.Tensor) and result.is_floating_point()
        return result * 2 if floating else result


class Forbidding(TorchDispatchMode):
    """A mode that computes nothing."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        raise AssertionError(f"{function} reached a mode of the host")


@contextlib.contextmanager
def default_type(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def medium_precision() -> Iterator[None]:
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision("highest")


@contextlib.contextmanager
def low_precision() -> Iterator[None]:
    torch.backends.fp32_precision, torch.backends.mkldnn.fp32_precision = "tf32", "bf16"
    yield
    torch.backends.fp32_precision = torch.backends.mkldnn.fp32_precision = "none"


@contextlib.contextmanager
def switched(put: Callable[[bool], object]) -> Iterator[None]:
    put(True)
    try:
        yield
    finally:
        put(False)


@contextlib.contextmanager
def strict_numbers() -> Iterator[None]:
    with np.errstate(all="raise"), decimal.localcontext() as context, warnings.catch_warnings():
        context.prec = 2
        warnings.simplefilter("error")
        yield


HOSTS = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "float64": lambda: default_type(torch.float64),
    "float16": lambda: default_type(torch.float16),
    "bfloat16": lambda: default_type(torch.bfloat16),
    "device": lambda: torch.device("meta"),
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "medium": medium_precision,
    "low": low_precision,
    "deterministic": lambda: switched(torch._C._set_deterministic_algorithms),
    "denormals": lambda: switched(torch.set_flush_denormal),
    "no_mkldnn": lambda: switched(lambda off: torch._C._set_mkldnn_enabled(not off)),
    "function_mode": Doubling,
    "dispatch_mode": Forbidding,
    "numbers": strict_numbers,
}


@contextlib.contextmanager
def all_together() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for name in ("autocast", "bfloat16", "inference", "low", "denormals", "function_mode"):
            stack.enter_context(HOSTS[name]())
        yield


HOSTS["all"] = all_together
in_every_host = pytest.mark.parametrize("host", HOSTS)
in_some_hosts = pytest.mark.parametrize("host", ["all", "float64", "device", "numbers"])


def settings_of_host() -> dict[str, object]:
    """Return what the codec must leave as it was."""
    precisions = {
        (backend, name): torch._C._get_fp32_precision_getter(backend, name)
        for backend in ("generic", "cuda", "mkldnn")
        for name in ("all", "matmul", "conv", "rnn")
        if (backend, name[0]) not in (("generic", "m"), ("generic", "c"), ("generic", "r"))
    }
    return {
        **precisions,
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul": torch.get_float32_matmul_precision(),
        "denormals": sys.float_info.min / float(2) == 0,
        "mkldnn": torch._C._get_mkldnn_enabled(),
        "threads": torch.get_num_threads(),
        "numpy": np.geterr(),
        "filters": list(warnings.filters),
        "torch seed": torch.get_rng_state().tolist(),
        "numpy seed": repr(np.random.get_state()),
        "python seed": random.getstate(),
    }


def everything(path: Path) -> list[np.ndarray]:
    """Decode a file in every way: frames, pictures between frames, another size."""
    with nvcodec.open(path, device="cpu") as video:
        seconds = float(video.info.time_base) * 1.5
        return [
            video[:],
            video.pictures_at([0, seconds], size=(40, 28)),
            next(video.frames(size=(30, 22))).y,
        ]


def under(host: str, compute: Callable[[], list[np.ndarray]]) -> list[np.ndarray]:
    """Compute something under the settings of a host, and check that they stay."""
    with HOSTS[host]():
        if host in ("device", "dispatch_mode"):  # the check itself would not work
            return compute()
        before = settings_of_host()
        result = compute()
        assert settings_of_host() == before
    return result


@in_every_host
@pytest.mark.parametrize("name", STREAMS)
def test_decoding(name, host):
    path = GOLDEN / name / "stream.nvc"
    expected = everything(path)
    for ours, theirs in zip(under(host, lambda: everything(path)), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


ENCODES = {
    "latentgrid": {"model": "latentgrid", "preset": "ultrafast", "bpp": 0.5},
    "hnerv": {"model": "hnerv", "epochs": 2, "parameters": 2500},
}


@pytest.fixture(scope="module")
def encoded(tmp_path_factory) -> Callable[[str, Path], list[np.ndarray]]:
    """Return a function that encodes a clip, and returns the bytes of the file."""

    def encode(model: str, clip: Path) -> list[np.ndarray]:
        target = tmp_path_factory.mktemp("hosts") / "a.nvc"
        config = nvcodec.EncoderConfig(**ENCODES[model], audio=False, device="cpu")
        nvcodec.encode(clip, target, config, measure=False)
        return [np.frombuffer(target.read_bytes(), np.uint8)]

    return encode


@pytest.mark.parametrize(
    ("model", "host"),
    [*product(["hnerv"], HOSTS), ("latentgrid", "all"), ("latentgrid", "numbers")],
)
def test_encoding(model, host, small_clip, few_context_steps, encoded, plain):
    expected = plain(model, lambda: encoded(model, small_clip))
    (found,) = under(host, lambda: encoded(model, small_clip))
    np.testing.assert_array_equal(found, expected[0])


@pytest.fixture
def small_clip(shared_folder, make_clip) -> Path:
    """Return a clip of 3 frames of 24x16."""
    path = shared_folder / "hosts.mkv"
    if not path.exists():
        make_clip("hosts.mkv", frames=3, size=(24, 16), codec="ffv1").rename(path)
    return path


@pytest.fixture(scope="module")
def plain() -> Callable[[str, Callable[[], list[np.ndarray]]], list[np.ndarray]]:
    """Return a function that computes something once, without a host."""
    known: dict[str, list[np.ndarray]] = {}

    def once(name: str, compute: Callable[[], list[np.ndarray]]) -> list[np.ndarray]:
        if name not in known:
            known[name] = compute()
        return known[name]

    return once


@in_some_hosts
def test_tokens(host, plain):
    pictures = np.random.default_rng(0).integers(0, 256, (5, 40, 50, 3), dtype=np.uint8)

    def tokens() -> list[np.ndarray]:
        tokenizer = VideoTokenizer.from_pretrained()
        encoded = tokenizer.encode(pictures)
        preview = tokenizer.decode(encoded.indices)
        return [encoded.indices.numpy(), encoded.codes.numpy(), preview.numpy()]

    expected = plain("tokens", tokens)
    for ours, theirs in zip(under(host, tokens), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@in_some_hosts
def test_comparison(host, plain, clip, stream):
    def compared() -> list[np.ndarray]:
        comparison = nvcodec.compare(clip, stream, device="cpu")
        large = np.random.default_rng(0).integers(0, 256, (2, 1, 192, 180), dtype=np.uint8)
        quality = comparison.quality
        return [np.array([quality.psnr_yuv, quality.psnr_rgb]), ms_ssim(*large)]

    expected = plain("comparison", compared)
    for ours, theirs in zip(under(host, compared), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def tf32(values: torch.Tensor) -> torch.Tensor:
    """Round to the 10 bits of a mantissa of TF32."""
    bits = values.view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


@pytest.mark.parametrize("legacy", [False, True])
def test_wavelets_are_synthesised_without_tf32(legacy, monkeypatch):
    """The convolution rounds its operands as cuDNN does when the switch that it reads is on."""
    plain_convolution = torch.nn.functional.conv2d
    precisions = []

    def convolution(x, weight):
        precisions.append(torch._C._get_fp32_precision_getter("cuda", "conv"))
        if precisions[-1] == "tf32":
            x, weight = tf32(x), tf32(weight)
        return plain_convolution(x, weight)

    path = GOLDEN / "latentgrid-yuv420" / "stream.nvc"
    expected = everything(path)
    monkeypatch.setattr(wavelets.F, "conv2d", convolution)
    # The CPU stands for a CUDA device, whose switches are set then.
    monkeypatch.setitem(host_settings._SWITCHES, "cpu", host_settings._SWITCHES["cuda"])
    if legacy:  # otherwise TF32 is on because that is the default of cuDNN
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert torch._C._get_fp32_precision_getter("cuda", "conv") == "tf32"
    for ours, theirs in zip(everything(path), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert set(precisions) == {"ieee"}
    assert torch._C._get_fp32_precision_getter("cuda", "conv") == "tf32"
    assert torch.backends.cudnn.allow_tf32


def test_threads_share_the_switches_of_the_process():
    """The last thread to leave restores what the host chose, however they overlap."""
    inside, leave = threading.Barrier(3), [threading.Event(), threading.Event()]
    seen = []

    def compute(number: int) -> None:
        with OwnSettings(("cpu", "cuda")[number]):
            inside.wait(10)
            assert leave[number].wait(10)
            seen.append(torch.get_default_dtype())

    with default_type(torch.float64):
        threads = [threading.Thread(target=compute, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        inside.wait(10)
        for thread, event in zip(threads, leave, strict=True):
            assert torch.get_default_dtype() == torch.float32
            event.set()
            thread.join()
        assert seen == [torch.float32] * 2
        assert torch.get_default_dtype() == torch.float64


def test_a_choice_of_the_host_meanwhile_stays():
    with default_type(torch.float64):
        with OwnSettings():
            torch.set_default_dtype(torch.bfloat16)
            with OwnSettings():
                assert torch.get_default_dtype() == torch.float32
        assert torch.get_default_dtype() == torch.bfloat16


def test_many_threads_leave_everything_as_it_was():
    """Networks draw weights when they are opened; none of that is seen outside."""
    paths = [GOLDEN / name / "stream.nvc" for name in STREAMS]
    expected = [everything(path) for path in paths]
    found: list[list[np.ndarray] | None] = [None] * len(paths)

    def decode(number: int) -> None:
        found[number] = everything(paths[number])

    torch.manual_seed(5)
    with default_type(torch.float64):
        before = settings_of_host()
        threads = [threading.Thread(target=decode, args=(n,)) for n in range(len(paths))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert settings_of_host() == before
    for ours, theirs in zip(found, expected, strict=True):
        assert ours is not None
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)


def test_an_error_restores_the_settings():
    with default_type(torch.float64):
        with pytest.raises(ValueError), OwnSettings():
            raise ValueError
        assert torch.get_default_dtype() == torch.float64


def test_own_random_numbers_leave_those_of_the_host():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with own_random_numbers(1):
        first = torch.rand(4)
    with own_random_numbers(1):
        assert torch.equal(torch.rand(4), first)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
@pytest.mark.parametrize("held", ["_lock", "_random_lock"])
def test_a_fork_while_another_thread_computes(held):
    """In the child nobody holds a lock, and what the other thread has set is the host's again."""
    inside, leave, ended = threading.Event(), threading.Event(), threading.Event()

    def compute() -> None:
        with OwnSettings():
            inside.set()
            leave.wait()
        while not ended.is_set():
            with getattr(host_settings, held):  # at almost every moment, so that a fork meets it
                time.sleep(0.001)

    with default_type(torch.float64):
        thread = threading.Thread(target=compute)
        thread.start()
        inside.wait()
        try:
            assert _status_of_child(lambda: torch.get_default_dtype() == torch.float64) == 0
            assert torch.get_default_dtype() == torch.float32  # the other thread computes still
            leave.set()
            assert [_status_of_child(_enters) for _ in range(5)] == [0] * 5
        finally:
            leave.set()
            ended.set()
            thread.join()
        assert torch.get_default_dtype() == torch.float64


def _enters() -> bool:
    """Compute with settings and random numbers of the codec; return whether that left no trace."""
    before = torch.get_default_dtype()
    with OwnSettings(), own_random_numbers():
        own = torch.get_default_dtype()
    return own == torch.float32 and torch.get_default_dtype() == before


def _status_of_child(holds: Callable[[], bool]) -> int:
    """Return the exit status of a forked child: 0 if something holds there, -14 if it hangs."""
    pid = os.fork()
    if not pid:
        signal.alarm(5)
        os._exit(not holds())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
