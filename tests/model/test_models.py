"""The models beside this file hold in every interleaving, and fail when they are broken on purpose.

A model is a Promela program; its head says which C functions it mirrors and what is proved of it. Spin turns it into a
verifier that visits every state. A mutant is the same model with one rule broken (`-DMUTANT_name`): Spin must find the
harm, or the model would prove nothing. Every step of a model must be reached, or it would prove less than it seems to.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent

MISSING = [name for name in ("spin", "gcc") if not shutil.which(name)]  # Spin calls gcc, too
needs_spin = pytest.mark.skipif(bool(MISSING), reason=f"not installed, Debian package: {' '.join(MISSING)}")

# Model -> the settings in which it is proved. Each is a full search of at most some four million states.
PROOFS = {
    "lock": ["", "DEATHS=0 ROUNDS=2", "LIVENESS DEATHS=1"],
    "wake": ["", "LOOPS=1"],
    "ring": [
        "",
        "PRODUCERS=2 CONSUMERS=1",
        "SLOTS=2 DEATHS=1",
        "SLOTS=2 DEATHS=1 PRODUCERS=2 CONSUMERS=1",
        "OLDEST CONSUMERS=1",
        "NO_REAPER DEATHS=1 PRODUCERS=2 CONSUMERS=1 MESSAGES=3",
    ],
    "stream": ["", "ALL DEATHS=1", "READERS=2 SLOTS=2 DEATHS=0"],
    "pins": [""],
    "recover": ["", "SPARE"],
    "handoff": [
        "DEATHS=0",
        "DEATHS=0 RETURNS VALUES=1",
        "DEATHS=0 TAKERS=1 READERS=1",
        "VALUES=1 NO_DEADLINE",
        "TAKERS=1 RETURNS",
        "TAKERS=1 VALUES=1 DEATHS=2",
        "TAKERS=1 REAPERS=2",
        "TAKERS=1 READERS=1 VALUES=1 NO_DEADLINE VICTIM=1",
    ],
    "log": ["TURNS=1", "TURNS=1 LONG", "DEATHS=0 MOST=1"],
    "store": ["DEATHS=0", "DEATHS=1 NO_WATCHER READS=1", "DEATHS=1 NO_READER", "NO_WATCHER NO_READER ONE_VICTIM"],
}

# Models that take longer to compile well than to search.
LONG_TEXTS = {"handoff"}

# Settings that take minutes or gigabytes.
LONG_PROOFS = [
    ("lock", "LIVENESS"),
    ("lock", "DEATHS=1 ROUNDS=2"),
    ("ring", "PRODUCERS=2"),
    ("ring", "PRODUCERS=2 SLOTS=2 DEATHS=1"),
    ("ring", "OLDEST PRODUCERS=2 CONSUMERS=1"),
    ("stream", "ALL"),
    ("stream", "READERS=2 SLOTS=2 DEATHS=1"),
    ("log", ""),
    ("log", "TURNS=1 MOST=3"),
    ("store", "DEATHS=1"),
    ("store", "NO_WATCHER NO_READER"),
    ("handoff", "VALUES=1 RETURNS"),
    ("handoff", "DEATHS=0 TAKERS=3 VALUES=1"),
    ("handoff", "TAKERS=1 READERS=1 VALUES=1"),
    ("handoff", "TAKERS=1 VALUES=1 REAPERS=2 DEATHS=2"),
]

# (Model, settings) -> the mutants that must fail there.
MUTANTS = {
    ("lock", ""): "UNREPAIRED ROBBER BLIND_TAKEOVER KEPT_DATA",
    ("lock", "DEATHS=0 ROUNDS=2"): "FORGETFUL NO_COMPARE TORN_UNLOCK",
    ("lock", "LIVENESS DEATHS=1"): "NO_PROBE",
    ("wake", ""): "NO_FENCE NO_RELOOK NO_COMPARE NO_SECOND_WAKE",
    ("wake", "LOOPS=1"): "FLAG_BEFORE_BIT MAP_BEFORE_FLAG",
    ("ring", "SLOTS=2 DEATHS=1"): "TAIL_BEFORE_SEQ SEQ_BEFORE_LINK HEAD_BEFORE_HOLD BLOCKS_BEFORE_LOCKS HEIR_IGNORED "
    "ALWAYS_DROP KEPT_SLOT NO_RELINK",
    ("ring", "NO_REAPER DEATHS=1 PRODUCERS=2 CONSUMERS=1 MESSAGES=3"): "ROOM_UNSIGNED",
    ("stream", ""): "END_AFTER_UNLINK END_EARLY NO_RECOUNT",
    ("stream", "ALL DEATHS=1"): "LAPPED",
    ("stream", "READERS=2 SLOTS=2 DEATHS=0"): "NO_SECOND_LOOK STALE_HEAD",
    ("pins", ""): "PIN_CLEARED_FIRST FREED_THOUGH_PINNED BLOCKS_FIRST NO_REPAIR",
    ("recover", ""): "EVICT_BY_SLOT LEAVER_ROBBED SLOT_FIRST BLIND_MARK BLIND_FREE HEIR_IGNORED BLOCKS_FIRST "
    "NO_TAKEOVER",
    ("recover", "SPARE"): "EXACT_TOKEN",
    ("log", "TURNS=1"): "FIRST_LATE WORD_KEPT TAIL_EARLY SLOTS_KEPT NO_LEAD_BACK DROP_FIRST",
    ("log", "DEATHS=0 MOST=1"): "SEARCH_ENDS AHEAD_FORGOTTEN",
    ("store", "DEATHS=0"): "NEVER_ODD ITEM_READ_ODD NO_RELOOK RELEASE_FIRST",
    ("store", "DEATHS=1 NO_READER"): "COMMIT_LATE EVENT_TWICE DONE_BEFORE_EVENT NO_REPAIR BLOCKS_FIRST NOT_OWNED",
    ("handoff", "DEATHS=0"): "LOOK_BEFORE_LINK LOOK_BEFORE_PUT PLAIN_GIVE_UP UNWANTED OVERTAKEN LATE_PUT FREED_IN_LINE "
    "OUT_FIRST",
    ("handoff", "DEATHS=0 TAKERS=3 VALUES=1"): "LAST_BEHIND",
    ("handoff", "DEATHS=0 TAKERS=1 READERS=1"): "TAKERS_FIRST",
    ("handoff", "DEATHS=0 RETURNS VALUES=1"): "RETURN_UNSEEN",
    ("handoff", "TAKERS=1 RETURNS"): "TELL_BEFORE_HOLD FORGOTTEN_GRANT TAIL_TRUSTED NO_SERVICE BLOCKS_FIRST",
}


# Process type, state, line of the model.
Step = tuple[str, int, int]


@dataclass(frozen=True)
class Search:
    """What a verifier found, the steps that it knows and those that it never took."""

    text: str
    errors: int
    steps: set[Step]
    missed: set[Step]


def search(place: Path, model: str, settings: str, *, optimise: str = "-O1", memory_mb: int = 1024) -> Search:
    """Let Spin search all states of a model."""
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / f"{model}.pml", place)
    _run(place, "spin", *(f"-D{name}" for name in settings.split()), "-o3", "-a", f"{model}.pml")
    # Partial order reduction gains nothing here, where nearly every step is visible, and need not be trusted then.
    flags = ["-DNOREDUCE", f"-DMEMLIM={memory_mb}", "-DNFAIR=3" if "LIVENESS" in settings else "-DSAFETY"]
    _run(place, "gcc", optimise, "-w", *flags, "-o", "pan", "pan.c")
    fair = ["-a", "-f"] if "LIVENESS" in settings else []
    text = _run(place, "./pan", "-m200000", "-w21", *fair)
    errors = re.search(r"errors: (\d+)", text)
    assert errors, f"no search: {text}"
    return Search(text, int(errors[1]), set(_steps(_run(place, "./pan", "-d"))), set(_steps(text)))


def _run(place: Path, *command: str) -> str:
    result = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=600)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}{result.stderr}"
    return result.stdout


def _steps(text: str) -> Iterator[Step]:
    """Give the steps that the lines of a verifier's table, or of its list of unreached states, name."""
    process = ""
    for line in text.splitlines():
        if title := re.match(r"(?:unreached in )?(?:proctype |claim )?:?(\w+):?$", line):
            process = title[1]
        place, state = re.search(r"\.pml:(\d+)", line), re.search(r"\bstate +(\d+)", line)
        if place and state and "-end-" not in line:
            yield process, int(state[1]), int(place[1])


def assert_complete(found: Search) -> None:
    """Check that the search found nothing and left nothing out."""
    assert found.errors == 0, found.text
    assert "Full statespace search" in found.text
    for sign in ("not completed", "depth too small", "out of memory", "aborted"):
        assert sign not in found.text, found.text


def mutants(model: str) -> set[str]:
    return set(re.findall(r"\bMUTANT_(\w+)", (HERE / f"{model}.pml").read_text()))


@needs_spin
@pytest.mark.timeout(600)
@pytest.mark.parametrize("model", PROOFS)
def test_a_model_holds_in_every_interleaving_and_reaches_its_every_step(model: str, tmp_path: Path) -> None:
    searches = []
    for number, settings in enumerate(PROOFS[model]):
        optimise = "-O0" if model in LONG_TEXTS else "-O1"
        searches.append(search(tmp_path / str(number), model, settings, optimise=optimise))
        assert_complete(searches[-1])
    lines = {line for one in searches for _, _, line in one.steps}
    assert sorted(lines - {line for one in searches for _, _, line in one.steps - one.missed}) == []


@needs_spin
@pytest.mark.parametrize(
    ("model", "settings", "mutant"),
    [(model, settings, mutant) for (model, settings), names in MUTANTS.items() for mutant in names.split()],
)
def test_a_broken_model_is_found_out(model: str, settings: str, mutant: str, tmp_path: Path) -> None:
    found = search(tmp_path, model, f"{settings} MUTANT_{mutant}", optimise="-O0")
    assert found.errors > 0, found.text


@needs_spin
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("model", "settings"), LONG_PROOFS)
def test_a_model_holds_with_more_processes_and_deaths(model: str, settings: str, tmp_path: Path) -> None:
    assert_complete(search(tmp_path, model, settings, memory_mb=8192))


def test_every_model_is_proved_and_every_mutant_is_tried() -> None:
    assert sorted(PROOFS) == sorted(path.stem for path in HERE.glob("*.pml"))
    for model in PROOFS:
        tried = {mutant for (name, _), names in MUTANTS.items() if name == model for mutant in names.split()}
        assert tried == mutants(model)
        assert len(tried) >= 3
