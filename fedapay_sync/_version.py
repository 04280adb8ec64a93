"""The version, alone in its module so that every layer may read it."""

VERSION = "0.1.0"
