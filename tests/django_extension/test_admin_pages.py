"""The admin pages: what a shop's staff see of payments and events, and what their button does."""

import json
from pathlib import Path

import pytest

from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData, sign

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Gbaguidi", prenom="Awa", email="awa@example.com", tel="0164000001")

PAYMENTS, EVENTS = "/admin/fedapay/payment/", "/admin/fedapay/event/"


@pytest.fixture
def staff(shop):
    """Logs a member of the staff in, who has these permissions."""
    from django.contrib.auth.models import Permission, User
    from django.test import Client

    def log_in(*permissions):
        user = User.objects.create_user(f"user{User.objects.count()}", is_staff=True)
        user.user_permissions.set(
            Permission.objects.filter(content_type__app_label="fedapay", codename__in=permissions)
        )
        client = Client()
        client.force_login(user)
        return client

    yield log_in
    User.objects.all().delete()


@pytest.fixture
def parked_event(shop, emulator):
    """The number of a payment whose event a callback has left aside."""
    from support.django_shop.fedapay_callbacks import after

    number = shop.pay(SETUP, CLIENT, 500, merchant_reference="CMD-1").id_transaction
    emulator.approve(number)
    entity = {**emulator.transaction(number), "klass": "v1/transaction"}
    body = json.dumps(
        {"id": number, "name": "transaction.approved", "object": "transaction", "entity": entity}
    ).encode()
    after.append(lambda event: 1 / 0)
    shop.receive(body, sign(body, emulator.webhook_secret))
    # Unreadable, it is parked at once.
    unreadable = b"<b>not JSON</b>"
    shop.receive(unreadable, sign(unreadable, emulator.webhook_secret))
    after.clear()
    return number


def test_the_pages_show_payments_and_events_and_no_customer(staff, parked_event):
    """
    The state in words, what is parked first; a reference, an id or an event's key is found.
    """
    client = staff("view_payment", "view_event", "replay_event")
    payments, events = (client.get(page).content.decode() for page in (PAYMENTS, EVENTS))

    assert "CMD-1" in payments and str(parked_event) in payments and "payé" in payments
    assert events.index("Mis de côté") < events.index("transaction.approved")
    assert "dû à un callback" in events and "Rappeler" in events
    for text in (payments, events):
        assert "Gbaguidi" not in text and "0164000001" not in text and "awa@" not in text and "<b>not" not in text
    assert "CMD-1" in client.get(PAYMENTS, {"q": parked_event}).content.decode()
    assert "Aucun paiement CMD-2." in client.get(PAYMENTS, {"q": "CMD-2"}).content.decode()
    assert "transaction.approved" in client.get(EVENTS, {"q": "CMD-1"}).content.decode()
    assert "Aucun événement pour &lt;i&gt;." in client.get(EVENTS, {"q": "<i>"}).content.decode()


def test_the_button_has_a_parked_event_read_again(shop, staff, parked_event, caplog):
    """
    By POST alone; an event that is not parked any more is none of its business.
    """
    client = staff("view_event", "replay_event")
    (parked,) = shop.parked()

    assert client.get(f"{EVENTS}rappeler").status_code == 405
    said = client.post(f"{EVENTS}rappeler", {"event_key": parked.event_key}, follow=True).content.decode()
    # It was read again, and cannot be read still.
    assert "Rappelé" in said and f"{parked.event_key} failed 1 times and is parked" in caplog.text
    said = client.post(f"{EVENTS}rappeler", {"event_key": "no-such-key"}, follow=True).content.decode()
    assert "plus mis de côté" in said
    assert client.post(f"{EVENTS}rappeler", {}, follow=True).status_code == 200


def test_each_page_has_a_permission_of_its_own(shop, staff, parked_event):
    """
    Who may look may not yet call again; nobody adds, changes or deletes.
    """
    from django.test import Client

    (parked,) = shop.parked()
    looking = staff("view_event")
    assert "Rappeler" not in looking.get(EVENTS).content.decode()
    assert looking.post(f"{EVENTS}rappeler", {"event_key": parked.event_key}).status_code == 403
    assert looking.get(PAYMENTS).status_code == staff().get(EVENTS).status_code == 403
    assert Client().get(EVENTS).status_code == 302
    assert len(shop.parked()) == 1
    assert looking.get(f"{EVENTS}add/").status_code == looking.get(f"{EVENTS}1/change/").status_code == 404


def test_a_page_makes_no_database_and_says_what_is_wrong(staff, django_settings, tmp_path):
    """
    Neither before the first payment, nor with a setting that is refused.
    """
    from django.test import override_settings

    client = staff("view_payment", "view_event")
    assert "Aucun paiement." in client.get(PAYMENTS).content.decode()
    assert not Path(tmp_path / "fedapay.db").exists()
    with override_settings(FEDAPAY={**django_settings, "API_KEY": ""}):
        assert "il manque API_KEY" in client.get(EVENTS).content.decode()
