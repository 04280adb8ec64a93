"""What a person sees of the emulated FedaPay in a browser: the payment page and the payer's phone."""
