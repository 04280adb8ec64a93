"""What HTTP allows in the name of a header; each user says how long it may be."""

#: One character of a name, as a regular expression.
NAME_CHARACTER = r"[!#$%&'*+.^_`|~0-9A-Za-z-]"
