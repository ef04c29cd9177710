"""LiteRT's libraries where a user has them: loose in a folder, or in an AAR, a wheel or another zip.

Nothing is extracted by a name from an archive: only members called like a library of LiteRT's are read, each into a
file that is named here.
"""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from syncnas_bench.archives import open_archive, unpacked
from syncnas_bench.errors import RuntimeMissing, RuntimeRejected, SourceMissing
from syncnas_bench.files import is_file, is_folder, writing
from syncnas_bench.litert.abis import LIBRARY, RUNTIME_LIBRARY, Abi, known_abi
from syncnas_bench.litert.elf import ElfFacts, read_elf

MAX_LIBRARY_BYTES = 256 * 1024 * 1024
_MAX_ENTRIES = 20_000
_MAX_LIBRARIES = 64
_MAX_UNPACKED_BYTES = 1 << 30
_MAX_RATIO = 200  # how much smaller a library may be in an archive; real ones shrink to a third
_VERSION = re.compile(r"(?:^|[-_])v?(\d+\.\d+\.\d+(?:[-.]?(?:alpha|beta|dev|rc)[-.]?\d+)?)(?=[-_.]|$)")


@dataclass(frozen=True)
class FoundLibrary:
    """A library of LiteRT's, at a place of our own."""

    path: Path
    abi: Abi
    facts: ElfFacts


def version_in_name(path: Path) -> str:
    """The version in a file's or folder's name, such as "litert-2.3.0.aar", or ""."""
    found = _VERSION.search(path.name)
    return found[1] if found else ""


def collect(source: Path, into: Path) -> tuple[FoundLibrary, ...]:
    """Copy all libraries of LiteRT's from a source, each into the folder of its ABI in `into`.

    Libraries for systems that no runner is made for are left out.

    Raises:
        RuntimeMissing: the source does not exist or has no such library.
        RuntimeRejected: the archive is hostile or damaged, a library is not one, or lies in the folder of another ABI.
    """
    if is_folder(source):
        copies = list(_from_folder(source, into))
    elif is_file(source):
        copies = list(_from_archive(source, into))
    else:
        raise SourceMissing(f"{source} does not exist; name a folder, an AAR or a zip with LiteRT's libraries.")
    found = [library for copy, folder in copies if (library := _identify(copy, folder)) is not None]
    if not found:
        raise RuntimeMissing(
            f"{source} holds no {RUNTIME_LIBRARY} for 64-bit ARM or x86; name LiteRT's AAR, or where its libraries are."
        )
    return tuple(_into_folders(found, into))


def _from_folder(source: Path, into: Path) -> Iterator[tuple[Path, str]]:
    """Copies of the libraries in a folder, or in the folders of ABIs one or two levels down."""
    try:
        paths = [path for pattern in ("*.so", "*/*.so", "jni/*/*.so") for path in sorted(source.glob(pattern))]
    except OSError as e:
        raise RuntimeRejected(f"{source} cannot be searched ({e.strerror}); name the folder of the libraries.") from e
    for path in dict.fromkeys(paths):
        if LIBRARY.fullmatch(path.name) is None or not is_file(path):
            continue
        copy = _fresh(into) / path.name
        _write(copy, _pieces(path))
        yield copy, path.parent.name


def _pieces(path: Path) -> Iterator[bytes]:
    """A library's content. Raises RuntimeRejected."""
    left = MAX_LIBRARY_BYTES
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                left -= len(piece)
                if left < 0:
                    raise RuntimeRejected(
                        f"{path} is larger than {MAX_LIBRARY_BYTES >> 20} MiB; no library of LiteRT's is."
                    )
                yield piece
    except OSError as e:
        raise RuntimeRejected(f"{path} cannot be read ({e.strerror}); check its rights.") from e


def _write(path: Path, pieces: Iterator[bytes]) -> None:
    """Write a new file. Raises NotWritable; what `pieces` raises is no OSError and passes."""
    with writing(path), path.open("xb") as file:
        for piece in pieces:
            file.write(piece)


def _from_archive(source: Path, into: Path) -> Iterator[tuple[Path, str]]:
    try:
        with open_archive(source) as archive:
            for member in _wanted(source, archive.infolist()):
                path = PurePosixPath(member.filename)
                copy = _fresh(into) / path.name
                _write(copy, unpacked(archive, member))
                yield copy, path.parent.name
    except ValueError as e:
        raise RuntimeRejected(f"{source} is not a whole zip or AAR ({e}); get it again.") from e


def _wanted(source: Path, members: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """The members to read, after a look at all of them."""
    if len(members) > _MAX_ENTRIES:
        raise RuntimeRejected(f"{source} has more than {_MAX_ENTRIES} entries; no archive of LiteRT's has.")
    for member in members:
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in member.filename or len(member.filename) > 1024:
            raise RuntimeRejected(f"{source} has an entry whose name leads out of it; do not trust it.")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise RuntimeRejected(f"{source} has a symbolic link in it; do not trust it.")
    wanted = [member for member in members if LIBRARY.fullmatch(PurePosixPath(member.filename).name)]
    if len({member.filename for member in wanted}) < len(wanted) or len(wanted) > _MAX_LIBRARIES:
        raise RuntimeRejected(f"{source} has too many libraries or one of them twice; do not trust it.")
    ratios = (member.file_size / max(member.compress_size, 1) for member in wanted)
    sizes = [member.file_size for member in wanted]
    if (
        max(sizes, default=0) > MAX_LIBRARY_BYTES
        or sum(sizes) > _MAX_UNPACKED_BYTES
        or any(r > _MAX_RATIO for r in ratios)
    ):
        raise RuntimeRejected(f"{source} would unpack to far more than a library of LiteRT's; do not trust it.")
    return wanted


def _fresh(into: Path) -> Path:
    """A new folder: libraries for several ABIs have the same names."""
    folder = into / f"found{sum(1 for _ in into.iterdir())}"
    folder.mkdir()
    return folder


def _identify(path: Path, folder: str) -> FoundLibrary | None:
    facts = read_elf(path)
    said, abi = known_abi(folder), known_abi(facts.abi)
    if said is not None and said.machine != facts.machine:
        raise RuntimeRejected(f"{folder}/{path.name} is for {facts.abi}, not for {said.name}; get the right one.")
    if facts.soname not in ("", path.name):
        raise RuntimeRejected(f"{path.name} calls itself {facts.soname!r}; it was renamed, get the right one.")
    return None if abi is None else FoundLibrary(path, abi, facts)


def _into_folders(found: list[FoundLibrary], into: Path) -> Iterator[FoundLibrary]:
    for library in found:
        folder = into / library.abi.name
        folder.mkdir(exist_ok=True)
        if (folder / library.path.name).exists():
            raise RuntimeRejected(f"there are two {library.path.name} for {library.abi.name}; name one folder of them.")
        yield FoundLibrary(library.path.rename(folder / library.path.name), library.abi, library.facts)
