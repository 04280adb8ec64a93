"""
Ctrl-C in a wait: a short note for a person, and for a program nothing but Python's own error.
"""

import os
import subprocess
import sys
import traceback

import pytest
from support.notebook_kernel import ROOT

from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData
from fedapay_sync.display.interrupts import explain, note_lines

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")


def interrupted(connector, number, monkeypatch):
    """The error of a wait that is interrupted at its first look."""

    def interrupt(*_):
        raise KeyboardInterrupt

    runtime = connector._per_process.get()
    monkeypatch.setattr(runtime.outcomes, "of", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        connector.finalise(number)
    return caught.value


def test_in_a_program_the_error_is_as_python_made_it(make_connector, monkeypatch):
    """
    Its frames and arguments, and nothing besides.
    """
    connector = make_connector()
    error = interrupted(connector, connector.pay(SETUP, CLIENT, 500).id_transaction, monkeypatch)

    assert (error.args, vars(error)) == ((), {})
    assert "interrupt" in [each.name for each in traceback.extract_tb(error.__traceback__)]


def test_at_a_prompt_the_error_has_a_note_and_no_frames_of_ours(make_connector, monkeypatch):
    """
    What lies below the method that was called helps nobody who has pressed Ctrl-C.
    """
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    connector = make_connector()
    number = connector.pay(SETUP, CLIENT, 500).id_transaction
    error = interrupted(connector, number, monkeypatch)

    assert type(error) is KeyboardInterrupt
    first, *others = note_lines(number)
    assert f"pas le paiement {number}" in first and str(error) == f"{first} {others[0]}"
    assert error._render_traceback_() == [f"KeyboardInterrupt: {first}", *others]
    assert "result" not in [each.name for each in traceback.extract_tb(error.__traceback__)]


@pytest.mark.parametrize("reference, advice", [("CMD-1", "la même merchant_reference"), (None, "le retrouver avant")])
def test_a_payment_that_is_interrupted_says_how_to_go_on(make_connector, emulator, monkeypatch, reference, advice):
    """
    After FedaPay has made it, and before ``pay`` could give it; with a reference, to run it again asks nobody twice.
    """
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    stops = [KeyboardInterrupt()]

    def stop(exchange):
        if stops:
            raise stops.pop()

    connector = make_connector(observer=stop)
    with pytest.raises(KeyboardInterrupt) as caught:
        connector.pay(SETUP, CLIENT, 500, merchant_reference=reference)

    first, second = caught.value._render_traceback_()
    assert first == "KeyboardInterrupt: pay est interrompu : le client a peut-être été sollicité."
    assert advice in second
    if reference:
        connector.pay(SETUP, CLIENT, 500, merchant_reference=reference)
    assert len(emulator.transactions) == 1


def test_a_note_holds_no_text_of_others(monkeypatch):
    """
    An id may be any text that the caller has given.
    """
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    error = KeyboardInterrupt()
    explain(error, "x\x1b[2J\n" + 50 * "y\n")

    assert len(error._render_traceback_()) <= 10
    assert not any("\n" in line or "\x1b" in line for line in error._render_traceback_())


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_at_pythons_own_prompt_ctrl_c_gives_ten_lines_at_most(emulator, tmp_path):
    """
    In a real interpreter that reads from its prompt, as it asks FedaPay in a wait.
    """
    program = f"""
import os, signal, sys
from fedapay_sync import *
armed = []
def stop(exchange): armed and armed.pop() and os.kill(os.getpid(), signal.SIGINT)

connector = Connector({emulator.url!r}, api_key={emulator.secret_key!r}, db_url="sqlite:///x.db", observer=stop)
setup = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
payment = connector.pay(setup, UserData(nom="Doe", prenom="John", email="j@example.com", tel="0164000001"), 500)
mark = sys.stderr.write("mark\\n"); armed.append(True); connector.finalise(payment.id_transaction, timeout=60)
mark = sys.stderr.write("mark\\n"); print(connector.finalise(payment.id_transaction, timeout=0).paid); connector.close()
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-i", "-q", "-u"]
    run = subprocess.run(
        command, input=program, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120
    )

    told = run.stderr.split("mark\n")[1].removesuffix(">>> ").strip()
    assert "KeyboardInterrupt: l'attente est interrompue" in told and "Pour reprendre" in told
    assert len(told.splitlines()) <= 10, told
    assert run.stdout.strip() == "False"
