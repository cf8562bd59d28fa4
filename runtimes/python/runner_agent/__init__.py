"""The Python runtime of the agent protocol: asyncio and httpx, one event loop per process.

It only records: times, bytes, counts, outcomes. What they mean is computed elsewhere, for every
runtime alike.
"""

VERSION = "0.1.0"
