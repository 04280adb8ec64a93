"""La boutique de chaque test : son FedaPay, sa base en mémoire, des callbacks appelés sur place."""

import sys
from pathlib import Path
from typing import Any, Dict

import pytest
from flask import Flask
from flask.testing import FlaskClient

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


@pytest.fixture
def fedapay_callbacks() -> str:
    return "inline"


@pytest.fixture
def app(fedapay_emulator: Any, fedapay_config: Dict[str, str], tmp_path: Path) -> Flask:
    from boutique import create_app
    from boutique.extensions import db

    app = create_app(
        TESTING=True,
        SECRET_KEY="essai",
        WTF_CSRF_ENABLED=False,
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/boutique.db",
        **fedapay_config,
    )
    with app.app_context():
        db.create_all()
    fedapay_emulator.deliver_to(app)
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
