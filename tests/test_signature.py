"""
Signatures: the published vectors, what must be refused, and that nothing else ever happens.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedapay_sync.errors import ConfigError, SignatureError
from fedapay_sync.signature import HEADER, TOLERANCE, sign, verify

SECRET = "wh_sandbox_7Qd2Zk9LrT4vXe81"
T = 1791796512
BODY_A = (
    b'{"name":"transaction.approved","object":"transaction","object_id":512345,"entity":{"id":512345,'
    b'"reference":"trx_q7M_1791796445318","amount":15000,"status":"approved","mode":"momo_test"},'
    b'"account":{"id":30211,"name":"Boutique Ayaba"}}'
)
MAC_A = "6d0b14d911761b2d15f8a9e03b45f26c60dfe3f2f191b0eba6560537217dd512"
MAC_PREVIOUS = "95df7ec4407ed7ce340a6f74d95bb313158377475bc28ca6d61f41f7a801ac0f"
HEADER_A = f"t={T},s={MAC_A}"
BODY_B = (
    '{"name":"customer.created","object":"customer","object_id":88012,"entity":{"id":88012,'
    '"firstname":"Zoé","lastname":"Kérékou"}}'
).encode()
MAC_B = "07235a39f6672892dd784ef85e82aa323769644a1df4e078953afda78f3f7a05"
MAC_C = "a4a1d9f0ca0eb075cd8334ead01783a6753fc2a1c59b7b70f579b09af606e5b2"

VECTORS = {
    "A": (BODY_A, SECRET, T, MAC_A),
    "B, not ASCII": (BODY_B, SECRET, T, MAC_B),
    "C, minimal": (b"{}", "wh_sandbox_test", 1700000000, MAC_C),
    "D, the previous secret": (BODY_A, "wh_sandbox_previous", T, MAC_PREVIOUS),
}


@pytest.mark.parametrize("name", VECTORS)
def test_the_vectors_are_made_and_accepted(name):
    """
    sign gives the published text, and verify takes it.
    """
    body, secret, stamp, mac = VECTORS[name]

    assert sign(body, secret, stamp) == f"t={stamp},s={mac}"
    assert verify(body, f"t={stamp},s={mac}", secret, now=stamp) == 0


def test_the_lengths_of_the_vectors_are_those_of_the_page():
    """
    The bodies were copied right.
    """
    assert (len(BODY_A), len(BODY_B)) == (233, 129)


@pytest.mark.faults(row=10)
def test_one_good_signature_among_several_is_enough():
    """
    Vector D: the first one was made with another secret.
    """
    assert verify(BODY_A, f"t={T},s={MAC_PREVIOUS},s={MAC_A}", SECRET, now=T) == 0


REJECTED = {
    "other scheme": f"t={T},v1={MAC_A}",
    "no time": f"s={MAC_A}",
    "time that is no number": f"t=abc,s={MAC_A}",
    "garbage": "bad_header",
    "empty": "",
    "missing": None,
    "only commas": ",,,",
    "no signature": f"t={T}",
    "empty signature": f"t={T},s=",
    "short signature": f"t={T},s={MAC_A[:-1]}",
    "long signature": f"t={T},s={MAC_A}0",
    "one digit changed": f"t={T},s={MAC_A[:-1]}3",
    "signature with a line end": f"t={T},s={MAC_A}\nx",
    "no digits of base 16": f"t={T},s={'g' * 64}",
    "two times": f"t={T},t={T},s={MAC_A}",
    "two different times": f"t={T},t=1,s={MAC_A}",
    "underscore in the time": f"t=1_791796512,s={MAC_A}",
    "plus before the time": f"t=+{T},s={MAC_A}",
    "minus before the time": f"t=-{T},s={MAC_A}",
    "blank in the time": f"t= {T},s={MAC_A}",
    "Arabic digits": f"t=١٧٩١٧٩٦٥١٢,s={MAC_A}",
    "wide digits": f"t=１７９１７９６５１２,s={MAC_A}",
    "zero before the time": f"t=0{T},s={MAC_A}",
    "twelve digits": f"t=1{'0' * 11},s={MAC_A}",
    "decimal time": f"t={T}.0,s={MAC_A}",
    "upper case names": f"T={T},S={MAC_A}",
    "not ASCII": f"t={T},s={MAC_A},é=1",
    "half a character": f"t={T},s={MAC_A},\ud800=1",
    "the good one after eight others": f"t={T},{','.join('s=' + '0' * 64 for _ in range(8))},s={MAC_A}",
    "giant": f"t={T},s={MAC_A}," + "x" * 5000,
    "bytes": f"t={T},s={MAC_A}".encode(),
    "a list": [f"t={T},s={MAC_A}"],
}


@pytest.mark.faults(row=10)
@pytest.mark.parametrize("name", REJECTED)
def test_a_header_that_proves_nothing_is_refused(name):
    """
    SignatureError, in French, without any of the secret or the body.
    """
    with pytest.raises(SignatureError, match="ignature de webhook") as refused:
        verify(BODY_A, REJECTED[name], SECRET, now=T)

    assert SECRET not in str(refused.value)
    assert "Ayaba" not in str(refused.value)


@pytest.mark.faults(row=10)
def test_a_body_written_again_is_refused():
    """
    The signature is of the bytes, not of what they mean.
    """
    spaced = BODY_A.replace(b":", b": ").replace(b",", b", ")

    with pytest.raises(SignatureError, match="aucun des secrets"):
        verify(spaced, HEADER_A, SECRET, now=T)


@pytest.mark.parametrize(
    "header",
    [
        f"s={MAC_A},t={T}",
        f"t={T}, s={MAC_A}",
        f"  t={T} ,  s={MAC_A}  ",
        f"t={T},s={MAC_A.upper()}",
        f"t={T},v1=other,s={MAC_A},note",
        f"t={T},s=nonsense,s={MAC_A}",
    ],
)
def test_order_blanks_case_and_unknown_keys_do_not_matter(header):
    """
    What the header may look like and still be right.
    """
    assert verify(BODY_A, header, SECRET, now=T) == 0


@pytest.mark.faults(row=10)
def test_the_rank_of_the_secret_is_given():
    """
    During a change of secret both count, and the log can say which one it was.
    """
    secrets = ["wh_sandbox_previous", SECRET, SECRET]

    assert verify(BODY_A, HEADER_A, secrets, now=T) == 1
    assert verify(BODY_A, f"t={T},s={MAC_A},s={MAC_PREVIOUS}", tuple(secrets), now=T) == 0
    with pytest.raises(SignatureError):
        verify(BODY_A, HEADER_A, ["wh_sandbox_previous", "wh_sandbox_test"], now=T)


@pytest.mark.parametrize("drift", [-TOLERANCE, -1, 0, 1, TOLERANCE])
def test_within_the_tolerance_it_is_accepted(drift):
    """
    300 s, old or new, the limit included.
    """
    assert verify(BODY_A, HEADER_A, SECRET, now=T + drift) == 0


@pytest.mark.faults(row=10)
@pytest.mark.parametrize("drift", [-1e12, -301, -300.01, 300.01, 301, 1e12, float("nan"), float("inf")])
def test_out_of_the_tolerance_it_is_refused(drift):
    """
    Too old and too new alike; the sentence gives the limit and speaks of the clock.
    """
    with pytest.raises(SignatureError, match=r"300 s au plus.*horloge"):
        verify(BODY_A, HEADER_A, SECRET, now=T + drift)


def test_the_tolerance_can_be_set():
    """
    Narrower or wider.
    """
    assert verify(BODY_A, HEADER_A, SECRET, tolerance=1000, now=T + 999) == 0
    with pytest.raises(SignatureError):
        verify(BODY_A, HEADER_A, SECRET, tolerance=5, now=T + 6)


def test_a_false_signature_is_told_before_a_wrong_time():
    """
    A sender that cannot sign learns nothing about our clock.
    """
    with pytest.raises(SignatureError, match="fausse"):
        verify(BODY_A, f"t={T},s={'0' * 64}", SECRET, now=T + 10_000)


@pytest.mark.parametrize("tolerance", [0, -1, float("nan"), float("inf"), float("-inf")])
def test_the_time_check_cannot_be_switched_off(tolerance):
    """
    A tolerance that checks nothing, or lets nothing through, is a mistake of configuration.
    """
    with pytest.raises(ConfigError, match="ne se coupe pas"):
        verify(BODY_A, HEADER_A, SECRET, tolerance=tolerance, now=T)


@pytest.mark.parametrize("secrets", ["", "   ", [], (), [SECRET, ""], [SECRET, None], [b"wh_sandbox_test"]])
def test_an_empty_secret_is_refused(secrets):
    """
    Every sender could sign with it: it is not even looked at, whatever the header.
    """
    with pytest.raises(ConfigError, match=r"secret vide.*FEDAPAY_AUTH_KEY"):
        verify(BODY_A, sign(BODY_A, "", T), secrets, now=T)


WRONG_TYPES = {
    "a body as text": ({"payload": "{}"}, "octets"),
    "no body": ({"payload": None}, "octets"),
    "no secrets": ({"secrets": None}, "secret vide"),
    "a number as secrets": ({"secrets": 5}, "secret vide"),
    "half a character": ({"secrets": "wh_\udcff"}, "illisible"),
    "a tolerance as text": ({"tolerance": "300"}, "ne se coupe pas"),
    "no tolerance": ({"tolerance": None}, "ne se coupe pas"),
    "a tolerance that is complex": ({"tolerance": 1j}, "ne se coupe pas"),
    "a time as text": ({"now": "wh_live_Zq81"}, "now='wh_live_\\*\\*\\*'"),
    "a time without a float": ({"now": 10**400}, "secondes Unix"),
}


@pytest.mark.parametrize("name", WRONG_TYPES)
def test_verify_refuses_what_is_of_the_wrong_type(name):
    """
    With an error of ours that says what to do, and no TypeError.
    """
    changes, words = WRONG_TYPES[name]
    given = {"payload": BODY_A, "header": HEADER_A, "secrets": SECRET, "now": T, **changes}

    with pytest.raises(ConfigError, match=words):
        verify(given.pop("payload"), given.pop("header"), given.pop("secrets"), **given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("{}", SECRET, T), "octets"),
        ((b"{}", None, T), "un texte est attendu, reçu NoneType"),
        ((b"{}", b"wh_sandbox_test", T), "un texte est attendu, reçu bytes"),
        ((b"{}", "wh_\udcff", T), "illisible"),
        ((b"{}", SECRET, 1.5), r"timestamp=1\.5 .*entier"),
        ((b"{}", SECRET, "demain"), "timestamp='demain'"),
        ((b"{}", SECRET, -1), "timestamp=-1"),
        ((b"{}", SECRET, True), "timestamp=True"),
        ((b"{}", SECRET, 10**5000), "timestamp=un int"),
    ],
)
def test_sign_refuses_what_nobody_could_verify(given, words):
    """
    Rather than a TypeError, or a signature that no receiver takes.
    """
    with pytest.raises(ConfigError, match=words):
        sign(*given)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_body_may_be_any_kind_of_bytes(kind):
    """
    As frameworks hand it over.
    """
    assert verify(kind(BODY_A), sign(kind(BODY_A), SECRET, T), SECRET, now=T) == 0


def test_without_a_time_the_present_one_is_signed():
    """
    What is signed now is accepted now, and names the header that it belongs in.
    """
    assert verify(b"{}", sign(b"{}", SECRET), SECRET) == 0
    assert HEADER == "X-FEDAPAY-SIGNATURE"


@given(st.binary(max_size=200), st.text(min_size=1).filter(str.strip), st.integers(0, 10**11 - 1))
def test_what_is_signed_is_accepted(body, secret, stamp):
    """
    A round trip for any bytes, any secret and any time.
    """
    try:
        secret.encode("utf-8")
    except UnicodeEncodeError:
        return
    assert verify(body, sign(body, secret, stamp), secret, now=stamp) == 0


PIECES = st.sampled_from(["t=", "s=", ",", " ", "=", str(T), MAC_A, MAC_A.upper(), "t", "s", "v1=", "\x00", "é", "0"])
ODD_HEADERS = st.one_of(st.none(), st.text(max_size=300), st.lists(PIECES, max_size=12).map("".join))


@given(ODD_HEADERS, st.binary(max_size=100))
@settings(max_examples=300)
def test_verify_raises_nothing_but_its_error(header, body):
    """
    Whatever the network sends.
    """
    with pytest.raises(SignatureError):
        verify(body, header, SECRET, now=T)


@pytest.mark.faults(row=10)
@given(st.data())
@settings(max_examples=300)
def test_a_body_changed_anywhere_is_refused(data):
    """
    One byte replaced, put in or taken out.
    """
    at = data.draw(st.integers(0, len(BODY_A)))
    end = data.draw(st.integers(at, min(at + 2, len(BODY_A))))
    body = BODY_A[:at] + data.draw(st.binary(max_size=2)) + BODY_A[end:]

    if body != BODY_A:
        with pytest.raises(SignatureError):
            verify(body, HEADER_A, SECRET, now=T)


@given(st.data())
@settings(max_examples=500)
def test_a_changed_header_is_refused_unless_it_says_the_same(data):
    """
    Accepted only where the one time and the signature are still there, whatever case and blanks.
    """
    at = data.draw(st.integers(0, len(HEADER_A)))
    end = data.draw(st.integers(at, min(at + 2, len(HEADER_A))))
    piece = data.draw(st.one_of(PIECES, st.characters(), st.sampled_from(["A", "D", " ,", ", "])))
    header = HEADER_A[:at] + piece + HEADER_A[end:]

    items = [item.strip() for item in header.split(",")]
    same = [item for item in items if item.startswith("t=")] == [f"t={T}"] and f"s={MAC_A}" in [
        item[:2] + item[2:].lower() for item in items
    ]
    if same and header.isascii():
        assert verify(BODY_A, header, SECRET, now=T) == 0
    else:
        with pytest.raises(SignatureError):
            verify(BODY_A, header, SECRET, now=T)
