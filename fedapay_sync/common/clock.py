"""The clock, handed in wherever time is read, so that tests can stop it and set it."""

import time


class Clock:
    """
    L'heure d'un connecteur : en UTC pour ce qui est gardé, monotone pour attendre. Une sous-classe, dans un test, la
    règle ; sans elle, ce qui est gardé dans PostgreSQL suit l'heure du serveur.

    Example:
        >>> class Fixe(Clock):
        ...     def now(self):
        ...         return 1700000000.0
        >>> Fixe().now()
        1700000000.0
    """

    def now(self) -> float:
        """Secondes depuis 1970, en UTC. Peut sauter quand la machine est remise à l'heure."""
        return time.time()

    def monotonic(self) -> float:
        """Secondes qui ne font que croître ; elles n'ont de sens que dans ce processus."""
        return time.monotonic()


SYSTEM_CLOCK = Clock()
