"""Python as on another system, for the modules of this project alone: whatever it imports lacks what is not there.

With this folder in PYTHONPATH and SYNCNAS_TESTS_AS=macos or windows, each process of a test run is like that. What a
simulation cannot show: which files a system lets one open, rename or remove while others have them, how it starts and
ends processes, its locks, and its own tools.
"""

from __future__ import annotations

import builtins
import fcntl
import importlib.abc
import importlib.machinery
import io
import os
import signal
import sys
import types

OURS = ("syncnas_deploy", "syncnas_bench", "syncnas_exporters")
AS = os.environ.get("SYNCNAS_TESTS_AS", "")
WINDOWS = AS == "windows"
O_BINARY = 1 << 30
_text_files: set[int] = set()
"""Descriptors whose line ends Windows would change."""

ABSENT = {
    "macos": {
        "os": "sched_getaffinity sched_setaffinity posix_fadvise pipe2 O_PATH O_TMPFILE memfd_create",
        "socket": "TCP_QUICKACK TCP_KEEPIDLE",
        "select": "epoll",
    },
    "windows": {
        "os": "sched_getaffinity sched_setaffinity posix_fadvise pipe2 O_PATH O_TMPFILE memfd_create killpg getpgid "
        "getpgrp setsid pread pwrite getuid geteuid getgid getegid uname fork mkfifo O_NOFOLLOW O_CLOEXEC O_DIRECTORY "
        "O_NONBLOCK O_NOCTTY getloadavg sysconf statvfs chown fchmod fchown WNOHANG nice ctermid posix_spawn wait",
        "signal": "SIGKILL SIGHUP SIGPIPE SIGALRM SIGUSR1 SIGUSR2 SIGQUIT SIGCHLD SIGSTOP SIGCONT setitimer alarm "
        "pthread_kill pthread_sigmask sigwait pause",
        "socket": "AF_UNIX TCP_QUICKACK",
        "select": "epoll poll",
        "selectors": "EpollSelector PollSelector",
    },
}
MISSING = {"macos": (), "windows": ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "readline")}


class View(types.ModuleType):
    """A module as it is on the other system. What is set on it is set for this project's modules alone."""

    def __init__(self, real: types.ModuleType, absent: set[str], other: dict[str, object]) -> None:
        super().__init__(real.__name__)
        self.__dict__.update(_real=real, _absent=absent, _other=other)

    def __getattr__(self, name: str) -> object:
        if name in self.__dict__["_absent"]:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} on {AS}")
        other = self.__dict__["_other"]
        return other[name] if name in other else getattr(self.__dict__["_real"], name)

    def __dir__(self) -> list[str]:
        return sorted({*dir(self.__dict__["_real"]), *self.__dict__["_other"]} - self.__dict__["_absent"])


def _open(path, flags, mode=0o777, *, dir_fd=None):  # type: ignore[no-untyped-def]
    if not flags & os.O_EXCL and os.path.isdir(path):  # noqa: PTH112 - no pathlib so early
        raise PermissionError(13, "Permission denied", str(path))
    file = os.open(path, flags & ~O_BINARY, mode, dir_fd=dir_fd)
    (_text_files.discard if flags & O_BINARY else _text_files.add)(file)
    return file


def _write(file, data):  # type: ignore[no-untyped-def]
    raw = bytes(data)
    if file in _text_files:
        os.write(file, raw.replace(b"\n", b"\r\n"))
        return len(raw)
    return os.write(file, raw)


def _fdopen(file, *args, **kwargs):  # type: ignore[no-untyped-def]
    _text_files.discard(file)  # Python's own files are binary below
    return os.fdopen(file, *args, **kwargs)


def _fsync(file):  # type: ignore[no-untyped-def]
    if fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(9, "Bad file descriptor")  # FlushFileBuffers wants the right to write
    os.fsync(file)


def _kill(pid, number):  # type: ignore[no-untyped-def]
    os.kill(pid, signal.SIGKILL if number else 0)  # TerminateProcess


def _full_fsync(file, command, argument=0):  # type: ignore[no-untyped-def]
    return os.fsync(file) or 0 if command == 51 else fcntl.fcntl(file, command, argument)


def _popen():  # type: ignore[no-untyped-def]
    import subprocess

    class Popen(subprocess.Popen):  # type: ignore[type-arg]
        """A process without a session, and without descriptors but the three."""

        def __init__(self, *args, pass_fds=(), start_new_session=False, creationflags=0, **kwargs):  # type: ignore[no-untyped-def]
            if pass_fds or kwargs.get("preexec_fn"):
                raise ValueError("pass_fds and preexec_fn are not supported on Windows platforms")
            super().__init__(*args, **kwargs)

    return Popen


def _no_name_is_none(cdll):  # type: ignore[no-untyped-def]
    def load(name, *args, **kwargs):  # type: ignore[no-untyped-def]
        if name is None:
            raise TypeError("argument of type 'NoneType' is not iterable")
        return cdll(name, *args, **kwargs)

    return load


def _other(name: str) -> dict[str, object]:
    """What a module has that this system has not, or has otherwise."""
    machine = ("Windows", "AMD64", "11") if WINDOWS else ("Darwin", "arm64", "24.1.0")

    def no_release() -> dict[str, str]:
        raise OSError("no os-release here")

    found: dict[str, dict[str, object]] = {
        "sys": {"platform": "win32" if WINDOWS else "darwin"},
        "platform": {
            "system": lambda: machine[0],
            "machine": lambda: machine[1],
            "release": lambda: machine[2],
            "mac_ver": lambda: ("", ("", "", ""), "") if WINDOWS else ("15.1", ("", "", ""), "arm64"),
            "freedesktop_os_release": no_release,
        },
    }
    if WINDOWS:
        found["os"] = {
            "name": "nt",
            "O_BINARY": O_BINARY,
            "open": _open,
            "write": _write,
            "fdopen": _fdopen,
            "fsync": _fsync,
            "kill": _kill,
        }
    else:
        found["fcntl"] = {"F_FULLFSYNC": 51, "fcntl": _full_fsync}
    if WINDOWS and name == "subprocess":
        return {"Popen": _popen(), "CREATE_NEW_PROCESS_GROUP": 0x200}
    if WINDOWS and name == "ctypes":
        import ctypes

        return {"CDLL": _no_name_is_none(ctypes.CDLL)}
    return found.get(name, {})


_views: dict[str, View] = {}


def _view(name: str, real: types.ModuleType) -> types.ModuleType:
    absent, other = ABSENT[AS].get(name, ""), _other(name)
    if not absent and not other:
        return real
    if name not in _views:
        _views[name] = View(real, set(absent.split()), other)
    return _views[name]


def _import(name, globals=None, locals=None, fromlist=(), level=0):  # type: ignore[no-untyped-def]
    if level == 0 and name in MISSING[AS]:
        raise ModuleNotFoundError(f"No module named {name!r} on {AS}", name=name)
    module = builtins.__import__(name, globals, locals, fromlist, level)
    return _view(name, module) if level == 0 and "." not in name else module


_real_io_open = io.open


def _io_open(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *args, **kwargs):  # type: ignore[no-untyped-def]
    """`open` for this project's modules, which call it themselves or through pathlib."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "pathlib":
        frame = frame.f_back
    if frame.f_globals.get("__name__", "").startswith(OURS):
        if str(file).startswith(("/proc/", "/sys/")):
            raise FileNotFoundError(2, f"there is no such thing on {AS}", str(file))
        if WINDOWS and "b" not in mode:
            encoding = "cp1252" if encoding in (None, "locale") else encoding
            newline = "\r\n" if newline is None and set(mode) & set("wax+") else newline
    return _real_io_open(file, mode, buffering, encoding, errors, newline, *args, **kwargs)


class _Loader(importlib.machinery.SourceFileLoader):
    """Gives a module of ours another `import` and another `open`."""

    def exec_module(self, module: types.ModuleType) -> None:
        """See `importlib.abc.Loader.exec_module`."""
        own = dict(vars(builtins), __import__=_import, open=_io_open)
        module.__dict__["__builtins__"] = own
        super().exec_module(module)
        if module.__name__ == "syncnas_bench.device":  # no runner for another system runs here
            runner_program = module.runner_program
            here = f"{os.uname().machine}-{sys.platform}"
            module.runner_program = lambda target="": runner_program(target or here)
        if module.__name__ == "syncnas_bench.local.host":  # and no LiteRT
            module._LIBRARIES = {}


class _Finder(importlib.abc.MetaPathFinder):
    """Finds what is ours."""

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        """See `importlib.abc.MetaPathFinder.find_spec`."""
        if not name.startswith(OURS):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


if AS in ABSENT:
    io.open = _io_open  # type: ignore[assignment]
    sys.meta_path.insert(0, _Finder())
