"""The lock file of a store of runtimes: what each library was when it came. Versioned JSON, replaced as a whole."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from syncnas_bench.errors import RuntimeRejected
from syncnas_bench.files import decode, regular_bytes, strict_json, write_whole
from syncnas_bench.litert.abis import ABIS, LIBRARY, foreign

SCHEMA = 1
VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+[a-z0-9.-]{0,20}")
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Library:
    """One file of a runtime, as it was when it came."""

    name: Annotated[str, Meta(pattern=rf"\A{LIBRARY.pattern}\Z")]
    sha256: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    bytes: Annotated[int, Meta(ge=0)]
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

    version: Annotated[str, Meta(pattern=rf"\A{VERSION.pattern}\Z")]
    abi: Annotated[str, Meta(pattern=rf"\A({'|'.join(abi.name for abi in ABIS)})\Z")]
    origin: str
    libraries: Annotated[tuple[Library, ...], Meta(min_length=1)]

    @property
    def folder(self) -> str:
        """Where it is in its store. Other bytes are in another folder, so that nobody's files change under them."""
        text = "".join(f"{library.name} {library.sha256}\n" for library in self.libraries)
        return f"{self.abi}/{self.version}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    @property
    def accelerators(self) -> tuple[Library, ...]:
        """What it can run models on a GPU with."""
        return tuple(library for library in self.libraries if library.is_accelerator)

    @property
    def missing(self) -> tuple[str, ...]:
        """A sentence for each library that needs others which neither stand beside it nor come with every system."""
        here = [library.name for library in self.libraries]
        lacking = {library.name: foreign(self.abi, library.needed, here) for library in self.libraries}
        return tuple(
            f"{name} for {self.abi} needs {', '.join(names)}, which is not here; unless the device brings it, "
            f"{name} cannot be loaded there: add it too, or another build"
            for name, names in lacking.items()
            if names
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class _Document:
    """The lock file. Every part of a path in it is checked by its type."""

    schema: Annotated[int, Meta(ge=SCHEMA, le=SCHEMA)]
    runtimes: tuple[Runtime, ...]


def _newest_first(entry: Runtime) -> tuple[tuple[int, ...], bool, str]:
    numbers = re.findall(r"\d+", entry.version)[:3]
    rest = entry.version.partition("-")[2]
    return tuple(-int(number) for number in numbers), rest != "", rest


class LockFile:
    """All runtimes of a store."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[Runtime, ...]:
        """All entries, by ABI, newest first; none if there is no file.

        Raises:
            RuntimeRejected: the file cannot be read, or was not written by this version.
        """
        try:
            if (size := regular_bytes(self._path)) > _MAX_BYTES:
                raise ValueError(f"{size} bytes is more than {_MAX_BYTES}")  # noqa: TRY301
            entries = _parse(self._path.read_bytes(), self._path.name)
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise RuntimeRejected(
                f"{self._path} cannot be read ({reason}); remove it, then add or fetch again."
            ) from error
        return tuple(sorted(entries, key=lambda entry: (entry.abi, _newest_first(entry))))

    def put(self, entry: Runtime) -> None:
        """Add an entry, in place of the one for the same version and ABI. To be called by one process at a time."""
        others = [known for known in self.read() if (known.abi, known.version) != (entry.abi, entry.version)]
        document = {"schema": SCHEMA, "runtimes": [known.to_dict() for known in (*others, entry)]}
        write_whole(self._path, json.dumps(document, indent=1) + "\n")


def _parse(content: bytes, what: str) -> tuple[Runtime, ...]:
    try:
        value = strict_json(content)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
    schema = value.get("schema") if isinstance(value, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise ValueError(f"{what}: `$.schema`: is {schema}, and this version reads up to {SCHEMA}")
    return decode(_Document, value, what).runtimes
