"""Tracebacks for the log: nothing secret, whatever an exception holds, and never more than can be read."""

import builtins
import linecache
import sys
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.secret_samples import LETTERS, SECRETS

from fedapay_sync.common.tracebacks import masked_traceback

GROUP = getattr(builtins, "ExceptionGroup", None)


def raised(function, *arguments):
    try:
        function(*arguments)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def failing(source, name="shop.py"):
    """What that source, as a program would have it in a file, raises."""
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    return raised(exec, compile(source, name, "exec"), {"__name__": "shop"})


class Noted(ValueError):
    """An exception with notes on every Python."""

    def __init__(self, text, notes=()):
        super().__init__(text)
        self.__notes__ = list(notes)


class Members(Exception):
    """A group as the package for old Pythons has it."""

    def __init__(self, text, exceptions):
        super().__init__(text)
        self.exceptions = tuple(exceptions)


def chained(texts, by_cause):
    """An exception for each text, the first one the earliest."""
    error = None
    for text in texts:
        following = Noted(text, [text])
        if by_cause:
            following.__cause__ = error
        else:
            following.__context__ = error
        error = following
    return error


@given(st.lists(SECRETS, min_size=1, max_size=4), st.booleans(), st.sampled_from(["\n", " ", "\r\n  | ", "\x1b[2J "]))
@settings(max_examples=200)
def test_no_secret_comes_out_of_an_exception(secrets, by_cause, sign):
    """
    In its text, its notes, its causes, its members, the members' causes, and the line of a syntax error.
    """
    texts = [f"avec{sign}{text}{sign}ici" for text, _ in secrets]
    group = Members(
        texts[0], [chained(texts, by_cause), raised(compile, f"x = = '{texts[0].strip()}'", "a.py", "exec")]
    )
    shown = masked_traceback(raised(raise_from, chained(texts, by_cause), group))

    assert "avec" in shown and "Members" in shown
    assert all(hidden not in shown for _, hidden in secrets)
    assert all(line.isprintable() for line in shown.split("\n"))


def raise_from(cause, error):
    raise error from cause


@given(SECRETS, st.sampled_from(["raise ValueError({})", "pay({}, 5)", "x = [{}, 1 / 0]", "y = 1 / 0  # {}"]))
@settings(max_examples=200)
def test_no_secret_comes_out_of_a_source_line(secret, line):
    text, hidden = secret
    shown = masked_traceback(failing(f"# first\n{line.format(repr(text))}\n"))

    assert 'File "shop.py", line 2' in shown
    assert hidden not in shown


@given(
    st.text(LETTERS, min_size=8, max_size=30),
    st.sampled_from([
        "connect(password='{}')", 'connect(host="db", pwd = "{}")', 'api_key: str = "{}"', "pay(Secret('{}'))",
        'x = {{"X-Api-Key": "{}"}}', "WEBHOOK_SECRET = b'{}'", 'token = """{}"""',
        "sign(0, secret='''{}''')", "login('x', key='{}",
    ]),
)  # fmt: skip
def test_a_literal_that_is_named_a_secret_is_masked_in_a_source_line(secret, line):
    """
    Of no form that could be recognized: its name tells.
    """
    linecache.cache["named.py"] = (1, None, [line.format(secret) + "\n"], "named.py")
    shown = masked_traceback(raised(exec, compile("1 / 0", "named.py", "exec")))

    assert "***" in shown and secret not in shown


def test_file_line_function_and_text_are_there_and_no_local_variable():
    def deliver():
        order = "ordre numéro 5"
        raise ValueError(f"pas de stock ({len(order)})")

    shown = masked_traceback(raised(deliver)).split("\n")

    assert shown[0] == "Traceback (most recent call last):"
    assert (
        __file__ in shown[-3] and "deliver" in shown[-3] and f"line {deliver.__code__.co_firstlineno + 2}" in shown[-3]
    )
    assert shown[-2].strip() == 'raise ValueError(f"pas de stock ({len(order)})")'
    assert shown[-1] == "ValueError: pas de stock (14)"
    assert "ordre" not in "\n".join(shown)


def test_the_chain_is_told_as_python_tells_it():
    """
    The earliest first; what ``from None`` has cut off is not shown.
    """

    def fail(cut):
        try:
            try:
                int("x")
            except ValueError:
                {}["a"]
        except KeyError as error:
            raise OSError("z") from (None if cut else error)

    whole = raised(fail, False)
    shown = masked_traceback(whole)
    python = "".join(traceback.format_exception(type(whole), whole, whole.__traceback__))

    assert outline(shown) == outline(python)
    assert outline(masked_traceback(raised(fail, True))) == ["OSError: z"]


def outline(text):
    """The lines that are neither of a frame nor empty."""
    return [line for line in text.split("\n") if line and not line.startswith((" ", "Traceback"))]


class Mute(Exception):
    def __str__(self):
        raise SystemExit(3)


class NoNotes(Exception):
    @property
    def __notes__(self):
        raise RuntimeError("no notes")


class NoCause(Exception):
    @property
    def __cause__(self):
        raise RuntimeError("no cause")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Mute(), "Mute: (its text raises SystemExit)"),
        (NoNotes("x"), "NoNotes: x"),
        (NoCause("x"), "(the traceback of NoCause cannot be shown: RuntimeError)"),
        (Noted("x", [Mute()]), "(its text raises SystemExit)"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (SyntaxError("no", ("a\0b.py", 5, 1, "x = \x1b")), "x = \\x1b"),
        (SyntaxError(), "SyntaxError: None"),
        (ValueError("a" * 10**6), "…"),
        (type("Zo\né", (Exception,), {})("x"), "Zo\\né: x"),
    ],
    ids=["text", "notes", "cause", "note", "exit", "interrupt", "syntax", "bare", "long", "name"],
)
def test_an_exception_that_misbehaves_costs_only_its_own_text(error, told):
    shown = masked_traceback(error)

    assert told in shown
    assert len(shown) < 4000 and all(line.isprintable() for line in shown.split("\n"))


def test_thousands_of_frames_are_cut_and_both_ends_stay():
    source = "def a(n):\n    b(n)\ndef b(n):\n    if n == 0:\n        raise ValueError('end')\n    a(n - 1)\na(300)\n"
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(5000)
    try:
        shown = masked_traceback(failing(source, "deep.py"))
        endless = masked_traceback(failing("def a():\n    b()\ndef b():\n    a()\na()\n", "endless.py"))
    finally:
        sys.setrecursionlimit(limit)

    assert "line 7, in <module>" in shown and "line 5, in b" in shown and "frames are left out)" in shown
    assert endless.count("\n") < 100 and "RecursionError: maximum recursion depth" in endless


def test_chains_and_groups_are_bounded():
    """
    Long, deep, wide, or with an end that is its beginning.
    """
    long = chained(map(str, range(5000)), True)
    deep = ValueError("innermost")
    for _ in range(500):
        deep = Members("group", [deep])
    wide = Members("group", [ValueError(str(number)) for number in range(1000)])
    first, second = ValueError("first"), ValueError("second")
    first.__context__, second.__context__ = second, first
    own = Members("own", ())
    own.exceptions = (own,)

    for error in (long, deep, wide, first, own):
        assert masked_traceback(error).count("\n") < 200
    assert "further exceptions are left out" in masked_traceback(long)
    assert "1 of 1000" in masked_traceback(wide)


@pytest.mark.skipif(GROUP is None, reason="from Python 3.11 on")
def test_the_members_of_a_group_are_shown():
    shown = masked_traceback(GROUP("two", [raised(int, "x"), raised({}.__getitem__, "k")]))

    assert "1 of 2" in shown and "invalid literal" in shown and "  | KeyError: 'k'" in shown


def test_frames_of_the_callers_are_left_out_only_at_the_top():
    """
    Where all frames are theirs, they are all there is to show.
    """
    space = {"__name__": "caller.inner"}
    exec(compile("def call(function):\n    function()\n", "caller.py", "exec"), space)
    call = space["call"]
    error = raised(call, lambda: call(lambda: int("x")))

    assert masked_traceback(error).count(", in call") == 2
    assert masked_traceback(error, (__name__,)).split("\n")[1] == '  File "caller.py", line 2, in call'
    assert masked_traceback(error, (__name__, "caller.")) == masked_traceback(error)
    after = masked_traceback(raised(call, lambda: int("x")).with_traceback(error.__traceback__.tb_next), ("caller.",))
    assert after.count(", in call") == 1 and "<lambda>" in after.split("\n")[1]
