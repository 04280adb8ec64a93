"""The program's callbacks: taken from the queue in the store, called once, retried, parked."""
