"""The keys that this computer shows to devices: those of adb, so that a phone that knows one knows us."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from adb_shell.auth import keygen
from adb_shell.auth.sign_pythonrsa import PythonRSASigner

from syncnas_bench.environment import KEYS_VARIABLE, KeyPlaces
from syncnas_bench.errors import DeviceUnavailable, PathUnreachable
from syncnas_bench.files import is_file, is_folder


def key_paths(keys: KeyPlaces) -> tuple[Path, ...]:
    """Private keys that are there: the own one, created if it is absent, and the vendors'.

    Raises:
        DeviceUnavailable: the key cannot be created, or a path cannot be looked at.
    """
    try:
        if not is_file(keys.own):
            _create(keys.own)
        found = [keys.own]
        for path in keys.vendor:
            found += sorted(path.glob("*.adb_key")) if is_folder(path) else [path]
        return tuple(path for path in dict.fromkeys(found) if is_file(path))
    except PathUnreachable as error:
        raise DeviceUnavailable(str(error), "unauthorized") from error


def _create(path: Path) -> None:
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # keygen keeps the mode
        keygen.keygen(str(fresh))
        # Linked, not renamed: whoever was first, adb itself included, keeps the place.
        os.link(fresh, path)
        fresh.with_name(f"{fresh.name}.pub").replace(path.with_name(f"{path.name}.pub"))
    except FileExistsError:
        return
    except OSError as error:
        raise DeviceUnavailable(
            f"the adb key {path} cannot be created ({error.strerror}); make its folder writable.", "unauthorized"
        ) from error
    finally:
        fresh.unlink(missing_ok=True)
        fresh.with_name(f"{fresh.name}.pub").unlink(missing_ok=True)


def load_signers(keys: KeyPlaces) -> list[PythonRSASigner]:
    """A signer for each readable key.

    Raises:
        DeviceUnavailable: a key is not one of adb's.
    """
    signers = []
    for path in key_paths(keys):
        try:
            public = base64.b64encode(keygen.encode_pubkey(str(path))).decode() + " syncnas-deploy"
            signers.append(PythonRSASigner(public, path.read_text(encoding="ascii")))
        except (OSError, ValueError, TypeError) as error:
            raise DeviceUnavailable(
                f"the adb key {path} cannot be read ({error}); replace it or take it out of {KEYS_VARIABLE}.",
                "unauthorized",
            ) from error
    return signers
