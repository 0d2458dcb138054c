"""Read the audit store's YAML, with the checks and messages of a line's YAML."""

from pathlib import Path

from pydantic import ValidationError

from linewitness.config.problems import ConfigurationErrors, ConfigurationProblem
from linewitness.config.reading import read_file
from linewitness.config.tree import plain
from linewitness.config.wording import problems_of
from linewitness.store.options import AuditStoreOptions


def load_store(path: Path) -> AuditStoreOptions:
    """Return the options with absolute paths; ConfigurationErrors lists every error."""
    root = read_file(path)
    if not isinstance(root.value, dict):
        what, hint = "this is not a group of settings", "begin with 'database: sqlite:///…'"
        raise ConfigurationErrors(path, [ConfigurationProblem(root.place, "", what, hint)])
    try:
        options = AuditStoreOptions.model_validate(plain(root))
    except ValidationError as error:
        raise ConfigurationErrors(path, problems_of(error, root, AuditStoreOptions)) from None
    return options.relative_to(path.absolute().parent)
