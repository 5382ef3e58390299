"""Files that are broken or hostile: a clear refusal, quickly."""

import pytest

from pointsman.config.problem import ConfigProblems
from pointsman.config.tree import MAX_BYTES, MAX_DEPTH, MAX_NODES, read_tree


@pytest.fixture
def tree(tmp_path):
    def read(data):
        file = tmp_path / "c.yaml"
        file.write_bytes(data if isinstance(data, bytes) else data.encode())
        return read_tree(file)

    return read


@pytest.fixture
def refusal(tree):
    def read(data):
        with pytest.raises(ConfigProblems) as caught:
            tree(data)
        (problem,) = caught.value.problems
        return str(problem).split("c.yaml", 1)[1]

    return read


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("", ": the file is empty. Give at least one model"),
        ("# only a comment\n", ": the file is empty"),
        ("---\n...\n", ": the file is empty"),
        ("\n- a\n- b\n", ":1: the top of the file is a list, not a map"),
        ("words", ":1: the top of the file is a plain value, not a map"),
        ("a: [1, 2\nb: 3\n", ":2:2: not YAML: while parsing a flow sequence"),
        ("a:\n\tb: 1\n", ":2:1: not YAML: while scanning for the next token found character '\\t'"),
        ("a: 'x\n", ":2:1: not YAML: while scanning a quoted scalar"),
        ("a: *gone\n", ":1:4: not YAML: found undefined alias 'gone'"),
        ("a: 1\n---\nb: 2\n", ":2:1: not YAML: expected a single document"),
        ("a: \x00\n", ": not YAML: unacceptable character #x0000"),
        (b"a: 1\nb: \xff\xfe\n", ":2: not UTF-8: byte 0xff at offset 8. Save the file as UTF-8"),
        ("a: 1\nb: {c: 2, c: 3}\n", ":2: b.c: the key stands twice, first on line 2. Remove one"),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            ":1: a: the tag !!python/object/apply:os.system is not supported",
        ),
        ("a: !mine x\n", ":1: a: the tag !mine is not supported"),
        ("? [a]\n: 1\n", ":1: a key is a list or a map"),
        ("a: {<<: 3}\n", ":1: a: `<<` takes a map or a list of maps"),
        ("a: &a [*a]\n", f":1: nested over {MAX_DEPTH} levels"),
        ("a: &a {<<: *a}\n", f":1: nested over {MAX_DEPTH} levels"),
        ("a: " + "[" * 5000, f":1:{MAX_DEPTH + 3}: not YAML: nested over {MAX_DEPTH} levels"),
        ("a: 1\n" + "#" * MAX_BYTES, ": over 5 MiB"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_with_its_place(refusal, data, said):
    assert refusal(data).startswith(said)


def test_a_billion_laughs_end_at_the_limit(refusal):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert f"unfolds to over {MAX_NODES} values by its aliases" in refusal("\n".join(lines))


@pytest.mark.parametrize("missing", ["gone.yaml", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path, missing):
    with pytest.raises(ConfigProblems, match="can't read the file"):
        read_tree(tmp_path / missing)


def test_places_survive_anchors_and_merges(tree):
    root = tree("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n  z: [4, {w: 5}]\n")
    use = root.entries["use"]
    assert {key: child.text for key, child in use} == {"y": "3", "z": None, "x": "1"}
    assert (use.entries["x"].line, use.entries["x"].where) == (1, "use.x")
    deep = use.entries["z"].items[1].entries["w"]
    assert (deep.line, deep.where, deep.text) == (5, "use.z[1].w", "5")


def test_a_byte_order_mark_is_no_key(tree):
    assert list(tree(b"\xef\xbb\xbfa: 1\n").entries) == ["a"]
