"""`python -m linewitness` is the same as `linewitness`."""

from linewitness.cli import main

main()
