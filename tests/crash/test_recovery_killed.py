"""Those who put right what a death left die themselves while they do it, or are slow: the next one heals everything.

One member has died in the middle of something (scenes_reap*.c). The one who recovers, by reaping or by running into the
dead one's lock, is killed at every point that it passes; the next one, who recovers from both deaths, at every point
that it passes; then a survivor works on. In the slow version the one who recovers is stopped instead, and the next one
recovers and takes the free places before it goes on: it must neither hand back twice nor touch what is not the dead's.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helpers.cbuild import crash_program, figures, run_crash_program, scene_names

SCENES = [name for name in scene_names() if name.startswith(("reap_", "inherit_"))]
LONG = {
    *("reap_q_grow", "reap_q_leased", "reap_q_marked", "reap_q_discard", "reap_q_waited", "reap_t_waited"),
    *("reap_t_rehash", "reap_t_remove", "reap_t_looking", "inherit_q_take", "inherit_t_put", "inherit_t_take"),
    *("inherit_l_publish", "inherit_l_shard"),
    *("reap_k_glob", "reap_k_rehash", "reap_k_ordered", "inherit_k_remove", "inherit_k_insert"),
}
"""Scenes with sleepers, or like another one; one death in each of their points is in the quick tier."""
NEVER_SO_LONG_US = 2_000_000
MUST_BE_SEEN = {
    *("reap.marked", "reap.locks", "reap.structures", "reap.evicted", "reap.blocks", "reap.freed"),
    *("lock.inherited", "lock.taken", "blocks.freed", "ring.unpublished", "pages.released"),
    *("port.ended", "port.held", "port.unlinked", "port.handed", "mutex.told"),
    *("directory.emptied", "directory.held", "directory.unlinked"),
    *("fifo.returned", "lane.inherited", "waiters.told", "waiters.out", "log.mended"),
    *("store.copied", "store.published", "store.removed", "store.released", "order.changed"),
    *("feed.released", "feed.written", "feed.published", "claim.held", "claim.removed"),
}
"""Points in the code of recovery: at each of them somebody who recovers must have been killed."""


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crash_program("recovery", tmp_path_factory)


def points_seen(lines: list[str]) -> set[str]:
    """Collect the points at which somebody was killed or stopped."""
    return {line.removeprefix("at ") for line in lines if line.startswith("at ")}


def recover_badly(program: Path, scene: str, how: str) -> None:
    """Play the scene with recovery that is killed or slow; nobody may be blocked for long."""
    found = figures(run_crash_program(program, scene, how)[-1])
    assert found["kills"] > 0
    assert found["blocked_us"] < NEVER_SO_LONG_US


@pytest.mark.parametrize("scene", [scene for scene in SCENES if scene not in LONG])
def test_a_third_one_heals_when_two_who_recover_are_killed_in(scene: str, program: Path) -> None:
    recover_badly(program, scene, "killed")


@pytest.mark.parametrize("scene", [scene for scene in SCENES if scene not in LONG])
def test_one_who_recovers_slowly_does_no_harm_in(scene: str, program: Path) -> None:
    recover_badly(program, scene, "slow")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", ["killed", "slow"])
@pytest.mark.parametrize("scene", sorted(LONG))
def test_longer_recoveries_are_killed_or_slow_without_harm_in(scene: str, how: str, program: Path) -> None:
    recover_badly(program, scene, how)


def test_somebody_who_recovers_is_killed_at_every_point_of_recovery(program: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        seen = pool.map(lambda scene: points_seen(run_crash_program(program, scene, "reach")), SCENES)
    assert MUST_BE_SEEN - set().union(*seen) == set()
