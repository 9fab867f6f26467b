"""`python -m tests.fuzz MINUTES [PATH ...]`: runs the suite with new seeds for so long, and logs what it finds."""

import datetime
import os
import subprocess
import sys
import time
from pathlib import Path

LOG = Path("fuzz.log")


def main(minutes: float, paths: list[str]) -> int:
    end, rounds, failures = time.monotonic() + 60.0 * minutes, 0, 0
    environment = {**os.environ, "FUZZ_PROFILE": "long"}
    while time.monotonic() < end:
        seed = int.from_bytes(os.urandom(4), "little")
        command = [sys.executable, "-m", "pytest", "-q", "-x", f"--hypothesis-seed={seed}", *paths]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        rounds, failures = rounds + 1, failures + (done.returncode != 0)
        summary = (done.stdout.strip().splitlines() or ["no output"])[-1]
        found = f"\n{done.stdout}\n{done.stderr[-2000:]}" if done.returncode else ""
        entry = f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S} seed {seed}: {summary}{found}\n"
        sys.stdout.write(entry)
        with LOG.open("a") as log:
            log.write(entry)
    sys.stdout.write(f"{rounds} rounds in {minutes:g} minutes, {failures} of which found something; see {LOG}.\n")
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:] or ["tests/fuzz"]))
