"""Starts the Python runtime's tokenizer work: `python -I FOLDER`, with this file's folder as FOLDER."""

from runner_tokenize.main import main

if __name__ == "__main__":
    main()
