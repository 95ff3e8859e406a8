"""What `gpucti.backends._cuda` decides and refuses without a GPU."""

import builtins
import contextlib
import sys
import types
from typing import ClassVar

import numpy as np
import pytest

from gpucti.backends._cuda import BLOCK, CudaBackend, geometry, layout, native
from gpucti.backends._cuda_device import Gpu, in_order, numbered, parameters, source
from gpucti.errors import BackendUnavailable, InputError
from gpucti.model.pctetab import Pctetab

PCTETAB = Pctetab.default()


class NoGpu:
    """A device that must not be used."""

    name, xp, multiprocessors = "none", np, 1

    def __getattr__(self, name):
        raise AssertionError(f"the device was used: {name}")


def fake_cupy(count=1, error=None, nvrtc_error=None):
    """As much of CuPy as `Gpu` looks at before it takes a device."""

    def device_count():
        if error:
            raise error
        return count

    def version():
        if nvrtc_error:
            raise nvrtc_error

    class Device(contextlib.nullcontext):
        attributes: ClassVar = {"MultiProcessorCount": 80}

    module = types.ModuleType("cupy")
    module.__version__ = "14.0"
    module.cuda = types.SimpleNamespace(
        runtime=types.SimpleNamespace(getDeviceCount=device_count),
        nvrtc=types.SimpleNamespace(getVersion=version),
        compiler=types.SimpleNamespace(CompileException=ArithmeticError),
        Device=Device,
    )
    return module


class FakeModule:
    """Stands in for `cupy.RawModule`; refuses a text that contains `broken`."""

    broken = "no such text"
    made: ClassVar = []

    def __init__(self, code, options, backend):
        assert backend == "nvrtc" and "--fmad=true" in options
        self.code = code
        self.made.append(self)

    def compile(self):
        if self.broken in self.code:
            raise ArithmeticError("kernel.cu(3): error")

    def get_function(self, name):
        return lambda *launched: self.made.append((name, *launched))


def test_a_kernel_file_is_compiled_at_its_first_use_and_once(monkeypatch):
    cupy = fake_cupy()
    cupy.RawModule = FakeModule
    monkeypatch.setattr(FakeModule, "made", [])
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    gpu = Gpu(0)
    assert FakeModule.made == []
    given = {"steps": "C", "cols": 3, "squares": "A", "rows": 2, "read_noise": 5}
    gpu.launch("noise", "choose_steps", (4, 128), **given)
    gpu.launch("noise", "choose_steps", (5, 128), **given)
    module, *launched = FakeModule.made
    assert module.code == source("noise")
    arguments = ("A", 5.0, "C", 2, 3)
    assert launched == [("choose_steps", (4,), (128,), arguments), ("choose_steps", (5,), (128,), arguments)]


def test_arguments_come_in_the_order_and_width_of_the_parameters():
    """Oracle: the declaration of limit_noise, read here by a human."""
    names = "stack noise read_noise limited signal n_pixels rows cols".split()
    kinds = [None, None, np.float64, None, None, np.int64, np.int32, np.int32]
    found = in_order("noise", "limit_noise", {name: names.index(name) for name in reversed(names)})
    assert found == tuple(range(8))
    assert all(type(value) is (kind or int) for value, kind in zip(found, kinds, strict=True))


@pytest.mark.parametrize("file", ["readout", "restore", "noise"])
def test_every_kernel_is_found_with_parameters_of_known_types(file):
    """Oracle: the text, counted."""
    known = {f"{const}{kind}{star}" for const in ("", "const ") for kind in ("double", "int", "short") for star in "*"}
    found = parameters(file)
    assert len(found) == source(file).count("__global__ void ")
    assert {kind for kinds in found.values() for kind in kinds.values()} <= known | {"int", "long long", "double"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": None}, "choose_steps of kernels/noise.cu: missing arguments: steps; unknown arguments: none"),
        ({"step": 1}, "missing arguments: none; unknown arguments: step"),
    ],
)
def test_arguments_of_other_names_are_refused(change, words):
    given = {"squares": 1, "read_noise": 2.0, "steps": 3, "rows": 4, "cols": 5} | change
    given = {name: value for name, value in given.items() if value is not None}
    with pytest.raises(TypeError, match=words):
        in_order("noise", "choose_steps", given)


def test_a_kernel_that_does_not_compile_shows_its_numbered_source(monkeypatch):
    cupy = fake_cupy()
    cupy.RawModule = FakeModule
    monkeypatch.setattr(FakeModule, "broken", "limit_noise")
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(BackendUnavailable, match=r"noise\.cu does not compile: kernel.cu\(3\): error\n   1  "):
        Gpu(0).launch("noise", "split_noise", (1, 1))


def test_without_cupy_the_message_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def no_cupy(name, *args, **kwargs):
        if name == "cupy":
            raise ModuleNotFoundError("No module named 'cupy'", name="cupy")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_cupy)
    with pytest.raises(BackendUnavailable, match=r"No module named 'cupy'.*pip install 'gpucti\[cuda12\]'"):
        CudaBackend()


@pytest.mark.parametrize(
    ("cupy", "device", "message"),
    [
        (fake_cupy(error=RuntimeError("cudaErrorNoDevice")), 0, "CuPy 14.0 is installed but no GPU answers .*NoDevice"),
        (fake_cupy(count=0), 0, "no such device; devices here: none"),
        (fake_cupy(count=2), 2, "'cuda:2': no such device; devices here: 0 to 1"),
        (fake_cupy(count=2), -1, "'cuda:-1': no such device"),
        (fake_cupy(nvrtc_error=RuntimeError("libnvrtc")), 0, "its compiler NVRTC cannot be loaded .*libnvrtc"),
    ],
    ids=["no driver", "no device", "number too high", "negative number", "no compiler"],
)
def test_an_unusable_device_says_why(monkeypatch, cupy, device, message):
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(BackendUnavailable, match=message):
        CudaBackend(device)


@pytest.mark.parametrize(
    ("n_passes", "threads"), [(28, 32), (4, 4), (7, 8), (32, 32), (17, 32), (33, 1), (10000, 1), (1, 1)]
)
def test_lanes_share_a_column_where_its_passes_fit_into_a_warp(n_passes, threads):
    assert layout(n_passes) == threads
    assert layout(n_passes, most_lanes=1) == 1


@pytest.mark.parametrize(
    ("n_items", "threads_per_item", "most", "blocks"),
    [(1, 1, None, 1), (BLOCK, 1, None, 1), (BLOCK + 1, 1, None, 2), (1024, 32, None, 256), (10**6, 32, 2 * BLOCK, 2)],
)
def test_geometry_gives_every_item_its_threads(n_items, threads_per_item, most, blocks):
    assert geometry(n_items, threads_per_item, most) == (blocks, BLOCK)


@pytest.mark.parametrize(
    "stack",
    [np.zeros((4, 3)), np.zeros((1, 4, 3), dtype=np.float32), np.zeros((1, 4, 3))[:, ::-1], [[[0.0]]]],
    ids=["two axes", "float32", "flipped view", "list"],
)
def test_a_stack_that_a_kernel_would_misread_is_refused(stack):
    backend, traps, ones = CudaBackend(gpu=NoGpu()), PCTETAB.traps(57000.0), (np.ones(1), np.ones(3))
    with pytest.raises(InputError, match="stack is a .*asarray"):
        backend.split_noise(stack, PCTETAB.options())
    with pytest.raises(InputError, match="stack is a .*asarray"):
        backend.remove_cti(stack, *ones, traps, PCTETAB.options())
    with pytest.raises(InputError, match="stack is a .*asarray"):
        backend.add_cti(stack, *ones, traps)


def test_a_stack_beyond_the_range_of_int_is_refused():
    # As many pixels as 2**31, in no memory: an axis of stride 0 would not be contiguous, an empty one is.
    for shape in [(0, 2**16, 2**15), (2**20, 0, 2**7)]:
        with pytest.raises(InputError, match="too large for one call"):
            CudaBackend(gpu=NoGpu()).split_noise(np.zeros(shape), PCTETAB.options())


def test_traps_of_another_number_of_shifts_are_refused():
    backend = CudaBackend(gpu=NoGpu())
    with pytest.raises(InputError, match="shft_nit 5, options say 4"):
        backend.remove_cti(
            np.zeros((1, 4, 3)), np.ones(1), np.ones(3), PCTETAB.traps(57000.0, 5), PCTETAB.options(shft_nit=4)
        )


@pytest.mark.parametrize("dtype", [">f4", "<f4", ">f8", ">i2", "uint8", "bool", "longdouble", "float16"])
def test_native_keeps_every_value(dtype):
    values = np.array([0, 1, 1, 0]).astype(dtype)
    found = native(values)
    assert found.dtype.isnative and found.dtype.itemsize <= 8
    np.testing.assert_array_equal(found, values)


def test_trap_functions_are_pasted_before_the_kernels():
    for file in ("readout", "restore", "noise"):
        text = source(file)
        assert text.index("double step(") < text.index('extern "C" __global__')
        assert "#include" not in text


def test_numbered_source_starts_at_line_one():
    assert numbered("a\nb").splitlines() == ["   1  a", "   2  b"]
