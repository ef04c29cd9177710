"""The program: what `syncnas-deploy` and `python -m syncnas_deploy` run."""

from __future__ import annotations

import signal


def main() -> None:
    """Import the program and run it. A Ctrl-C meanwhile is kept, and told as any later one."""
    kept: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: kept.append(number))
    from syncnas_deploy.cli import main as run

    signal.signal(signal.SIGINT, before)
    run(interrupted=bool(kept) and before is not signal.SIG_IGN)


if __name__ == "__main__":
    main()
