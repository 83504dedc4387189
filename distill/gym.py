"""Problems made by reasoning-gym: more than a hundred families of puzzles, each with its own scorer.

    source = ProblemSource(gym="chain_sum", count=100, seed=3, gym_config={"max_terms": 4})
    for where, row in gym_rows(source): ...      # JSON rows that distill.problems reads like any other

The whole entry, and the settings that its scorer reads, travel with the problem: some families draw other
entries for the same seed in another process (the order of Python's sets is not fixed), so that an entry
could not be made a second time. Needs the extra `gym`. What scores is `distill.verify`'s matter.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from distill import jsonl
from distill.cards import ProblemSource
from distill.errors import DistillError, did_you_mean, missing_extra
from distill.types import Gym

COUNT = 500  # reasoning-gym's own default size of a data set
# It draws entry i from seed + i, so that seeds 3 and 4 share all entries but one. Ours share none.
APART = 1_000_000
LAST_SEED = 4293  # numpy, which some tasks draw from, takes seeds of 32 bits


def gym_rows(source: ProblemSource) -> Iterator[tuple[str, bytes]]:
    """The entries of one task as JSON rows, each with where it stands (``chain_sum:7``)."""
    try:
        import reasoning_gym
        from reasoning_gym.factory import DATASETS
    except ImportError:
        raise missing_extra("a problem source of kind 'gym'", "gym") from None
    task = str(source.gym)
    if task not in DATASETS:
        raise DistillError(f"reasoning-gym has no task '{task}'{did_you_mean(task, DATASETS)}")
    if (source.count or COUNT) > APART or source.seed > LAST_SEED:
        raise DistillError(
            f"a gym source has at most {APART:,} problems and a seed of at most {LAST_SEED:,}; "
            "for more problems take a second source with another seed"
        )
    try:
        entries = reasoning_gym.create_dataset(
            task, **source.gym_config, seed=source.seed * APART, size=source.count or COUNT
        )
    except (TypeError, ValueError, AssertionError) as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise DistillError(
            f"reasoning-gym's task '{task}' refuses these settings: {first}"
        ) from None
    config = json.dumps(source.gym_config, sort_keys=True) if source.gym_config else None
    for index in range(source.count or COUNT):
        entry = entries[index]
        entry["metadata"].pop("source_index", None)  # so that the same puzzle twice is one problem
        text = json.dumps(entry, sort_keys=True, allow_nan=False)
        if index == 0:
            _require_text_is_enough(task, entries, entry, text)
        row = {
            "id": f"{task}/{hashlib.sha256(f'{config}{text}'.encode()).hexdigest()[:16]}",
            "prompt": entry["question"],
            "kind": "gym",
            "answer": entry["answer"] if isinstance(entry["answer"], str) else None,
            "topic": task,
            "gym": Gym(task=task, entry=text, config=config),
        }
        yield f"{task}:{index}", jsonl.encode(row)


def _require_text_is_enough(task: str, entries: Any, entry: dict[str, Any], text: str) -> None:
    """Refuse families (the ARC ones) whose scorer compares tuples, which come back from JSON as lists."""
    gold = entry["answer"]
    if entries.score_answer(gold, json.loads(text)) != entries.score_answer(gold, entry):
        raise DistillError(
            f"reasoning-gym's task '{task}' cannot be scored from a file of problems: leave it out"
        )
