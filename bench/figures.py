"""The figures of all runs, and what has none."""

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from bench.wrk import Run


class Key(NamedTuple):
    """What was measured: by their names in DATABASES, CASES and SUBJECTS."""

    database: str
    connections: int
    case: str
    subject: str


@dataclass
class Results:
    """What the runs came to."""

    runs: dict[Key, list[Run]] = field(default_factory=lambda: defaultdict(list))
    startup: list[list[str]] = field(default_factory=list)
    memory: list[list[str]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    refused: set[Key] = field(default_factory=set)

    def leave_out(self, title: str, reason: str) -> None:
        """Print and keep a line about what has no figures."""
        self.left_out.append(f"Left out: {title}: {reason}.")
        print(self.left_out[-1], flush=True)

    def refuse(self, key: Key, reason: str) -> None:
        """Drop the figures of a server that answered wrongly, and ask it no more."""
        self.refused.add(key)
        self.runs.pop(key, None)
        self.leave_out(" ".join(map(str, key)), reason)

    def median(self, key: Key, figure: str) -> float | None:
        """Return the median of the rounds of one of Run's figures, None if there is none."""
        runs = self.runs.get(key)
        return median(getattr(run, figure) for run in runs) if runs else None

    def ratio(self, key: Key, other: str) -> float | None:
        """Return the CPU as a part of another server's, the median of the rounds."""
        ours = self.runs.get(key)
        theirs = self.runs.get(key._replace(subject=other))
        if not ours or not theirs:
            return None
        return median(a.cpu / b.cpu for a, b in zip(ours, theirs, strict=True))
