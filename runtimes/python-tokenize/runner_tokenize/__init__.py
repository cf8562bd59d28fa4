"""Tokenizer work in Python: the `tokenizers` package, called part by part on one thread."""

VERSION = "0.1.0"
