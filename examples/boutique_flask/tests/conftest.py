"""La boutique de chaque test : son FedaPay, ses bases à lui, des callbacks appelés sur place."""

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
def bases(tmp_path: Path) -> Dict[str, str]:
    """Un fichier ; pour PostgreSQL, rendre ici une base vide à chaque test, et la même en FEDAPAY_DB_URL."""
    return {"SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/boutique.db"}


@pytest.fixture
def app(fedapay_emulator: Any, fedapay_config: Dict[str, str], bases: Dict[str, str]) -> Flask:
    from boutique import create_app
    from boutique.extensions import db

    app = create_app(
        TESTING=True,
        SECRET_KEY="essai",
        WTF_CSRF_ENABLED=False,
        **{**fedapay_config, **bases},
    )
    with app.app_context():
        db.create_all()
    fedapay_emulator.deliver_to(app)
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
