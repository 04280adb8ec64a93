"""
In a real kernel: cards, a wait that changes in place, the stop button, and cells that only show what is theirs.
"""

import pytest
from support.html_reader import ReadHtml
from support.notebook_kernel import NotebookKernel

PAY = """
payment = connector.pay(
    PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test),
    UserData(nom="<script>alert(1)</script>", prenom="John", email="john@example.com", tel="0164000001"),
    12500,
    merchant_reference="<b>CMD</b>-17",
)
payment
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = NotebookKernel(tmp_path_factory.mktemp("kernel"))
    yield kernel
    kernel.close()


@pytest.fixture
def notebook(kernel, emulator):
    """A notebook whose first cell has made a connector to this test's emulator."""
    kernel.run(
        f"""
import gc, logging, threading
from fedapay_sync import *
connector = Connector(
    {emulator.url!r}, api_key={emulator.secret_key!r}, fedapay_webhooks_secret_key={emulator.webhook_secret!r},
    use_listen_server=True, listen_server_port=0, poll_rate=1000, db_url="sqlite:///{emulator.url[-5:]}.db",
)
connector.start_webhook_server()
"""
    )
    emulator.webhook_url = kernel.run("print(connector.webhook_url)").printed.strip()
    yield kernel
    kernel.run("connector.close()")


def pay(notebook):
    """Run the cell that pays; it, and the payment's id."""
    cell = notebook.run(PAY)
    return cell, int(notebook.run("print(payment.id_transaction)").printed)


def test_a_payment_shows_its_card_and_its_link(notebook):
    """
    With a QR code, and a name that is HTML as text.
    """
    cell, number = pay(notebook)
    (card,) = cell.cards
    there = ReadHtml(card)

    assert f"Paiement {number} en attente" in there.text and "<b>CMD</b>-17" in there.text
    assert there.links[0].startswith("http://127.0.0.1") and there.sources
    assert "script" not in there.tags and "b" not in there.tags
    assert f"payment_link='{there.links[0]}'" in cell.contents("execute_result")[0]["data"]["text/plain"]


def test_a_wait_is_one_card_that_changes_in_place(notebook, emulator):
    """
    From the first look to the end, under one display id; the last state of it stays.
    """
    _, number = pay(notebook)
    cell = notebook.begin("outcome = connector.finalise(payment.id_transaction)").until(lambda cell: cell.shows)
    emulator.approve(number)
    cell.finish()

    (first,) = cell.contents("display_data")
    updates = cell.contents("update_display_data")
    assert "en attente" in first["data"]["text/plain"]
    assert {each["transient"]["display_id"] for each in updates} == {first["transient"]["display_id"]}
    assert "payé" in updates[-1]["data"]["text/plain"] and "12\u202f500" in cell.cards[-1]
    assert cell.printed == ""
    assert "payé" in notebook.run("outcome").cards[0]


def test_a_wait_may_be_silent(notebook, emulator):
    """
    ``progress=False``.
    """
    _, number = pay(notebook)
    emulator.approve(number)

    cell = notebook.run("assert connector.finalise(payment.id_transaction, progress=False).paid")

    assert cell.messages[-1] == ("status", {"execution_state": "idle"})
    assert not cell.contents("display_data", "update_display_data", "stream")


#: Says so when the thread that runs cells has come to the wait itself.
SAY_WHEN_IT_WAITS = """
import sys, threading
def say_when_it_waits():
    main = threading.main_thread().ident
    while not sys._current_frames()[main].f_code.co_filename.endswith("wake_event.py"):
        threading.Event().wait(0.01)
    print("waits", flush=True)
threading.Thread(target=say_when_it_waits, daemon=True).start()
"""


@pytest.mark.parametrize("wait", ["connector.finalise(payment.id_transaction)", "handle.result()"])
def test_the_stop_button_gives_a_short_note(notebook, emulator, wait):
    """
    It says that the payment goes on, and how to wait again; then that is so. It is a ``KeyboardInterrupt`` still.
    """
    _, number = pay(notebook)
    notebook.run("handle = connector.listen(payment.id_transaction)")
    cell = notebook.begin(f"{SAY_WHEN_IT_WAITS}\n{wait}").until(lambda cell: "waits" in cell.printed)
    if "finalise" in wait:
        cell.until(lambda cell: cell.shows)
    notebook.interrupt()
    error = cell.finish().error
    emulator.approve(number)

    note = "\n".join(error["traceback"])
    assert error["ename"] == "KeyboardInterrupt"
    assert note.count("\n") < 10 and f"connector.finalise({number})" in note and "reste suivi" in note
    assert notebook.run("print(connector.finalise(payment.id_transaction).paid)").printed == "True\n"


@pytest.mark.parametrize(
    "call", [pytest.param("finalise_many", marks=[pytest.mark.faults, pytest.mark.long]), "as_completed"]
)
def test_the_stop_button_gives_a_short_note_for_many(notebook, emulator, call):
    """
    So many are still waited for; called again, all of them are there.
    """
    _, number = pay(notebook)
    wait = f"[each.paid for each in connector.{call}([payment.id_transaction], timeout=60)]"
    reading = ("GET", f"/v1/transactions/{number}")
    cell = notebook.begin(wait).until(lambda _: reading in [(each.method, each.path) for each in emulator.requests])
    notebook.interrupt()
    error = cell.finish().error
    emulator.approve(number)

    note = "\n".join(error["traceback"])
    assert error["ename"] == "KeyboardInterrupt"
    assert note.count("\n") < 10 and "ils restent suivis (encore attendus : 1)" in note
    assert notebook.run(f"print({wait})").printed == "[True]\n"


def test_a_program_in_a_cell_may_catch_the_interrupt(notebook):
    """
    What is raised is what Python raises.
    """
    pay(notebook)
    cell = notebook.begin(
        "try:\n    connector.finalise(payment.id_transaction)\nexcept KeyboardInterrupt as e:\n    print(type(e))"
    ).until(lambda cell: cell.shows)
    notebook.interrupt()

    assert cell.finish().printed == "<class 'KeyboardInterrupt'>\n"
    assert "attente interrompue" in cell.cards[-1]


WARN = """
def warn(text):
    logging.getLogger("fedapay_sync.workflow").warning(text)
thread = threading.Thread(target=warn, args=("from behind",))
thread.start(); thread.join()
"""


def test_background_log_lines_are_kept_out_of_cells(notebook):
    """
    The card of the connector shows them; what the cell itself does is told where it is done.
    """
    assert notebook.run(WARN).printed == ""
    assert notebook.run("warn('from the cell')").printed == "from the cell\n"
    (card,) = notebook.run("connector").cards

    assert "from behind" in card and "from the cell" not in card


def test_a_callback_that_fails_in_the_background_is_in_no_cell(notebook, emulator):
    """
    Its function is the notebook's, its thread is not.
    """
    _, number = pay(notebook)
    notebook.run(
        """
called = threading.Event()
@connector.on_webhook(name="failing")
def failing(event):
    called.set()
    raise ValueError("planted")
"""
    )
    emulator.approve(number)
    cell = notebook.run(
        """
assert called.wait(30)
from fedapay_sync.display.background_log import kept_warnings
ended = threading.Event()
while not any("planted" in each for each in kept_warnings()):
    ended.wait(0.01)
"""
    )

    assert cell.printed == ""
    assert "ValueError: planted" in notebook.run("connector").cards[0]


def test_log_lines_that_are_asked_for_come(notebook):
    """
    From every thread, once each, by the program's own handler.
    """
    notebook.run(WARN + "handler = logging.StreamHandler(); logging.getLogger().addHandler(handler)")
    try:
        assert notebook.run(WARN.replace("behind", "far")).printed == "from far\n"
        assert notebook.run("warn('here')").printed == "here\n"
    finally:
        notebook.run("logging.getLogger().removeHandler(handler)")
