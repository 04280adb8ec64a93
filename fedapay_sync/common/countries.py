"""
Table of the countries: currency, dialling code, methods without redirection, operators of the payment page.

Source: FedaPay's page "payment methods" (the English edition, which is the most complete), November 2026.
"""

from dataclasses import dataclass, field
from typing import Dict, FrozenSet, Mapping

from fedapay_sync.enums import MethodesPaiement, Monnaies, Pays


@dataclass(frozen=True)
class Country:
    """
    Un pays vu par FedaPay.

    Attributes:
        push: méthodes sans redirection.
        page_only: opérateurs offerts sur la page de paiement seulement, par code ; les codes viennent de tiers.
    """

    label: str
    dialling_code: str
    currency: Monnaies = Monnaies.xof
    push: FrozenSet[MethodesPaiement] = frozenset()
    page_only: Mapping[str, str] = field(default_factory=dict)


_M = MethodesPaiement

COUNTRIES: Dict[Pays, Country] = {
    Pays.benin: Country(
        "Bénin", "229", push=frozenset({_M.mtn_open, _M.moov, _M.sbin}), page_only={"bmo": "BMO Bénin"}
    ),
    Pays.cote_d_ivoire: Country(
        "Côte d'Ivoire",
        "225",
        push=frozenset({_M.mtn_ci}),
        page_only={
            "moov_ci": "Moov Côte d'Ivoire",
            "orange_ci": "Orange Money Côte d'Ivoire",
            "wave_ci": "Wave Côte d'Ivoire",
        },
    ),
    Pays.niger: Country("Niger", "227", push=frozenset({_M.airtel_ne})),
    Pays.senegal: Country(
        "Sénégal",
        "221",
        push=frozenset({_M.free_sn}),
        page_only={"orange_sn": "Orange Money Sénégal", "wave_sn": "Wave Sénégal"},
    ),
    Pays.togo: Country("Togo", "228", push=frozenset({_M.moov_tg, _M.togocel})),
    Pays.guinee: Country("Guinée", "224", Monnaies.gnf, frozenset({_M.mtn_open_gn})),
    Pays.mali: Country("Mali", "223", page_only={"orange_ml": "Orange Money Mali"}),
    Pays.burkina_faso: Country(
        "Burkina Faso", "226", page_only={"moov_bf": "Moov Burkina Faso", "orange_bf": "Orange Money Burkina Faso"}
    ),
}

#: La seule méthode acceptée en sandbox ; elle va avec tous les pays.
SANDBOX_METHOD = MethodesPaiement.momo_test

#: Numéro béninois qui réussit en sandbox (forme à dix chiffres, la moins contestée fin 2026).
SANDBOX_GOOD_NUMBER = "0164000001"


def currency_of(country: Pays) -> Monnaies:
    """Devise du pays."""
    return COUNTRIES[country].currency


def push_methods(country: Pays) -> FrozenSet[MethodesPaiement]:
    """Méthodes sans redirection du pays, ``momo_test`` comprise."""
    return COUNTRIES[country].push | {SANDBOX_METHOD}
