"""Selected records: each is proven by its place in a stream whose other records are not at hand."""
