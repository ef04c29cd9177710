"""The lock file of a store of runtimes: what each library was when it came. Versioned JSON, replaced as a whole."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from syncnas_bench.errors import RuntimeRejected
from syncnas_bench.litert.abis import ABIS
from syncnas_bench.litert.sources import LIBRARY

SCHEMA = 1
VERSION = re.compile(r"\d+\.\d+\.\d+[a-z0-9.-]{0,20}")
_MAX_BYTES = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Library:
    """One file of a runtime, as it was when it came."""

    name: str
    sha256: str
    bytes: int
    needed: tuple[str, ...]

    @property
    def is_accelerator(self) -> bool:
        """Whether it runs models on a GPU."""
        return self.name.endswith("Accelerator.so")


@dataclass(frozen=True)
class Runtime:
    """One release of LiteRT for one ABI.

    Attributes:
        abi: one of `abis.ABIS`, by name.
        origin: where it came from: an address, or the name of a file or folder.
        libraries: `libLiteRt.so` first, then by name.
    """

    version: str
    abi: str
    origin: str
    libraries: tuple[Library, ...]

    @property
    def folder(self) -> str:
        """Where it is in its store. Other bytes are in another folder, so that nobody's files change under them."""
        text = "".join(f"{library.name} {library.sha256}\n" for library in self.libraries)
        return f"{self.abi}/{self.version}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    @property
    def accelerators(self) -> tuple[Library, ...]:
        """What it can run models on a GPU with."""
        return tuple(library for library in self.libraries if library.is_accelerator)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def _newest_first(entry: Runtime) -> tuple[tuple[int, ...], bool, str]:
    numbers = re.findall(r"\d+", entry.version)[:3]
    rest = entry.version.partition("-")[2]
    return tuple(-int(number) for number in numbers), rest != "", rest


class LockFile:
    """All runtimes of a store. `holding` keeps other processes out while one changes it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[Runtime, ...]:
        """All entries, by ABI, newest first; none if there is no file.

        Raises:
            RuntimeRejected: the file cannot be read, or was not written by this version.
        """
        try:
            entries = _parse(self._path.read_bytes())
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise RuntimeRejected(
                f"{self._path} cannot be read ({type(e).__name__}: {e}); remove it, then add or fetch again."
            ) from e
        return tuple(sorted(entries, key=lambda entry: (entry.abi, _newest_first(entry))))

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """Keep other processes from changing the store."""
        with self._path.with_suffix(".held").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def put(self, entry: Runtime) -> None:
        """Add an entry, in place of the one for the same version and ABI. To be called while holding the file."""
        others = [known for known in self.read() if (known.abi, known.version) != (entry.abi, entry.version)]
        document = {"schema": SCHEMA, "runtimes": [known.to_dict() for known in (*others, entry)]}
        fresh = self._path.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(document, indent=1) + "\n")
        fresh.replace(self._path)


def _parse(content: bytes) -> list[Runtime]:
    if len(content) > _MAX_BYTES:
        raise ValueError("it is too large")
    document = json.loads(content)
    if document["schema"] != SCHEMA:
        raise ValueError(f"its schema is {document['schema']!r}, not {SCHEMA}")
    return [_runtime(entry) for entry in document["runtimes"]]


def _runtime(entry: dict[str, Any]) -> Runtime:
    """An entry of the lock file; all that becomes part of a path is checked."""
    libraries = tuple(
        Library(item["name"], item["sha256"], int(item["bytes"]), tuple(map(str, item["needed"])))
        for item in entry["libraries"]
    )
    for library in libraries:
        if LIBRARY.fullmatch(library.name) is None or _SHA256.fullmatch(library.sha256) is None:
            raise ValueError(f"{library.name!r} is no library of LiteRT's")
    version, abi, origin = (str(entry[key]) for key in ("version", "abi", "origin"))
    if VERSION.fullmatch(version) is None or abi not in [known.name for known in ABIS]:
        raise ValueError(f"{version!r} for {abi!r} is no runtime")
    return Runtime(version, abi, origin, libraries)
