"""Web pages of the emulator: payment page, receipt, phones of payers, dashboard."""
