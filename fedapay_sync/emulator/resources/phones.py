"""Phones of payers: prompts that wait for an answer, and the answers."""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from fedapay_sync.common.clock import SYSTEM_CLOCK
from fedapay_sync.emulator.domain.phone_numbers import bare
from fedapay_sync.emulator.domain.rules import CURRENCIES, charge
from fedapay_sync.emulator.http.serializers import Record
from fedapay_sync.emulator.resources.accounts import Accounts
from fedapay_sync.emulator.resources.transaction_ledger import TransactionLedger
from fedapay_sync.enums import TransactionStatus
from fedapay_sync.errors import InvalidArgument

_S = TransactionStatus
_MOST_NUMBERS = 200
# An open phone page asks every second; a browser slows it down behind another tab.
_HELD = 10.0

#: The answers that a payer may give to a prompt.
ANSWERS = ("agree", "wrong_pin", "no_money", "refuse", "ignore")


class Prompt(NamedTuple):
    """
    Ce que l'opérateur demande sur un téléphone.

    Attributes:
        id: identifiant de la demande ; une nouvelle tentative en a un autre.
        id_transaction: identifiant de la transaction à payer.
        number: numéro, comme il a été donné.
        amount: somme à débiter, frais compris.
        currency: devise, comme ``XOF``.
        shop: nom de la boutique.
        description: objet du paiement.
        mode: opérateur, comme ``momo_test``.
    """

    id: int
    id_transaction: int
    number: str
    amount: int
    currency: str
    shop: str
    description: str
    mode: str


class Phones:
    """
    Index of the prompts that one shop's operators have sent, by number.

    The prompts are in the transactions themselves, and are kept with them in the state file; this is only an index.
    """

    def __init__(self, ledger: TransactionLedger, accounts: Accounts) -> None:
        self._ledger = ledger
        self._data = ledger.data
        self._accounts = accounts
        self._table = self._data.table("transactions")
        self._asking: Dict[int, None] = {}
        self._numbers: Dict[str, str] = {}
        self._held: Dict[str, float] = {}
        self._data.on_reload(self.resume)

    def add_prompt(self, record: Record) -> None:
        """Index the prompt of a transaction."""
        number = record["prompted"]
        self._asking.pop(record["id"], None)
        self._asking[record["id"]] = None
        # Moved to the end: the number prompted longest ago is the first to be forgotten.
        self._numbers.pop(bare(number), None)
        self._numbers[bare(number)] = number
        if len(self._numbers) > _MOST_NUMBERS:
            del self._numbers[next(iter(self._numbers))]

    def resume(self) -> None:
        """After the records were read from a file: index their prompts."""
        self._asking.clear()
        self._numbers.clear()
        for record in sorted(self._table, key=lambda each: each["attempt"]):
            if record.get("prompted"):
                self.add_prompt(record)

    @property
    def numbers(self) -> List[str]:
        """The numbers that were prompted, the last one first."""
        with self._data.lock:
            return list(self._numbers.values())[::-1]

    def prompts(self, number: Optional[str] = None) -> List[Prompt]:
        """The prompts that wait on that phone, or on all of them, oldest first."""
        with self._data.lock:
            self._ledger.apply_due()
            found: List[Prompt] = []
            for each in list(self._asking):
                record = self._table.get(each)
                if record is None or not _is_asking(record):
                    del self._asking[each]
                elif number is None or bare(record["prompted"]) == bare(number):
                    found.append(self._prompt(record))
            return found

    def hold(self, number: str) -> None:
        """A person has the phone's page open: for a while the phone does not answer by itself."""
        now = SYSTEM_CLOCK.monotonic()
        with self._data.lock:
            self._held = {each: until for each, until in self._held.items() if until > now}
            self._held[bare(number)] = now + _HELD

    def is_held(self, number: str) -> bool:
        return self._held.get(bare(number), 0.0) > SYSTEM_CLOCK.monotonic()

    def answer(self, prompt: Prompt, answer: str) -> bool:
        """Answer a prompt; False when it no longer waits."""
        with self._data.atomic():
            record = self._table.get(prompt.id_transaction)
            if record is None or not _is_asking(record) or record["attempt"] != prompt.id:
                return False
            status = self._status(answer)
            if status == _S.pending:
                self._ledger.drop_prompt(record, None if answer == "ignore" else "API_ERROR")
                return True
            return self._ledger.move(record["id"], status, attempt=prompt.id)

    # Inside

    def _status(self, answer: str) -> str:
        settings = self._data.settings
        return {
            "agree": _S.approved.value,
            "wrong_pin": settings.wrong_pin,
            "no_money": settings.no_money,
            "refuse": settings.refusal,
            "ignore": _S.pending.value,
        }[answer]

    def _prompt(self, record: Record) -> Prompt:
        rate = self._data.rules.rate(record["mode"])
        return Prompt(
            id=record["attempt"],
            id_transaction=record["id"],
            number=record["prompted"],
            amount=charge(record["amount"], rate, self._data.settings.fees_by).debited,
            currency=next(each["iso"] for each in CURRENCIES if each["id"] == record["currency_id"]),
            shop=self._accounts.describe(record["account_id"], in_full=False)["name"],
            description=record["description"],
            mode=record["mode"],
        )


class Phone:
    """
    Le téléphone d'un payeur. Il sonne quand la page de paiement ou l'API (``POST /v1/momo_test``) lui demande de payer.

    Chaque réponse va à la dernière demande, ou à celle de ``id_transaction``. Ce que FedaPay fait d'un code faux,
    d'un solde qui manque et d'un refus n'est pas sûr : voir ``Settings``.

    Example:
        >>> emulator.phone("+2290166000001").prompts
        []
    """

    def __init__(
        self,
        number: str,
        shops: Callable[[], Sequence[Phones]],
        check_open: Callable[[], Any] = lambda: None,
        answered: Callable[[], Any] = lambda: None,
    ) -> None:
        self._number = number
        self._shops = shops
        self._check_open = check_open
        self._answered = answered

    def __repr__(self) -> str:
        return f"<Phone {self._number}>"

    @property
    def number(self) -> str:
        """Numéro, comme il a été donné."""
        return self._number

    @property
    def prompts(self) -> List[Prompt]:
        """Demandes qui attendent une réponse, de la plus ancienne à la plus récente."""
        return [prompt for _, prompt in prompts_on(self._number, self._shops())]

    def agree(self, id_transaction: Optional[int] = None) -> None:
        """
        Le payeur donne son code secret : la transaction devient ``approved``.

        Args:
            id_transaction: transaction visée ; par défaut celle de la dernière demande.

        Raises:
            InvalidArgument: rien n'est demandé à ce téléphone.
        """
        self._answer("agree", id_transaction)

    def wrong_pin(self, id_transaction: Optional[int] = None) -> None:
        """Le payeur se trompe de code : ``declined`` (deviné ; réglage ``wrong_pin``). Voir ``agree``."""
        self._answer("wrong_pin", id_transaction)

    def no_money(self, id_transaction: Optional[int] = None) -> None:
        """Le solde manque : ``canceled``, avec un code d'erreur (réglage ``no_money``). Voir ``agree``."""
        self._answer("no_money", id_transaction)

    def refuse(self, id_transaction: Optional[int] = None) -> None:
        """Le payeur refuse : ``declined`` (réglage ``refusal``). Voir ``agree``."""
        self._answer("refuse", id_transaction)

    def ignore(self, id_transaction: Optional[int] = None) -> None:
        """Le payeur ne répond pas : la demande s'efface, et la transaction reste ``pending``. Voir ``agree``."""
        self._answer("ignore", id_transaction)

    def _answer(self, answer: str, id_transaction: Optional[int]) -> None:
        self._check_open()
        for phones, prompt in reversed(prompts_on(self._number, self._shops())):
            if id_transaction in (None, prompt.id_transaction) and phones.answer(prompt, answer):
                self._answered()
                return
        wanted = "" if id_transaction is None else f" pour la transaction {id_transaction}"
        asked = sorted({each.number for phones in self._shops() for each in phones.prompts()})
        waiting = f"Attendent une réponse : {', '.join(asked[:5])}." if asked else "Aucun téléphone n'en a."
        raise InvalidArgument(
            f"Le téléphone {self._number} n'a pas de demande de paiement{wanted}. {waiting}", field="number"
        )


def prompts_on(number: str, shops: Sequence[Phones]) -> List[Tuple[Phones, Prompt]]:
    """The prompts on one phone for any of the shops, oldest first, each with the Phones that takes its answer."""
    found = [(phones, prompt) for phones in shops for prompt in phones.prompts(number)]
    return sorted(found, key=lambda each: each[1].id)


def _is_asking(record: Record) -> bool:
    return bool(record.get("asking")) and record["status"] == _S.pending and not record["deleted_at"]
