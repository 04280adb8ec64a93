"""Tables: records found by id and by what is unique, however many there are."""

from fedapay_sync.emulator.storage.state_file import State
from fedapay_sync.emulator.storage.table import Table


def test_a_table_finds_by_what_is_unique():
    """
    After changes too: the old value finds nothing, the new one does, and an erased record is gone.
    """
    table = Table("things", State(), "name")
    first, second = table.save({"id": 1, "name": "a"}), table.save({"id": 2, "name": None})
    assert table.first(name="a") is first
    assert table.first(name=None) is second
    first["name"] = "b"
    table.save(first)
    assert table.first(name="a") is None
    assert table.first(name="b") is first
    table.find_by("kind")
    table.save({"id": 2, "name": "a", "kind": "x"})
    assert table.first(kind="x") == table.first(name="a") == table.get(2)
    table.erase(first)
    assert table.first(name="b") is None
    assert (len(table), [each["id"] for each in table]) == (1, [2])


def test_ten_thousand_transactions_are_no_burden(emulator, api):
    """
    Only the page shown is made, and a look-up is no search: counted in records read, not in seconds.
    """
    ledger = emulator._services.transactions
    read = []

    class Counting(dict):
        def __getitem__(self, name):
            read.append(name)
            return super().__getitem__(name)

        def get(self, name, default=None):
            read.append(name)
            return super().get(name, default)

    for number in range(10_000):
        made = ledger.add(amount=1, description="x", customer_id=None, currency_id=1, merchant_reference=f"R{number}")
        ledger._table._records[made["id"]] = Counting(made)
    read.clear()
    assert len(api("GET", "/v1/transactions?per_page=10").json()["v1/transactions"]) == 10
    assert api("GET", "/v1/transactions/merchant/R77").status_code == 200
    assert api("GET", f"/v1/transactions/{made['id']}").status_code == 200
    api.create(merchant_reference="new")
    assert len(read) < 1000
