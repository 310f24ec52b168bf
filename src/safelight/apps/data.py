"""`safelight data`: look after a collection of pictures before a network learns it.

`check PATH` says what may be wrong with it; `vary DATA OUT.tar` makes a shard of more pictures from its own.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safelight.apps.terminal import add_json_argument, answer, progress
from safelight.apps.where import add_where_argument, where_of
from safelight.errors import BadInput

if TYPE_CHECKING:
    from safelight.data.check.findings import Limits, Looked
    from safelight.data.record import Record
    from safelight.data.shard_writing import NewSample

MOST = 1000  # pictures of a kind from one thing


def add_to(commands: Any) -> None:
    """The arguments of the command."""
    command = commands.add_parser("data", help="look after a collection of captioned pictures")
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="say what may be wrong with a collection, with counts and examples")
    check.add_argument("path", type=Path, metavar="PATH", help="folder of pictures or .tar shards, a shard, or a list")
    check.add_argument("--against", type=Path, metavar="PATH", help="a collection that should have no picture of it")
    check.add_argument(
        "--tokenizer", type=Path, metavar="F", help="a tokenizer's folder, such as RUN/tokenizer: captions in tokens"
    )
    check.add_argument(
        "--least-side", type=int, default=64, metavar="N", help="pixels below which a side is too short (default: 64)"
    )
    add_json_argument(check)
    check.set_defaults(run=run)
    vary = actions.add_parser(
        "vary", help="paint a collection's things in other colours, lay them over skies or into scenes"
    )
    vary.add_argument("path", type=Path, metavar="DATA", help="a collection of cut-out things and of backgrounds")
    vary.add_argument("out", type=Path, metavar="OUT.tar", help="the shard to write; it must not exist")
    add_where_argument(vary, "things")
    vary.add_argument("--painted", type=int, default=1, metavar="N", help="colours of each thing (default: 1)")
    vary.add_argument("--skies", type=int, default=1, metavar="N", help="skies behind each thing (default: 1)")
    vary.add_argument("--scenes", type=int, default=0, metavar="N", help="scenes of each thing and others (default: 0)")
    add_json_argument(vary)
    vary.set_defaults(run=run_vary)


def run(arguments: argparse.Namespace) -> None:
    """Look at every picture, compare, and report; what is found is no error."""
    from safelight.data.check.findings import check

    if arguments.least_side < 1:
        raise BadInput(f"--least-side is {arguments.least_side}; it must be at least 1.")
    limits = limits_of(arguments)
    own = looked(arguments.path)
    other = looked(arguments.against) if arguments.against else []
    report = check(own, other, limits)
    answer(arguments, {"data": str(arguments.path), **report.facts()}, report.sentences())


def looked(path: Path) -> Sequence[Looked]:
    """Every record of a collection with the look at it, with a bar on a terminal."""
    from safelight.data.check.look import looks
    from safelight.data.collection import open_collection

    records = open_collection(path)
    return list(zip(records, progress(looks(records), len(records), path.name), strict=True))


def limits_of(arguments: argparse.Namespace) -> Limits:
    """Captions are counted in tokens where there is a tokenizer, between its start and its end; else in words."""
    from safelight.data.check.findings import Limits

    if arguments.tokenizer is None:
        return Limits(least_side=arguments.least_side)
    from safelight.text import Tokenizer

    tokenizer = Tokenizer.load(arguments.tokenizer)

    def length(caption: str) -> int:
        return len(tokenizer.words(caption))

    return Limits(least_side=arguments.least_side, longest_caption=tokenizer.length - 2, length=length)


def run_vary(arguments: argparse.Namespace) -> None:
    """Derive pictures from those of a collection, and write them into a shard."""
    from safelight.data.collection import open_collection
    from safelight.data.shard_writing import write_shard
    from safelight.data.variations import skies_among
    from safelight.recipe import whole_number
    from safelight.weights.files import beside

    check_new_shard(arguments.out)
    for name in ("painted", "skies", "scenes"):
        whole_number(f"--{name}", getattr(arguments, name), 0, MOST)
    if arguments.painted == arguments.skies == arguments.scenes == 0:
        raise BadInput("--painted, --skies and --scenes are all 0; one of them must be at least 1.")
    where = where_of(arguments.where)
    every = open_collection(arguments.path)
    records = open_collection(arguments.path, where) if where else every
    tally = Tally()
    with beside(arguments.out) as partial:
        made = varied(records, skies_among(every), arguments, tally)
        write_shard(partial, made)
        if not tally.made.total():
            raise BadInput(f"No picture was derived from the {len(records)} in {str(arguments.path)!r}: {tally.why()}.")
    answer(arguments, {"shard": str(arguments.out), **tally.facts()}, [f"{arguments.out}: {tally.sentence()}"])


@dataclass
class Tally:
    """How many pictures of each kind were made, and how many were not, by their kind and reason."""

    made: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, Counter[str]] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {"made": dict(self.made), "skipped": {kind: dict(why) for kind, why in self.skipped.items()}}

    def why(self) -> str:
        """The reasons of each kind, the most frequent first."""
        return "; ".join(
            f"not {kind}: " + ", ".join(f"{why} ({count})" for why, count in reasons.most_common())
            for kind, reasons in self.skipped.items()
        )

    def sentence(self) -> str:
        """All of it for people."""
        told = ", ".join(f"{count} {kind}" for kind, count in self.made.items())
        return f"{told}; {self.why()}." if self.skipped else f"{told}."


def varied(
    records: Sequence[Record], skies: Sequence[Record], arguments: argparse.Namespace, tally: Tally
) -> Iterator[NewSample]:
    """The pictures derived from each record in turn, counted, with a bar on a terminal."""
    from safelight.data.scene_pictures import companions, scenes, what_joins
    from safelight.data.variations import Skipped, paintings, under_skies

    alike = companions(records)
    wanted = {"painted": arguments.painted, "under skies": arguments.skies, "in scenes": arguments.scenes}
    tally.made.update({kind: 0 for kind, count in wanted.items() if count})
    for record in progress(records, len(records), arguments.path.name):
        derived = {
            "painted": paintings(record, arguments.painted),
            "under skies": under_skies(record, skies, arguments.skies),
            "in scenes": scenes(record, alike[what_joins(record)], arguments.scenes),
        }
        for kind in tally.made:
            for result in derived[kind]:
                if isinstance(result, Skipped):
                    tally.skipped.setdefault(kind, Counter())[result.why] += 1
                else:
                    tally.made[kind] += 1
                    yield result


def check_new_shard(path: Path) -> None:
    """Raise BadInput where no new shard can be written."""
    if path.suffix != ".tar":
        raise BadInput(f"{str(path)!r} must end in .tar; one shard is written.")
    if path.exists():
        raise BadInput(f"{str(path)!r} exists; give another name, or delete it first.")
    if not path.parent.is_dir():
        raise BadInput(f"{str(path)!r} cannot be written: its folder {str(path.parent)!r} does not exist.")
