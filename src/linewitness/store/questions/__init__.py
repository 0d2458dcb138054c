"""The questions that people ask a store, and answers that say how far they hold."""
