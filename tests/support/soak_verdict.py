"""What a soak has shown: the ledger of the callbacks against what the emulator knows."""

import json
from collections import Counter, defaultdict
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Tuple

#: Statuses of a transaction whose payer was debited.
PAID = {"approved", "transferred"}
#: Seconds between the last line of a callback and the row that says that it ran, at most.
UNRECORDED = 2.0


class Truth(NamedTuple):
    """
    What happened, as nobody of the shop tells it.

    Attributes:
        transactions: those of the emulator.
        pushes: of each transaction, how often its payer was asked.
        kills: of each life of a process that was killed, between which instants.
        freezes: of each life, from when until when it was stopped.
        lease: seconds that a callback's process may be silent.
    """

    transactions: Iterable[Mapping[str, Any]]
    pushes: Mapping[str, int]
    kills: Mapping[int, Tuple[float, float]]
    freezes: Mapping[int, List[Tuple[float, float]]]
    lease: float = 60.0


class Verdict(NamedTuple):
    """Each is empty where all promises were kept."""

    never_told: List[str]
    never_paid: List[str]
    pushed_twice: List[str]
    unexplained: List[str]
    crashed: List[str]


def read(path: Any) -> List[Dict[str, Any]]:
    """The lines of a ledger; the last one of a killed process may be cut."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def judge(entries: List[Dict[str, Any]], truth: Truth) -> Verdict:
    """Compare what callbacks were told with what is so."""
    transactions = list(truth.transactions)
    paid = {str(each["id"]) for each in transactions if each["status"] in PAID}
    told = {each["id"] for each in entries if each["what"] == "begin" and each["paid"]}
    said = told | {each["id"] for each in entries if each.get("paid")}
    asked = Counter(each["merchant_reference"] for each in transactions if str(each["id"]) in truth.pushes)
    return Verdict(
        never_told=sorted(paid - told),
        never_paid=sorted(said - paid),
        pushed_twice=sorted(
            [number for number, count in truth.pushes.items() if count > 1]
            + [reference for reference, count in asked.items() if count > 1]
        ),
        unexplained=_unexplained(entries, truth),
        crashed=[each["error"] for each in entries if each["what"] == "crashed"],
    )


def _unexplained(entries: List[Dict[str, Any]], truth: Truth) -> List[str]:
    ends = {each["run"]: each for each in entries if each["what"] in ("end", "fail")}
    runs = defaultdict(list)
    for each in sorted(entries, key=lambda entry: entry["at"]):
        if each["what"] == "begin":
            runs[each["key"]].append(each)
    found = []
    for key, of_key in runs.items():
        for earlier, later in zip(of_key, of_key[1:]):
            if later["attempt"] <= earlier["attempt"] or not _may_repeat(earlier, ends, later["at"], truth):
                found.append(f"{key}: {_story(earlier, ends, later, truth)}")
    once = Counter(each["key"] for each in entries if each["what"] == "listened")
    return found + [key for key, count in once.items() if count > 1]


def _story(run: Mapping[str, Any], ends: Mapping[str, Any], again: Mapping[str, Any], truth: Truth) -> str:
    """What is to be known of a repeat."""
    end, life = ends.get(run["run"]), run["life"]
    over = "never ended" if end is None else f"{end['what']} at {end['at']:.2f}"
    return (
        f"attempt {run['attempt']} of life {life} at {run['at']:.2f}, {over}; killed {truth.kills.get(life)}, stopped "
        f"{truth.freezes.get(life)}; attempt {again['attempt']} of life {again['life']} at {again['at']:.2f}"
    )


def _may_repeat(run: Mapping[str, Any], ends: Mapping[str, Any], again: float, truth: Truth) -> bool:
    """Whether a callback had to be called again: it failed, or its process was killed or frozen while it ran."""
    end = ends.get(run["run"])
    if end is not None and end["what"] == "fail":
        return True
    until = again if end is None else _recorded_by(end["at"], truth)
    # Others may see a death before it is known here.
    since, seen = truth.kills.get(run["life"], (float("inf"), float("-inf")))
    if run["at"] <= seen and since <= min(until, again):
        return True
    return any(
        begun < until and over > run["at"] and again - begun >= truth.lease
        for begun, over in truth.freezes.get(run["life"], ())
    )


def _recorded_by(ended: float, truth: Truth) -> float:
    """Until when the row may have been missing: a process that is stopped may hold the database's lock."""
    until = ended + UNRECORDED
    for begun, over in sorted(span for spans in truth.freezes.values() for span in spans):
        if begun < until and over > ended:
            until = max(until, over + UNRECORDED)
    return until
