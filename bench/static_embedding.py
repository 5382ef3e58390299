"""Makes a static embedding for Pointsman to ship, and shows how near it comes to MiniLM by its width.

The vocabulary is that of MiniLM's tokenizer. MiniLM embeds each entry alone and bags of words that are
near each other; the vectors are fitted to these (`predict.features.distil`). Held-out bags tell how well:

    likeness     correlation of the similarity of two bags, ours with MiniLM's
    neighbours   of a bag's 10 nearest by MiniLM, the share that is among our 10 nearest

    python bench/static_embedding.py --cache FILE.sqlite [--write]

The cache keeps MiniLM's embeddings (some minutes of one core without it). --write replaces the shipped
file by the one of width 96.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pointsman.predict.features import static
from pointsman.predict.features.base import Encoding
from pointsman.predict.features.cache import CachedEncoder
from pointsman.predict.features.distil import bags_of_near_words, distilled, usable_words, word_counts
from pointsman.predict.features.minilm import MiniLmEncoder
from pointsman.predict.features.static import StaticTable
from pointsman.report.bench import Cell, bench_parser, write_results

SHIPPED_WIDTH = 96
WIDTHS = (32, 64, SHIPPED_WIDTH, 128)
RIDGE = 2.0
BAGS = 16_000
HELD_OUT = 2_000
QUICK_WORDS, QUICK_BAGS, QUICK_HELD_OUT = 1_500, 800, 300
NEAREST = 10


def embedded(table: StaticTable, texts: list[str]) -> Encoding:
    made = word_counts(table, texts) @ table.vectors.astype(np.float32)
    rows: Encoding = made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1)
    return rows


def nearest(likeness: Encoding) -> list[set[int]]:
    apart = likeness - 2 * np.eye(len(likeness), dtype=np.float32)
    return [set(row) for row in np.argpartition(-apart, NEAREST, axis=1)[:, :NEAREST].tolist()]


def measure(table: StaticTable, bags: list[str], wanted: Encoding) -> dict[str, Cell]:
    ours, theirs = embedded(table, bags), wanted @ wanted.T
    likeness = ours @ ours.T
    upper = np.triu_indices(len(bags), 1)
    shared = [len(one & other) for one, other in zip(nearest(likeness), nearest(theirs), strict=True)]
    return {
        "width": table.width,
        "words": len(table.rows),
        "megabytes": table.vectors.nbytes / 1e6,
        "likeness": float(np.corrcoef(likeness[upper], theirs[upper])[0, 1]),
        "neighbours": float(np.mean(shared)) / NEAREST,
    }


def main() -> None:
    parser = bench_parser(__doc__ or "")
    parser.add_argument("--cache", type=Path, help="keeps MiniLM's embeddings")
    parser.add_argument("--write", action="store_true", help="replace the shipped file")
    args = parser.parse_args()
    minilm = MiniLmEncoder()
    encoder = minilm if args.cache is None else CachedEncoder(minilm, args.cache)
    words = usable_words(minilm.vocabulary())[: QUICK_WORDS if args.quick else None]
    alone = encoder.encode([word.removeprefix("##") for word in words])
    subjects = [row for row, word in enumerate(words) if word.isascii() and word.isalpha() and len(word) > 2]
    n_bags, held_out = (QUICK_BAGS, QUICK_HELD_OUT) if args.quick else (BAGS, HELD_OUT)
    rng = np.random.default_rng(args.seed)
    bags = bags_of_near_words([words[row] for row in subjects], alone[subjects], n_bags + held_out, rng)
    rows = encoder.encode(bags)
    texts = [*(word.removeprefix("##") for word in words), *bags[:-held_out]]
    wanted = np.concatenate([alone, rows[:-held_out]])
    results: list[dict[str, Cell]] = []
    for width in WIDTHS:
        table = distilled(words, texts, wanted, width=width, ridge=RIDGE)
        results.append(measure(table, bags[-held_out:], rows[-held_out:]))
        if args.write and not args.quick and width == SHIPPED_WIDTH:
            table.write(static.SHIPPED)
    write_results("static_embedding", results, args, title="Static embedding against MiniLM, held-out bags")


if __name__ == "__main__":
    main()
