"""Which enhancer is taken, what is said when it cannot be, and that the rest of the tool does not need one."""

import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from demo_media import BOX, quiet_runtime, short_voice, small_portrait
from safetensors.torch import save_file

from lipsync_core import assembly, weights
from lipsync_core.assembly import Job
from lipsync_core.enhancers import ENHANCERS, recognise
from lipsync_core.enhancers.base import FaceNetwork, precision_for
from lipsync_core.enhancers.choose import ChosenEnhancer, choose_enhancer
from lipsync_core.enhancers.old_torchvision import OLD_NAME, old_names
from lipsync_core.enhancers.spandrel_nets import from_descriptor
from lipsync_core.errors import UsageError, WeightsError
from lipsync_core.options import LipSyncOptions
from lipsync_core.pipeline import run
from lipsync_core.runtime import BatchSize, Runtime
from lipsync_core.weights.manage import recognise_engine

KEYS = {
    "gfpgan": (
        "stylegan_decoder.style_convs.0.modulated_conv.weight",
        "condition_scale.0.0.weight",
        "toRGB.0.weight",
    ),
    "restoreformer": (
        "quantize.embedding.weight",
        "encoder.conv_in.weight",
        "quant_conv.weight",
        "decoder.conv_out.weight",
    ),
    "codeformer": ("position_emb", "idx_pred_layer.1.weight", "quantize.embedding.weight", "encoder.blocks.0.weight"),
}
PACKAGES = ("spandrel", "spandrel_extra_arches", "gfpgan", "gfpgan.archs.gfpganv1_clean_arch", "basicsr")


@pytest.fixture
def runtime(tmp_path):
    return Runtime(model_dirs=(tmp_path,), offline=True)


def checkpoint(tmp_path, name="gfpgan"):
    path = tmp_path / f"my_{name}.safetensors"
    save_file({key: torch.zeros(1) for key in KEYS[name]}, path)
    return str(path)


@pytest.fixture
def no_packages(monkeypatch):
    for name in PACKAGES:
        monkeypatch.setitem(sys.modules, name, None)


class Network:
    """A network of the tests: gives back what it gets, halved."""

    def __init__(self):
        self.asked = {}

    def __call__(self, faces, **how):
        self.asked = how
        self.low, self.high = float(faces.min()), float(faces.max())
        return (faces / 2, None)

    def to(self, **_):
        return self

    def eval(self):
        return self

    model = property(lambda self: self)
    supports_bfloat16 = True
    architecture = types.SimpleNamespace(id="GFPGAN")


def fake_spandrel(monkeypatch, network):
    module = types.ModuleType("spandrel")
    module.ModelLoader = lambda: types.SimpleNamespace(load_from_state_dict=lambda tensors: network)
    monkeypatch.setitem(sys.modules, "spandrel", module)


# ------------------------------------------------------------------------------------------------ which one


@pytest.mark.parametrize("name", list(KEYS))
def test_a_checkpoint_is_recognised_by_its_tensors_and_taken_for_no_other(name):
    shapes = dict.fromkeys(KEYS[name], (1,))
    assert recognise(shapes) == name
    assert recognise_engine(shapes) == ("enhancer", name)
    assert [other for other, spec in ENHANCERS.items() if spec.detect(shapes)] == [name]


def test_what_is_no_enhancer_is_recognised_as_none():
    assert recognise({"face_encoder_blocks.0.0.conv_block.0.weight": (16, 6, 7, 7)}) is None


def test_auto_looks_for_nothing_on_a_cpu(monkeypatch, runtime):
    monkeypatch.setattr(weights, "present", lambda *_: pytest.fail("looked for weights"))
    assert choose_enhancer("auto", "", runtime) is None
    assert choose_enhancer("none", "", runtime) is None


def test_auto_goes_without_where_no_weights_are(tmp_path):
    gpu = Runtime(device="cuda", model_dirs=(tmp_path,), offline=True)
    assert choose_enhancer("auto", "", gpu) is None
    assert not gpu.notes


def test_auto_goes_without_and_says_so_where_the_packages_are_missing(tmp_path, monkeypatch, no_packages):
    gpu = Runtime(device="cuda", model_dirs=(tmp_path,), offline=True)
    path = Path(checkpoint(tmp_path))
    monkeypatch.setattr(weights, "present", lambda *_: [("mine", path)])
    assert choose_enhancer("auto", "", gpu) is None
    assert len(gpu.notes) == 1
    assert "pip install" in gpu.notes[0]


def test_the_puppet_is_not_enhanced_unless_asked_to(tmp_path):
    options, gpu = LipSyncOptions(), Runtime(device="cuda", model_dirs=(tmp_path,), offline=True)
    chosen = assembly.choose(options, quiet_runtime(tmp_path))
    assert assembly.choose_an_enhancer(options, chosen, gpu) is None
    with pytest.raises(WeightsError, match="GFPGANv1.4.pth"):
        assembly.choose_an_enhancer(LipSyncOptions(enhancer="gfpgan"), chosen, gpu)


def test_weights_that_are_not_here_are_an_error_that_says_how_to_get_them(runtime):
    with pytest.raises(WeightsError, match="lipsync weights get gfpgan --accept-licence"):
        choose_enhancer("gfpgan", "", runtime)
    with pytest.raises(WeightsError, match="lipsync weights add"):
        choose_enhancer("restoreformer", "", runtime)


def test_a_checkpoint_of_another_network_is_named_as_what_it_is(tmp_path, runtime):
    with pytest.raises(WeightsError, match="my_codeformer.*'gfpgan'.*belongs to codeformer"):
        choose_enhancer("gfpgan", checkpoint(tmp_path, "codeformer"), runtime)


# ------------------------------------------------------------------------------------------------ packages


def test_without_packages_the_error_says_what_to_install(tmp_path, runtime, no_packages):
    with pytest.raises(UsageError, match="neither gfpgan with basicsr.*nor spandrel.*pip install"):
        choose_enhancer("gfpgan", checkpoint(tmp_path), runtime)
    with pytest.raises(UsageError, match="pip install spandrel spandrel_extra_arches"):
        choose_enhancer("codeformer", checkpoint(tmp_path, "codeformer"), runtime)
    with pytest.raises(UsageError, match="pip install.*spandrel"):
        choose_enhancer("restoreformer", checkpoint(tmp_path, "restoreformer"), runtime)


@pytest.mark.parametrize("fault", ["import nothing_of_this_name", "1 / 0 if [].x else 0", "raise RuntimeError('old')"])
def test_broken_packages_leave_the_work_to_spandrel(tmp_path, monkeypatch, runtime, fault):
    for part in ("gfpgan", "gfpgan/archs"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "__init__.py").write_text(fault + "\n")
    for name in [name for name in sys.modules if name.split(".")[0] == "gfpgan"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    network = Network()
    fake_spandrel(monkeypatch, network)
    chosen = choose_enhancer("gfpgan", checkpoint(tmp_path), runtime)
    assert chosen.shown.startswith("gfpgan ")
    assert chosen.shown.endswith("(spandrel, fp32)")


def test_a_damaged_checkpoint_is_named(tmp_path, monkeypatch, runtime):
    module = types.ModuleType("spandrel")

    def refuse(tensors):
        raise RuntimeError("size mismatch for toRGB.0.weight")

    module.ModelLoader = lambda: types.SimpleNamespace(load_from_state_dict=refuse)
    for name in PACKAGES:
        monkeypatch.setitem(sys.modules, name, module if name == "spandrel" else None)
    with pytest.raises(WeightsError, match="my_gfpgan.*size mismatch.*damaged"):
        choose_enhancer("gfpgan", checkpoint(tmp_path), runtime)


def test_the_name_that_torchvision_lost_is_lent_only_while_basicsr_is_imported(tmp_path):
    """In a process of its own: it makes a torchvision without the old name, and a basicsr that asks for it."""
    (tmp_path / "torchvision" / "transforms").mkdir(parents=True)
    (tmp_path / "torchvision" / "__init__.py").write_text("")
    (tmp_path / "torchvision" / "transforms" / "__init__.py").write_text("")
    (tmp_path / "torchvision" / "transforms" / "functional.py").write_text("rgb_to_grayscale = 'grey'\n")
    (tmp_path / "basicsr.py").write_text(
        "import warnings; warnings.warn('old', DeprecationWarning)\n"
        "from torchvision.transforms.functional_tensor import rgb_to_grayscale\n"
    )
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from lipsync_core.enhancers.old_torchvision import OLD_NAME, old_names\n"
        "with old_names():\n    import basicsr\n"
        "assert basicsr.rgb_to_grayscale == 'grey'\n"
        "assert OLD_NAME not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(tmp_path)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_without_torchvision_lending_the_name_is_an_import_error(monkeypatch):
    monkeypatch.delitem(sys.modules, OLD_NAME, raising=False)
    for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError), old_names():
        pass


# ------------------------------------------------------------------------------------------------ a loaded network


def test_a_descriptor_is_given_what_its_network_was_trained_on_and_no_random_noise():
    network = Network()
    enhancer = from_descriptor(network, Runtime())
    restored = enhancer.restore(torch.rand(2, 3, 512, 512))
    assert network.asked == {"return_rgb": False, "randomize_noise": False}
    assert network.low < -0.99
    assert network.high > 0.99
    assert 0.25 <= float(restored.min()) <= float(restored.max()) <= 0.75


def test_an_upscaler_is_no_face_restorer():
    upscaler = types.SimpleNamespace(architecture=types.SimpleNamespace(id="ESRGAN"))
    with pytest.raises(UsageError, match="ESRGAN.*GFPGAN"):
        from_descriptor(upscaler, Runtime())


def network_for(forward, rows=8):
    network = FaceNetwork("fake", "test", "cpu", torch.float32, forward)
    network.size = BatchSize(rows)
    return network


def test_faces_go_through_in_batches_and_a_batch_too_large_is_halved():
    sizes = []

    def forward(faces):
        if len(faces) > 2:
            raise MemoryError
        sizes.append(len(faces))
        return faces

    given = torch.rand(5, 3, 512, 512)
    assert torch.allclose(network_for(forward).restore(given), given, atol=1e-6)
    assert sizes == [2, 2, 1]


def test_faces_of_another_size_are_our_fault():
    with pytest.raises(ValueError, match="512"):
        network_for(lambda faces: faces).restore(torch.rand(1, 3, 256, 256))


@pytest.mark.parametrize(
    ("device", "precision", "wanted"),
    [
        ("cpu", "fp32", torch.float32),
        ("cpu", "bf16", torch.bfloat16),
        ("cpu", "fp16", torch.float32),
        ("mps", "fp16", torch.float32),
    ],
)
def test_no_face_network_computes_in_fp16(device, precision, wanted):
    assert precision_for(Runtime(device=device, precision=precision)) == wanted
    assert precision_for(Runtime(device=device, precision=precision), takes_bf16=False) == torch.float32


# ------------------------------------------------------------------------------------------------ the whole way


def test_a_run_enhances_its_faces_and_reports_by_what(tmp_path):
    options = LipSyncOptions(box=BOX, preset="ultrafast", batch_size=4)
    source = assembly.open_face(small_portrait(tmp_path / "face.png"), options)
    voice = short_voice(tmp_path / "voice.wav", 0.3)
    enhancer = ChosenEnhancer("fake", network_for(lambda faces: faces * 0.9), "12345678")
    report = run(Job(source, voice, tmp_path / "out.mp4", enhancer=enhancer), options, quiet_runtime(tmp_path))
    assert report.enhancer == "fake 12345678 (test, fp32)"
    plain = run(Job(source, voice, tmp_path / "plain.mp4"), options, quiet_runtime(tmp_path))
    assert plain.enhancer == ""


def test_importing_the_table_imports_no_package_of_a_network():
    program = (
        "import sys, lipsync_core.pipeline, lipsync_core.enhancers.choose\n"
        "bad = {'gfpgan', 'basicsr', 'spandrel', 'torchvision', 'facexlib'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
