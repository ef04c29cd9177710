"""Files of weights, as they are written: names, kinds and arrays. What the names mean is in `weight_names`.

``.pth`` and ``.pt`` are read as tensors only, never as code; ``.safetensors`` and ``.npz`` hold nothing else.
"""

from __future__ import annotations

import contextlib
import io
import re
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from syncnas_bench.archives import open_archive, unpacked
from syncnas_bench.files import regular_bytes
from syncnas_deploy.arrays import Float32Array
from syncnas_deploy.errors import ABSENT, MissingDependency, WeightsError
from syncnas_deploy.files.npz import Accept, ArrayHeader, read_npz
from syncnas_deploy.training.weight_names import is_ours

SUFFIXES = (".pth", ".pt", ".safetensors", ".npz")
_MAX_NAMES_BYTES = 2 << 20
"""A file's list of tensors has less than 200 bytes for each."""
_MAX_DEPTH, _MAX_KEY = 4, 100
"""How deep in a checkpoint a state dict is looked for, and behind keys of how many characters."""
_SAFETENSORS_KINDS = {"BF": "bfloat", "F": "float", "I": "int", "U": "uint"}
_INSTEAD = (
    ((b"version https://git-lfs",), "is a git-lfs pointer and not the file itself; get that with git lfs pull"),
    ((b"<!doctype", b"<html", b"<?xml"), "is a web page and not the file itself; download that again"),
)


def read_arrays(path: Path, accept: Accept) -> dict[str, Float32Array]:
    """The named arrays of a file, once `accept` was told their headers.

    Raises:
        WeightsError: no such file, or not readable as one of `SUFFIXES`.
        MissingDependency: the library for that kind is not installed.
        Exception: what `accept` raises.
    """
    if path.suffix not in SUFFIXES:
        raise WeightsError(f"{path}: weights are in a {', '.join(SUFFIXES)} file, or timm:NAME.")
    try:
        size = regular_bytes(path)
        with path.open("rb") as file:
            head = file.read(64).lstrip().lower()
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file; check the path.", code=ABSENT) from None
    except OSError as e:
        raise WeightsError(f"{path}: cannot be read ({e.strerror or e}); check the path and its permissions.") from None
    if not size:  # also what /proc has, which may never end
        raise WeightsError(f"{path}: is empty; get it again.")
    for starts, what in _INSTEAD:
        if head.startswith(starts):
            raise WeightsError(f"{path}: {what}.")
    return {".npz": _from_npz, ".safetensors": _from_safetensors}.get(path.suffix, _from_torch)(path, accept)


@contextlib.contextmanager
def _reading(path: Path, what: str) -> Iterator[None]:
    """Every other error than a refusal in the block means that the file is not what it should be."""
    try:
        yield
    except (WeightsError, MissingDependency):
        raise
    except Exception as e:  # a damaged file raises whatever its reader does
        raise WeightsError(f"{path}: not a {what} ({first_line(e)}); get it again, or save it anew.") from None


def first_line(error: Exception) -> str:
    """The beginning of what an error says."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:160]


def _from_npz(path: Path, accept: Accept) -> dict[str, Float32Array]:
    with _reading(path, "readable .npz of arrays"):
        return read_npz(path, accept)


def safetensors_module() -> Any:
    """safetensors for NumPy.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        import safetensors.numpy
    except ImportError:
        raise MissingDependency(
            "safetensors is not installed; install it with: pip install 'syncnas-deploy[torch]'."
        ) from None
    return safetensors.numpy


def _from_safetensors(path: Path, accept: Accept) -> dict[str, Float32Array]:
    safetensors_module()
    from safetensors import deserialize, safe_open

    with _reading(path, "readable .safetensors"):
        with path.open("rb") as raw:
            (header_bytes,) = struct.unpack("<Q", raw.read(8))
        if header_bytes > _MAX_NAMES_BYTES:
            raise ValueError(f"its header has {header_bytes} bytes, and no network as many tensors")
        with safe_open(path, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            accept({name: _safetensors_header(part) for name, part in slices.items()})
        views: dict[str, dict[str, Any]] = dict(deserialize(path.read_bytes()))  # type: ignore[no-untyped-call]
        return {name: _floats(view) for name, view in views.items() if view["dtype"] in ("F16", "BF16", "F32", "F64")}


def _safetensors_header(part: Any) -> ArrayHeader:
    kind = re.sub(r"^(BF|F|I|U)(?=\d+$)", lambda found: _SAFETENSORS_KINDS[found[1]], part.get_dtype())
    return ArrayHeader(tuple(part.get_shape()), kind)


def _floats(view: Mapping[str, Any]) -> Float32Array:
    """A stored tensor as float32. NumPy has no bfloat16: that is the upper half of a float32."""
    data, kind = view["data"], view["dtype"]
    with np.errstate(over="ignore"):  # too large for float32 is infinite there
        stored: NDArray[Any] = np.frombuffer(data, "<u2" if kind == "BF16" else f"<f{int(kind[1:]) // 8}")
        values = (stored.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else stored.astype(np.float32)
    shaped: Float32Array = values.reshape(view["shape"])
    return shaped


class _Pickles(io.BufferedReader):
    """An old checkpoint, whose pickles are read through here and whose tensors are not."""

    left = _MAX_NAMES_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= self.left:
            raise ValueError("its list of tensors is too long")
        self.left -= size
        return super().read(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(self.left)
        _refuse_makers(line)
        self.left -= len(line)
        return line


def _refuse_makers(pickle: bytes) -> None:
    """torch lets a checkpoint ask for a bytearray of any size."""
    if b"bytearray\n" in pickle:
        raise ValueError("it asks for a bytearray")


def _from_torch(path: Path, accept: Accept) -> dict[str, Float32Array]:
    try:
        import torch
    except ImportError:
        raise MissingDependency(
            f"{path}: reading a .pth needs torch; install it with: pip install 'syncnas-deploy[torch]'."
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of pickles that it did not write and of kinds of tensors
        try:
            with path.open("rb") as raw:
                archive = raw.read(4) == b"PK\3\4"
            if archive:
                _check_torch_archive(path)
                value: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            else:
                with _Pickles(io.FileIO(path)) as old:
                    value = torch.load(old, map_location="cpu", weights_only=True)
        except Exception as e:  # a damaged file raises whatever torch does
            raise WeightsError(f"{path}: {not_tensors(e)}; save the weights alone, model.state_dict().") from None
        tensors = _state_dicts(value, torch.Tensor)
        if not tensors:
            raise WeightsError(f"{path}: holds no state dict (names with tensors); save model.state_dict().")
        accept({name: ArrayHeader(tuple(tensor.shape), _kind(tensor, torch)) for name, tensor in tensors.items()})
        # Copies, since the tensors are in the file, which may be replaced.
        return {
            name: np.array(tensor.detach().to(torch.float32).numpy())
            for name, tensor in tensors.items()
            if _kind(tensor, torch).startswith(("float", "bfloat"))
        }


def not_tensors(error: Exception) -> str:
    """What is wrong with a checkpoint, from what torch said. Its own words are about options that nobody has here."""
    if isinstance(error, ValueError):
        return f"not a checkpoint of tensors only ({first_line(error)}); code in a checkpoint is never run"
    found = re.search(r"GLOBAL (\S{1,120})", str(error))
    if found is None:
        return "is damaged or not a checkpoint of tensors only; code in a checkpoint is never run"
    what = "a NumPy number" if found[1].endswith("multiarray.scalar") else "an object"
    return f"holds {what} ({found[1]}), which is no tensor and not read; code in a checkpoint is never run"


def _state_dicts(checkpoint: Any, tensor: type) -> dict[str, Any]:
    """The tensors of all dicts in a checkpoint that hold weights of ours, by their names behind the dicts' keys.

    Where none does, the tensors of the first dict that holds nothing else.
    """
    ours: dict[str, Any] = {}
    first: dict[str, Any] = {}
    waiting, seen = [("", checkpoint, 0)], set[int]()
    for at, value, depth in waiting:  # grows on the way
        if not isinstance(value, dict) or id(value) in seen:
            continue
        seen.add(id(value))
        here = {f"{at}{name}": item for name, item in value.items() if isinstance(item, tensor)}
        if any(map(is_ours, here)):
            ours |= here
        elif here and len(here) == len(value):
            first = first or here
        elif depth < _MAX_DEPTH:
            keys = [key for key in value if isinstance(key, str) and len(key) < _MAX_KEY]
            waiting += [(f"{at}{key}.", value[key], depth + 1) for key in keys]
    return ours or first


def _kind(tensor: Any, torch: Any) -> str:
    """The kind of a tensor's numbers, or what is odd about how it holds them."""
    if tensor.layout is not torch.strided:
        return f"sparse ({str(tensor.layout).removeprefix('torch.')})"
    name = str(tensor.dtype).removeprefix("torch.")
    if tensor.is_quantized:
        return f"quantized ({name})"
    return name if tensor.device.type == "cpu" else str(tensor.device.type)


def _check_torch_archive(path: Path) -> None:
    """Refuse what `torch.save` never writes: its archives are stored, and their pickles hold hardly more than names."""
    with open_archive(path) as archive:
        if any(name.endswith("/constants.pkl") for name in archive.namelist()):
            raise ValueError("it is a TorchScript program")
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError("an entry is compressed")
            if member.filename.endswith(".pkl"):
                if member.file_size > _MAX_NAMES_BYTES:
                    raise ValueError("its list of tensors is too long")
                _refuse_makers(b"".join(unpacked(archive, member)))
