"""Faults: injected failures of webhooks and API calls, a number of times or with a seeded probability."""

import itertools
import random
import threading
from typing import Any, Collection, Dict, List, Mapping, Optional, Union

from fedapay_sync.emulator import arguments
from fedapay_sync.errors import InvalidArgument

_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_WHEN = ("before", "during", "after")


class Fault:
    """
    Une panne demandée ; elle finit quand elle a frappé ``times`` fois, ou jamais.

    Attributes:
        id: numéro, pour la retirer.
        name: son nom, comme ``webhook.duplicate``.
        options: ce qu'elle a de particulier, comme les secondes d'un retard.
        left: fois qui restent ; ``None`` : sans fin.
        probability: part des occasions où elle frappe ; ``None`` : toutes.
        seed: graine du hasard ; la même donne les mêmes coups.
        struck: fois qu'elle a frappé.
    """

    def __init__(
        self,
        name: str,
        options: Mapping[str, Any],
        times: Optional[int] = None,
        probability: Optional[float] = None,
        seed: Optional[int] = None,
    ) -> None:
        if probability is not None:
            probability = arguments.share("probability", probability)
            # Drawn when it is not given, and shown: a run can be repeated all the same.
            seed = random.randrange(1_000_000) if seed is None else arguments.whole("seed", seed, 0)
        elif seed is not None:
            raise InvalidArgument(
                "seed : une graine ne sert qu'avec probability= ; sans elle chaque occasion est touchée.", field="seed"
            )
        if times is None and probability is None:
            times = 1
        self.id = 0
        self.name = name
        self.options = dict(options)
        self.left = None if times is None else arguments.whole("times", times, 1)
        self.probability = probability
        self.seed = seed
        self.struck = 0
        self._random = random.Random(seed)

    def __repr__(self) -> str:
        return f"<Fault {self.id} {self.name} left={self.left} probability={self.probability} seed={self.seed}>"

    def to_dict(self) -> Dict[str, Any]:
        """Tout ce qu'il y a à en dire, comme JSON le porte."""
        names = ("id", "name", "left", "probability", "seed", "struck")
        details = {each: value for each, value in self.options.items() if value is not None}
        return {**{each: getattr(self, each) for each in names}, "options": details}

    def strikes(self) -> bool:
        """Whether it strikes on this occasion, which then counts. Under the lock of the faults."""
        if self.left == 0 or (self.probability is not None and self._random.random() >= self.probability):
            return False
        self.struck += 1
        if self.left is not None:
            self.left -= 1
        return True


class ApiFault(Fault):
    """A fault of API calls: what is answered instead, or done to the connection."""

    def __init__(
        self,
        name: str,
        *,
        path: str = "/v1",
        method: Optional[str] = None,
        status: int = 0,
        body: Union[bytes, str] = b"",
        content_type: str = "text/html",
        headers: Optional[Mapping[str, str]] = None,
        cut: Optional[str] = None,
        applied: bool = False,
        wait: float = 0.0,
        details: Optional[Mapping[str, Any]] = None,
        **when: Any,
    ) -> None:
        if not isinstance(path, str) or not path.startswith("/v1"):
            raise InvalidArgument(
                f"path={path!r} : le début d'un chemin de l'API est attendu, comme /v1/transactions.", field="path"
            )
        self.path = path
        self.method = None if method is None else arguments.text("method", method).upper()
        self.cut = arguments.one_of("cut", cut, (*_WHEN, None))
        #: 0: the API's own answer goes out.
        self.status = arguments.whole("status", status, 200, 599) if status else 0
        self.applied = arguments.yes_no("applied", applied)
        self.wait = arguments.seconds("wait", wait)
        self.body = body.encode("utf-8") if isinstance(body, str) else body
        if not isinstance(self.body, bytes):
            raise InvalidArgument(f"body={body!r} : des octets ou un texte sont attendus.", field="body")
        self.content_type = arguments.header_text("content_type", content_type)
        self.headers = dict(headers or {})
        for each in (text for pair in self.headers.items() for text in pair):
            arguments.header_text("headers", each)
        super().__init__(name, {"path": self.path, "method": self.method, **(details or {})}, **when)

    def is_for(self, method: str, path: str) -> bool:
        """Whether the fault is for such a call."""
        return path.startswith(self.path) and self.method in (None, method)


class Faults:
    """
    Les pannes demandées à un émulateur, toutes boutiques ensemble.

    Chacune prend ``times``, un nombre de fois (une, si rien n'est dit), ou ``probability``, de 0 à 1, avec une
    ``seed`` qui rend l'essai répétable ; les deux ensemble la bornent.

    Attributes:
        webhook: pannes des webhooks.
        api: pannes de l'API.

    Example:
        >>> from fedapay_sync.emulator import Emulator
        >>> emulator = Emulator()
        >>> emulator.faults.webhook.duplicate(times=2)
        <Fault 1 webhook.duplicate left=2 probability=None seed=None>
        >>> emulator.faults.api.slow(seconds=3, probability=0.5, seed=7)
        <Fault 2 api.slow left=None probability=0.5 seed=7>
        >>> emulator.faults.clear()
        >>> emulator.faults.active
        []
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: List[Fault] = []
        self._ids = itertools.count(1)
        #: How often all were taken back: calls that a fault holds up go on when it grows.
        self.clears = 0
        self.webhook = WebhookFaults(self)
        self.api = ApiFaults(self)

    @property
    def active(self) -> List[Fault]:
        """Celles qui peuvent encore frapper, dans l'ordre où elles ont été demandées."""
        with self._lock:
            return list(self._faults)

    def clear(self) -> None:
        """Les retire toutes ; les appels que ``slow`` retient encore repartent."""
        with self._lock:
            self._faults.clear()
            self.clears += 1

    def remove(self, id: int) -> None:
        """
        En retire une.

        Raises:
            InvalidArgument: aucune n'a ce numéro, ou elle a fini.
        """
        with self._lock:
            found = [each for each in self._faults if each.id == id]
            if not found:
                raise InvalidArgument(f"Aucune panne active n'a le numéro {id!r}. Voir faults.active.", field="id")
            self._faults.remove(found[0])

    # Inside

    def add(self, fault: Fault) -> Fault:
        """Ask for one more fault."""
        with self._lock:
            fault.id = next(self._ids)
            self._faults.append(fault)
            return fault

    def for_call(self, method: str, path: str) -> Optional[ApiFault]:
        """The first fault that strikes this call."""
        with self._lock:
            for each in self._faults:
                if isinstance(each, ApiFault) and each.is_for(method, path) and self._strikes(each):
                    return each
            return None

    def for_webhook(self, *names: str) -> Optional[Fault]:
        """The first fault of these names that strikes a webhook."""
        with self._lock:
            return next((each for each in self._faults if each.name in names and self._strikes(each)), None)

    def _strikes(self, fault: Fault) -> bool:
        struck = fault.strikes()
        if fault.left == 0:
            self._faults = [each for each in self._faults if each is not fault]
        return struck


class WebhookFaults:
    """
    Les pannes des webhooks. Chacune rend la panne demandée ; mots communs : ``times``, ``probability``, ``seed``.

    Raises:
        InvalidArgument: une valeur n'est pas de celles attendues.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def duplicate(self, *, copies: int = 2, **when: Any) -> Fault:
        """Livrés ``copies`` fois au lieu d'une, en même temps."""
        return self._add("duplicate", when, copies=arguments.whole("copies", copies, 2, 100))

    def reorder(self, *, count: int = 2, within: float = 5, **when: Any) -> Fault:
        """
        Retenus jusqu'à ce qu'il y en ait ``count``, puis livrés l'un après l'autre, du dernier au premier.

        Ceux qui n'ont pas ce nombre après ``within`` secondes partent quand même. ``times`` compte les groupes.
        """
        seconds = arguments.seconds("within", within, above_zero=True)
        return self._add("reorder", when, count=arguments.whole("count", count, 2, 1000), within=seconds)

    def delay(self, *, seconds: float, **when: Any) -> Fault:
        """Livrés ``seconds`` secondes plus tard, à l'heure de l'émulateur."""
        return self._add("delay", when, seconds=arguments.seconds("seconds", seconds))

    def drop(self, **when: Any) -> Fault:
        """Perdus : FedaPay les croit livrés, la boutique ne les reçoit jamais."""
        return self._add("drop", when)

    def wrong_signature(self, **when: Any) -> Fault:
        """Signés d'un autre secret ; l'essai suivant, s'il y en a un, est juste. ``times`` compte les essais."""
        return self._add("wrong_signature", when)

    def old_stamp(self, *, seconds: float = 3600, **when: Any) -> Fault:
        """Bien signés, mais d'une heure passée de ``seconds``. ``times`` compte les essais."""
        return self._add("old_stamp", when, seconds=arguments.seconds("seconds", seconds))

    def _add(self, name: str, when: Mapping[str, Any], **options: Any) -> Fault:
        return self._faults.add(Fault(f"webhook.{name}", options, **_read(when)))


class ApiFaults:
    """
    Les pannes de l'API.

    Chacune rend la panne demandée ; mots communs : ``path``, début du chemin visé, ``method``, ``times``,
    ``probability``, ``seed``.

    Raises:
        InvalidArgument: une valeur n'est pas de celles attendues.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def slow(self, *, seconds: float, **where: Any) -> Fault:
        """La réponse, juste, vient après ``seconds`` secondes réelles."""
        return self._add("slow", where, {"seconds": seconds}, wait=arguments.seconds("seconds", seconds))

    def error_500(self, *, applied: bool = False, **where: Any) -> Fault:
        """Réponse 500 au corps vide ; ``applied`` : l'opération est faite pourtant."""
        return self._add("error_500", where, {"applied": applied}, status=500, applied=applied)

    def bad_gateway(self, **where: Any) -> Fault:
        """Réponse 502, une page HTML, sans que rien soit fait."""
        return self._add("bad_gateway", where, {}, status=502, body=_HTML)

    def too_many(self, *, retry_after: int = 1, **where: Any) -> Fault:
        """Réponse 429 avec ``Retry-After``, en secondes."""
        headers = {"Retry-After": str(arguments.whole("retry_after", retry_after, 0, 86_400))}
        return self._add("too_many", where, {"retry_after": retry_after}, status=429, headers=headers)

    def cut(self, when: str = "after", **where: Any) -> Fault:
        """Connexion coupée ``"before"`` (rien n'est fait), ``"during"`` ou ``"after"`` le travail."""
        return self._add("cut", where, {"when": when}, cut=arguments.one_of("when", when, _WHEN))

    def _add(self, name: str, where: Mapping[str, Any], details: Mapping[str, Any], **what: Any) -> Fault:
        given = _read(where, ("path", "method"))
        return self._faults.add(ApiFault(f"api.{name}", details=details, **given, **what))


def _read(given: Mapping[str, Any], more: Collection[str] = ()) -> Dict[str, Any]:
    """The options that every fault has; InvalidArgument for any other."""
    known = (*more, "times", "probability", "seed")
    for name in given:
        if name not in known:
            raise InvalidArgument(f"{name} n'est pas un mot de cette panne. Mots : {', '.join(known)}.", field=name)
    return dict(given)
