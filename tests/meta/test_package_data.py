"""What is no Python and yet belongs to the package goes into the wheel."""

import configparser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_file_of_the_package_is_named_in_setup_cfg():
    """
    A template that is missing from the wheel would be missed by users only.
    """
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    promised = {
        path
        for package, patterns in setup["options.package_data"].items()
        for pattern in patterns.replace(",", " ").split()
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }

    files = [each for each in (ROOT / "fedapay_sync").rglob("*") if each.is_file() and "__pycache__" not in each.parts]
    others = {each for each in files if each.suffix not in (".py", ".pyc")}

    assert len(others) > 10
    assert others - promised == set()
