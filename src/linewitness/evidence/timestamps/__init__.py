"""Time-stamp tokens (RFC 3161) and the certificates behind them."""
