"""The connector, put together from the services below it."""

from fedapay_sync.connector.connector import Connector as Connector
from fedapay_sync.connector.connector import living as living
