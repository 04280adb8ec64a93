"""Serves a WSGI application with waitress, in daemon threads."""

from fedapay_sync.server.web_server import MAX_BODY as MAX_BODY
from fedapay_sync.server.web_server import WebServer as WebServer
from fedapay_sync.server.web_server import hang_up as hang_up
