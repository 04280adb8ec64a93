"""Hypothesis strategies for secrets and customers' data as they turn up in texts."""

import string

from hypothesis import strategies as st

LETTERS = string.ascii_letters + string.digits
#: In each that has small letters, as in no word of ours: drawn at random, one may be a part of "Authorization" or
#: "retry_after".
MARK = "zq9"


def _marked(text: str) -> str:
    return f"{text[:2]}{MARK}{text[2:]}"


BODY = st.one_of(
    st.text(LETTERS + "_-", min_size=5, max_size=37).map(_marked),
    st.text(string.ascii_uppercase + string.digits + "_-", min_size=8, max_size=40),
)
WORD = st.text(string.ascii_lowercase + string.digits, min_size=3, max_size=9).map(_marked)
DIGITS = st.text(string.digits, min_size=8, max_size=8)

# Each gives the text that is logged, and the part of it that must be gone.
KEYS = st.tuples(
    st.sampled_from(["sk", "pk", "wh", "fp_key"]), st.sampled_from(["_sandbox_", "_live_", "_test_", "_"]), BODY
).map(lambda parts: ("".join(parts), parts[2]))
BEARERS = st.tuples(st.sampled_from(["Bearer", "bearer", "Basic"]), BODY).map(
    lambda parts: (f"Authorization: {parts[0]} {parts[1]}", parts[1])
)
TOKENS = st.tuples(BODY, BODY, BODY).map(lambda parts: (f"eyJ{parts[0]}.eyJ{parts[1]}.{parts[2]}", parts[2]))
ONE_PART_TOKENS = BODY.map(lambda body: (f"eyJ{body}", body))
FIELDS = st.tuples(
    st.sampled_from(["token", "payment_token", "api_key", "client_secret", "password", "Access_Token"]),
    st.sampled_from(["{}={}", '{{"{}":"{}"}}', "{{'{}': '{}'}}"]),
    BODY,
).map(lambda parts: (parts[1].format(parts[0], parts[2]), parts[2]))
DATABASES = (
    st.text(LETTERS + "@/:!$", min_size=5, max_size=17)
    .map(_marked)
    .map(lambda password: (f"postgresql://client:{password}@db.example.bj/shop", password))
)
EMAILS = st.tuples(WORD, st.sampled_from([".", "+", "-", "_", "'", ""]), WORD, st.sampled_from(["@", "%40"])).map(
    lambda parts: (f"{''.join(parts)}example.bj", parts[0] + parts[1] + parts[2])
)
PHONES = st.tuples(
    st.sampled_from(["+229{}", "+22901{}", "%2B22901{}", "22901{}", "0022901{}", "01{}", "+2250{}"]), DIGITS
).map(lambda parts: (parts[0].format(parts[1]), parts[1]))
GAPPED_PHONES = st.tuples(
    st.sampled_from(["+229 01", "+229-01", "01"]), st.lists(st.integers(10, 99), min_size=4, max_size=4)
).map(lambda parts: (" ".join([parts[0], *map(str, parts[1])]), " ".join(map(str, parts[1]))))
SHORT_PHONES = st.tuples(
    st.sampled_from(["97", "64", "90", "70", "05", "22"]),
    st.lists(st.integers(10, 99).map(str), min_size=3, max_size=3),
    st.sampled_from(["", " ", ".", "-"]),
).map(lambda parts: (parts[2].join([parts[0], *parts[1]]), parts[2].join(parts[1])))
CARDS = st.tuples(
    st.sampled_from(["4111", "5500", "2221", "6011", "9792"]),
    st.text(string.digits, min_size=9, max_size=15),
    st.sampled_from(["", " ", "-"]),
).map(
    lambda parts: (
        parts[2].join([parts[0], parts[1][:4], parts[1][4:8], parts[1][8:]]),
        parts[2].join([parts[1][:4], parts[1][4:8], parts[1][8:]]),
    )
)
SECRETS = st.one_of(
    KEYS, BEARERS, TOKENS, ONE_PART_TOKENS, FIELDS, DATABASES, EMAILS, PHONES, GAPPED_PHONES, SHORT_PHONES, CARDS
)
