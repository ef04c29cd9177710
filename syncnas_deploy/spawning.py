"""Worker processes import the script that started them: a script that starts some needs a guard."""

from __future__ import annotations

import multiprocessing

from syncnas_deploy.errors import WRONG_USE, WorkersUnavailable

GUARD = 'a script calls it under `if __name__ == "__main__":`, since each worker process imports the script'


def check_guarded(call: str) -> None:
    """Refuse to start worker processes in one that is itself just importing the script that started it.

    Args:
        call: what the user called.

    Raises:
        WorkersUnavailable: the script has no guard.
    """
    # What multiprocessing itself looks at, when it refuses the same with a page of advice.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise WorkersUnavailable(f"{call} cannot start worker processes here, in one of them: {GUARD}.", code=WRONG_USE)
