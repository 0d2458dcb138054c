"""A kind of import contract that import-linter does not have: a list of everything that may be imported.

A list of what is forbidden must name each library that somebody could reach for one day. This one names what
is allowed, and so forbids the rest.
"""

import sys
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class AllowListContract(Contract):
    """Let `source_modules` import themselves, the standard library and `allowed_modules`, and nothing else.

    Packages are meant with all that is in them. `guidance` is printed where the contract is broken.
    """

    type_name = "allow_list"

    source_modules = fields.ListField(subfield=fields.StringField())
    allowed_modules = fields.ListField(subfield=fields.StringField())
    guidance = fields.StringField(required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 (the library's interface)
        """Return which imports are not on the list."""
        sources: list[str] = self.source_modules  # type: ignore[assignment]
        allowed: list[str] = [*sources, *self.allowed_modules, *sys.stdlib_module_names]  # type: ignore[misc]
        illegal: list[dict[str, Any]] = []
        for importer in sorted(module for module in graph.modules if _is_in(module, sources)):
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                if not _is_in(imported, allowed):
                    details = graph.get_import_details(importer=importer, imported=imported)
                    lines = [detail["line_number"] for detail in details]
                    illegal.append({"importer": importer, "imported": imported, "lines": lines})
        return ContractCheck(kept=not illegal, metadata={"illegal": illegal})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print each import that is not on the list, with its lines."""
        for one in check.metadata["illegal"]:
            lines = ", ".join(f"l.{number}" for number in one["lines"])
            output.print_error(f"- {one['importer']} -> {one['imported']} ({lines})", bold=False)
        output.new_line()
        if self.guidance:
            output.print_error(str(self.guidance), bold=False)


def _is_in(module: str, packages: list[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
