"""marshmallow fields for what we send, each one read strictly: an amount, a phone number, a moment."""

import datetime
import json
import re
from collections.abc import Mapping
from typing import Any, Dict

import marshmallow
from marshmallow import fields, validate

from fedapay_sync.common.http_headers import NAME_CHARACTER
from fedapay_sync.errors import InvalidArgument
from fedapay_sync.models.params.amounts import checked_amount
from fedapay_sync.models.params.identifiers import checked_id, checked_mode, checked_reference
from fedapay_sync.models.payment import checked_phone_number

_URL = re.compile(r"https?://[^\s/?#]+[^\s]*\Z")
#: A page. Anything else opens a file or an application, or runs what is written there, on the payer's device.
_LINK = re.compile(r"(?i)https?://[^\s/?#][^\x00-\x1f\x7f]*\Z")
_MOMENT = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)[ T](\d\d?):(\d\d?)(?::(\d\d?)(?:\.\d+)?)?(?:Z|[+-](\d\d):?(\d\d))?\Z", re.ASCII
)
#: What HTTP carries as a header, in our calls and in FedaPay's.
HEADER_NAME = re.compile(NAME_CHARACTER + r"{1,100}\Z")
HEADER_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?\Z")
_email = validate.Email()


def missing_messages(expected: str) -> Dict[str, Any]:
    """What marshmallow says where nothing, or None, was given."""
    # marshmallow formats it: braces are doubled.
    text = f"il manque ({expected})".replace("{", "{{").replace("}", "}}")
    return {"required": text, "null": text}


class StrictField(fields.Field):  # type: ignore[type-arg,unused-ignore]
    """A value that FedaPay takes; ``None`` leaves the attribute out of a creation and empties it in an update."""

    #: What is expected, for the error of a caller that left it out.
    expected = "quelque chose"

    def __init__(self, **options: Any) -> None:
        options.setdefault("allow_none", not options.get("required"))
        options.setdefault("error_messages", missing_messages(self.expected))
        super().__init__(**options)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        try:
            return self.read(value)
        except InvalidArgument as error:
            # That sentence begins with the name of the field, which the body's own puts before it as well.
            told = error.message[len(error.field) :].lstrip(" :=")
            raise marshmallow.ValidationError(told) from None

    def read(self, value: Any) -> Any:
        """The value as it is sent."""
        return value


class Text(StrictField):
    """A text; not an empty one where it is required."""

    expected = "un texte non vide"

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise marshmallow.ValidationError(f"un texte est attendu, reçu {type(value).__name__}")
        if self.required and not value.strip():
            raise marshmallow.ValidationError("un texte non vide est attendu")
        return str(value)


class Name(StrictField):
    """Part of a person's name: FedaPay refuses an empty one, and the slip of a JavaScript client."""

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not value.strip() or value == "undefined":
            raise marshmallow.ValidationError("un texte non vide est attendu (FedaPay refuse un nom vide)")
        return str(value)


class Email(StrictField):
    """An e-mail address."""

    def read(self, value: Any) -> str:
        try:
            return str(_email(value if isinstance(value, str) else ""))
        except marshmallow.ValidationError:
            raise marshmallow.ValidationError(
                "une adresse de la forme nom@domaine.bj est attendue ; la laisser de côté si le client n'en a pas"
            ) from None


class Amount(StrictField):
    """Whole francs above zero."""

    expected = "un nombre entier de francs"

    def read(self, value: Any) -> int:
        return checked_amount(value, "amount")


class Boolean(StrictField):
    """True or false."""

    def read(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise marshmallow.ValidationError(f"True ou False est attendu, reçu {type(value).__name__}")
        return value


class Number(StrictField):
    """The number of a phone."""

    expected = "un numéro de téléphone"

    def read(self, value: Any) -> str:
        return checked_phone_number(value, "number")


class Country(StrictField):
    """A country by the two letters of ISO 3166-1, in either case."""

    expected = "un code pays de deux lettres"

    def read(self, value: Any) -> str:
        text = getattr(value, "value", value)
        if not isinstance(text, str) or not re.match(r"[A-Za-z]{2}\Z", text):
            raise marshmallow.ValidationError("un code pays de deux lettres est attendu, par exemple « bj »")
        return text


class Id(StrictField):
    """An identifier of FedaPay's."""

    expected = "un identifiant FedaPay"

    def read(self, value: Any) -> Any:
        checked_id(value, "id")
        return value


class Reference(StrictField):
    """A merchant reference."""

    def read(self, value: Any) -> str:
        return checked_reference(value)


class Mode(StrictField):
    """An operator's code, or one of our members, whose name is the code."""

    expected = "le code d'un opérateur, comme « mtn_open »"

    def read(self, value: Any) -> str:
        return checked_mode(value)


class Url(StrictField):
    """An absolute http or https address."""

    expected = "une adresse complète, https://…"

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not _URL.match(value):
            raise marshmallow.ValidationError("une adresse complète est attendue, comme https://boutique.bj/webhooks")
        return str(value)


class Link(StrictField):
    """Where a browser is sent: the absolute address of a page."""

    expected = "une adresse complète, https://…"

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not _LINK.match(value):
            raise marshmallow.ValidationError(
                "le texte de l'adresse http ou https d'une page est attendu, comme https://boutique.bj/retour"
            )
        return str(value)


class JsonObject(StrictField):
    """A dictionary that JSON can write."""

    def read(self, value: Any) -> Dict[str, Any]:
        if not isinstance(value, Mapping):
            raise _object_expected(f"reçu {type(value).__name__}")
        try:
            copied: Dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False, default=_refuse_unwritable))
        except TypeError:
            raise _object_expected("un nom n'y est pas un texte") from None
        except (ValueError, RecursionError):
            raise _object_expected("un nombre n'y est pas fini, ou quelque chose s'y contient lui-même") from None
        return copied


def _refuse_unwritable(value: Any) -> Any:
    raise _object_expected(f"{type(value).__name__} ne s'écrit pas en JSON")


def _object_expected(problem: str) -> marshmallow.ValidationError:
    return marshmallow.ValidationError(f"un dictionnaire de textes, nombres et listes est attendu ({problem})")


class Headers(JsonObject):
    """Names and texts of HTTP headers."""

    def read(self, value: Any) -> Dict[str, Any]:
        read = super().read(value)
        if not all(isinstance(each, str) for each in read.values()):
            raise marshmallow.ValidationError("des textes sont attendus comme valeurs d'en-têtes")
        if not all(HEADER_NAME.match(name) and HEADER_VALUE.match(each) for name, each in read.items()):
            raise marshmallow.ValidationError(
                "des en-têtes HTTP sont attendus : un nom sans espace ni accent, et un texte ASCII d'une seule ligne"
            )
        return read


class Include(StrictField):
    """``include``: names of objects to embed, as a list or with commas."""

    def read(self, value: Any) -> str:
        listed = value.split(",") if isinstance(value, str) else value
        if not isinstance(listed, (list, tuple)) or not all(isinstance(each, str) for each in listed):
            raise marshmallow.ValidationError("des noms d'objets sont attendus, par exemple « customer,currency »")
        return ",".join(each.strip() for each in listed)


class Moment(StrictField):
    """A moment in the form that FedaPay's SDKs send: ``YYYY-MM-DD HH:MM:SS`` in UTC."""

    def read(self, value: Any) -> str:
        if isinstance(value, datetime.datetime):
            if value.tzinfo is None:
                raise marshmallow.ValidationError(
                    "cette date n'a pas de fuseau : écrire datetime(…, tzinfo=timezone.utc), ou celui du pays"
                )
            try:
                return f"{value.astimezone(datetime.timezone.utc):%Y-%m-%d %H:%M:%S}"
            except OverflowError:
                raise marshmallow.ValidationError("cette date n'existe pas en temps universel") from None
        if not isinstance(value, str) or not _is_moment(value.strip()):
            raise marshmallow.ValidationError(
                "un datetime avec fuseau, ou un texte « AAAA-MM-JJ HH:MM:SS » en temps universel, est attendu ; pour "
                "envoyer tout de suite, ne rien donner"
            )
        return value.strip()


def _is_moment(text: str) -> bool:
    """Whether that is written as a moment, and such a day and hour exist."""
    found = _MOMENT.match(text)
    if not found:
        return False
    year, month, day, hour, minute, second, ahead, further = (int(each or 0) for each in found.groups())
    try:
        datetime.datetime(year, month, day, hour, minute, second)
    except ValueError:
        return False
    return ahead < 24 and further < 60
