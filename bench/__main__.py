"""Measure this service against its bars; the exit status is 1 if one of them is missed."""

import argparse
import sys
import tempfile
from pathlib import Path

from bench import load, million
from bench.servers import print_table, start_postgres

PARTS = {"load": load.measure, "million": million.measure}

parser = argparse.ArgumentParser(prog="python -m bench")
parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all if none")
parser.add_argument("--rounds", type=int, default=7, help="of load")
parser.add_argument("--notes", type=int, default=1_000_000, help="of million")
options = parser.parse_args()
bars = []
with start_postgres() as postgres, tempfile.TemporaryDirectory() as folder:
    for part in options.parts or PARTS:
        bars += PARTS[part](postgres, Path(folder), options)
missed = [bar for bar in bars if bar.figure > bar.most]
words = {True: "missed", False: "held"}
rows = [[b.what, f"{b.most:g}", f"{b.figure:.3g}", words[b in missed]] for b in bars]
print_table(["what", "at most", "it is", ""], rows)
sys.exit(bool(missed))
