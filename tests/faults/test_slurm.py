"""cluster/array.sbatch on a real Slurm: munge, slurmctld and slurmd of Debian's slurm-wlm on this machine.

Eight shards, of which one is put back into the queue while it runs; merged and verified they are the unsharded run.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import assert_same, watch

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = """ClusterName=test
SlurmctldHost={host}
SlurmUser=root
AuthType=auth/munge
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=15
SlurmctldPort={port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} CPUs={cpus} RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment in which Slurm's commands find a cluster of one node."""
    if os.geteuid() != 0 or not all(shutil.which(p) for p in ("slurmctld", "slurmd", "munged", "sbatch")):
        pytest.skip("needs root and Debian's slurm-wlm and munge")
    folder = tmp_path / "slurm"
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    configuration = folder / "slurm.conf"
    port = 20000 + os.getpid() % 20000
    host = socket.gethostname().split(".")[0]
    configuration.write_text(
        CONFIGURATION.format(folder=folder, host=host, port=port, node_port=port + 1, cpus=os.cpu_count())
    )
    environment = os.environ | {"SLURM_CONF": str(configuration)}
    own_munge = subprocess.run(["munge", "-n"], capture_output=True).returncode != 0
    processes = []
    if own_munge:
        Path("/run/munge").mkdir(exist_ok=True)
        shutil.chown("/run/munge", "munge", "munge")
        if not Path("/etc/munge/munge.key").exists():
            subprocess.run(["mungekey", "--create"], check=True)
            shutil.chown("/etc/munge/munge.key", "munge", "munge")
        processes.append(
            subprocess.Popen(["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups", "munged", "-F"])
        )
        time.sleep(1)
    for daemon in (["slurmctld", "-D", "-f", configuration], ["slurmd", "-D", "-f", configuration, "-N", host]):
        processes.append(
            subprocess.Popen(daemon, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )

    def state() -> str:
        return subprocess.run(["sinfo", "-h", "-o", "%t"], env=environment, capture_output=True, text=True).stdout

    deadline = time.monotonic() + 60
    while "idle" not in state():
        assert time.monotonic() < deadline, (folder / "slurmctld.log").read_text()[-2000:]
        time.sleep(0.5)
    yield environment
    for process in reversed(processes):
        process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()


def test_an_array_of_shards_with_one_requeued_is_the_whole_run(
    binary: Path, config: Path, tmp_path: Path, slurm: dict[str, str]
) -> None:
    sets = ["--set=experiment.replicas=8", "--set=training.steps=20000000", "--set=measure.every=200000"]
    resources = ["--array=0-7", "--cpus-per-task=1", "--mem=200M", "--time=30"]
    submitted = subprocess.run(
        ["sbatch", "--parsable", *resources, ROOT / "cluster" / "array.sbatch", config, "parts", *sets],
        cwd=tmp_path,
        env=slurm | {"SHARPSEEK": str(binary)},
        capture_output=True,
        text=True,
        check=True,
    )
    job = submitted.stdout.strip()

    def states() -> dict[str, str]:
        out = subprocess.run(
            ["squeue", "-h", "-r", "-j", job, "-o", "%K %T"], env=slurm, capture_output=True, text=True
        ).stdout
        return dict(line.split() for line in out.splitlines())

    deadline = time.monotonic() + 600
    victim = tmp_path / "parts" / "shard-1-of-8"
    while not (victim / "checkpoint.h5").exists():
        assert time.monotonic() < deadline, (states(), list(tmp_path.glob("*.log")))
        time.sleep(0.05)
    assert watch(binary, victim)["state"] == "running"
    subprocess.run(["scontrol", "requeue", f"{job}_1"], env=slurm, check=True)
    while states():
        assert time.monotonic() < deadline, states()
        time.sleep(1)
    logs = {p.name: p.read_text() for p in tmp_path.glob("sharpseek-*.log")}
    assert "REQUEUE" in logs[f"sharpseek-{job}_1.log"], logs

    plain = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}

    def sharpseek(*arguments: object) -> str:
        result = subprocess.run(
            [binary, *arguments], cwd=tmp_path, env=plain, capture_output=True, text=True, timeout=600
        )
        assert result.returncode == 0, (result.stderr, logs)
        return result.stdout

    assert "8 shards, 16 replicas" in sharpseek("merge", "parts")
    sharpseek("verify", "parts")
    sharpseek("run", config, "--quiet", "--out", "whole", *sets)
    assert_same(tmp_path / "parts" / "run.h5", tmp_path / "whole" / "run.h5")
