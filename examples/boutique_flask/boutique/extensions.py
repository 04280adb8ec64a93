"""Les extensions de la boutique, que chaque application initialise pour elle."""

from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect

from fedapay_sync.flask import FedaPay

db = SQLAlchemy()
csrf = CSRFProtect()
fedapay = FedaPay()
