"""Changes of classes that people order: what each one changes, without a lake."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from components.errors import InputError
from components.import_labels.classes import is_plain_text
from components.lake.class_names import class_key, free_labels
from components.lake.classes import follow_merges
from components.lake.tables import NO_CLASS

_SIMILAR = 0.5


@dataclass(frozen=True)
class LakeClass:
    """A class of the lake.

    Attributes:
        label: Class id.
        name: Name; None if people gave only the id.
        replaced_by: Class that it was merged into; `NO_CLASS` if it was retired, None otherwise.
    """

    label: int
    name: str | None
    replaced_by: int | None = None

    @property
    def state(self) -> str:
        """Whether it is in use, merged or retired."""
        if self.replaced_by is None:
            return "in use"
        return "retired" if self.replaced_by == NO_CLASS else f"merged into {self.replaced_by}"

    def __str__(self) -> str:
        return f"'{self.name}' ({self.label})" if self.name else f"{self.label}"


@dataclass(frozen=True)
class Edit:
    """A change of classes.

    Attributes:
        classes: The named classes, as they are afterwards.
        changed: The classes that are new or differ from before.
        sentence: What the change is, in one or two sentences.
        moves_images: Whether images may get another label.
    """

    classes: tuple[LakeClass, ...]
    changed: tuple[LakeClass, ...]
    sentence: str
    moves_images: bool = True


class Classes:
    """The classes of a lake.

    Args:
        classes: All of them.
    """

    def __init__(self, classes: Iterable[LakeClass]) -> None:
        self._by_label = {each.label: each for each in classes}

    def find(self, text: str) -> LakeClass:
        """Return a class by its id or name.

        Names are compared without regard to case, composition of letters, and blanks at the ends. If several classes
        have the name, a class that is neither merged nor retired is meant.

        Raises:
            InputError: No class or several classes are meant.
        """
        if text.strip().isdecimal() and int(text) in self._by_label:
            return self._by_label[int(text)]
        named = [
            each for each in self._by_label.values() if each.name and class_key(each.name) == class_key(text.strip())
        ]
        found = [each for each in named if each.replaced_by is None] or named
        if len(found) > 1:
            labels = ", ".join(str(each.label) for each in sorted(found, key=lambda each: each.label))
            raise InputError(f"class: '{text}' is the name of {len(found)} classes. Give one of the ids {labels}.")
        if not found:
            names = {class_key(each.name): each for each in self._by_label.values() if each.name}
            near = get_close_matches(class_key(text.strip()), names, 1, _SIMILAR)
            advice = f"Did you mean {names[near[0]]}?" if near else "`image-pipelines classes list` shows all."
            raise InputError(f"class: the lake has no class '{text}'. {advice}")
        return found[0]

    def rename(self, text: str, name: str) -> Edit:
        """Give a class another name. Its present name becomes a class that is merged into it.

        So folders and annotations that have the old name still mean this class.

        Raises:
            InputError: The class is unknown or merged, or the name is not allowed or means another class.
        """
        found, name = self.find(text), unicodedata.normalize("NFC", name).strip()
        if found.replaced_by is not None:
            raise InputError(
                f"class: {found} is {found.state}. Rename another class, or run `image-pipelines classes restore`."
            )
        if not name or not is_plain_text(name):
            raise InputError(
                f"name: '{name}' is not allowed. Use one line of at most 200 characters without markup, which does not"
                " begin with =, +, - or @."
            )
        ends = follow_merges(self._replaced_by())
        for other in self._by_label.values():
            counts_as = ends.get(other.label, other.label)
            if other.name and class_key(other.name) == class_key(name) and counts_as not in (None, found.label):
                raise InputError(
                    f"name: class {other.label} is named '{other.name}' already. Choose another name, or merge the two:"
                    f" `image-pipelines classes merge {found.label} --into {other.label}`."
                )
        if found.name == name:
            return Edit((found,), (), f"Class {found} has this name already.", moves_images=False)
        renamed = replace(found, name=name)
        old = self._alias(found, name)
        return Edit(
            (renamed,),
            (renamed, *old),
            f"Renamed class {found} to '{name}'.{' The old name still means this class.' if old else ''}",
            moves_images=False,
        )

    def merge(self, texts: Sequence[str], into: str) -> Edit:
        """Merge classes into another one, or into the class that it was merged into itself.

        Raises:
            InputError: A class is unknown, would be merged into itself, or the other one was retired.
        """
        target = self.find(into)
        if target.replaced_by is not None:
            end = follow_merges(self._replaced_by())[target.label]
            if end is None:
                raise InputError(
                    f"--into: class {target} is retired. Run `image-pipelines classes restore {target.label}` first."
                )
            target = self._by_label.get(end, LakeClass(end, None))
        found = self._find_all(texts)
        if any(each.label == target.label for each in found):
            raise InputError(
                f"--into: '{into}' counts as class {target}, which can't be merged into itself. Give another class, or"
                " run `image-pipelines classes restore` first."
            )
        return self._replace(found, target.label, f"into {target}", "Merged", "merged")

    def retire(self, texts: Sequence[str]) -> Edit:
        """Retire classes: their images become unlabeled.

        Raises:
            InputError: A class is unknown.
        """
        found = self._find_all(texts)
        labels = {each.label for each in found}
        merged = [self._by_label[label] for label in sorted(self.replaced_through(labels) - labels)]
        edit = self._replace(found, NO_CLASS, "", "Retired", "retired")
        if not edit.changed or not merged:
            return edit
        along = ", ".join(map(str, merged))
        return replace(edit, sentence=f"{edit.sentence} This includes what was merged before: {along}.")

    def restore(self, texts: Sequence[str]) -> Edit:
        """Take back the merge or the retirement of classes.

        Raises:
            InputError: A class is unknown.
        """
        return self._replace(self._find_all(texts), None, "", "Restored", "in use")

    def replaced_through(self, labels: Iterable[int]) -> set[int]:
        """Return classes, and all classes that were merged into them directly or indirectly."""
        found, replaced_by = set(labels), self._replaced_by()
        while more := {label for label, by in replaced_by.items() if by in found} - found:
            found |= more
        return found

    def _alias(self, found: LakeClass, name: str) -> list[LakeClass]:
        """Return the new class that keeps the present name of a class; empty if none is needed."""
        if not found.name or class_key(found.name) == class_key(name):
            return []
        merged = self.replaced_through([found.label]) - {found.label}
        if class_key(found.name) in {class_key(self._by_label[label].name or "") for label in merged}:
            return []
        return [LakeClass(next(free_labels(self._by_label)), found.name, found.label)]

    def _find_all(self, texts: Sequence[str]) -> list[LakeClass]:
        return list(dict.fromkeys(self.find(text) for text in texts))

    def _replace(self, found: Sequence[LakeClass], by: int | None, where: str, done: str, state: str) -> Edit:
        after = tuple(replace(each, replaced_by=by) for each in found)
        changed = tuple(each for each in after if each != self._by_label[each.label])
        names = ", ".join(map(str, changed or found))
        words = [done if changed else "Already", *([] if changed else [state]), *([where] if where else [])]
        return Edit(after, changed, f"{' '.join(words)}: {names}.")

    def _replaced_by(self) -> Mapping[int, int]:
        return {each.label: each.replaced_by for each in self._by_label.values() if each.replaced_by is not None}
