"""Web pages of the payer's phone: the prompts, and the buttons that answer them."""

import hashlib
from collections import Counter
from typing import Any, Dict, List, Tuple, Union

from flask import Flask, abort, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from fedapay_sync.common.countries import COUNTRIES
from fedapay_sync.emulator.domain.phone_numbers import bare, written
from fedapay_sync.emulator.resources.phones import ANSWERS, Phones, Prompt, prompts_on
from fedapay_sync.emulator.web.token_lookup import Shops
from fedapay_sync.emulator.web.translations import link
from fedapay_sync.enums import MethodesPaiement

_OPERATORS = {
    **{each.name: each.value for each in MethodesPaiement},
    **{code: name for country in COUNTRIES.values() for code, name in country.page_only.items()},
}


def add_phone(app: Flask, shops: Shops) -> None:
    """The list of phones, and each of them."""
    pages = _PhonePages(shops)
    app.add_url_rule("/telephone/", "phones", pages.all)
    app.add_url_rule("/telephone/etat", "phones_state", pages.all_state)
    app.add_url_rule("/telephone/<number>", "phone", pages.show, methods=["GET"])
    app.add_url_rule("/telephone/<number>", "answer", pages.answer, methods=["POST"])
    app.add_url_rule("/telephone/<number>/etat", "phone_state", pages.state)


class _PhonePages:
    def __init__(self, shops: Shops) -> None:
        self._shops = shops

    def all(self) -> Union[str, AnyResponse]:
        wanted = request.args.get("numero", "")
        if written(wanted):
            return redirect(link("phone", number=written(wanted)), 303)
        return render_template("phones.html", numbers=self._asked(), state=self._all_state(), wrong=wanted)

    def all_state(self) -> Dict[str, Any]:
        return {"state": self._all_state()}

    def show(self, number: str) -> str:
        prompts = self._open_phone(number)
        done = request.args.get("fait")
        return render_template(
            "phone.html",
            number=number,
            prompt=prompts[-1][1] if prompts else None,
            others=len(prompts) - 1,
            state=_state([each for _, each in prompts]),
            done=done if done in (*ANSWERS, "late") else None,
            operators=_OPERATORS,
            answers=ANSWERS[1:],
        )

    def state(self, number: str) -> Dict[str, Any]:
        return {"state": _state([each for _, each in self._open_phone(number)])}

    def answer(self, number: str) -> AnyResponse:
        answer = request.form.get("reponse", "")
        for phones, prompt in self._open_phone(number):
            if str(prompt.id) == request.form.get("demande") and answer in ANSWERS:
                done = answer if phones.answer(prompt, answer) else "late"
                break
        else:
            done = "late"
        return redirect(link("phone", number=number, fait=done), 303)

    # Inside

    def _open_phone(self, number: str) -> List[Tuple[Phones, Prompt]]:
        """The prompts on the phone, oldest first; holds the phone, as a person has its page open."""
        if written(number) != number:
            abort(404)
        phones = [shop.phones for shop in self._shops]
        for each in phones:
            each.hold(number)
        return prompts_on(number, phones)

    def _asked(self) -> Dict[str, int]:
        """Each number that was prompted, and how many prompts wait there."""
        waiting = Counter(bare(each.number) for shop in self._shops for each in shop.phones.prompts())
        numbers = {bare(each): each for shop in self._shops for each in reversed(shop.phones.numbers)}
        return {each: waiting[known] for known, each in reversed(list(numbers.items()))}

    def _all_state(self) -> str:
        return _digest(repr(self._asked()))


def _state(prompts: List[Prompt]) -> str:
    return _digest(repr([each.id for each in prompts]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
