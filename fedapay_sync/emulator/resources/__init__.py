"""The objects of the API: one module for each, and the ledgers that change transactions and payouts."""
