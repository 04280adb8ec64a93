"""
Makes readers and writers of a dataclass from its annotations, so that fields are written once.

Reading what FedaPay sends is tolerant: an odd value is kept as it came, with a warning, because one strange field
must not hide a payment. Checking what we send is strict: the same readers then raise. marshmallow's schema is the
definition of both; the tolerant reading is compiled, because lists are long.
"""

from fedapay_sync.models.schema.compiler import reader_of, reader_source
from fedapay_sync.models.schema.marshmallow_schema import checked_mapping, load, schema_of
from fedapay_sync.models.schema.readers import known_fields, unknown_fields
from fedapay_sync.models.schema.values import Francs, read_datetime, read_francs, to_plain, write_datetime

__all__ = [
    "Francs",
    "checked_mapping",
    "known_fields",
    "load",
    "read_datetime",
    "read_francs",
    "reader_of",
    "reader_source",
    "schema_of",
    "to_plain",
    "unknown_fields",
    "write_datetime",
]
