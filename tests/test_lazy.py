"""Late imports: nothing is loaded by naming a library, and a missing one says what to install."""

import copy
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from symnet import lazy
from symnet.lazy import Lazy, MissingDependency, available

PROXIES = {name: value for name, value in vars(lazy).items() if isinstance(value, Lazy)}
TREE = Path(__file__).parents[1]


def forget(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Takes a small module out of sys.modules, so that loading it can be seen."""
    monkeypatch.delitem(sys.modules, module, raising=False)


def test_a_module_loads_at_the_first_attribute_and_not_before(monkeypatch):
    forget(monkeypatch, "colorsys")
    proxy = Lazy("colorsys")
    assert "colorsys" not in sys.modules
    assert proxy.rgb_to_hsv(0.0, 0.0, 0.0) == (0.0, 0.0, 0.0)
    assert proxy.rgb_to_hsv is sys.modules["colorsys"].rgb_to_hsv


def test_looking_at_a_proxy_is_not_using_it(monkeypatch):
    forget(monkeypatch, "colorsys")
    proxy = Lazy("colorsys")
    assert inspect.unwrap(proxy) is proxy
    assert copy.copy(proxy) is not None
    assert repr(proxy) == "<colorsys, imported at first use>"
    assert "colorsys" not in sys.modules


def test_an_unknown_attribute_is_the_modules_own_error():
    with pytest.raises(AttributeError, match="no_such_function"):
        _ = Lazy("colorsys").no_such_function


def test_the_version_can_be_read():
    assert Lazy("numpy").__version__ == importlib.import_module("numpy").__version__


def test_a_missing_library_says_it_is_not_installed():
    with pytest.raises(MissingDependency, match=r'is not installed .* pip install "symnet"'):
        _ = Lazy("no_such_library.part").anything


def test_a_missing_library_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingDependency, match=r'not installed .* "symnet\[sklearn\]"') as caught:
        Lazy("sklearn.datasets").load_digits()
    assert isinstance(caught.value, ImportError)
    assert caught.value.name == "sklearn.datasets"


def test_a_broken_library_is_not_called_missing(monkeypatch, tmp_path):
    (tmp_path / "broken_library.py").write_text("raise ImportError('libthing.so: no such file')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependency, match=r"installed but cannot be imported \(libthing"):
        _ = Lazy("broken_library").anything


def test_available_looks_without_importing():
    code = (
        "import sys; from symnet.lazy import available; "
        "assert available('sympy') and available('scipy.special'); "
        "assert not available('no_such_library.part'); "
        "assert 'sympy' not in sys.modules and 'scipy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=TREE)


def test_available_is_false_for_a_blocked_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    assert not available("jax")


def test_available_takes_a_module_made_by_hand(monkeypatch):
    monkeypatch.setitem(sys.modules, "made_by_hand", type(sys)("made_by_hand"))
    assert available("made_by_hand")


@pytest.mark.parametrize("name", sorted(PROXIES))
def test_every_proxy_names_a_module_that_is_here(name):
    proxy = PROXIES[name]
    module = repr(proxy)[1:].partition(",")[0]
    assert importlib.util.find_spec(module) is not None
    aliases = {"PIL.Image": "pillow_image"}
    assert aliases.get(module, module.replace(".", "_")) == name
