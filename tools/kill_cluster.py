"""Run a batch on a local Ray cluster whose parts are killed, and compare with one process.

    python tools/kill_cluster.py FOLDER WORK --actors 4 --drivers 2 --raylets 2

Starts a head and two machines (three raylets on this one), runs `bonafide scan FOLDER --ray …`
into WORK/cluster, and ends processes with SIGKILL at random moments: workers, the process that
runs the batch (which is started again), raylets (another machine joins then). Then
`bonafide scan FOLDER --jobs 1` into WORK/alone, and both are compared: each name once, each content
examined once, the same verdicts, reports and failures. Exit status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TRIES = 5  # to start a machine, for which Ray waits half a minute
CLOCKS = ("seconds", "examined_at")  # differ between two runs


def scan(given: argparse.Namespace, out: str, *more: str) -> list[str]:
    """The command of a batch."""
    command = [
        sys.executable,
        "-m",
        "bonafide",
        "scan",
        given.folder,
        "--out",
        f"{given.work}/{out}",
    ]
    return [*command, "--profile", "triage", *(["--only", given.only] if given.only else []), *more]


class Machines:
    """A head without workers, and two machines with one core each."""

    def __init__(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        self.nodes = [self.join() for _ in range(2)]

    def join(self) -> Any:
        """Start a machine with one core."""
        for left in reversed(range(TRIES)):
            try:
                return self.cluster.add_node(num_cpus=1)
            except Exception as error:  # Ray raises nothing narrower when its patience is over
                print(f"no machine joined: {error}; {left} tries left", flush=True)
        raise SystemExit("no machine can join")

    @staticmethod
    def raylet(node: Any) -> int:
        """The process that Ray runs on a machine."""
        return int(node.all_processes["raylet"][0].process.pid)

    def workers(self) -> list[int]:
        """Actors that examine."""
        parents = {self.raylet(node) for node in self.nodes}
        return [
            pid for pid, parent, line in processes() if parent in parents and b"Examiner" in line
        ]

    def kill_raylet(self) -> None:
        """End a machine, and have another one join."""
        node = self.nodes.pop(0)
        os.kill(self.raylet(node), signal.SIGKILL)
        self.nodes.append(self.join())


def processes() -> Iterator[tuple[int, int, bytes]]:
    """Number, parent and command line of each process."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                parent = (entry / "stat").read_text().rpartition(") ")[2].split()[1]
                yield int(entry.name), int(parent), (entry / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended


def run(given: argparse.Namespace) -> float:
    """The batch with its kills; its seconds."""
    draw = random.Random(given.seed)
    machines = Machines()
    kills = ["actor"] * given.actors + ["driver"] * given.drivers + ["raylet"] * given.raylets
    draw.shuffle(kills)
    command = scan(given, "cluster", "--ray", machines.cluster.address, "--jobs", "2")
    began = time.monotonic()
    driver = subprocess.Popen(command)
    while driver.poll() is None:
        if not kills or not begun(Path(given.work, "cluster")):
            time.sleep(0.2)
            continue
        until = time.monotonic() + draw.uniform(*given.pause)
        while time.monotonic() < until and driver.poll() is None:
            time.sleep(0.1)
        workers = machines.workers()
        if driver.poll() is not None or not workers:
            continue
        kill = kills.pop()
        print(f"{time.monotonic() - began:7.1f} s: kill -9 {kill}", flush=True)
        if kill == "actor":
            os.kill(draw.choice(workers), signal.SIGKILL)
        elif kill == "raylet":
            machines.kill_raylet()
        else:
            driver.send_signal(signal.SIGKILL)
            driver.wait()
            driver = subprocess.Popen(command)
    seconds = time.monotonic() - began
    print(f"left to kill: {kills}")
    machines.cluster.shutdown()
    if driver.returncode not in (0, 1):
        raise SystemExit(f"the batch ended with {driver.returncode}")
    return seconds


def begun(out: Path) -> bool:
    """Whether a row was written."""
    return any(out.glob("pending-*.jsonl")) or any(out.glob("part-*.parquet"))


def rows(out: Path) -> list[dict[str, Any]]:
    """Everything in the parts of a batch."""
    from pyarrow import parquet

    return [
        row for part in out.glob("part-*.parquet") for row in parquet.read_table(part).to_pylist()
    ]


def lasting(value: Any) -> Any:
    """A report without its clocks, its name, and the sentences that a clock is in."""
    if isinstance(value, dict):
        left = {key: lasting(one) for key, one in value.items() if key not in CLOCKS}
        return {key: one for key, one in left.items() if key not in ("path", "name", "explanation")}
    return [lasting(one) for one in value] if isinstance(value, list) else value


def summary(out: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], Counter[str]]:
    """Verdict by path, report by content, failure by path, and how often each path is there."""
    found = rows(out)
    verdicts = {row["path"]: (row["sha256"], row["verdict"]) for row in found}
    reports = {row["sha256"]: lasting(json.loads(row["report"])) for row in found if row["report"]}
    lines = (out / "failures.jsonl").read_text().splitlines()
    failures = {
        line["media"]["path"]: (line["error"], line["why"]) for line in map(json.loads, lines)
    }
    times = Counter(row["path"] for row in found)
    times.update(json.loads(line)["media"]["path"] for line in lines)
    times["reports"] = sum(row["report"] is not None for row in found)
    return verdicts, reports, failures, times


def compare(given: argparse.Namespace) -> bool:
    """Whether both batches say the same, each thing once."""
    there, alone = summary(Path(given.work, "cluster")), summary(Path(given.work, "alone"))
    names = {str(path) for path in Path(given.folder).absolute().rglob("*") if path.is_file()}
    agrees = {}
    for title, (verdicts, reports, failures, times) in (("cluster", there), ("alone", alone)):
        written = times.pop("reports")
        print(
            f"{title}: {len(verdicts)} names, {len(failures)} failures, {len(reports)} contents "
            f"in {written} reports, names more than once: {sum(n > 1 for n in times.values())}"
        )
        agrees[f"names of {title}"] = times == Counter(dict.fromkeys(names, 1))
        agrees[f"contents of {title}"] = written == len(reports)
    for title, one, other in zip(("verdicts", "reports", "failures"), there, alone, strict=False):
        agrees[title] = one == other
    print(agrees)
    return all(agrees.values())


def main() -> None:
    """Run, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("work")
    parser.add_argument("--actors", type=int, default=4, help="kills of workers")
    parser.add_argument("--drivers", type=int, default=2, help="kills of the driver")
    parser.add_argument("--raylets", type=int, default=2, help="kills of machines")
    parser.add_argument("--pause", type=float, nargs=2, default=(5.0, 20.0), help="between kills")
    parser.add_argument("--only", default="", help="detectors, as for bonafide scan")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    seconds = run(given)
    began = time.monotonic()
    subprocess.run(scan(given, "alone", "--jobs", "1"), check=False)
    print(f"cluster with kills {seconds:.0f} s, one process {time.monotonic() - began:.0f} s")
    sys.exit(not compare(given))


if __name__ == "__main__":
    main()
