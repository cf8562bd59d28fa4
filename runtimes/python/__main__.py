"""Starts the Python runtime: `python -I FOLDER`, with this file's folder as FOLDER."""

from runner_agent.main import main

if __name__ == "__main__":
    main()
