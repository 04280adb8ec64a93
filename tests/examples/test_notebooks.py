"""The notebooks of the examples, cell by cell in a real kernel: twice, interrupted, restarted, on odd data."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import pytest
from support.html_reader import ReadHtml
from support.notebook_kernel import Cell, NotebookKernel

from fedapay_sync import Connector, MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.emulator import Emulator

NOTEBOOKS = Path(__file__).resolve().parents[2] / "examples" / "notebooks"
SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")
TAKE = "encaisser"
RECONCILE = "reconcilier"


def read(name: str) -> Dict[str, Any]:
    notebook: Dict[str, Any] = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    return notebook


def sources(name: str) -> List[str]:
    """The code of each cell."""
    return ["".join(each["source"]) for each in read(name)["cells"] if each["cell_type"] == "code"]


class Reader:
    """A person with a notebook open, who runs its cells in one kernel after the other."""

    def __init__(self, name: str, folder: Path, emulator: Optional[Emulator]) -> None:
        self.cells = sources(name)
        self._folder = folder
        self._environment = {} if emulator is None else account(emulator)
        for each in NOTEBOOKS.glob("*.py"):
            shutil.copy(each, folder)
        self.kernel = NotebookKernel(folder, self._environment)

    def __getitem__(self, words: str) -> str:
        """The one cell with these words in it."""
        (code,) = (each for each in self.cells if words in each)
        return code

    def run_until(self, words: str) -> Cell:
        """Run from the top, the cell with these words included."""
        for code in self.cells[: self.cells.index(self[words]) + 1]:
            cell = self.kernel.run(code)
        return cell

    def restart(self) -> None:
        """The kernel ends at once, as by a crash, and another one starts."""
        self.kernel.close()
        self.kernel = NotebookKernel(self._folder, self._environment)


def account(emulator: Emulator) -> Dict[str, str]:
    return {"FEDAPAY_API_URL": emulator.url, "FEDAPAY_API_KEY": emulator.secret_key}


@pytest.fixture
def readers(tmp_path: Path) -> Iterator[Any]:
    opened: List[Reader] = []

    def open_notebook(name: str, emulator: Optional[Emulator] = None) -> Reader:
        opened.append(Reader(name, tmp_path, emulator))
        return opened[-1]

    yield open_notebook
    for each in opened:
        each.kernel.close()


def needs_pandas() -> None:
    """What the notebook itself requires, and not the package."""
    for each in ("pandas", "matplotlib", "jinja2"):
        pytest.importorskip(each, reason=f"reconcilier.ipynb needs {each} (examples/notebooks/requirements.txt)")


def asked(emulator: Emulator) -> List[str]:
    """The references of the transactions; the customer of each was prompted once."""
    prompts = [each.path for each in emulator.requests if (each.method, each.path) == ("POST", "/v1/momo_test")]
    assert len(prompts) == len(emulator.transactions)
    return [each["merchant_reference"] for each in emulator.transactions]


@pytest.mark.parametrize("name", [TAKE, RECONCILE])
def test_a_notebook_is_kept_without_outputs_and_with_its_references(name: str) -> None:
    """
    Nothing that a run has shown, and no payment that a second run would ask for twice.
    """
    code = [each for each in read(name)["cells"] if each["cell_type"] == "code"]

    assert all(each["outputs"] == [] and each["execution_count"] is None for each in code)
    for each in sources(name):
        assert each.count(".pay(") == each.count("merchant_reference=")
        assert len(each.splitlines()) <= 30


def test_a_payment_is_taken_by_the_notebook_alone(readers: Any) -> None:
    """
    With the emulator that its first cell starts; each cell is run twice.
    """
    notebook = readers(TAKE)
    shown = []
    for code in notebook.cells:
        # A payer who does not leave the reader the time to look at the card.
        first, second = (notebook.kernel.run(code.replace("delay=5", "delay=0")) for _ in range(2))
        shown.append(first.printed)
        assert "CMD" not in first.printed or first.printed == second.printed

    assert "CMD-17 : livrer, 12500 F CFA reçus.\n" in shown
    assert "CMD-18 : payé\nCMD-19 : refusé\n" in shown
    (card,) = second.cards
    assert {"CMD-17", "CMD-18", "CMD-19"} <= set(ReadHtml(card).cells)
    assert notebook.kernel.run("print(len(emulateur.transactions), len(emulateur.phones))").printed == "3 3\n"


def test_a_payment_survives_the_stop_button_and_a_restart(readers: Any, emulator: Emulator) -> None:
    """
    Stopped in the midst of ``finalise``, then the kernel is gone: run from the top, it is the same payment, and paid.
    """
    notebook = readers(TAKE, emulator)
    notebook.run_until("paiement = ")
    waiting = notebook.kernel.begin(notebook["connector.finalise("]).until(lambda cell: cell.shows)
    notebook.kernel.interrupt()
    note = "\n".join(waiting.finish().error["traceback"])
    notebook.kernel.begin(notebook["connector.finalise("]).until(lambda cell: cell.shows)
    notebook.restart()
    (payment,) = emulator.transactions
    emulator.approve(payment["id"])
    notebook.run_until("CMD-17 : livrer")

    assert f"connector.finalise({payment['id']})" in note
    assert notebook.kernel.run("print(resultat.paid, resultat.amount)").printed == "True 12500\n"
    assert asked(emulator) == ["CMD-17"]


def test_a_month_is_reconciled_by_the_notebook_alone(readers: Any) -> None:
    """
    With the month that its first cell makes up; each cell is run twice, and again in a kernel that was restarted.
    """
    needs_pandas()
    notebook = readers(RECONCILE)
    cells = [notebook.kernel.run(code) for each in notebook.cells for code in (each, each)]
    # By position: where the database learns what it has missed, nothing is left to learn the second time.
    before, _, after, _ = (
        ReadHtml(card).text for each in cells for card in each.cards if "CAISSE-1" in card and "écart" in card
    )
    notebook.restart()
    again = notebook.run_until("par_operateur")

    assert all("Warning" not in each.printed for each in cells)
    assert before.count("la base ne le sait pas") == 2 and before.count("pas demandée par cette base") == 2
    assert "la base ne le sait pas" not in after and after.count("pas demandée par cette base") == 2
    assert (
        sum(each["data"].get("image/png") is not None for cell in cells for each in cell.contents("display_data")) == 2
    )
    (totals,) = again.cards
    assert ReadHtml(totals).text in [ReadHtml(card).text for each in cells for card in each.cards]
    assert "1\u202f109\u202f200" in totals


@pytest.mark.faults
@pytest.mark.long
def test_a_month_of_odd_payments_is_told_apart(readers: Any, emulator: Emulator, tmp_path: Path) -> None:
    """
    A reference that is HTML, one paid after the database had learned a refusal, one with another amount at FedaPay,
    one of another database and one that FedaPay does not list; none of them is counted as what it is not.
    """
    needs_pandas()
    html = "<img src=x onerror=alert(1)>"
    db_url = f"sqlite:///{(tmp_path / 'shop.db').as_posix()}"
    with Connector(emulator.url, api_key=emulator.secret_key, db_url=db_url) as connector:
        numbers = {
            name: connector.pay(SETUP, CLIENT, 1000, merchant_reference=name).id_transaction
            for name in (html, "late", "other sum", "unpaid", "fine")
        }
        for name in (html, "other sum", "fine"):
            emulator.approve(numbers[name])
            connector.check_status(numbers[name])
        emulator.decline(numbers["late"])
        connector.check_status(numbers["late"])
    emulator.approve(numbers["late"])
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("UPDATE fp_payment SET amount = 900 WHERE merchant_reference = 'other sum'")
        database.execute("UPDATE fp_payment SET transaction_id = '7' WHERE merchant_reference = 'fine'")
    database.close()

    notebook = readers(RECONCILE, emulator)
    notebook.kernel.run(f"import os; os.environ['FEDAPAY_DB_URL'] = {db_url!r}")
    cells = [notebook.kernel.run(code) for code in notebook.cells]
    before, after = (ReadHtml(c).cells for each in cells for c in each.cards if "écart" in c and "other sum" in c)

    # Nine cells a row, the number of the row included.
    assert sorted(zip(before[9 + 2 :: 9], before[9 + 8 :: 9])) == [
        ("fine", "absente de la liste de FedaPay"),
        ("fine", "pas demandée par cette base"),
        ("late", "payée, la base ne le sait pas"),
        ("other sum", "montant différent"),
    ]
    assert sorted(after[9 + 2 :: 9]) == ["fine", "fine", "other sum"]
    (totals,) = (ReadHtml(c).cells for each in cells for c in each.cards if "débité" in c and "total" in c)
    assert totals[-5:-3] == ["4", "4\u202f000"]
    assert html not in "".join(c for each in cells for c in each.cards)


@pytest.mark.faults
@pytest.mark.long
def test_a_month_without_payments_is_no_error(readers: Any, emulator: Emulator) -> None:
    """
    Empty tables, and a plot of nothing.
    """
    needs_pandas()
    notebook = readers(RECONCILE, emulator)

    for code in notebook.cells:
        notebook.kernel.run(code)
