"""Shapes of known models: their sizes, the grid, the bookkeeping of a run, the decoder itself.

What needs torch is skipped without it; the rest runs anywhere.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from pointsman.cli.group import ErrorGroup
from pointsman.cli.profile_shapes import profile_shapes
from pointsman.clock import RealClock, VirtualClock
from pointsman.data.fit_rows import endpoint_rows
from pointsman.data.profiles import ProfileRow, read_profile
from pointsman.errors import BadRequest, DataError, EngineError, MissingError
from pointsman.predict.cost import ShapeCost
from pointsman.profile.shape_runner import WARM_UP_TOKENS, Timing, run_shapes
from pointsman.profile.shapes import ORIGINALS, SHAPES, Cell, Shape, grid, lookup, stages

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None,
    reason='torch is not installed (pip install "pointsman[gpu]")',
)
TINY = SHAPES["tiny"]
FALCON_LIKE = Shape(
    "falcon-like", 3, 60, 5, 1, 240, 97, 64, "test", gated=False, parallel=True, layer_norm=True
)
GROUPED = Shape("grouped", 3, 64, 8, 2, 96, 97, 64, "test")


class TestShapes:
    @pytest.mark.parametrize(
        ("name", "published"),
        # The first as keras-hub's preset states it, the others as Hugging Face counts the checkpoints.
        [
            ("phi-3-mini-4k-instruct", 3.821e9),
            ("mistral-7b-instruct", 7.242e9),
            ("falcon-7b-instruct", 7.217e9),
        ],
    )
    def test_parameters_are_those_of_the_published_models(self, name: str, published: float) -> None:
        assert lookup(name).parameters == pytest.approx(published, rel=0.001)

    def test_the_originals_are_within_two_percent_of_their_names(self) -> None:
        sizes = [lookup(name).parameters / 1e9 for name in ORIGINALS]
        assert sizes == pytest.approx([3.8, 7.2, 7.2], rel=0.02)

    @pytest.mark.parametrize("shape", SHAPES.values(), ids=lambda shape: shape.name)
    def test_heads_fill_the_width(self, shape: Shape) -> None:
        assert shape.head_width * shape.heads == shape.hidden
        assert shape.head_width % 2 == 0
        assert shape.heads % shape.kv_heads == 0

    def test_an_unknown_shape_is_refused_by_name(self) -> None:
        with pytest.raises(BadRequest, match=r"no shape 'gpt'.*tiny"):
            lookup("gpt")

    def test_the_cache_of_one_position_counts_keys_and_values_of_every_layer(self) -> None:
        assert lookup("mistral-7b-instruct").cache_elements(Cell(1, 1, 1)) == 2 * 32 * 8 * 128
        assert lookup("falcon-7b-instruct").cache_elements(Cell(10, 3, 4)) == 2 * 32 * 64 * 12 * 4


class TestGrid:
    def test_every_combination_once(self) -> None:
        cells = grid(TINY, [8, 8, 16], [1, 4], [1, 2])
        assert len(cells) == len(set(cells)) == 8
        assert cells == sorted(cells)

    def test_cells_beyond_the_window_are_left_out(self) -> None:
        phi, falcon = lookup("phi-3-mini-4k-instruct"), lookup("falcon-7b-instruct")
        assert grid(phi, [1536], [512, 513], [1]) == [Cell(1536, 512, 1)], "2047 positions fit, 2048 don't"
        assert len(grid(falcon, [1536], [512, 513], [1])) == 2

    def test_stages_shuffle_by_seed_and_repeat_at_the_end(self) -> None:
        shapes = [TINY, GROUPED]
        cells = [grid(shape, [4, 8, 16], [1, 2, 4], [1, 2]) for shape in shapes]
        first = list(stages(shapes, cells, 3, seed=5))
        assert first == list(stages(shapes, cells, 3, seed=5))
        assert first != list(stages(shapes, cells, 3, seed=6))
        assert [(stage.shape.name, stage.again) for stage in first] == [
            ("tiny", False),
            ("grouped", False),
            ("grouped", True),
            ("tiny", True),
        ]
        assert sorted(first[0].cells) == cells[0] != list(first[0].cells)
        assert first[3].cells == first[0].cells[:3]


class Scripted:
    """Takes 0.2 s for the first token of a batch and 0.1 s for each other; burns 10 W."""

    name, modelled, description = "scripted", True, "10 W"

    def __init__(self, too_big: frozenset[Cell] = frozenset()) -> None:
        self.clock = VirtualClock(1000.0)
        self.too_big = too_big
        self.ran: list[Cell] = []
        self.loaded: list[str] = []

    @contextmanager
    def load(self, shape: Shape, cells: Iterable[Cell]) -> Iterator[Scripted]:
        assert list(cells)
        self.loaded.append(shape.name)
        self.clock.advance_to(self.clock.now() + 30.0)
        yield self

    def generate(self, cell: Cell) -> Timing:
        if cell in self.too_big:
            raise EngineError("memory does not suffice", endpoint="tiny")
        self.ran.append(cell)
        e2e_s = 0.2 + 0.1 * (cell.output_tokens - 1)
        self.clock.advance_to(self.clock.now() + e2e_s)
        return Timing(0.2, e2e_s)

    def read_j(self) -> float:
        return 10.0 * self.clock.now()

    def close(self) -> None:
        pass


def run(
    scripted: Scripted,
    out: Path,
    shapes: tuple[Shape, ...] = (TINY,),
    seed: int = 1,
    output_tokens: tuple[int, ...] = (1, 11),
) -> list[ProfileRow]:
    plan = stages(shapes, [grid(shape, [8, 32], output_tokens, [1, 2]) for shape in shapes], 2, seed)
    seen: list[ProfileRow] = []
    run_shapes(
        plan,
        scripted.load,
        scripted,
        out,
        scripted.clock,
        span_s=1.0,
        identity={"seed": seed},
        metadata={"hardware": {"device": "none"}},
        on_row=seen.append,
    )
    return seen


class TestRun:
    def test_a_row_is_the_mean_over_runs_that_fill_the_span(self, tmp_path: Path) -> None:
        scripted = Scripted()
        run(scripted, tmp_path / "s.parquet")
        rows = {row.prompt_id: row for row in read_profile(tmp_path / "s.parquet").rows}
        assert len(rows) == 8 + 2
        short, long = rows["in8-out1-x1"], rows["in32-out11-x2"]
        assert (short.input_tokens, short.output_tokens, short.concurrency) == (8, 1, 1)
        assert (short.ttft_s, short.tpot_s) == (pytest.approx(0.2), None)
        assert short.e2e_s == pytest.approx(0.2)
        assert short.energy_j == pytest.approx(2.0), "10 W for 0.2 s, though it ran for a second"
        assert long.e2e_s == pytest.approx(1.2)
        assert long.tpot_s == pytest.approx(0.1)
        assert long.energy_j == pytest.approx(6.0), "half of a batch of two"
        assert (long.energy_modelled, long.meter, long.finish_reason) == (True, "scripted", "length")
        assert scripted.ran.count(Cell(32, 11, 2)) in {1, 2}, "once, and once more if it is a repeat"

    def test_loading_and_warm_up_are_in_no_row(self, tmp_path: Path) -> None:
        scripted = Scripted()
        run(scripted, tmp_path / "s.parquet")
        rows = read_profile(tmp_path / "s.parquet").rows
        counted_j = sum((row.energy_j or 0.0) * row.concurrency for row in rows)
        assert counted_j < 10.0 * (scripted.clock.now() - 1000.0 - 60.0), "two loads of 30 s"
        assert Cell(32, WARM_UP_TOKENS, 2) in scripted.ran

    def test_repeats_come_after_every_shape_and_name_their_first(self, tmp_path: Path) -> None:
        scripted = Scripted()
        rows = run(scripted, tmp_path / "s.parquet", (TINY, GROUPED))
        assert scripted.loaded == ["tiny", "grouped", "grouped", "tiny"]
        repeats = [row for row in rows if row.repeat_of]
        assert rows[-4:] == repeats
        assert all(row.prompt_id == f"{row.repeat_of}r" for row in repeats)

    def test_a_cell_without_memory_is_a_failed_row_and_measured_again_later(self, tmp_path: Path) -> None:
        out = tmp_path / "s.parquet"
        run(Scripted(too_big=frozenset({Cell(32, 11, 2)})), out)
        failed = {row.prompt_id: row.error for row in read_profile(out).rows if row.error}
        assert failed.keys() - {"in32-out11-x2r"} == {"in32-out11-x2"}
        again = Scripted()
        run(again, out)
        measured = {cell for cell in again.ran if cell.output_tokens == 11}
        assert measured == {Cell(32, 11, 2)}
        assert not any(row.error for row in read_profile(out).rows)

    def test_a_whole_run_loads_nothing_again_and_shows_all_rows(self, tmp_path: Path) -> None:
        out = tmp_path / "s.parquet"
        first = run(Scripted(), out)
        again = Scripted()
        assert run(again, out) == first
        assert again.loaded == []

    def test_a_torn_journal_goes_on_after_its_last_whole_row(self, tmp_path: Path) -> None:
        out = tmp_path / "s.parquet"
        run(Scripted(), out)
        journal = out.with_name("s.parquet.journal")
        journal.write_text(journal.read_text()[:-9])
        again = Scripted()
        run(again, out)
        assert again.loaded == ["tiny"]
        assert len(read_profile(out).rows) == 10

    def test_another_run_s_journal_is_refused_by_what_differs(self, tmp_path: Path) -> None:
        run(Scripted(), tmp_path / "s.parquet")
        with pytest.raises(DataError, match=r"another run: seed 1, not 2\. Give another --out"):
            run(Scripted(), tmp_path / "s.parquet", seed=2)

    def test_the_file_says_that_weights_are_random(self, tmp_path: Path) -> None:
        run(Scripted(), tmp_path / "s.parquet")
        metadata = read_profile(tmp_path / "s.parquet").metadata
        assert metadata["weights"] == "random"
        assert metadata["meter"] == {"name": "scripted", "modelled": True, "description": "10 W"}
        assert metadata["shapes"]["tiny"]["parameters"] == TINY.parameters
        assert metadata["span_s"] == 1.0

    def test_a_cost_model_fitted_to_it_gives_back_the_watts_and_seconds(self, tmp_path: Path) -> None:
        run(Scripted(), tmp_path / "s.parquet", output_tokens=(1, 6, 11, 41))
        rows = endpoint_rows(read_profile(tmp_path / "s.parquet"), "tiny")
        alone = rows.concurrency == 1
        fit = ShapeCost.fit(rows.input_tokens[alone], rows.output_tokens[alone], rows.energy_j[alone])
        predicted = fit.predict(np.array([16.0]), np.array([21.0]))
        assert predicted == pytest.approx([10.0 * 2.2], rel=0.01)


@needs_torch
class TestDecoder:
    @pytest.mark.parametrize("shape", [TINY, GROUPED, FALCON_LIKE], ids=lambda shape: shape.name)
    def test_the_cache_gives_what_the_whole_sequence_gives(self, shape: Shape) -> None:
        import torch

        from pointsman.profile.shape_model import Decoder, greedy, random_weights

        weights = random_weights(shape, torch.device("cpu"), torch.float32, 3)
        decoder = Decoder(shape, weights, 32)
        prompts = torch.from_numpy(np.random.default_rng(3).integers(0, shape.vocabulary, (2, 7)))
        answers, timing = greedy(decoder, prompts, 9, RealClock().now)
        assert 0 < timing.ttft_s < timing.e2e_s
        tokens = torch.cat((prompts, torch.tensor(answers)), dim=1)
        cache = decoder.empty_cache(2, 16)
        decoder.forward(prompts, cache, 0)
        for length in range(8, 16):
            stepped = decoder.forward(tokens[:, length - 1 : length], cache, length - 1)
            whole = decoder.forward(tokens[:, :length], decoder.empty_cache(2, length), 0)
            torch.testing.assert_close(stepped, whole, rtol=1e-4, atol=1e-4)
            assert whole.argmax(-1).tolist() == tokens[:, length].tolist()

    @pytest.mark.parametrize("shape", [GROUPED, FALCON_LIKE], ids=lambda shape: shape.name)
    def test_attention_is_softmax_of_scaled_products_of_shared_heads(self, shape: Shape) -> None:
        import torch

        from pointsman.profile.shape_model import Decoder, random_weights

        decoder = Decoder(shape, random_weights(shape, torch.device("cpu"), torch.float64, 3), 6)
        x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 6, shape.hidden)))
        cache = decoder.empty_cache(2, 6)
        found = decoder._attention(x, "layer0.", cache[:, 0], 0)
        weights, width = decoder._weights, shape.head_width
        query = (x @ weights["layer0.qkv"].T)[..., : shape.hidden].view(2, 6, shape.heads, width)
        query = decoder._rotated(query.transpose(1, 2), 0, 6)
        heads = []
        for head in range(shape.heads):
            shared = head // (shape.heads // shape.kv_heads)
            keys, values = cache[0, 0, :, shared], cache[1, 0, :, shared]
            scores = query[:, head] @ keys.transpose(1, 2) / width**0.5
            scores += torch.full((6, 6), -torch.inf, dtype=torch.float64).triu(1)
            heads.append(scores.softmax(-1) @ values)
        expected = torch.cat(heads, dim=-1) @ weights["layer0.out"].T
        torch.testing.assert_close(found, expected)

    def test_rotation_makes_products_depend_on_distance_alone(self) -> None:
        import torch

        from pointsman.profile.shape_model import Decoder, random_weights

        decoder = Decoder(TINY, random_weights(TINY, torch.device("cpu"), torch.float64, 3), 32)
        left, right = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 1, 1, 1, TINY.head_width)))
        products = [
            float((decoder._rotated(left, at, at + 1) * decoder._rotated(right, at + 5, at + 6)).sum())
            for at in (0, 3, 20)
        ]
        assert products == pytest.approx([products[0]] * 3, rel=1e-6)
        other = (decoder._rotated(left, 0, 1) * decoder._rotated(right, 6, 7)).sum()
        assert float(other) != pytest.approx(products[0], rel=1e-3)

    @pytest.mark.parametrize("name", ORIGINALS)
    def test_the_real_shapes_fit_together_without_being_allocated(self, name: str) -> None:
        import torch

        from pointsman.profile.shape_model import Decoder
        from pointsman.profile.shapes import tensor_sizes

        shape = lookup(name)
        weights = {key: torch.empty(size, device="meta") for key, size in tensor_sizes(shape).items()}
        assert sum(weight.numel() for weight in weights.values()) == shape.parameters
        decoder = Decoder(shape, weights, 20)
        cache = decoder.empty_cache(2, 17)
        assert cache.numel() == shape.cache_elements(Cell(16, 2, 2))
        prompts = torch.zeros((2, 16), dtype=torch.int64, device="meta")
        assert decoder.forward(prompts, cache, 0).shape == (2, shape.vocabulary)
        assert decoder.forward(prompts[:, :1], cache, 16).shape == (2, shape.vocabulary)

    def test_equal_seeds_give_equal_weights(self) -> None:
        import torch

        from pointsman.profile.shape_model import random_weights

        one, same, other = (
            random_weights(TINY, torch.device("cpu"), torch.bfloat16, seed) for seed in (1, 1, 2)
        )
        assert torch.equal(one["layer1.qkv"], same["layer1.qkv"])
        assert not torch.equal(one["layer1.qkv"], other["layer1.qkv"])


@needs_torch
class TestDevice:
    def test_a_shape_larger_than_memory_is_refused_before_it_is_made(self) -> None:
        import torch

        from pointsman.profile.shape_device import loader

        huge = Shape("huge", 1000, 65536, 512, 512, 262144, 100, 10, "test")
        load = loader(torch.device("cpu"), torch.float32, 1, RealClock().now)
        with pytest.raises(EngineError, match=r"huge needs \d+\.\d GiB .* GiB free\. Choose"):
            load(huge, [Cell(1, 1, 1)]).__enter__()

    def test_memory_that_ends_in_a_cell_is_said_and_the_next_cell_works(self) -> None:
        import torch

        from pointsman.profile.shape_device import loader

        load = loader(torch.device("cpu"), torch.float32, 1, RealClock().now)
        with load(TINY, [Cell(4, 2, 1)]) as model:
            with pytest.raises(
                EngineError, match="memory does not suffice for in4-out1000000000000-x2 of tiny"
            ):
                model.generate(Cell(4, 10**12, 2))
            assert model.generate(Cell(4, 2, 2)).e2e_s > 0

    def test_no_other_fault_is_taken_for_memory(self) -> None:
        import torch

        from pointsman.profile.shape_device import loader

        load = loader(torch.device("cpu"), torch.float32, 1, RealClock().now)
        with load(TINY, [Cell(4, 2, 1)]) as model, pytest.raises(RuntimeError, match="size of tensor"):
            model.generate(Cell(64, 1, 1))  # beyond the positions it was loaded for

    def test_devices_that_are_not_there_are_refused(self) -> None:
        import torch

        from pointsman.profile.shape_device import open_device

        for name in ("tpu", "meta", ""):
            with pytest.raises(BadRequest, match="Give cpu, cuda or cuda:N"):
                open_device(name)
        if not torch.cuda.is_available():
            with pytest.raises(MissingError, match=r"sees no CUDA GPU.*--device cpu"):
                open_device("cuda")


app = typer.Typer(cls=ErrorGroup)
app.command()(profile_shapes)


@app.callback()
def _group() -> None: ...


def call(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["profile-shapes", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, result.output


class TestCommand:
    SMALL = ("--device", "cpu", "--shape", "tiny", "--input-tokens", "4,16,64", "--output-tokens", "1,8",
             "--concurrency", "1,2", "--repeats", "1", "--span", "0.02")  # fmt: skip

    @needs_torch
    def test_it_measures_a_tiny_shape_on_a_cpu_and_resumes(self, tmp_path: Path) -> None:
        out = tmp_path / "tiny.parquet"
        code, text = call("--out", out, *self.SMALL)
        assert code == 0, text
        assert f"written: {out}; next: pointsman fit" in text.replace("\n", "")
        profile = read_profile(out)
        rows = profile.measured("tiny")
        assert len(rows) == 13
        for row in rows:
            assert row.energy_j is not None
            assert row.energy_j > 0
            assert row.ttft_s is not None
            assert row.e2e_s is not None
            assert 0 < row.ttft_s <= row.e2e_s
        assert profile.metadata["hardware"]["device"] == "cpu"
        assert profile.metadata["dtype"] == "bfloat16"
        journal = out.with_name("tiny.parquet.journal")
        lines = journal.read_text().splitlines()
        assert call("--out", out, *self.SMALL)[0] == 0
        assert journal.read_text().splitlines() == lines
        assert json.loads(lines[0])["run"]["device"] == "cpu"

    def test_without_torch_it_says_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in ("shape_device", "shape_model"):
            monkeypatch.delitem(sys.modules, f"pointsman.profile.{module}", raising=False)
            monkeypatch.delattr(sys.modules["pointsman.profile"], module, raising=False)
        monkeypatch.setitem(sys.modules, "torch", None)
        code, text = call("--out", tmp_path / "s.parquet", *self.SMALL)
        assert code == 5
        assert 'Run: pip install "pointsman[gpu]"' in text
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--shape", "gpt"), "there is no shape 'gpt'"),
            (("--input-tokens", "0"), "--input-tokens '0' can't be used"),
            (("--output-tokens", "a,b"), "--output-tokens 'a,b' can't be used"),
            (("--concurrency", "1,,2"), "--concurrency '1,,2' can't be used"),
            (
                ("--shape", "falcon-7b-instruct", "--input-tokens", "3000"),
                "every cell is longer than the 2048",
            ),
        ],
    )
    def test_bad_words_are_refused_before_anything_is_loaded(self, words: tuple[str, ...], said: str) -> None:
        code, text = call(*words)
        assert code == 2
        assert said in text

    def test_help_shows_examples(self) -> None:
        code, text = call("--help")
        assert code == 0
        assert "pointsman profile-shapes --device cpu --shape tiny" in text
