"""`verify` as a command: the same text, JSON and exit codes from `linewitness` and `linewitness-verify`."""
