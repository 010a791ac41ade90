"""The doctor's probe of the memory limit of the control group."""

from __future__ import annotations

from pathlib import Path

import pytest

from shmspace.cli.doctor.cgroup import memory_limits, probe_cgroup
from shmspace.cli.doctor.finding import Finding, Level

GIB = 1 << 30
NO_LIMIT = 9223372036854771712  # as version 1 writes it


class Machine:
    """A made-up machine: what this process is a member of, and the tree of groups."""

    def __init__(self, folder: Path) -> None:
        self.membership = folder / "cgroup"
        self.groups = folder / "groups"
        self.groups.mkdir()

    def member(self, *lines: str) -> None:
        self.membership.write_text("".join(f"{line}\n" for line in lines))

    def v2(self, path: str, limit: object, used: int, inactive_file: int = 0) -> None:
        folder = self._folder(path)
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 1\ninactive_file {inactive_file}\n")

    def v1(self, path: str, limit: int, used: int, inactive_file: int = 0) -> None:
        folder = self._folder(path)
        (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
        (folder / "memory.usage_in_bytes").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"inactive_file 5\ntotal_inactive_file {inactive_file}\n")

    def probe(self, container: str | None = None) -> Finding:
        return probe_cgroup(self.membership, self.groups, GIB, container)

    def _folder(self, path: str) -> Path:
        folder = self.groups / path
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_no_limit_is_ok(machine: Machine) -> None:
    machine.member("0::/user.slice/a.scope")
    machine.v2("user.slice/a.scope", "max", 5)
    assert machine.probe().level == Level.OK
    machine.member("4:memory:/a")
    machine.v1("memory/a", NO_LIMIT, 5)
    assert machine.probe().level == Level.OK


def test_a_machine_without_control_groups_is_ok(machine: Machine) -> None:
    assert machine.probe().level == Level.OK


def test_version_2_with_enough_left_is_ok(machine: Machine) -> None:
    machine.member("0::/a.service")
    machine.v2("a.service", 4 * GIB, GIB)
    found = machine.probe()
    assert found.level == Level.OK
    assert "3G are left" in found.found


def test_version_2_that_is_nearly_used_up_is_a_warning(machine: Machine) -> None:
    machine.member("0::/system.slice/a.service")
    machine.v2("system.slice/a.service", 4 * GIB, 4 * GIB - (1 << 20))
    found = machine.probe()
    assert found.level == Level.WARN
    assert "1M are left" in found.found
    assert found.remedy == "systemctl set-property a.service MemoryMax=5119M"


def test_a_limit_below_the_wanted_size_fails(machine: Machine) -> None:
    machine.member("0::/a.service")
    machine.v2("a.service", GIB // 2, 0)
    assert machine.probe().level == Level.FAIL


def test_memory_that_the_kernel_can_take_back_counts_as_left(machine: Machine) -> None:
    machine.member("0::/a.service")
    machine.v2("a.service", 2 * GIB, 2 * GIB, inactive_file=GIB)
    assert machine.probe().level == Level.OK
    machine.member("4:memory:/a")
    machine.v1("memory/a", 2 * GIB, 2 * GIB, inactive_file=GIB)
    assert machine.probe().level == Level.OK


def test_the_tightest_limit_of_all_groups_above_counts(machine: Machine) -> None:
    machine.member("0::/outer.slice/inner.scope")
    machine.v2("outer.slice", GIB // 4, 0)
    machine.v2("outer.slice/inner.scope", 8 * GIB, 0)
    found = machine.probe()
    assert found.level == Level.FAIL
    assert "outer.slice/memory.max" in found.found
    assert found.remedy is not None
    assert "outer.slice" in found.remedy


def test_version_1_with_a_limit_is_found(machine: Machine) -> None:
    machine.member("9:name=systemd:/", "5:cpu,cpuacct:/x", "4:memory:/lxc/one", "0::/")
    machine.v1("memory/lxc/one", GIB // 2, 1000)
    machine.v1("memory", NO_LIMIT, 5)
    found = machine.probe()
    assert found.level == Level.FAIL
    assert found.remedy == f"echo {GIB + 1000} > {machine.groups / 'memory/lxc/one/memory.limit_in_bytes'}"


def test_version_2_beside_version_1_is_found(machine: Machine) -> None:
    machine.member("4:memory:/", "0::/a")
    machine.v1("memory", NO_LIMIT, 5)
    machine.v2("unified/a", GIB // 2, 0)
    assert machine.probe().level == Level.FAIL


@pytest.mark.parametrize("path", ["/", "/docker/0123abcd", "/../../outside"])
def test_in_a_container_whose_path_is_not_there_the_root_counts(path: str, machine: Machine) -> None:
    machine.member(f"0::{path}")
    machine.v2("", GIB // 2, 0)
    found = machine.probe("docker")
    assert found.level == Level.FAIL
    assert found.remedy == "docker update --memory=1024m --memory-swap=1024m CONTAINER"
    assert len(list(memory_limits(machine.membership, machine.groups))) == 1


def test_a_pod_is_given_its_limit_by_its_deployment(machine: Machine) -> None:
    machine.member("0::/")
    machine.v2("", GIB // 2, 0)
    assert machine.probe("kubernetes").remedy == "kubectl set resources deployment NAME --limits=memory=1024Mi"


@pytest.mark.parametrize("line", ["", "nonsense", "::", "0::", "0:", "x:memory:/"])
def test_a_membership_that_makes_no_sense_is_no_error(line: str, machine: Machine) -> None:
    machine.member(line)
    assert machine.probe().level == Level.OK
