"""The rules of the house, read from the source: who imports whom, what is never called, how long.

A rule is a function from sources (path -> text) to faults, sentences that name file and line. Each
has a planted counter-example below, and a test that a rule without one does not exist.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

# The one table. A module or folder imports only what stands above it in its own package. A new file
# gets its line here, in the place that says what it may build on.
ORDER = {
    "codegen": """
        lazy alignment collector scalar ir walk intrinsics monoids show sizes declarations check
        shadow elements interpret passes machine store cpu cache layout choice crew runtime
        executables fleet cuda compile doctor __init__
    """,
    "symnet": """
        lazy charts errors sizes room expr ops faults functions rules rows diff simplify cost
        formula device_arrays conversions feeds sampling reference check evaluating sheets drawing
        init graph_file schedules nn losses metrics optim pointwise stop held resident step guard
        lower compile data report train parse __init__ export sklearn cli __main__
    """,
}
RANKS = {package: names.split() for package, names in ORDER.items()}
# Modules of symnet that may know the compiler.
MAY_IMPORT_CODEGEN = {"faults", "lower", "compile", "train", "cli"}
LATE_IMPORTS_LIVE_IN = ("symnet/lazy.py", "codegen/lazy.py")
HEAVY = {"sympy", "scipy", "numba", "llvmlite", "matplotlib", "sklearn", "rich", "torch", "jax"}
FORBIDDEN_NAMES = {"eval", "exec", "sympify", "parse_expr", "__import__"}
FORBIDDEN_ATTRIBUTES = {"sympify", "parse_expr"}
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
FILE_LINES = 400
FUNCTION_LINES = 40

Sources = dict[str, str]
Rule = Callable[[Sources], list[str]]


@dataclass(frozen=True)
class Import:
    """``module`` is absolute; ``from a import b`` gives a.b, since b may be a module of a."""

    module: str
    line: int
    place: str  # "top", "function" or "TYPE_CHECKING"

    @property
    def library(self) -> str:
        return self.module.partition(".")[0]


def imports(path: str, text: str) -> Iterator[Import]:
    """Every import statement of a source, wherever it stands."""
    yield from _imports_below(ast.parse(text, path), path, "top")


def _imports_below(node: ast.AST, path: str, place: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, place) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = _absolute(path, child)
            yield from (Import(f"{base}.{a.name}", child.lineno, place) for a in child.names)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _imports_below(child, path, "function")
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _imports_below(child, path, "TYPE_CHECKING")
        else:
            yield from _imports_below(child, path, place)


def _absolute(path: str, statement: ast.ImportFrom) -> str:
    if not statement.level:
        return statement.module or ""
    folder = path.split("/")[: -statement.level]
    return ".".join([*folder, *filter(None, [statement.module])])


def unit(path: str) -> tuple[str, str]:
    """The package and the ranked name a file belongs to: its own, or that of its folder."""
    package, name = path.split("/")[:2]
    return package, name.removesuffix(".py")


def target(imported: Import) -> tuple[str, str]:
    """The package and ranked name behind an import; a name of the package itself is __init__'s."""
    package, *rest = imported.module.split(".")
    known = rest and rest[0] in RANKS.get(package, ())
    return package, rest[0] if known else "__init__"


def unranked_files(sources: Sources) -> list[str]:
    return [
        f"{path} has no rank: add {name!r} to ORDER[{package!r}] in tests/test_layering.py"
        for path in sources
        for package, name in [unit(path)]
        if name not in RANKS[package]
    ]


def imports_against_the_order(sources: Sources) -> list[str]:
    faults = []
    for path, text in sources.items():
        package, name = unit(path)
        ranks = RANKS[package]
        for imported in imports(path, text):
            owner, other = target(imported)
            if owner != package or name not in ranks or path in LATE_IMPORTS_LIVE_IN:
                continue
            inside_one_folder = other == name and path.count("/") > 1
            if ranks.index(other) >= ranks.index(name) and not inside_one_folder:
                faults.append(f"{path}:{imported.line} imports {imported.module}, which is below")
    return faults


def cycles_inside_a_folder(sources: Sources) -> list[str]:
    modules = {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path
               for path in sources}  # fmt: skip
    edges: dict[str, set[str]] = {module: set() for module in modules}
    for module, path in modules.items():
        for imported in imports(path, sources[path]):
            found = _module_of(imported.module, modules)
            if found and unit(modules[found]) == unit(path):
                edges[module].add(found)
    # What imports nothing that is left can go; what stays behind leads into a cycle.
    while leaves := [module for module in edges if not edges[module] & edges.keys()]:
        for module in leaves:
            del edges[module]
    return [f"{modules[module]} is in, or leads to, a cycle of imports" for module in edges]


def _module_of(dotted: str, modules: dict[str, str]) -> str | None:
    while dotted and dotted not in modules:
        dotted = dotted.rpartition(".")[0]
    return dotted or None


def codegen_importing_symnet(sources: Sources) -> list[str]:
    return [
        f"{path}:{imported.line} imports {imported.module}: codegen knows nothing of networks"
        for path, text in sources.items()
        if unit(path)[0] == "codegen"
        for imported in imports(path, text)
        if imported.library == "symnet"
    ]


def symnet_importing_codegen(sources: Sources) -> list[str]:
    return [
        f"{path}:{imported.line} imports {imported.module}: only {sorted(MAY_IMPORT_CODEGEN)} may"
        for path, text in sources.items()
        if unit(path)[0] == "symnet" and unit(path)[1] not in MAY_IMPORT_CODEGEN
        for imported in imports(path, text)
        if imported.library == "codegen"
    ]


def late_imports(sources: Sources) -> list[str]:
    faults = []
    for path, text in sources.items():
        if path in LATE_IMPORTS_LIVE_IN:
            continue
        faults += [
            f"{path}:{imported.line} imports {imported.module} late (in {imported.place})"
            for imported in imports(path, text)
            if imported.place != "top"
        ]
        faults += [
            f"{path}:{node.lineno} imports late (import_module)"
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Name | ast.Attribute)
            and getattr(node, "attr", getattr(node, "id", "")) == "import_module"
        ]
    return faults


def heavy_imports(sources: Sources) -> list[str]:
    return [
        f"{path}:{imported.line} imports {imported.module}: take it from symnet.lazy"
        for path, text in sources.items()
        if unit(path)[0] == "symnet" and path not in LATE_IMPORTS_LIVE_IN
        for imported in imports(path, text)
        if imported.library in HEAVY
    ]


def forbidden_names(sources: Sources) -> list[str]:
    faults = []
    for path, text in sources.items():
        faults += [
            f"{path}:{imported.line} imports {imported.module}, which executes what it reads"
            for imported in imports(path, text)
            if imported.library in FORBIDDEN_MODULES
            or imported.module.rpartition(".")[2] in FORBIDDEN_NAMES
        ]
        faults += [
            f"{path}:{node.lineno} uses {ast.unparse(node)}, which executes what it reads"
            for node in ast.walk(ast.parse(text))
            if _executes(node) and isinstance(node, ast.expr | ast.keyword)
        ]
    return faults


def _executes(node: ast.AST) -> bool:
    match node:
        case ast.Name(id=name):
            return name in FORBIDDEN_NAMES
        case ast.Attribute(value=ast.Name(id="builtins"), attr=name):
            return name in FORBIDDEN_NAMES
        case ast.Attribute(attr=name):
            return name in FORBIDDEN_ATTRIBUTES
        case ast.keyword(arg="allow_pickle", value=ast.Constant(value=allowed)):
            return allowed is not False
    return False


def long_files(sources: Sources) -> list[str]:
    lengths = {path: len(text.splitlines()) for path, text in sources.items()}
    return [
        f"{path} has {length} lines; {FILE_LINES} are allowed"
        for path, length in lengths.items()
        if length > FILE_LINES
    ]


def long_functions(sources: Sources) -> list[str]:
    return [
        f"{path}:{node.lineno} {node.name} has {length} lines; {FUNCTION_LINES} are allowed"
        for path, text in sources.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := code_lines(node, text)) > FUNCTION_LINES
    ]


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef, text: str) -> int:
    """The lines from ``def`` to the end that are not blank, comment or docstring."""
    lines = text.splitlines()
    numbers = set(range(function.lineno, (function.end_lineno or function.lineno) + 1))
    if ast.get_docstring(function, clean=False) is not None:
        docstring = function.body[0]
        numbers -= set(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    stripped = (lines[number - 1].strip() for number in numbers)
    return sum(1 for line in stripped if line and not line.startswith("#"))


RULES: list[Rule] = [
    unranked_files,
    imports_against_the_order,
    cycles_inside_a_folder,
    codegen_importing_symnet,
    symnet_importing_codegen,
    late_imports,
    heavy_imports,
    forbidden_names,
    long_files,
    long_functions,
]
LENGTH_RULES: list[Rule] = [long_files, long_functions]

PLANTED: list[tuple[Rule, Sources]] = [
    (unranked_files, {"symnet/novel.py": ""}),
    (unranked_files, {"codegen/novel/part.py": ""}),
    (imports_against_the_order, {"symnet/expr.py": "from symnet.diff import grad"}),
    (imports_against_the_order, {"symnet/expr.py": "import symnet"}),
    (imports_against_the_order, {"symnet/expr.py": "from symnet import Expr"}),
    (imports_against_the_order, {"symnet/ops/table.py": "from ..diff import grad"}),
    (imports_against_the_order, {"symnet/ops/table.py": "def f():\n    from symnet import nn"}),
    (imports_against_the_order, {"codegen/ir.py": "import codegen.passes.fuse"}),
    (cycles_inside_a_folder, {"symnet/ops/a.py": "from symnet.ops import b",
                              "symnet/ops/b.py": "from . import a"}),
    (cycles_inside_a_folder, {"symnet/ops/__init__.py": "from symnet.ops.a import f",
                              "symnet/ops/a.py": "from symnet.ops import g"}),
    (codegen_importing_symnet, {"codegen/ir.py": "from symnet import expr"}),
    (symnet_importing_codegen, {"symnet/diff.py": "import codegen.ir"}),
    (late_imports, {"symnet/diff.py": "def f():\n    import math"}),
    (late_imports, {"symnet/diff.py": "class C:\n    async def f(self):\n        import math"}),
    (late_imports, {"codegen/ir.py": "import typing\nif typing.TYPE_CHECKING:\n    import math"}),
    (late_imports, {"codegen/ir.py": "import importlib\nimportlib.import_module('math')"}),
    (heavy_imports, {"symnet/diff.py": "import sympy"}),
    (heavy_imports, {"symnet/diff.py": "from scipy.special import erf"}),
    (forbidden_names, {"symnet/parse.py": "eval('1')"}),
    (forbidden_names, {"symnet/parse.py": "run = exec"}),
    (forbidden_names, {"symnet/parse.py": "import builtins\nbuiltins.exec('1')"}),
    (forbidden_names, {"symnet/parse.py": "sympy.sympify('x')"}),
    (forbidden_names, {"symnet/parse.py": "from sympy.parsing.sympy_parser import parse_expr"}),
    (forbidden_names, {"codegen/cache.py": "import pickle"}),
    (forbidden_names, {"codegen/cache.py": "from marshal import loads"}),
    (forbidden_names, {"symnet/train.py": "numpy.load(path, allow_pickle=True)"}),
    (long_files, {"symnet/diff.py": "\n" * (FILE_LINES + 1)}),
    (long_functions, {"symnet/diff.py": "def f():\n" + "    g()\n" * FUNCTION_LINES}),
    (long_functions, {"symnet/diff.py": "class C:\n  def f(self):\n" + "    g()\n" * 40}),
]  # fmt: skip

INNOCENT: list[tuple[Rule, Sources]] = [
    (unranked_files, {"symnet/ops/novel.py": "", "codegen/ir.py": ""}),
    (imports_against_the_order, {"symnet/diff.py": "from symnet import expr\nimport numpy"}),
    (imports_against_the_order, {"symnet/ops/table.py": "from symnet.ops.row import Row"}),
    (imports_against_the_order, {"symnet/__init__.py": "from .expr import Expr"}),
    (imports_against_the_order, {"symnet/cli/main.py": "import symnet as sn"}),
    (cycles_inside_a_folder, {"symnet/ops/__init__.py": "from symnet.ops.a import f",
                              "symnet/ops/a.py": "from symnet.ops import b",
                              "symnet/ops/b.py": "import symnet.expr"}),
    (symnet_importing_codegen, {"symnet/lower/loops.py": "from codegen import ir"}),
    (late_imports, {"symnet/lazy.py": "def f():\n    import math"}),
    (heavy_imports, {"codegen/cpu/kernel.py": "import numba", "symnet/diff.py": "import numpy"}),
    (forbidden_names, {"codegen/cache.py": "loader.exec_module(m)\nre.compile('a')\nm.eval()"}),
    (forbidden_names, {"symnet/train.py": "numpy.load(path, allow_pickle=False)"}),
    (long_files, {"symnet/diff.py": "\n" * FILE_LINES}),
    (long_functions, {"symnet/diff.py": 'def f():\n    """A.\n\n    B.\n    """\n'
                                        + "    # why\n\n    g()\n" * (FUNCTION_LINES - 1)}),
]  # fmt: skip


def sources_of(*folders: str) -> Sources:
    """Every source below the folders, by its path from the root of the tree."""
    tree = Path(__file__).parents[1]
    files = (file for folder in folders for file in sorted((tree / folder).rglob("*.py")))
    paths = {file.relative_to(tree).as_posix(): file for file in files}
    return {
        path: file.read_text(encoding="utf-8")
        for path, file in paths.items()
        if not path.startswith("tests/data/")
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_packages_keep_the_rule(rule: Rule):
    sources = sources_of("symnet", "codegen")
    assert len(sources) > 2
    assert rule(sources) == []


@pytest.mark.parametrize("rule", LENGTH_RULES, ids=lambda rule: rule.__name__)
def test_tests_and_examples_are_short_too(rule: Rule):
    assert rule(sources_of("tests", "examples")) == []


@pytest.mark.parametrize(("rule", "sources"), PLANTED)
def test_a_planted_fault_is_found_and_named(rule: Rule, sources: Sources):
    faults = rule(sources)
    assert faults
    assert all(any(path in fault for path in sources) for fault in faults)


@pytest.mark.parametrize(("rule", "sources"), INNOCENT)
def test_an_innocent_source_passes(rule: Rule, sources: Sources):
    assert rule(sources) == []


def test_every_rule_has_its_counter_example():
    assert {rule for rule, _ in PLANTED} == set(RULES)
    assert all(len(ranks) == len(set(ranks)) for ranks in RANKS.values())
