"""Waits for the end of payments: begun, polled for, decided at the deadline, settled, told."""
