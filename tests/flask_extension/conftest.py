"""Applications that are set to the emulator, each with a folder of its own; their connectors are closed at the end."""

import flask
import pytest


@pytest.fixture
def make_app(emulator, tmp_path):
    """Makes an application; the settings are FedaPay's names without the prefix, and None leaves one out."""
    made = []

    def make(name="boutique", **settings):
        app = flask.Flask(name, instance_path=str(tmp_path / name))
        app.config["SECRET_KEY"] = "of the session"
        defaults = {"API_URL": emulator.url, "API_KEY": emulator.secret_key, "AUTH_KEY": emulator.webhook_secret}
        for setting, value in {**defaults, **settings}.items():
            if value is not None:
                app.config[f"FEDAPAY_{setting}"] = value
        made.append(app)
        return app

    yield make
    for app in made:
        if "fedapay" in app.extensions:
            app.extensions["fedapay"].close()
