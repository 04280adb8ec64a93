"""`fedapay-sync demo --page`: the test is the person, and pays by plain HTTP on the pages that it names."""

import os
import re
import signal
import subprocess
import sys
import threading

import pytest
import requests

COMMAND = [sys.executable, "-X", "faulthandler", "-m", "fedapay_sync.cli", "demo", "--page"]


class Demo:
    """A demonstration that runs, and what it has said so far."""

    def __init__(self, *options, **environment):
        clean = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
        self.process = subprocess.Popen(
            [*COMMAND, *options],
            env={**clean, "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    @property
    def text(self):
        return "".join(self.lines)

    def address(self, name):
        found = re.search(rf"{name} +(http\S+)", self.text)
        return found and found[1]

    def finish(self):
        """Its last words on the other stream, and its code. One that hangs says where, and is aborted."""
        abort = threading.Timer(60, self.process.send_signal, [signal.SIGABRT])
        abort.start()
        complaints = self.process.stderr.read()
        abort.cancel()
        code = self.process.wait(30)
        self._reader.join(10)
        return code, complaints


@pytest.fixture
def demo():
    started = []

    def start(*options, **environment):
        started.append(Demo(*options, **environment))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.finish()
        each.process.stdout.close()
        each.process.stderr.close()


@pytest.fixture
def person():
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Accept"] = "text/html"
        yield session


def pays(person, demo, answer):
    """On the page, then on the phone; gives where the page then sends the payer."""
    page, phone = demo.address("Page de paiement"), demo.address("Téléphone du client")
    form = {"pays": "bj", "operateur": "momo_test", "numero": "0164000001"}
    assert person.post(page, data=form, timeout=10).status_code == 200
    prompt = re.search(r'name="demande" value="(\d+)"', person.get(phone, timeout=10).text)[1]
    person.post(phone, data={"demande": prompt, "reponse": answer}, timeout=10)
    found = re.search(r'href="([^"]*/retour\?[^"]*)"', person.get(page, timeout=10).text)
    return found[1].replace("&amp;", "&")


def test_a_person_pays_and_sees_what_the_shop_saw(demo, person, eventually):
    """
    Addresses are printed, it waits, then webhook, payment and the way back are told; it ends by itself.
    """
    running = demo("--no-browser")
    eventually(lambda: running.address("Tableau de bord"), timeout=30)
    assert "Ouvrir dans un navigateur" in running.text
    assert person.get(running.address("Tableau de bord"), timeout=10).status_code == 200

    back = pays(person, running, "agree")
    eventually(lambda: "Payé" in running.text, timeout=30)
    assert "De retour à la boutique" in person.get(back, timeout=10).text

    assert running.finish() == (0, "")
    steps = [each for each in ("transaction.approved", "1 042 F CFA débités", "revenu") if each in running.text]
    assert len(steps) == 3
    assert sorted(steps, key=running.text.index) == steps
    assert "status='approved'" in running.text


def test_a_payer_that_refused_may_try_again(demo, person, eventually):
    """
    The demonstration says so and goes on waiting.
    """
    running = demo("--no-browser")
    eventually(lambda: running.address("Tableau de bord"), timeout=30)

    pays(person, running, "refuse")
    eventually(lambda: "Pas payé" in running.text, timeout=30)
    assert running.process.poll() is None
    back = pays(person, running, "agree")
    eventually(lambda: "Payé" in running.text, timeout=30)
    person.get(back, timeout=10)

    assert running.finish() == (0, "")


@pytest.mark.parametrize("options", [(), ("--no-browser",)])
def test_without_a_screen_or_if_one_wants_nothing_is_opened(demo, eventually, options, tmp_path):
    """
    A browser in the terminal would hide what the demonstration tells; Ctrl-C ends it, and leaves nothing.
    """
    opened = tmp_path / "opened"
    script = tmp_path / "browser"
    script.write_text(f"#!/bin/sh\necho $1 >> {opened}\n", encoding="utf-8")
    script.chmod(0o755)
    screen = {"DISPLAY": ":99"} if options else {}
    (tmp_path / "tmp").mkdir()

    running = demo(*options, BROWSER=str(script), TMPDIR=str(tmp_path / "tmp"), **screen)
    eventually(lambda: running.address("Tableau de bord"), timeout=30)
    running.process.send_signal(signal.SIGINT)
    code, complaints = running.finish()

    assert code == 1, complaints
    assert "Traceback" not in complaints
    assert not opened.exists()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_with_a_screen_page_and_phone_are_opened(demo, person, eventually, tmp_path):
    """
    By the browser that the machine has.
    """
    opened = tmp_path / "opened"
    script = tmp_path / "browser"
    script.write_text(f"#!/bin/sh\necho $1 >> {opened}\n", encoding="utf-8")
    script.chmod(0o755)

    running = demo(BROWSER=f"{script} %s", DISPLAY=":99")
    eventually(lambda: running.address("Tableau de bord"), timeout=30)

    eventually(lambda: opened.exists() and len(opened.read_text().split()) == 2)
    assert opened.read_text().split() == [running.address("Page de paiement"), running.address("Téléphone du client")]
    assert "dans le navigateur :" in running.text
