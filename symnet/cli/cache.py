"""`symnet cache`: the compiled kernels that are kept on disk."""

from __future__ import annotations

import argparse
import time

from codegen import cache


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `symnet cache` takes."""
    parser.add_argument("action", choices=("ls", "clear"), help="list the kernels or remove them")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Lists the kernels, the latest used first, or removes them."""
    place = cache.folder()
    if arguments.action == "clear":
        print(f"{_counted(cache.clear())} removed from {place}")
        return 0
    entries = cache.entries()
    for entry in entries:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        print(f"{entry.key[:16]}  {entry.size / 1024:7.1f} KiB  last used {used}")
    total = sum(entry.size for entry in entries) / 2**20
    print(f"{_counted(len(entries))}, {total:.1f} of {cache.LIMIT / 2**20:.0f} MiB, in {place}")
    return 0


def _counted(count: int) -> str:
    return f"{count} kernel{'' if count == 1 else 's'}"
