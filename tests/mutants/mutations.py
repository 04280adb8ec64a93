"""
The package with one mistake in it, and what has to notice.

A mutation is a text and what stands in its place. It is looked for in all files, so that it survives a move; where it
is not there exactly once, the test asks what the mistake looks like now.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List, NamedTuple, Optional

import fedapay_sync

TESTS = Path(__file__).resolve().parents[1]
PACKAGE = Path(fedapay_sync.__file__).resolve().parent

_PYTEST = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(TESTS))
_MACHINE = (str(TESTS / "support" / "store_machine.py"), "{folder}")
_NAMES = (str(TESTS / "support" / "names_machine.py"), "{folder}")
_NOTIFIER = (
    *_PYTEST,
    f"{TESTS}/concurrency/test_notifier.py::test_a_commit_before_the_registration_is_heard",
    f"{TESTS}/concurrency/test_notifier.py::test_no_wake_up_is_lost_between_look_and_registration",
)
_OTHER_KEYS = (
    *_PYTEST,
    f"{TESTS}/store/repositories/test_other_keys.py::test_two_processes_that_take_it_at_once_store_it_once[postgres]",
)

_BUDGET = (
    *_PYTEST,
    "-k",
    "sqlite",
    f"{TESTS}/store/repositories/test_deadlines.py",
    f"{TESTS}/store/repositories/test_poll_budget.py",
)
_RESTORED = (
    *_PYTEST,
    "-k",
    "sqlite",
    f"{TESTS}/store/repositories/test_listen_rows.py::test_the_end_of_an_acquired_listen_is_owed_exactly_once",
)

#: What a copy of the package is put to: arguments of Python, with the folder that it may use.
TRIALS = {
    "machine": _MACHINE,
    "names": _NAMES,
    "notifier": _NOTIFIER,
    "other keys": _OTHER_KEYS,
    "budget": _BUDGET,
    "restored": _RESTORED,
}


class Mutation(NamedTuple):
    """
    A mistake.

    Attributes:
        why: what the test that notices says.
    """

    text: str
    instead: str
    why: str
    trial: str = "machine"


#: Those that reliability.md 12.2 names, and row 17 of 12.1.
NAMED = {
    "claim ignores a live lease": Mutation(
        "or _is_abandoned(each, owner, now))", "or each.lease_owner != owner)", "two live owners"
    ),
    "a duplicate re-arms the work": Mutation(
        "ours = is_new and state",
        "ours = (is_new or not database.execute_sql(\"UPDATE fp_call SET work_state = 'ready', \"\n"
        "        f\"lease_owner = NULL, run_after = 0 WHERE work_state = 'done' AND event_id IN \"\n"
        "        f\"(SELECT id FROM fp_event WHERE dedup_key = '{event.dedup_key}')\")) and state",
        "done work came again",
    ),
    "done without fencing": Mutation(
        'WHERE {FENCE.replace("id = ?", "id IN {places}")}',
        "WHERE id IN {{places}} AND ? <> '' AND ? > 0",
        "a loser finished the winner's row",
    ),
    "the waker does not look at who has just come": Mutation(
        "self._fresh.add(key)", "pass", "test_a_commit_before_the_registration_is_heard", "notifier"
    ),
}

#: Others that a tired hand might make.
OTHERS = {
    "a heartbeat without fencing": Mutation(
        'lambda database: change_work(database, work, owner, {"run_after": self._clock.now() + lease})',
        'lambda database: database.execute_sql(f"UPDATE {place_of(work)[0]} SET run_after = "\n'
        '                f"{self._clock.now() + lease} WHERE id = {place_of(work)[1]}").rowcount == 1',
        "a loser kept the winner's lease",
    ),
    "a failure without fencing": Mutation(
        'changed = change_work(database, work, owner, {**changes, "last_error": _storable(error)[:500]})',
        'table, number = place_of(work)\n            database.execute_sql(f"UPDATE {table} SET work_state = "\n'
        "                f\"'{state}', lease_owner = NULL, run_after = {run_after} WHERE id = {number}\")\n"
        "            changed = True",
        "a loser finished the winner's row",
    ),
    "work of the dead is left alone": Mutation(
        "(is_lost or not is_alive(held_by))", "is_alive(held_by)", "assert set(self.accepted) == "
    ),
    "nothing is ever late": Mutation(
        "in (ListenState.timed_out, ListenState.cancelled)\n", "in ()\n", "late is what comes after the end"
    ),
    "an event ends no wait": Mutation(
        "if listen is not None and state in OPEN_STATES and not ours:",
        "if listen is None and ours:",
        "a final event left a wait open",
    ),
    "a wait does not look back": Mutation(
        "finals = dict(rows_of(database, _NEWEST_FINAL, [asked.environment], ids))",
        "finals: Dict[str, int] = {}",
        "a wait ends at once where the end is known",
    ),
    "a wait leaves resolved": Mutation(
        'if row is None or row["state"] not in only_from:', "if row is None:", "an end was undone"
    ),
    "a second wait shortens the first": Mutation(
        'if row["deadline"] <= term["deadline"]:', "if term:", "a wait shortened another"
    ),
    "a decision is taken before its time": Mutation(
        "ListenRow.deadline <= now + 0.05,", "ListenRow.deadline <= now + 60,", "decided early"
    ),
    "two decide at the deadline": Mutation(
        "((ListenRow.state == ListenState.closing) & (ListenRow.run_after <= now))",
        "(ListenRow.state == ListenState.closing)",
        "two decide at once",
    ),
    "a wait is restored from under the living": Mutation(
        '(is_abandoned(row, now, lives) or is_gone(row["owner"])) and has_key(row["account"])',
        'has_key(row["account"])',
        "two restored one wait",
    ),
    "a name that is added is given what came before it": Mutation(
        'f"e.id IN {places} AND c.after_event < e.id", events',
        'f"e.id IN {places}", events',
        "is called, and is not owed it",
        "names",
    ),
    "what a name is owed is lost where another takes it over": Mutation(
        "CallRow.update(callback_id=number).where(moved).execute(database)",
        "pass",
        "is owed other than is shown",
        "names",
    ),
    "what no name has been given yet is lost where another takes it over": Mutation(
        "after_event=min(row.after_event, old.after_event)",
        "after_event=row.after_event",
        "is owed other than is shown",
        "names",
    ),
    "an event stays open once the last name that was owed it is dropped": Mutation(
        "                end_events(database, events, now)\n",
        "",
        "an event is open that is owed to no callback",
        "names",
    ),
    "an event that is found to be ours is not owed again": Mutation(
        'database.execute_sql(_REOPEN.format(f"id IN {places}"), list(events))',
        "pass",
        "an event is done that is owed to a callback",
        "names",
    ),
    "a name that is added does not get what came since": Mutation(
        "distribute_again(self._database, number, after)", "pass", "is owed other than is shown", "names"
    ),
    "a process does not hear that its name was given up": Mutation(
        "CallbackRow.id.in_(list(numbers)), CallbackRow.same_as.is_null()",
        "CallbackRow.id.in_(list(numbers))",
        "a process does not hear that a name is gone",
        "names",
    ),
    "a name that is dropped is forgotten with what it was not given yet": Mutation(
        "                    distribute(database, chunk, now)\n",
        "                    pass\n",
        "dropped other than what was owed",
        "names",
    ),
    "a name that is owed and that nobody has is not said to be gone": Mutation(
        "return self.owed > 0 and self.same_as is None",
        "return self.parked > 0 and self.same_as is None",
        "owed events and not said to be gone",
        "names",
    ),
    "a restored end is told to no callback": Mutation(
        "owed = 1, state = ",
        "owed = 0, state = ",
        "test_the_end_of_an_acquired_listen_is_owed_exactly_once",
        "restored",
    ),
    "a server's transactions run side by side": Mutation(
        "LOCK TABLE fp_meta IN EXCLUSIVE MODE",
        "SELECT 1",
        "test_two_processes_that_take_it_at_once_store_it_once",
        "other keys",
    ),
    "a list decides what is due later": Mutation(
        "AND deadline <= ? AND transaction_id", "AND ? > 0 AND transaction_id", "test_deadlines.py", "budget"
    ),
    "an idle hour is read up in one second": Mutation(
        "start = max(free_from, now - _SAVED)", "start = free_from", "test_poll_budget.py", "budget"
    ),
    "what is urgent keeps nothing back": Mutation(
        'changes.update(_claimed(row, "urgent_until", now, _CLAIM))', "pass", "test_poll_budget.py", "budget"
    ),
}


def copied(folder: Path, mutation: Optional[Mutation] = None) -> Path:
    """A folder with a copy of the package, the mistake made in it."""
    shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    if mutation is None:
        return folder
    sources = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*.py")}
    found: List[Path] = [path for path, source in sources.items() for _ in range(source.count(mutation.text))]
    if len(found) != 1:
        raise LookupError(f"{len(found)} times in the package, not once: {mutation.text!r}")
    found[0].write_text(sources[found[0]].replace(mutation.text, mutation.instead), encoding="utf-8")
    return folder


def tried(trial: str, package: Path) -> "subprocess.CompletedProcess[str]":
    """Put the package in that folder to the trial, in a process of its own."""
    folder = package / "databases"
    folder.mkdir()
    return subprocess.run(
        [sys.executable, *(part.format(folder=folder) for part in TRIALS[trial])],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(package), str(TESTS)]), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
