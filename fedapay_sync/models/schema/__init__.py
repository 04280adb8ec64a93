"""
From a dataclass to what reads and writes it, so that fields are written once.

Reading what FedaPay sends is tolerant: an odd value is kept as it came, with a warning, because one strange field
must not hide a payment. Checking what we send is strict: the same readers then raise. marshmallow's schema is the
definition of both; the tolerant reading is compiled, because lists are long.
"""

from fedapay_sync.models.schema.compiler import reader_of, source
from fedapay_sync.models.schema.marshmallow_schema import as_dict, load, schema_of
from fedapay_sync.models.schema.readers import known_fields, unknown_fields
from fedapay_sync.models.schema.values import Francs, plain, read_datetime, read_francs, write_datetime

__all__ = [
    "Francs",
    "as_dict",
    "known_fields",
    "load",
    "plain",
    "read_datetime",
    "read_francs",
    "reader_of",
    "schema_of",
    "source",
    "unknown_fields",
    "write_datetime",
]
