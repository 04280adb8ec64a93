"""
The tests that guard the promises notice when a promise is broken: each is given a package with the mistake in it.
"""

import pytest
from mutations import NAMED, OTHERS, TRIALS, Mutation, copied, tried


def assert_noticed(mutation, folder):
    done = tried(mutation.trial, copied(folder, mutation))
    assert done.returncode, f"not noticed\n{done.stdout[-2000:]}"
    assert mutation.why in done.stdout, done.stdout[-4000:]


#: They are met late, among hundreds of examples.
MET_LATE = ("claim ignores a live lease", "a duplicate re-arms the work")


@pytest.mark.faults(row=17)
@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[pytest.mark.long] if each in MET_LATE else []) for each in NAMED]
)
def test_a_named_mistake_is_noticed(tmp_path, name):
    """
    By the test that is meant to, and for that reason.
    """
    assert_noticed(NAMED[name], tmp_path)


@pytest.mark.long
@pytest.mark.faults(row=17)
@pytest.mark.parametrize("name", OTHERS)
def test_another_mistake_is_noticed(tmp_path, request, name):
    """
    By the test that is meant to, and for that reason.
    """
    if OTHERS[name].trial == "other keys":
        request.getfixturevalue("postgres_server")
    assert_noticed(OTHERS[name], tmp_path)


@pytest.mark.long
@pytest.mark.faults(row=17)
@pytest.mark.parametrize("trial", TRIALS)
def test_the_package_as_it_is_passes(tmp_path, trial, request):
    """
    A copy without a mistake, put to the same: what is noticed is the mistake, not the copying.
    """
    if trial == "other keys":
        request.getfixturevalue("postgres_server")
    done = tried(trial, copied(tmp_path))
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize("text", ["no such text anywhere", "import"])
def test_a_mutation_without_its_place_is_refused(tmp_path, text):
    """
    A mistake that was not made would be noticed by no test, and that must not look like anything else.
    """
    with pytest.raises(LookupError, match="not once"):
        copied(tmp_path, Mutation(text, "", "never"))
