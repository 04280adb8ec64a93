"""Serves a WSGI application on waitress, in a daemon thread."""

from fedapay_sync.server.web_server import MAX_BODY as MAX_BODY
from fedapay_sync.server.web_server import WebServer as WebServer
from fedapay_sync.server.web_server import hang_up as hang_up
