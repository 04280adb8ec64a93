"""A real browser, driven as a person would, and a tiny shop to come back to."""

import importlib.util
import json
import os
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import requests

from fedapay_sync import signature
from fedapay_sync.emulator import Emulator
from fedapay_sync.server.web_server import WebServer

DESKTOP, TELEPHONE = (1280, 900), (360, 740)
PATIENCE = 10


def _promised(missing):
    """Without a browser these tests are skipped, unless one is promised."""
    if os.environ.get("REQUIRE_CHROMIUM"):
        pytest.fail(f"REQUIRE_CHROMIUM is set, and there is no {missing}")
    pytest.skip(f"no {missing}: pip install '.[browser]', apt-get install chromium chromium-driver")


def _axe():
    # Its own door would import a whole other driver of browsers; only the script is wanted.
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None:
        _promised("axe-playwright-python")
    return (Path(found.submodule_search_locations[0]) / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """One browser for all tests of a worker."""
    chromium = shutil.which("chromium")
    driver = shutil.which("chromedriver")
    for found, name in (
        (chromium, "chromium"),
        (driver, "chromedriver"),
        (importlib.util.find_spec("selenium"), "selenium"),
    ):
        if found is None:
            _promised(name)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for each in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--no-proxy-server",
        "--no-first-run",
        "--disable-background-networking",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(each)
    started = webdriver.Chrome(options, webdriver.ChromeService(driver))
    started.set_page_load_timeout(30)
    yield started
    started.quit()


def _plain(text):
    """A sum is written with spaces that no line's end breaks."""
    return text.replace("\u202f", " ").replace("\u00a0", " ")


class Browser:
    """What a person does with a browser."""

    def __init__(self, driver):
        self.driver = driver

    def size(self, width, height):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def scripts(self, allowed):
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not allowed})

    def open(self, url):
        self.driver.get(url)

    @property
    def url(self):
        return self.driver.current_url

    @property
    def text(self):
        # In one step: between finding the body and reading it, a page may have made room for the next.
        return _plain(self.driver.execute_script("return document.body ? document.body.innerText : ''"))

    def find(self, css):
        return self.driver.find_element("css selector", css)

    @property
    def focused(self):
        """The element that the keyboard speaks to."""
        return self.driver.switch_to.active_element

    def fill(self, label, text):
        """Type into the field of that label."""
        named = self.driver.find_element("xpath", f"//label[normalize-space()={label!r}]").get_attribute("for")
        field = self.driver.find_element("id", named)
        field.clear()
        field.send_keys(text)

    def press(self, name):
        """Press the button, or follow the link, of that name."""
        spoken = "translate(normalize-space(), '\u202f\u00a0', '  ')"
        self.driver.find_element("xpath", f"(//button | //a)[{spoken}={name!r}]").click()

    def wait_for(self, text):
        """Until the page says that."""
        return self._until(lambda _: text in self.text, f"no {text!r} in")

    def wait_until(self, condition):
        """Until that is true of the browser."""
        return self._until(lambda _: condition(self), "not yet at")

    def _until(self, condition, trouble):
        from selenium.common.exceptions import TimeoutException, WebDriverException
        from selenium.webdriver.support.wait import WebDriverWait

        # A page that goes while it is looked at has no one error of its own: what comes after it is looked at next.
        going = (WebDriverException,)
        try:
            return WebDriverWait(self.driver, PATIENCE, 0.05, going).until(condition)
        except TimeoutException:
            raise AssertionError(f"{trouble} {self.url}:\n{self.text}") from None

    @contextmanager
    def other_window(self, kind="window"):
        """What is done inside happens in a second window, or in a tab that hides the first one, which goes on."""
        first = self.driver.current_window_handle
        self.driver.switch_to.new_window(kind)
        self.size(*DESKTOP)
        try:
            yield
        finally:
            self.driver.close()
            self.driver.switch_to.window(first)

    def barriers(self):
        """What axe finds that would stop a person: each serious or critical violation, with where it is."""
        self.driver.execute_script(_axe())
        found = self.driver.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
        assert found["passes"], "axe looked at nothing"
        return [
            f"{each['id']}: {node['html']}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]

    def overflow(self):
        """How many pixels of the page stand outside the window."""
        return self.driver.execute_script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )


@pytest.fixture(params=[DESKTOP, TELEPHONE], ids=["desktop", "telephone"])
def window(request):
    """Both sizes of a screen."""
    return request.param


@pytest.fixture
def browser(chromium):
    """A fresh page with scripts, the width of a desktop screen."""
    browser = Browser(chromium)
    browser.scripts(True)
    browser.size(*DESKTOP)
    chromium.delete_all_cookies()
    yield browser
    chromium.get("about:blank")


class Shop:
    """Where the payer comes back to, and where the webhooks go."""

    def __init__(self):
        self.returns = []
        self.received = []
        self._arrived = threading.Condition()
        self.server = WebServer(self)

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read()
        with self._arrived:
            if environ["PATH_INFO"] == "/retour":
                self.returns.append(parse_qs(environ["QUERY_STRING"]))
            elif environ["PATH_INFO"] == "/hook":
                self.received.append((environ["HTTP_X_FEDAPAY_SIGNATURE"], body))
            self._arrived.notify_all()
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [b"<title>Boutique</title><h1>Merci de votre visite</h1>"]

    @property
    def back(self):
        return self.server.url + "/retour?commande=7"

    def wait_for(self, event, secret):
        """The entity of a webhook of that name, whose signature is good."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: self._named(event), PATIENCE), (event, self.received)
            signed, body = self._named(event)[-1]
        signature.verify(body, signed, secret)
        return json.loads(body)["entity"]

    def _named(self, event):
        return [each for each in self.received if json.loads(each[1])["name"] == event]


@pytest.fixture
def shop():
    shop = Shop()
    with shop.server:
        yield shop


@pytest.fixture
def emulator(shop):
    """A sandbox whose payers wait for a person, and whose webhooks go to the shop."""
    with Emulator(retry_factor=0.01, webhook_url=shop.server.url + "/hook") as running:
        yield running


@pytest.fixture
def order(emulator, shop):
    """``order(**changes)``: a new transaction that leads back to the shop."""

    def make(**changes):
        body = {
            "description": "Panier nᵒ 7 : deux pagnes et un café",
            "amount": 15000,
            "currency": {"iso": "XOF"},
            "callback_url": shop.back,
            **changes,
        }
        return _call(emulator, "/v1/transactions", body)["v1/transaction"]

    return make


@pytest.fixture
def push(emulator):
    """``push(transaction, number)``: ask that phone through the API, without the page."""

    def ask(transaction, number):
        body = {"token": transaction["payment_token"], "phone_number": {"number": number, "country": "bj"}}
        return _call(emulator, "/v1/momo_test", body)

    return ask


def _call(emulator, path, body):
    with requests.Session() as session:
        session.trust_env = False
        headers = {"Authorization": f"Bearer {emulator.secret_key}"}
        answer = session.post(emulator.url + path, json=body, headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()
