"""Paste the command line's help into README.md, between its markers.

    <!-- help: generate -->
    (the output of `distill generate --help`; rewritten by `make docs`)
    <!-- end -->

`--check` writes nothing and fails when a text is out of date.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"(<!-- help: ?(?P<command>[\w -]*?) ?-->\n).*?(<!-- end -->)", re.DOTALL)


def help_of(command: str) -> str:
    """What `distill COMMAND --help` prints, 96 columns wide."""
    arguments = [sys.executable, "-m", "distill", *command.split(), "--help"]
    environment = os.environ | {"COLUMNS": "96", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        arguments, cwd=README.parent, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.rstrip()


def pasted(text: str) -> str:
    """The README with every block rewritten."""
    return BLOCK.sub(
        lambda block: f"{block[1]}```\n{help_of(block['command'])}\n```\n{block[3]}", text
    )


def main() -> int:
    before = README.read_text(encoding="utf-8")
    after = pasted(before)
    if "--check" in sys.argv:
        if before != after:
            print("README.md: a help text is out of date; run 'make docs'", file=sys.stderr)
        return int(before != after)
    README.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
