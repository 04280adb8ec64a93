"""The life of a connector in a process: what opens, what starts, and when."""

import sqlite3

from fedapay_sync import MethodesPaiement, PaiementSetup, Pays, UserData

SETUP = PaiementSetup(pays=Pays.benin, method=MethodesPaiement.momo_test)
CLIENT = UserData(nom="Doe", prenom="John", email="john@example.com", tel="0164000001")


def test_a_program_that_changes_its_folder_keeps_its_database(make_connector, tmp_path, monkeypatch):
    """
    A daemon does it between building and using, or after closing.
    """
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    shop = make_connector(db_url="sqlite:///shop.db")
    for folder in ("first", "second"):
        monkeypatch.chdir(tmp_path / folder)
        shop.pay(SETUP, CLIENT, 500, merchant_reference=folder)
        shop.close()

    with sqlite3.connect(tmp_path / "shop.db") as database:
        assert database.execute("SELECT COUNT(*) FROM fp_payment").fetchone() == (2,)
    assert sorted(each.name for each in tmp_path.rglob("*.db")) == ["shop.db"]
