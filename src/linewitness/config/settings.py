"""What may stand at a place of the YAML, found by walking the models: for hints and for tables."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from linewitness.config.tree import Loc


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting's own field (None for entries of lists), and the models that may stand below it."""

    field: FieldInfo | None
    models: tuple[type[BaseModel], ...]

    @property
    def known(self) -> Mapping[str, FieldInfo]:
        """The settings that may stand below this one."""
        return {name: field for model in self.models for name, field in model.model_fields.items()}


def setting_at(model: type[BaseModel], loc: Loc) -> Setting:
    """Return what `loc` names below `model`; indexes and names of union members are passed over."""
    setting = Setting(None, (model,))
    for step in loc:
        if isinstance(step, int):
            continue
        field = setting.known.get(step)
        if field is None:
            setting = Setting(setting.field, _narrow(setting.models, step))
        else:
            setting = Setting(field, tuple(models_in(field.annotation)))
    return setting


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that an annotation mentions, also inside unions, lists and mappings."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for inner in get_args(annotation):
        yield from models_in(inner)


@cache
def _mentioned(model: type[BaseModel], kinds: tuple[type, ...]) -> bool:
    return any(mentions(field.annotation, kinds) for field in model.model_fields.values())


def holds(model: type[BaseModel], kinds: tuple[type, ...]) -> bool:
    """Return whether a group of settings, or one below it, may have a value of these kinds."""
    return _mentioned(model, kinds)


def mentions(annotation: Any, kinds: tuple[type, ...]) -> bool:
    """Return whether an annotation mentions one of these types, also inside unions and groups of settings."""
    origin = get_origin(annotation)
    if isinstance(annotation, type) and origin is None:
        if issubclass(annotation, kinds):
            return True
        return issubclass(annotation, BaseModel) and _mentioned(annotation, kinds)
    if isinstance(origin, type) and issubclass(origin, kinds):
        return True
    return annotation is Any or any(mentions(inner, kinds) for inner in get_args(annotation))


def choices(annotation: Any) -> tuple[object, ...]:
    """Return the values of the Literals in an annotation."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(value for inner in get_args(annotation) for value in choices(inner))


def _narrow(models: tuple[type[BaseModel], ...], tag: str) -> tuple[type[BaseModel], ...]:
    """Keep the members of a union that a tag (or a class's name) chooses, if it chooses any."""
    chosen = tuple(
        model
        for model in models
        if model.__name__ == tag
        or any(choices(field.annotation) == (tag,) for field in model.model_fields.values())
    )
    return chosen or models
