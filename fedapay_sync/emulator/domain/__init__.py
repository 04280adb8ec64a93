"""What is known of FedaPay, its settings, and the emulator's time: no HTTP, no storage."""
