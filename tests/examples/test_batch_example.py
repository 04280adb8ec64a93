"""The batch example: each customer asked once, whatever kills it and however often it runs."""

import csv
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fedapay_sync.emulator import Emulator

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "05_encaissements_par_lot.py"
COLUMNS = ["reference", "nom", "prenom", "email", "tel", "montant"]
PATIENCE = 60


class Batch:
    """The example as a process, with its files in one folder."""

    def __init__(self, folder, emulator):
        self.folder = folder
        self.results = folder / "resultats.csv"
        self.environment = {
            **os.environ,
            "PYTHONIOENCODING": "utf-8",
            "FEDAPAY_API_URL": emulator.url,
            "FEDAPAY_API_KEY": emulator.secret_key,
            "FEDAPAY_DB_URL": f"sqlite:///{folder}/lot.db",
        }

    def write(self, rows, delimiter=","):
        with (self.folder / "clients.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows([COLUMNS, *rows])

    def start(self, wait=60.0):
        return subprocess.Popen(
            [sys.executable, str(EXAMPLE), "clients.csv", "resultats.csv", "--attendre", str(wait)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run(self, wait=60.0):
        process = self.start(wait)
        out, err = process.communicate(timeout=PATIENCE)
        assert "Traceback" not in err, err
        return process.returncode, out, err

    def states(self):
        return {row["reference"]: row["etat"] for row in self.rows()}

    def rows(self):
        with self.results.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def batch(tmp_path, emulator):
    return Batch(tmp_path, emulator)


def customers(count):
    return [
        [f"FACT-{n}", "Doe", f"John {n}", f"c{n}@example.com", f"01640000{n:02}", str(500 + n)] for n in range(count)
    ]


def pushes(emulator):
    """How often each number was asked."""
    sent = [each for each in emulator.requests if each.method == "POST" and each.path.endswith("/momo_test")]
    return Counter(each.json["phone_number"]["number"] for each in sent)


def test_all_who_paid_are_a_success_and_a_second_run_asks_nobody(batch, tmp_path):
    with Emulator(delay=0.1) as emulator:
        batch = Batch(tmp_path, emulator)
        batch.write([[*row[:4], "0164000001", row[5]] for row in customers(3)], delimiter=";")
        code, out, _ = batch.run()
        assert (code, batch.states()) == (0, {"FACT-0": "paid", "FACT-1": "paid", "FACT-2": "paid"})
        assert "3/3" in out
        first = batch.results.read_bytes()

        assert batch.run()[0] == 0

        assert batch.results.read_bytes() == first
        assert len(emulator.transactions) == 3 and sum(pushes(emulator).values()) == 3


def test_one_word_for_each_state(batch, emulator, eventually):
    """
    And the link for those who may still pay; what is left makes another exit code than success.
    """
    batch.write(customers(4))
    process = batch.start(wait=4)
    eventually(lambda: len(pushes(emulator)) == 4)
    by_reference = {each["merchant_reference"]: each["id"] for each in emulator.transactions}
    emulator.approve(by_reference["FACT-0"])
    emulator.decline(by_reference["FACT-1"])
    emulator.expire(by_reference["FACT-2"])
    process.communicate(timeout=PATIENCE)

    assert process.returncode == 1
    assert batch.states() == {"FACT-0": "paid", "FACT-1": "declined", "FACT-2": "expired", "FACT-3": "pending"}
    assert [row["libelle"] for row in batch.rows()] == ["payé", "refusé", "expiré", "en attente"]
    assert [bool(row["lien"]) for row in batch.rows()] == [False, True, False, True]


BAD_ROWS = [
    ["", "Doe", "Jo", "", "0164000001", "500"],
    ["FACT-0", "Doe", "Jo", "", "0164000001", "500"],
    ["BAD-1", "Doe", "Jo", "", "0164000001", "12,5"],
    ["BAD-2", "Doe", "Jo", "", "0164000001", "mille"],
    ["BAD-3", "Doe", "Jo", "", "0164000001", "-5"],
    ["BAD-4", "", "Jo", "", "0164000001", "500"],
    ["BAD-5", "Doe", "Jo", "pas une adresse", "0164000001", "500"],
    ["BAD-6", "Doe", "Jo", "", "appelez-moi", "500"],
    ["BAD-7", "Doe", "Jo", "", "", "500"],
    ["BAD-8", "Doe", "Jo", "", "0164000001", "500", "de trop"],
    ["BAD-9", "Doe"],
    ["BAD-10", "Doe", "Jo", "", "0164000001", "0"],
]


def test_a_bad_row_is_said_and_the_others_are_done(batch, emulator, eventually):
    """
    By its line, in words; nothing of it is asked for, and the exit code tells.
    """
    batch.write([customers(1)[0], *BAD_ROWS, ["=cmd|x", "<b>Doe</b>", "@Jo", "", "0164000001", "1 000"]])
    process = batch.start()
    eventually(lambda: len(pushes(emulator)) == 2)
    for each in emulator.transactions:
        emulator.approve(each["id"])
    _, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 2, err
    assert sorted(each["amount"] for each in emulator.transactions) == [500, 1000]
    states = [row["etat"] for row in batch.rows()]
    assert states == ["paid", *["error"] * len(BAD_ROWS), "paid"]
    for number, row in enumerate(batch.rows()[1:-1], start=3):
        assert f"Ligne {number} : {row['detail']}" in err and row["detail"]
    # What a spreadsheet would run is text.
    assert batch.rows()[-1]["reference"] == "'=cmd|x"


@pytest.mark.parametrize(
    ("content", "said"),
    [("nom,montant\nDoe,500\n", "il manque les colonnes reference"), ("", "il manque"), (None, "ne peut pas être lu")],
)
def test_a_file_that_is_none_is_said_in_one_line(batch, emulator, content, said):
    if content is not None:
        (batch.folder / "clients.csv").write_text(content, encoding="utf-8")
    code, _, err = batch.run()

    assert (code, err.count("\n")) == (2, 1)
    assert said in err
    assert not batch.results.exists() and emulator.transactions == []


def test_what_cannot_work_is_said_before_anyone_is_asked(batch, emulator):
    """
    No key, no database that stays, a file in another encoding: one line, nobody asked.
    """
    batch.write(customers(1))
    key = batch.environment.pop("FEDAPAY_API_KEY")
    code, _, err = batch.run()
    assert code == 2 and "FEDAPAY_API_KEY" in err
    batch.environment["FEDAPAY_API_KEY"] = key
    batch.environment["FEDAPAY_DB_URL"] = "sqlite:///:memory:"
    code, _, err = batch.run()
    assert code == 2 and "mémoire" in err
    (batch.folder / "clients.csv").write_bytes("reference,prénom\n".encode("cp1252"))
    code, _, err = batch.run()
    assert code == 2 and "CSV UTF-8" in err

    assert emulator.transactions == []


def test_no_answer_is_an_error_of_the_row_and_the_next_run_goes_on(batch, emulator, eventually):
    emulator.fail_next("/v1/transactions", method="POST", status=400)
    batch.write(customers(2))
    code, _, err = batch.run(wait=0)
    assert (code, list(batch.states().values())) == (2, ["error", "pending"]), err
    assert batch.run(wait=0)[0] == 1

    assert list(batch.states().values()) == ["pending", "pending"]
    assert len(emulator.transactions) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_end_it_writes_what_it_knows(batch, emulator, eventually, number):
    batch.write(customers(2))
    process = batch.start()
    eventually(lambda: len(pushes(emulator)) == 2)
    assert process.stdout.readline().startswith("2 clients")
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 130
    assert "relancer reprend tout" in err and "Traceback" not in err
    assert list(batch.states().values()) == ["pending", "pending"]


@pytest.mark.faults(row=2)
@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="kill -9")
def test_killed_twenty_times_it_asks_each_customer_once(batch, emulator, eventually):
    """
    At a random call of each life, or a moment after it. One transaction for each customer, and never a second prompt;
    whom a death kept from being prompted has the link in the results.
    """
    chance, count = random.Random(20), 12
    batch.write(customers(count))
    kills = 0
    while kills < 20:
        before = len(emulator.requests)
        process = batch.start()
        # Of the first lives, calls are creations and prompts; later ones read what is there.
        calls = chance.randint(0, 2 * count // (1 + kills % 3))
        eventually(lambda: len(emulator.requests) - before >= calls or process.poll() is not None)  # noqa: B023
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, 0.02))
        process.kill()
        process.communicate(timeout=PATIENCE)
        assert process.returncode == -signal.SIGKILL
        kills += 1
    assert not batch.results.exists()

    batch.run(wait=0)
    found = emulator.transactions
    assert sorted(each["merchant_reference"] for each in found) == sorted(row[0] for row in customers(count))
    asked = pushes(emulator)
    assert max(asked.values()) == 1
    assert count - kills <= len(asked) <= count and len(asked) >= count // 2

    moves = [emulator.approve, emulator.decline, emulator.expire]
    for number, each in enumerate(found):
        moves[number % 3](each["id"])
    assert batch.run()[0] == 1
    words = {each["merchant_reference"]: word for each, word in zip(found, ["paid", "declined", "expired"] * count)}
    assert batch.states() == words
    assert len(emulator.transactions) == count and pushes(emulator) == asked
