"""The file that a fit leaves behind: JSON with a version, a fingerprint of the data and the profiles.

    {"format": "pointsman-fit", "version": 1, "fingerprint": "sha256:...", "profiles": [...]}

Reading refuses another version, missing or unknown fields, NaN where a number is needed, and values
out of range, and says where. What is read equals what was written, bit for bit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pointsman.errors import DataError
from pointsman.predict.artifact_codec import profile_from_json, profile_to_json
from pointsman.predict.json_reader import REMEDY, Reader
from pointsman.predict.model_profile import ModelProfile

FORMAT: Final = "pointsman-fit"
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class FitArtifact:
    """Fitted profiles of endpoints, names unique.

    Attributes:
        profiles: in the order of the data.
        fingerprint: `sha256:` and the hash of the files it was fitted from.
        options: how it was fitted: cost and length model, seed.
    """

    profiles: tuple[ModelProfile, ...]
    fingerprint: str
    options: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Raises DataError for no profile or a name that comes twice."""
        names = [profile.endpoint for profile in self.profiles]
        if not names or len(set(names)) < len(names):
            raise DataError(
                f"a fit needs one or more endpoints with different names, not {names}", remedy=REMEDY
            )

    def find(self, name: str) -> ModelProfile | None:
        """The profile of an endpoint or model name, or None."""
        return next((profile for profile in self.profiles if profile.endpoint == name), None)

    def to_json(self) -> str:
        """The file's text: sorted keys, so that equal fits are equal files."""
        document = {
            "format": FORMAT,
            "version": VERSION,
            "fingerprint": self.fingerprint,
            "options": dict(self.options),
            "profiles": [profile_to_json(profile) for profile in self.profiles],
        }
        return json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n"

    def write(self, path: Path) -> None:
        """Replace `path` only when the whole file is there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        partial.write_text(self.to_json(), encoding="utf-8")
        partial.replace(path)

    @classmethod
    def from_json(cls, text: str, source: str) -> FitArtifact:
        """Parse and check. Raises DataError that names `source`, the place, the value and the remedy."""
        try:
            document: Any = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{source} is no fit: {error}", remedy=REMEDY) from error
        reader = Reader(document, source)
        form = reader.text("format")
        if form != FORMAT:
            raise DataError(f"{source} is no fit: format {form!r}", remedy=REMEDY)
        version = reader.whole("version")
        if version != VERSION:
            raise DataError(
                f"{source} has version {version}; this Pointsman reads version {VERSION}", remedy=REMEDY
            )
        options = reader.child("options")
        artifact = cls(
            tuple(profile_from_json(item) for item in reader.children("profiles")),
            reader.text("fingerprint"),
            tuple((key, options.text(key)) for key in options.names()),
        )
        options.end()
        reader.end()
        return artifact

    @classmethod
    def read(cls, path: Path) -> FitArtifact:
        """Read a file. Raises DataError."""
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise DataError(f"{path} can't be read: {error.strerror}", remedy=REMEDY) from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is no fit: it is not UTF-8", remedy=REMEDY) from error
        return cls.from_json(text, str(path))


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of a fit")
