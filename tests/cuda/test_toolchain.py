"""From a text to PTX and machine code without a device, and what may be missing."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import pytest

from codegen import cache
from codegen.cpu.errors import CompileError
from codegen.cuda import pieces, toolchain
from codegen.cuda.image import THREADS, Resources
from codegen.cuda.naming import canonical
from codegen.cuda.toolchain import HOPPER, Architecture, image, images
from codegen.lazy import cuda_compiler, module
from tests.cuda.texts import BRANCHED, HEADER, TEXT


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A cold cache of its own, and an empty memory before and after."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SYMNET_CACHE", str(folder))
    cache.forget()
    yield folder
    cache.forget()


def test_an_image_has_the_kernel_alone(place):
    made = image(TEXT, shared=64, architecture=HOPPER)
    assert made.fresh
    assert (made.parameters, made.shared, made.architecture) == (2, 64, "sm_90a")
    assert ".target sm_90a" in made.ptx
    assert re.findall(r"\.entry (\w+)\(", made.ptx) == [made.entry]
    assert f".maxntid {THREADS}, 1, 1" in made.ptx
    # Device functions are inlined, and Numba's environments are not variables of the device.
    assert ".func" not in made.ptx
    assert not re.search(r"^\.\w+ \.global|^\.global", made.ptx, re.MULTILINE)
    assert made.cubin.startswith(b"\x7fELF")
    assert made.entry.encode() in made.cubin
    assert 0 < made.resources.registers <= 32
    assert replace(made.resources, registers=0) == Resources(0, 0, 0, 0, 0)


def test_a_function_that_stays_one_has_a_short_name(place):
    ptx = image(BRANCHED).ptx
    assert len(set(re.findall(r"^\.weak \.func .* (\w+)\($", ptx, re.MULTILINE))) == 1
    assert re.search(r"call\.uni \(retval0\),\s+separate_0_\d,", ptx)


def module_of(name: str, *needed: str) -> str:
    lines = [f'declare void @"{other}"()' for other in (*needed, "llvm.fma")]
    calls = "".join(f'  call void @"{other}"()\n' for other in needed)
    return "\n".join([*lines, f'define void @"{name}"() {{', calls, "}"])


def test_modules_are_the_same_in_every_process():
    """Whatever Numba's counts, whatever the order, and however often it gives a module."""
    told = []
    for count, turned in ((2, False), (7, True)):
        deep, left, right = (f"_ZN4code{len(n)}{n}B2v{count + k}B1x"
                             for k, n in enumerate(("deep", "left", "right")))  # fmt: skip
        others = [module_of(left, deep), module_of(deep), module_of(right, deep), module_of(deep)]
        others.append(module_of("_ZN4code6unusedB2v1"))
        told.append(canonical([module_of("entry", left, right), *others[:: -1 if turned else 1]]))
    assert told[0] == told[1]
    wanted = [("entry", "left_0", "right_1"), ("left_0", "deep_2"), ("right_1", "deep_2")]
    assert told[0] == [*(module_of(*names) for names in wanted), module_of("deep_2")]


def test_the_instructions_of_an_image(place):
    sass = image(TEXT).sass
    assert "FMUL" in sass
    assert "LDG.E" in sass
    assert "STG.E" in sass


def test_what_a_kernel_takes_is_told(place):
    body = """
    cell = cuda.shared.array(100, float32)
    own = cuda.local.array(400, float32)
    for k in range(count):
        own[k] = p[k]
    cell[cuda.threadIdx.x % 100] = own[count // 2]
    cuda.syncthreads()
    p[cuda.threadIdx.x] = cell[count % 100]
"""
    for architecture in (HOPPER, Architecture(8, 0), Architecture(10, 0, "a")):
        taken = image(HEADER + body, architecture=architecture).resources
        assert taken.stack_bytes == 1600
        assert taken.shared_bytes == 400


def test_spilled_registers_are_told(place, monkeypatch):
    ptx = image(TEXT).ptx
    told = "".join(f".reg .f32 %x{k};\nld.volatile.global.f32 %x{k}, [%rd0+{4 * k}];\n"
                   for k in range(300))  # fmt: skip
    told += "".join(f"st.volatile.global.f32 [%rd0+{4 * k}], %x{k};\n" for k in range(300))
    body = ".reg .b64 %rd0;\nld.param.u64 %rd0, [many_param_0];\n" + told + "ret;\n"
    head = ptx[: ptx.index("\t// .globl")]
    many = f"{head}.visible .entry many(.param .u64 many_param_0)\n.maxntid 256\n{{\n{body}}}\n"
    _, taken = cuda_compiler.cubin_of(many, "many", (9, 0, "a"))
    assert taken.registers == 255
    assert taken.spill_store_bytes > 0
    assert taken.spill_load_bytes > 0
    assert taken.stack_bytes > 0


def test_another_architecture(place):
    made = image(TEXT, architecture=Architecture(8, 0))
    assert ".target sm_80" in made.ptx
    assert made.key != image(TEXT).key
    assert toolchain.of_capability(8, 9).name == "sm_89"
    assert toolchain.of_capability(10, 0).name == "sm_100a"


class Driver:
    """What ctypes gives for libcuda: one GPU of capability 8.9, or an error of one call."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def cuInit(self, flags: int) -> int:
        return int(self.fault == "cuInit")

    def cuDeviceGet(self, device, number: int) -> int:
        return int(self.fault == "cuDeviceGet")

    def cuDeviceGetAttribute(self, value, attribute: int, device) -> int:
        value._obj.value = {75: 8, 76: 9}[attribute]
        return int(self.fault == "cuDeviceGetAttribute")


@pytest.fixture
def driver(monkeypatch):
    """Puts a driver in place of the one that may be here."""

    def put(made: Driver | None) -> None:
        def load(name: str) -> Driver:
            if made is None:
                raise OSError(name)
            return made

        monkeypatch.setattr(toolchain.ctypes, "CDLL", load)
        toolchain.first_device.cache_clear()

    yield put
    toolchain.first_device.cache_clear()


def test_the_first_gpu_decides_where_there_is_one(place, driver):
    driver(Driver())
    assert image(TEXT).architecture == "sm_89"
    assert image(TEXT, architecture=HOPPER).architecture == "sm_90a"
    driver(None)
    assert image(TEXT).architecture == "sm_90a"


@pytest.mark.parametrize("fault", ["cuInit", "cuDeviceGet", "cuDeviceGetAttribute"])
def test_a_driver_that_gives_no_gpu_is_none(driver, fault):
    driver(Driver(fault))
    assert toolchain.first_device() is None


def test_an_architecture_that_there_is_not(place):
    with pytest.raises(CompileError, match="compute_11 is an unsupported option"):
        image(TEXT, architecture=Architecture(1, 1))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("def kernel(a:\n", "not Python"),
        ("def other(a):\n    pass\n", "no function kernel"),
        (HEADER + "    p[0] = unknown_name\n", "unknown_name"),
        (HEADER + "    p[0] = 'word'\n", "was refused"),
        ("from nowhere import thing\n" + HEADER, "nowhere"),
        (
            HEADER.replace("return value *", "return missing *") + "    p[0] = scaled(p[0])\n",
            "miss",
        ),
    ],
)
def test_a_text_that_is_refused_is_one_error_with_the_text(place, text, fault):
    with pytest.raises(CompileError, match=fault) as caught:
        image(text)
    assert text in str(caught.value)
    assert not list(place.glob("*"))


def test_whatever_numba_lets_through_is_our_error(place, monkeypatch):
    def fall(*_, **options):
        raise AssertionError("an assertion of the front end")

    monkeypatch.setattr(module(cuda_compiler), "compile_cuda", fall)
    with pytest.raises(CompileError, match="AssertionError: an assertion of the front end"):
        image(TEXT)


UNKNOWN = """
from llvmlite.ir import DoubleType, FunctionType, IntType


def wide(builder, value):
    kind = FunctionType(IntType(64), [IntType(64)])
    return builder.call(builder.module.declare_intrinsic("llvm.no.such", (), kind), [value])


def newer(builder, value):
    return builder.fptosi(builder.fneg(builder.sitofp(value, DoubleType())), IntType(64))


"""


def test_what_nvvm_refuses_is_told_in_its_words(place):
    # LLVM 7, on which NVVM stands, has no such instruction.
    text = UNKNOWN + HEADER.replace(
        "inttoptr(arguments[0]", "inttoptr(newer(builder, arguments[0])"
    )
    text += "    p[0] = 1\n"
    with pytest.raises(CompileError, match=r"refused: NVVM: .*ERROR(?s:.*)fneg") as caught:
        image(text)
    assert text in str(caught.value)


def test_what_the_assembler_refuses_is_told_in_its_words(place):
    text = UNKNOWN + HEADER.replace("inttoptr(arguments[0]", "inttoptr(wide(builder, arguments[0])")
    text += "    p[0] = 1\n"
    with pytest.raises(CompileError, match=r"refused: the assembler: .*near '.no'") as caught:
        image(text)
    assert text in str(caught.value)


def test_ptx_that_is_refused_says_why():
    with pytest.raises(CompileError, match=r"the assembler: .*line 4"):
        cuda_compiler.cubin_of(
            ".version 9.0\n.target sm_90a\n.address_size 64\nnonsense\n", "broken", (9, 0, "a")
        )


def test_too_much_shared_memory(place):
    assert image(TEXT, shared=48 << 10).shared == 48 << 10
    with pytest.raises(CompileError, match="49153 bytes of shared memory"):
        image(TEXT, shared=(48 << 10) + 1)


def test_several_at_once_are_the_same_as_one_by_one(place, monkeypatch):
    texts = [TEXT.replace("3.0", f"{k}.5") for k in (1, 2, 1, 3)]
    image(texts[3])
    together = images([(text, 8 * place) for place, text in enumerate(texts)])
    assert [each.fresh for each in together] == [True, True, False, False]
    assert [each.shared for each in together] == [0, 8, 16, 24]
    assert [each.text for each in together] == texts
    monkeypatch.setenv("SYMNET_CACHE", str(place / "other"))
    cache.forget()
    for one in together:
        assert replace(image(one.text), fresh=False, shared=0) == replace(
            one, fresh=False, shared=0
        )
    assert images([]) == ()


def test_one_of_several_that_is_refused_is_named(place):
    broken = HEADER + "    p[0] = unknown_name\n"
    for texts in ([TEXT, broken], [broken, TEXT]):
        with pytest.raises(CompileError, match="unknown_name"):
            images([(text, 0) for text in texts])
    assert not image(TEXT).fresh


@pytest.mark.parametrize("piece", [pieces.NVVM, pieces.LIBDEVICE, pieces.NVJITLINK])
def test_a_missing_file_is_named_with_its_line(place, monkeypatch, piece):
    real = pieces.find
    monkeypatch.setattr(pieces, "find", lambda each: None if each is piece else real(each))
    fault = f"{re.escape(piece.file)} is missing.*{piece.wheel}.*pip install 'symnet\\[cuda\\]'"
    with pytest.raises(CompileError, match=fault):
        image(TEXT)
    with pytest.raises(CompileError, match=fault):
        image(TEXT)


@pytest.mark.parametrize(
    ("module", "package"), [("numba_cuda", "numba-cuda"), ("cuda.bindings", "cuda-bindings")]
)
def test_a_missing_package_is_named_with_its_line(place, monkeypatch, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(CompileError, match=f"{module}.*{package}.*pip install 'symnet\\[cuda\\]'"):
        image(TEXT)


def test_without_nvdisasm_an_image_is_made_but_not_shown(place, monkeypatch):
    real = pieces.find
    monkeypatch.setattr(
        pieces, "find", lambda each: None if each is pieces.NVDISASM else real(each)
    )
    made = image(TEXT)
    with pytest.raises(CompileError, match=r"nvdisasm.*pip install 'symnet\[cuda\]'"):
        _ = made.sass


def test_a_program_that_does_not_run(place, monkeypatch, tmp_path):
    made = image(TEXT)
    program = tmp_path / "nvdisasm"
    program.write_text("no program")
    monkeypatch.setattr("codegen.cuda.image.needed", lambda piece: program)
    with pytest.raises(CompileError, match="cannot be run"):
        _ = made.sass
    program.write_text("#!/bin/sh\necho it is odd >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(CompileError, match=r"refused kernel_.*it is odd"):
        _ = made.sass
