"""Reconciliation with FedaPay: what its API says of payments whose webhook never came, or is not to be believed yet."""
