"""A customer pays in a real browser, on a desktop screen and a small one; the phone is another window."""

import pytest

NUMBER = "0164000001"

OUTCOMES = [
    ("Valider", "Paiement accepté", "approved"),
    ("Code faux", "Paiement refusé", "declined"),
    ("Solde insuffisant", "Paiement non abouti", "canceled"),
    ("Refuser", "Paiement refusé", "declined"),
]


def pay(browser, transaction):
    browser.open(transaction["payment_url"])
    browser.fill("Numéro de téléphone", "01 64 00 00 01")
    browser.press("Payer")
    browser.wait_for("Confirmez sur votre téléphone")


@pytest.mark.parametrize(("button", "said", "status"), OUTCOMES, ids=[each[0] for each in OUTCOMES])
def test_each_answer_of_the_phone_leads_back_to_the_shop(button, said, status, window, browser, order, shop, emulator):
    """
    Two windows: the page hears by itself what the phone answers; the shop gets its webhook and its customer.
    """
    browser.size(*window)
    transaction = order()
    pay(browser, transaction)
    assert browser.overflow() <= 0
    with browser.other_window():
        browser.size(*window)
        browser.open(f"{emulator.url}/telephone/{NUMBER}")
        browser.wait_for("15 625 F CFA")
        assert browser.overflow() <= 0
        browser.fill("Code secret", "1234")
        browser.press(button)
        browser.wait_for("Ce téléphone sonnera ici")

    browser.wait_for(said)
    assert browser.overflow() <= 0
    # A payer that has paid is sent back after some seconds without a click: waited for once, on the wide screen.
    if status != "approved" or window[0] < 500:
        browser.press("Retourner à la boutique")
    browser.wait_for("Merci de votre visite")

    assert shop.returns == [{"commande": ["7"], "id": [str(transaction["id"])], "status": [status]}]
    assert shop.wait_for(f"transaction.{status}", emulator.webhook_secret)["id"] == transaction["id"]


def test_a_payer_that_ignores_the_phone_waits_and_may_pay_another_way(browser, order, shop, emulator):
    """
    The page stays as it is; then the card pays.
    """
    transaction = order()
    pay(browser, transaction)
    with browser.other_window():
        browser.open(f"{emulator.url}/telephone/{NUMBER}")
        browser.press("Ignorer")
        browser.wait_for("le paiement reste en attente")
    assert "Confirmez sur votre téléphone" in browser.text
    assert emulator.transaction(transaction["id"])["status"] == "pending"

    browser.press("Payer autrement")
    browser.press("Carte bancaire")
    browser.fill("Numéro de la carte", "4242 4242 4242 4242")
    browser.fill("Expire fin", "12/40")
    browser.fill("Code de sécurité", "123")
    browser.press("Payer 15 625 F CFA")
    browser.wait_for("Paiement accepté")
    browser.press("Retourner à la boutique")
    browser.wait_for("Merci de votre visite")
    assert shop.returns[0]["status"] == ["approved"]


def test_it_works_without_scripts(browser, order, shop, emulator):
    """
    Forms, and pages that come anew by themselves: the whole way to the shop and back.
    """
    browser.scripts(False)
    transaction = order()
    pay(browser, transaction)
    with browser.other_window():
        browser.scripts(False)
        browser.open(f"{emulator.url}/telephone/{NUMBER}")
        browser.press("Valider")
        browser.wait_for("Payé.")
    browser.wait_for("Paiement accepté")
    browser.wait_for("Merci de votre visite")
    assert shop.returns == [{"commande": ["7"], "id": [str(transaction["id"])], "status": ["approved"]}]


def test_a_phone_behind_another_tab_is_still_in_hand(browser, emulator):
    """
    Its page goes on saying that it is open: so long the payer does not answer without a person.
    """

    def held():
        return max(emulator._services.phones._held.values())

    browser.open(f"{emulator.url}/telephone/{NUMBER}")
    browser.wait_for("Ce téléphone sonnera ici")
    with browser.other_window("tab"):
        browser.open(f"{emulator.url}/")
        before = held()
        # More than the one question that was under way.
        browser.wait_until(lambda _: held() > before + 2)


def test_the_phone_rings_by_itself_also_for_a_push_of_the_api(browser, order, emulator, push):
    """
    A phone that lies open shows the prompt, says so to a screen reader, and forgets it when it was answered elsewhere.
    """
    browser.open(f"{emulator.url}/telephone/{NUMBER}")
    browser.wait_for("Ce téléphone sonnera ici")
    push(order(), NUMBER)
    browser.wait_for("Confirmer le paiement de")
    browser.wait_until(lambda browser: "sonne" in browser.find("#news").get_attribute("textContent"))
    emulator.phone(NUMBER).refuse()
    browser.wait_for("Ce téléphone sonnera ici")


def test_a_keyboard_is_enough(browser, order, emulator):
    """
    From the field to the button and on, without a mouse; a wrong number brings the focus back to its field.
    """
    from selenium.webdriver.common.keys import Keys

    browser.open(order()["payment_url"])
    browser.fill("Numéro de téléphone", "12")
    browser.find("#numero").send_keys(Keys.ENTER)
    browser.wait_for("Ce numéro ne semble pas complet")
    # A page is there a moment before its focus is.
    browser.wait_until(lambda browser: browser.focused.get_attribute("id") == "numero")
    browser.focused.send_keys(Keys.HOME, "0164000001", Keys.DELETE, Keys.DELETE, Keys.TAB)
    assert browser.focused.text == "Payer"
    browser.focused.send_keys(Keys.ENTER)
    browser.wait_for("Confirmez sur votre téléphone")


def test_no_page_of_a_payer_is_a_barrier(browser, window, order, emulator, push):
    """
    Axe finds nothing serious on any page of the payer's and of the phone's, in either language.
    """
    browser.size(*window)
    transaction, deleted = order(), order()
    emulator._services.transactions.delete(emulator._services.transactions.get(deleted["id"]))
    found = {}

    def look(name, url):
        browser.open(url)
        found[name] = browser.barriers()

    link = transaction["payment_url"]
    look("form", link)
    look("form in English", link + "?locale=en")
    look("card", link + "?changer=1&moyen=carte")
    browser.open(link)
    browser.press("Payer")
    browser.wait_for("Il reste un point à corriger")
    found["wrong form"] = browser.barriers()
    look("deleted", deleted["payment_url"])
    look("silent phone", f"{emulator.url}/telephone/{NUMBER}")
    push(transaction, NUMBER)
    look("wait", link)
    look("phone", f"{emulator.url}/telephone/{NUMBER}")
    look("phones", f"{emulator.url}/telephone/")
    emulator.phone(NUMBER).refuse()
    look("declined", link)
    emulator.approve(transaction["id"])
    look("paid", link)
    look("receipt", emulator.transaction(transaction["id"])["receipt_url"])
    look("not found", emulator.url + "/rien")
    assert not any(found.values()), found


def test_a_barrier_is_noticed(browser):
    """
    The check can fail: a picture without words, grey on grey.
    """
    browser.open("data:text/html,<html lang=en><title>x</title><img src=x><p style='color:silver'>pale</p>")
    assert {each.partition(":")[0] for each in browser.barriers()} == {"image-alt", "color-contrast"}
