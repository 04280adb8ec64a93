"""How objects show themselves to a person: cards and tables in a notebook, waits that live, notes. No JavaScript."""
