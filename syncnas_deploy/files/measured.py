"""What was measured is written, or it is kept elsewhere and told where."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from syncnas_deploy.errors import OutputError, OutputExists
from syncnas_deploy.files.output import write_json


def write_measured(path: Path, value: Mapping[str, Any], *, force: bool = True) -> None:
    """Write a document that nothing can make again, such as a measurement.

    Raises:
        OutputExists: another file is there; the sentence says where it is instead.
        OutputError: it cannot be in `path`; the sentence says where it is in the folder for temporary files, if that
            had room.
    """
    try:
        write_json(path, value, force=force)
    except OutputExists:
        raise
    except OutputError as error:
        try:
            kept = Path(tempfile.mkdtemp(prefix="syncnas-kept-")) / path.name
            write_json(kept, value)
        except (OutputError, OSError):
            raise error from None
        raise OutputError(f"{error} What was measured is kept in {kept}.") from error
