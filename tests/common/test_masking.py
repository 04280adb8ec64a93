"""
Masking: what was planted never comes out, and what a reader needs stays readable.
"""

import io
import logging
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.secret_samples import SECRETS

from fedapay_sync.common.logging import MaskingFilter, get_logger
from fedapay_sync.common.masking import escape_controls, fingerprint, mask, safe_repr

AROUND = st.sampled_from(["", " ", "clé=", "(", ": ", "'", '"', "/", "\n", "é "])
AFTER = st.sampled_from(["", " ", ")", "'", '"', ", puis 500", "\n", ";"])


@given(AROUND, SECRETS, AFTER)
@settings(max_examples=600)
def test_a_planted_secret_does_not_come_out(before, secret, after):
    """
    Of every kind, whatever stands around it; and a text masked twice is as one masked once.
    """
    text, hidden = secret
    masked = mask(before + text + after)

    assert hidden not in masked
    assert mask(masked) == masked


@given(st.lists(SECRETS, min_size=1, max_size=4))
def test_no_secret_comes_out_of_our_logger(secrets):
    """
    In the message, the arguments, the exception, its cause and the stack; whichever handler has the record.
    """
    written = io.StringIO()
    records = []
    handler = logging.StreamHandler(written)
    handler.addFilter(lambda record: records.append(record) or True)
    log = get_logger("fedapay_sync.test_masking")
    log.addHandler(handler)
    try:
        for text, _ in secrets:
            try:
                try:
                    raise ValueError(f"avec {text} ici")
                except ValueError as cause:
                    raise RuntimeError(text) from cause
            except RuntimeError:
                log.exception("échec : %s", text, stack_info=True)
            log.warning(f"directement {text}")
            log.error("objet %(text)r", {"text": text})
    finally:
        log.removeHandler(handler)

    assert {(record.args, record.exc_info) for record in records} == {(None, None)}
    texts = [value for record in records for value in vars(record).values() if isinstance(value, str)]
    everything = written.getvalue() + "\n".join(texts)
    assert "Traceback" in everything
    assert "échec" in everything
    for _, hidden in secrets:
        assert hidden not in everything


READABLE = [
    "webhook stored: transaction.approved for transaction 512345",
    "reference trx_q7M_1791796445318, amount 15000, merchant CMD-2026-0917",
    "GET /v1/transactions/512345, HTTP 404",
    "POST http://127.0.0.1:3000/webhooks, 200 in 0.012 s",
    "2026-10-12T09:15:11.204Z approved, updated 2026-10-12 09:15:11+00:00",
    "sandbox:3f2a1b4c5d6e:transaction:512345:declined:2026-10-12T09:15:11.204Z",
    "sqlite:///dossier/base.db is locked",
    "task_done for disk_full, 20 of 20",
    "attempt 3 of 9 in 120.5 s, pid 41022, port 3000",
    "t=1791796512 is 301 s away",
    "amounts 500 1000 25000 1000000 12500000",
    "payé le 01-02-2026 10:15:00",
    "page 2 sur 12, 99 éléments, taux 0.04",
    "+100 F, -500 F",
    "127.0.0.1 - - [12/Oct/2026:09:14:05 +0000] POST /webhooks",
    "secret number 2 of the list",
    "webhook stored: transaction.approved for 1790000789326, transaction 1790000789326",
    "transaction 51234567, POST /v1/transactions/51234567/token",
    "sandbox:3f2a1b4c5d6e:transaction:51234567:approved:2026-10-12T09:15:11.204Z",
    "reference CMD-20261129-17, 20261129-0017, 97000000-17, merchant 20261129",
    "payé 25000000 F, 25000000 GNF, amount 25000000, montant 25000000, taux 97000000.5",
    "100000000 12345678 35000000 session 2024-2025, ids 512345 512346 512347",
    "http://41.79.21.10:3000/webhooks",
    "550e8400-e29b-41d4-a716-446655440000 64000001-e29b-41d4-a716-446655440000",
]


@pytest.mark.parametrize("text", READABLE)
def test_ids_references_and_amounts_stay_readable(text):
    """
    A log that hides them is of no help.
    """
    assert mask(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("sk_live_abc", "sk_live_***"),
        ("FEDAPAY_sk_live_abc", "FEDAPAY_sk_live_***"),
        ("wh_sandbox_7Qd2Zk9", "wh_sandbox_***"),
        ("fp_key_live_abc", "fp_key_live_***"),
        ("sk_abc", "sk_***"),
        ("Authorization: Bearer abc", "Authorization: Bearer ***"),
        ("https://h.bj/p?token=abc&id=5#x", "https://h.bj/p?token=***&id=5#x"),
        (r"{\"token\": \"abc\"}", r'{\"token\": \"***"}'),
        (r"{\\\"client_secret\\\":\\\"abc\\\"}", r'{\\\"client_secret\\\":\\\"***"}'),
        ("postgresql://u:p@db/b", "postgresql://u:***@db/b"),
        ("à ayaba@example.bj.", "à ***@***."),
        ("tel +22901640000001", "tel ***tel***"),
        ("tel 97000001, 90-01-02-03", "tel ***tel***, ***tel***"),
        ('{"tel":64000001}', '{"tel":***tel***}'),
        ("tel:64000001.", "tel:***tel***."),
        ("Adjoa (70 01 02 03)", "Adjoa (***tel***)"),
        ("4111 1111 1111 1111", "***carte***"),
        ("4111-1111-1111-1111;", "***carte***;"),
        ("carte 4222222222222, 3782 822463 10005", "carte ***carte***, ***carte***"),
        ("6212345678901234567", "***carte***"),
        (None, "None"),
        (ValueError("sk_live_abc"), "sk_live_***"),
    ],
)
def test_what_is_left_tells_the_kind(text, masked):
    """
    A reader sees which key, and of which environment.
    """
    assert mask(text) == masked


@pytest.mark.parametrize(
    "piece", ["a", "a.", "eyJ", "eyJ.", "://a:", "://a:b@", "a@", "a@a.", "0", "+1 ", "sk_", "é", "97 ", "4111 ", "4"]
)
def test_masking_a_long_text_is_quick(piece):
    """
    A long line cannot stop a thread: the time grows with the length, not with its square.
    """
    text = piece * (100_000 // len(piece))
    started = time.perf_counter()

    mask(text)

    assert time.perf_counter() - started < 3


def test_a_logger_gets_one_filter_only():
    """
    However many modules ask for it.
    """
    first, second = get_logger("fedapay_sync.test_one"), get_logger("fedapay_sync.test_one")

    assert first is second
    assert [type(each) for each in first.filters] == [MaskingFilter]


def test_a_log_line_without_an_exception_keeps_none():
    """
    ``exc_info=True`` outside of an except.
    """
    record = logging.LogRecord("n", logging.INFO, "f", 1, "à %s", ("ayaba@example.bj",), (None, None, None))

    assert MaskingFilter().filter(record)
    assert record.getMessage() == "à ***@***"


@given(st.text(max_size=200))
def test_any_text_can_be_masked(text):
    """
    Also half characters; it stays one line where it was one.
    """
    assert mask(text).count("\n") <= text.count("\n")


FORGED = "2026-11-29 10:00:00 INFO fedapay_sync: paid"
BREAKS = ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"]
ORDERS = ["\x1b[2J", "\x1b]0;titre\x07", "\x08\x08", "\x9b2J", "\u202e", "\x00", "\x7f", "\udcff"]


@pytest.mark.parametrize("sign", [*BREAKS, *ORDERS])
def test_what_others_wrote_forges_no_line_of_the_log_and_gives_no_order_to_a_terminal(sign):
    """
    In the message, its arguments, an exception's text and its cause's: no line begins as it says, none has the sign.
    """
    written = io.StringIO(newline="")
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("LINE %(message)s"))
    log = get_logger("fedapay_sync.test_forged")
    log.addHandler(handler)
    try:
        log.warning("callback failed: %s", f"Adjoa{sign}{FORGED}")
        try:
            try:
                raise ValueError(f"Adjoa{sign}{FORGED}")
            except ValueError as cause:
                raise RuntimeError(f"Kossi{sign}{FORGED}") from cause
        except RuntimeError:
            log.exception(f"Kossi{sign}{FORGED}", stack_info=True)
    finally:
        log.removeHandler(handler)

    lines = written.getvalue().split("\n")
    assert all(line.startswith(("LINE callback failed: Adjoa", "LINE Kossi", "    ")) for line in lines if line)
    assert all(line.isprintable() and len(line.splitlines()) <= 1 for line in lines)
    assert "Adjoa" in lines[0] and FORGED in lines[0]


def test_a_control_character_is_written_out_and_the_rest_stays():
    """
    A reader sees what was there; accents and other scripts are no danger.
    """
    assert escape_controls("Zoé\r\n\x1b[31m\t\u2028é") == "Zoé\\r\\n\\x1b[31m\\t\\u2028é"
    assert escape_controls("Kérékou – 15 000 F « é » 你好 🙂") == "Kérékou – 15 000 F « é » 你好 🙂"


class Talkative(int):
    def __repr__(self):
        return f"5\n{FORGED}"


def test_a_quoted_value_stays_on_its_line():
    """
    Also one that shows itself as it likes.
    """
    assert safe_repr(Talkative(5)).isprintable()
    assert safe_repr(f"a\x1b\n{FORGED}").isprintable()


def test_a_fingerprint_is_stable_short_and_its_own():
    """
    A label that may be stored and shown.
    """
    assert fingerprint("sk_live_a") == fingerprint("sk_live_a") != fingerprint("sk_live_b")
    assert len(fingerprint("sk_live_a")) == 12
    assert set(fingerprint("é")) <= set("0123456789abcdef")
