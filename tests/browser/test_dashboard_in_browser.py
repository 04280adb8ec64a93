"""A developer at the dashboard, in a real browser."""

import pytest

from fedapay_sync.emulator import Emulator

PAGES = [
    "/",
    "/depots",
    "/clients",
    "/evenements",
    "/appels",
    "/appels/1",
    "/livraisons",
    "/pannes",
    "/reglages",
    "/oublier",
]


@pytest.fixture
def paid(emulator, order):
    """A transaction that was paid, and whose webhooks were delivered."""
    transaction = order()
    emulator.approve(transaction["id"])
    emulator.wait_for_deliveries()
    return transaction


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_webhook_is_delivered_again_by_its_button(browser, emulator, shop, paid, scripts):
    """
    The shop gets the same event once more, and a line of it appears.
    """
    browser.scripts(scripts)
    browser.open(emulator.desk_url)
    browser.press("Webhooks")
    before = [body for _, body in shop.received]

    browser.find(f"#livraison-{emulator.deliveries[-1].id} button").click()

    browser.wait_for("Le webhook repart.")
    emulator.wait_for_deliveries()
    after = [body for _, body in shop.received]
    assert len(after) == len(before) + 1
    # Webhooks overtake each other: which of them came last before is not certain.
    assert after[-1] in before
    assert shop.wait_for("transaction.approved", emulator.webhook_secret)["id"] == paid["id"]


def test_what_happens_appears_by_itself(browser, emulator, order):
    """
    A payment made elsewhere stands in the list without a reload, and its end too.
    """
    browser.open(emulator.desk_url)
    browser.wait_for("Rien encore.")

    transaction = order(description="Deux pagnes wax")

    browser.wait_for("Deux pagnes wax")
    emulator.approve(transaction["id"])
    browser.wait_for("approved")


def test_what_a_person_writes_is_not_taken_away(browser, emulator, order):
    """
    The list is made anew around a filter that is being filled in; a button that had the focus has it again.
    """
    first = order(description="La première")
    browser.open(emulator.desk_url)
    browser.fill("Chercher", "pag")
    order(description="La deuxième")
    browser.wait_for("La deuxième")
    assert browser.find("#f-q").get_attribute("value") == "pag"

    held = f"#transaction-{first['id']} form[action$=decline] button"
    browser.driver.execute_script("arguments[0].focus()", browser.find(held))
    order(description="La troisième")
    browser.wait_for("La troisième")

    browser.wait_until(lambda browser: browser.focused == browser.find(held))


def test_a_call_is_copied(browser, emulator, paid):
    """
    What the button copies is what the page shows.
    """
    browser.driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    browser.open(emulator.url + "/appels/1")

    browser.find("[data-copy=curl]").click()

    browser.wait_for("Copié")
    copied = browser.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert copied == browser.find("#curl").text
    assert copied.startswith("curl -X POST ")


def test_without_scripts_nothing_offers_to_copy(browser, emulator, paid):
    """
    A button that could do nothing is not there.
    """
    browser.scripts(False)
    browser.open(emulator.url + "/appels/1")

    assert "curl -X POST" in browser.text
    assert "Copier" not in browser.text


def test_a_day_passes_by_button(browser, emulator, order):
    """
    An unpaid link expires before the developer's eyes.
    """
    id = order()["id"]
    browser.open(f"{emulator.url}/transactions/{id}")

    browser.press("+ 24 h")

    browser.wait_for("transaction.expired")
    assert "(+ 24 h)" in browser.text


def test_a_fault_is_asked_for_by_keyboard(browser, emulator):
    """
    Opened, filled in and sent without a mouse.
    """
    from selenium.webdriver.common.keys import Keys

    browser.open(emulator.url + "/pannes")
    summary = browser.driver.find_element("xpath", "//summary[contains(., 'webhook.delay')]")
    summary.send_keys(Keys.ENTER)
    seconds = browser.find("#webhook-delay-seconds")
    seconds.send_keys(Keys.BACKSPACE, "5", Keys.ENTER)

    browser.wait_for("Panne demandée.")
    assert emulator.faults.active[0].options == {"seconds": 5}


def test_nothing_of_the_dashboard_is_a_barrier(browser, emulator, paid, window):
    """
    axe finds nothing serious on any page, a transaction's and a delivery's among them, and nothing stands outside a
    narrow screen.
    """
    emulator.faults.webhook.drop()
    browser.size(*window)
    found = {}
    for path in (*PAGES, f"/transactions/{paid['id']}", f"/livraisons/{emulator.deliveries[0].id}"):
        browser.open(emulator.url + path)
        found[path] = (browser.barriers(), max(0, browser.overflow()))

    assert found == dict.fromkeys(found, ([], 0))


def test_a_shop_of_a_long_name_leaves_the_other_buttons_on_the_screen(browser):
    """
    On a telephone, where its name alone is wider than the screen.
    """
    with Emulator(shops={"sk_sandbox_kossi": "Chez Kossi, pagnes, cafés et autres douceurs"}) as emulator:
        browser.size(360, 740)
        browser.open(emulator.url + "/")
        assert browser.overflow() <= 0
        browser.press("+ 24 h")
        browser.wait_for("L'heure a sauté")


def test_the_address_of_a_call_is_read_in_one_line(browser, emulator, paid):
    """
    On a telephone too, where its table is the one to scroll.
    """
    browser.size(360, 740)
    browser.open(emulator.url + "/appels")
    lines = browser.driver.execute_script("return document.querySelector('td.path a').getClientRects().length")

    assert lines == 1
    assert browser.overflow() <= 0
