"""
Une boutique Flask qui encaisse avec FedaPay : fabrique, Flask-SQLAlchemy, Flask-WTF.

``python demarrer.py`` la lance avec un FedaPay d'essai, dans un processus à lui.
"""

from typing import Any

from flask import Flask

from boutique.extensions import csrf, db, fedapay
from boutique.pages import pages


def create_app(**reglages: Any) -> Flask:
    """L'application, réglée par les variables ``FLASK_…`` et ``FEDAPAY_…``, ou par ces arguments."""
    app = Flask(__name__, instance_relative_config=True)
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///boutique.db"
    # Un serveur de base redémarré laisse des connexions mortes ; sans cela, les clients suivants les rencontrent.
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_pre_ping": True}
    app.config.from_prefixed_env()
    app.config.update(reglages)
    for extension in (db, csrf, fedapay):
        extension.init_app(app)
    app.register_blueprint(pages)
    # Une commande, et non à chaque démarrage : deux processus qui démarrent ensemble créeraient les tables deux fois.
    app.cli.command("creer-base")(db.create_all)
    return app
