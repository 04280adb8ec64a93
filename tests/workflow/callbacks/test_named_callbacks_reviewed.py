"""Names of callbacks where a program, a process or a verdict is not as simple as usual."""

import importlib.util
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import fedapay_sync
from fedapay_sync.errors import ConfigError
from fedapay_sync.workflow.callbacks.validation import checked_name

ROOT = Path(fedapay_sync.__file__).parents[1]


# -- which name a function has --------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["boutique.py"], ["-m", "boutique"]])
def test_the_children_of_multiprocessing_have_the_names_of_their_program(tmp_path, arguments):
    """
    Each runs the program again, as another module: under another name its function would be a second callback, and
    both would deliver each order.
    """
    program = """
        import multiprocessing
        from fedapay_sync.workflow.callbacks.validation import checked_name

        def ship(event):
            pass

        class Book:
            def __call__(self, event):
                pass

        print(*(checked_name(None, each, "").name for each in (ship, Book())), flush=True)

        if __name__ == "__main__":
            child = multiprocessing.get_context("spawn").Process(target=print, args=("child",))
            child.start()
            child.join()
    """
    (tmp_path / "boutique.py").write_text(textwrap.dedent(program), encoding="utf-8")
    said = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=True, text=True,
        stdout=subprocess.PIPE,
    ).stdout  # fmt: skip
    assert said.splitlines() == [*["boutique.ship boutique.Book"] * 2, "child"]


@pytest.mark.parametrize("module", ["_mod_wsgi_0cc175b9c0f1b6a8", "uwsgi_file__srv_boutique_py"])
def test_a_server_that_was_given_a_file_has_the_names_of_who_imports_it(tmp_path, module):
    """
    Apache's mod_wsgi and uWSGI invent a name for the module; the worker beside them imports it as ``boutique``.
    """
    path = tmp_path / "boutique.py"
    path.write_text("def ship(event):\n    pass\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location(module, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    assert checked_name(None, loaded.ship, "") == ("boutique.ship", ())


def test_a_function_under_a_name_that_another_has_inherited_is_refused(make_connector):
    """
    In whichever order they are registered: each start would give what this one is owed to the other.
    """
    new, old = (lambda heard: None for _ in range(2))
    shop = make_connector()
    shop.on_webhook(new, name=("nouveau", "ancien"))
    with pytest.raises(ConfigError, match="« ancien » est donné comme ancien nom de « nouveau »"):
        shop.on_webhook(old, name="ancien")
    shop.on_webhook(new, name=("nouveau", "ancien"))
    assert list(shop._callbacks) == ["nouveau"]
