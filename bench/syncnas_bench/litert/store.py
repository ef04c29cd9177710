"""A store of LiteRT's libraries for phones and boards, with a lock file that knows what each was when it came.

    STORE/runtimes.lock.json
    STORE/aarch64-android/2.3.0-3f1c0d9a7b52/libLiteRt.so, libLiteRtClGlAccelerator.so, ...

A runtime and its accelerators come from one release: their private interface has no version of its own to check.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from syncnas_bench.environment import Environment
from syncnas_bench.errors import (
    DownloadFailed,
    RuntimeMismatch,
    RuntimeMissing,
    RuntimeRejected,
    SourceMissing,
    printable,
)
from syncnas_bench.files import beside, regular_bytes, sha256_of, writing
from syncnas_bench.litert.abis import ABIS, LIBRARY, RUNTIME_LIBRARY, Abi, parse_abi
from syncnas_bench.litert.downloads import NotThere, download
from syncnas_bench.litert.elf import read_elf
from syncnas_bench.litert.http import shown
from syncnas_bench.litert.lock import VERSION, Library, LockFile, Runtime
from syncnas_bench.litert.sources import MAX_LIBRARY_BYTES, FoundLibrary, collect, version_in_name
from syncnas_bench.writer_lock import WriterLock

LOCK_FILE = "runtimes.lock.json"
WAIT_S = 60.0
DEFAULT_VERSION = "2.3.0"
DEFAULT_ABI = "aarch64-android"
# Source: litert/rust/build/build.rs in LiteRT, which downloads from there.
DEFAULT_URL = "https://storage.googleapis.com/litert/binaries/{version}/{platform}/{library}"

OnProgress = Callable[[str, int, int], None]
"""Told a file's name, how many bytes of it are here, and how many there will be (0 if not known)."""


class RuntimeStore:
    """A folder of runtimes. Of several processes one at a time changes it; each change is there whole or not at all.

    Args:
        path: the folder; by default this process's, see `Environment.store`.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Environment.of_process().store
        self._lock = LockFile(self.path / LOCK_FILE)

    def entries(self) -> tuple[Runtime, ...]:
        """All runtimes, by ABI, newest first. Raises RuntimeRejected if the lock file cannot be read."""
        return self._lock.read()

    def add(self, source: Path, *, version: str = "", abi: str = "", replace: bool = False) -> tuple[Runtime, ...]:
        """Take LiteRT's libraries from a folder, an AAR, a wheel or another zip.

        Args:
            version: of LiteRT; by default what the source's name says, such as "litert-2.3.0.aar".
            abi: take those for this one alone.
            replace: take them although the store has this version with other bytes.

        Raises:
            RuntimeMissing: there is nothing to take.
            RuntimeRejected: the archive or a library is not what it should be, or the store has other bytes.
            RuntimeMismatch: accelerators alone, for a version of which the runtime is not here.
            NotWritable: the store cannot be written.
            PlaceBusy: another process has been changing the store for longer than `WAIT_S`.
        """
        version = _checked_version(version or version_in_name(source), source)
        wanted = parse_abi(abi) if abi else None
        with self._workshop() as workshop:
            return self._take(source, workshop, version, wanted, replace, printable(source.name))

    def _take(
        self, source: Path, workshop: Path, version: str, wanted: Abi | None, replace: bool, origin: str
    ) -> tuple[Runtime, ...]:
        found = collect(source, workshop)
        abis = [known for known in ABIS if known in {library.abi for library in found} and wanted in (None, known)]
        if not abis:
            has = ", ".join(sorted({library.abi.name for library in found}))
            raise RuntimeRejected(f"{source} is for {has}, not for {wanted and wanted.name}; get the right one.")
        groups = [[library for library in found if library.abi is known] for known in abis]
        entries = [self._complete(group, version, origin, replace) for group in groups]
        for entry in entries:
            self._refuse_other_bytes(entry, replace)
        for entry in entries:
            self._install(entry, workshop / entry.abi)
        return tuple(entries)

    def fetch(
        self,
        *,
        version: str = DEFAULT_VERSION,
        abi: str = DEFAULT_ABI,
        url: str = DEFAULT_URL,
        sha256: Mapping[str, str] | None = None,
        replace: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Runtime:
        """Download a pinned version, unless it is here whole. An archive whose sum is given is fetched in any case.

        Args:
            url: a template with {version}, {abi}, {platform} and {library}; without {library} it names an archive.
            sha256: what files must be, by name; the archive's name is the last word of its address. What the lock file
                knows of this version is checked in any case, unless `replace`.

        Raises:
            DownloadFailed: something did not arrive, or is not what it was.
            RuntimeRejected, RuntimeMissing, NotWritable: see `add`.
        """
        target, sums = parse_abi(abi), dict(sha256 or {})
        version = _checked_version(version, None)
        fields = {"version": version, "abi": target.android or target.name, "platform": target.platform}
        fetcher = _Fetcher(self.path / "partial", url, fields, dict(sums), on_progress)
        by_library = "{library}" in url
        archive = shown(fetcher.address("")).rpartition("/")[2] or "archive"
        names = (RUNTIME_LIBRARY, *target.accelerators) if by_library else (archive,)
        if unknown := sorted(sums.keys() - set(names)):
            raise SourceMissing(f"--sha256 is of {unknown[0]}, which is not fetched; name {' or '.join(names)}.")
        known = self._find(target.name, version)
        if known is not None and self._serves(known, sums, replace):
            return known
        if known is not None and not replace:
            fetcher.sha256 |= {library.name: library.sha256 for library in known.libraries}
        with self._workshop() as workshop:
            brought = self._find(target.name, version)
            if brought is not None and brought != known and self._serves(brought, sums, replace):
                return brought  # by another process, meanwhile
            if by_library:
                source = fetcher.libraries(target, workshop)
            else:
                source = fetcher.get(archive, workshop)
            (entry,) = self._take(source, workshop, version, target, replace, fetcher.origin)
        return entry

    def _serves(self, runtime: Runtime, sha256: Mapping[str, str], replace: bool) -> bool:
        """Whether a runtime that is here is what is asked for. Of an archive nothing is kept to tell.

        Raises:
            RuntimeRejected: a library of it has another sum than asked for.
        """
        if replace:
            return False
        here = {library.name: library.sha256 for library in runtime.libraries}
        if other := [name for name, wanted in sha256.items() if here.get(name, wanted) != wanted]:
            raise RuntimeRejected(
                f"{', '.join(other)} of LiteRT {runtime.version} for {runtime.abi} is here with another sha256 "
                f"({here[other[0]]}) than --sha256 says; find out which is right, then replace it with --force."
            )
        return sha256.keys() <= here.keys() and not self.problems(runtime)

    def choose(self, abi: str, version: str = "") -> Runtime:
        """The runtime to push to a device: the newest one for its ABI, or the given version. It has been verified.

        Raises:
            RuntimeMissing: there is none.
            RuntimeRejected: it is not what the lock file says.
        """
        target = parse_abi(abi).name
        entries = self.entries()
        for entry in entries:
            if entry.abi == target and version in ("", entry.version):
                self.verify(entry)
                return entry
        there = ", ".join(f"{entry.version} for {entry.abi}" for entry in entries) or "nothing"
        raise RuntimeMissing(
            f"there is no LiteRT {version or 'runtime'} for {target} in {self.path} (which holds {there}); "
            f"run `syncnas-deploy runtime fetch --abi {target}`, or `runtime add` with LiteRT's AAR."
        )

    def files(self, runtime: Runtime) -> tuple[Path, ...]:
        """The runtime's libraries, `libLiteRt.so` first."""
        return tuple(self.path / runtime.folder / library.name for library in runtime.libraries)

    def problems(self, runtime: Runtime) -> tuple[str, ...]:
        """What is not as the lock file says, one sentence per file."""
        found = []
        for library, path in zip(runtime.libraries, self.files(runtime), strict=True):
            try:
                if regular_bytes(path) != library.bytes or sha256_of(path) != library.sha256:
                    found.append(f"{library.name} has been changed")
                elif read_elf(path).abi != runtime.abi:
                    found.append(f"{library.name} is not for {runtime.abi}")
            except FileNotFoundError:
                found.append(f"{library.name} is missing")
            except OSError as e:
                found.append(f"{library.name} cannot be read: {e.strerror}")
        return tuple(found)

    def verify(self, runtime: Runtime) -> None:
        """Raise RuntimeRejected unless all files are what they were when they came."""
        found = self.problems(runtime)
        if found:
            raise RuntimeRejected(
                f"LiteRT {runtime.version} for {runtime.abi} in {self.path} is damaged ({'; '.join(found)}); "
                "fetch or add it again."
            )

    def _find(self, abi: str, version: str) -> Runtime | None:
        return next((entry for entry in self.entries() if (entry.abi, entry.version) == (abi, version)), None)

    @contextlib.contextmanager
    def _workshop(self) -> Iterator[Path]:
        """A folder on the store's file system that is gone afterwards. Nobody else changes the store meanwhile.

        Raises:
            NotWritable: for any OSError in the block.
            PlaceBusy: somebody else does, and takes long.
        """
        with writing(self.path), WriterLock(self.path / LOCK_FILE, wait_s=WAIT_S):
            folder = beside(self.path / LOCK_FILE, "work")
            shutil.rmtree(folder, ignore_errors=True)  # of a killed process
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def _complete(self, group: list[FoundLibrary], version: str, origin: str, replace: bool) -> Runtime:
        """The entry for libraries of one ABI. What the store has of that release beside them stays."""
        abi = group[0].abi.name
        libraries = {library.path.name: _described(library) for library in group}
        known = self._find(abi, version)
        if RUNTIME_LIBRARY not in libraries:
            if known is None:
                there = ", ".join(entry.version for entry in self.entries() if entry.abi == abi) or "none"
                raise RuntimeMismatch(
                    f"these are accelerators of {version} for {abi} without {RUNTIME_LIBRARY}, and the runtime of that "
                    f"version is not here (here: {there}); add the runtime of the same release."
                )
            self.verify(known)
        elif replace or (known is not None and self.problems(known)):
            known = None
        if known is not None:
            for library, path in zip(known.libraries, self.files(known), strict=True):
                if library.name not in libraries:
                    shutil.copyfile(path, group[0].path.parent / library.name)
                    libraries[library.name] = library
        ordered = sorted(libraries.values(), key=lambda library: (library.name != RUNTIME_LIBRARY, library.name))
        return Runtime(version, abi, origin, tuple(ordered))

    def _refuse_other_bytes(self, entry: Runtime, replace: bool) -> None:
        known = self._find(entry.abi, entry.version)
        if known is None or replace:
            return
        sums = {library.name: library.sha256 for library in entry.libraries}
        other = [
            library.name for library in known.libraries if sums.get(library.name, library.sha256) != library.sha256
        ]
        if other:
            raise RuntimeRejected(
                f"{', '.join(other)} of LiteRT {entry.version} for {entry.abi} is not what it was when it first came; "
                "find out which is right, then replace it with --force."
            )

    def _install(self, entry: Runtime, made: Path) -> None:
        """Put the files in place, then the entry into the lock file."""
        place = self.path / entry.folder
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            made.chmod(0o755)
            made.rename(place)
        for library in entry.libraries if self.problems(entry) else ():
            (made / library.name).replace(place / library.name)
        self._lock.put(entry)


@dataclass
class _Fetcher:
    """Downloads by a template of addresses. `origin` is where the first file really came from."""

    partial: Path
    template: str
    fields: dict[str, str]
    sha256: dict[str, str]
    on_progress: OnProgress | None
    origin: str = ""

    def address(self, library: str) -> str:
        known = {**self.fields, "library": library}
        url = re.sub(r"\{(\w+)\}", lambda found: known.get(found[1], found[0]), self.template)
        if "{" in url or "}" in url:
            raise DownloadFailed(
                f"the address {shown(self.template)!r} is no template; "
                "use {version}, {abi}, {platform} and {library} in it."
            )
        return url

    def get(self, name: str, into: Path) -> Path:
        """Download one file into a folder, under its name."""
        url = self.address(name)
        partial = self.partial / f"{hashlib.sha256(url.encode('utf-8', 'replace')).hexdigest()[:16]}.part"
        told = self.on_progress
        progress = None if told is None else (lambda have, total: told(name, have, total))
        path = into / re.sub(r"[^A-Za-z0-9._-]", "_", name)
        limit = MAX_LIBRARY_BYTES if LIBRARY.fullmatch(name) else 4 * MAX_LIBRARY_BYTES
        expected = self.sha256.get(name)
        origin = download(url, path, partial=partial, sha256=expected, max_bytes=limit, on_progress=progress)
        self.origin = self.origin or origin
        return path

    def libraries(self, target: Abi, workshop: Path) -> Path:
        """The runtime, and every accelerator that the server has."""
        folder = workshop / "fetched"
        self.get(RUNTIME_LIBRARY, folder)
        for name in target.accelerators:
            # What the lock file knows must be there; what it does not know may be there.
            with contextlib.suppress(*(() if name in self.sha256 else (NotThere,))):
                self.get(name, folder)
        return folder


def _described(library: FoundLibrary) -> Library:
    path = library.path
    return Library(path.name, sha256_of(path), path.stat().st_size, library.facts.needed)


def _checked_version(version: str, source: Path | None) -> str:
    if not version and source is not None:
        raise RuntimeRejected(f"the name {source.name!r} does not say which version of LiteRT it is; add --version.")
    if VERSION.fullmatch(version) is None:
        raise RuntimeRejected(f"{version!r} is not a version of LiteRT; write it like {DEFAULT_VERSION}.")
    return version
