"""Order files: what a platform's back office or a spreadsheet can export, one row an order line."""
