"""The six example workflows, as data for make_workflows.py."""

from __future__ import annotations

from make_workflows import Chain, Node

_SD15 = (
    "v1-5-pruned-emaonly-fp16.safetensors",
    "https://huggingface.co/Comfy-Org/stable-diffusion-v1-5-archive/resolve/main/v1-5-pruned-emaonly-fp16.safetensors",
    "checkpoints",
)
_WAN = "https://huggingface.co/Comfy-Org/Wan_2.1_ComfyUI_repackaged/resolve/main/split_files"
_WAN_MODEL = ("wan2.1_t2v_1.3B_fp16.safetensors", f"{_WAN}/diffusion_models/wan2.1_t2v_1.3B_fp16.safetensors")
_WAN_TEXT = ("umt5_xxl_fp8_e4m3fn_scaled.safetensors", f"{_WAN}/text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors")
_WAN_VAE = ("wan_2.1_vae.safetensors", f"{_WAN}/vae/wan_2.1_vae.safetensors")
_GFPGAN = (
    "GFPGANv1.4.pth",
    "https://github.com/TencentARC/GFPGAN/releases/download/v1.3.0/GFPGANv1.4.pth",
    "upscale_models",
)
_FACE = "portrait photo of a woman, looking at the camera, closed mouth, soft light, plain background"
_BAD = "open mouth, teeth, hands, text, watermark"
_VOICE = {"audio": "voice.wav"}
_HERO = (420, 760)


def _sd15(prompt: str) -> list[Node]:
    """Checkpoint to picture, on a grid left of x = 1240."""
    return [
        Node("checkpoint", "CheckpointLoaderSimple", (0, 0), (315, 100), {"ckpt_name": _SD15[0]}, models=(_SD15,)),
        Node("yes", "CLIPTextEncode", (360, 0), (400, 140), {"text": prompt}, {"clip": ("checkpoint", 1)}, "Prompt"),
        Node("no", "CLIPTextEncode", (360, 190), (400, 100), {"text": _BAD}, {"clip": ("checkpoint", 1)}, "Not this"),
        Node("latent", "EmptyLatentImage", (0, 190), (315, 110)),
        Node(
            "sampler", "KSampler", (800, 0), (300, 270),
            {"seed": 7, "steps": 25, "cfg": 6.0, "sampler_name": "dpmpp_2m"},
            {"model": ("checkpoint", 0), "positive": ("yes", 0), "negative": ("no", 0), "latent_image": ("latent", 0)},
        ),
        Node("decode", "VAEDecode", (800, 320), (300, 50), wires={"samples": ("sampler", 0), "vae": ("checkpoint", 2)}),
    ]  # fmt: skip


VIDEO = Chain(
    "1 Make a video speak",
    "**Two wires and Run.**\n\n1. Load Video: your clip, with a face in it.\n2. Load Audio: what it shall say.\n"
    "3. Run.\n\nThe file is in `output/lipsync/`, and plays on the node.\n\n*Model* is `auto`: the built-in puppet, "
    "which needs no download. A Wav2Lip checkpoint in `models/lipsync` can be chosen there.\n\nA picture works as "
    "well: connect Load Image instead of Load Video.",
    [
        Node("video", "LoadVideo", (0, 0), (320, 420), {"file": "clip.mp4"}),
        Node("voice", "LoadAudio", (0, 480), (320, 140), _VOICE),
        Node(
            "hero", "LipSyncVideo", (400, 0), _HERO, {"filename_prefix": "lipsync/video"},
            {"source": ("video", 0), "audio": ("voice", 0)},
        ),
    ],
)  # fmt: skip

IMAGE = Chain(
    "2 Make a generated portrait speak",
    "**A portrait from a checkpoint, speaking.**\n\nAny model that draws a face will do. One picture is held for as "
    "long as the voice lasts; a batch is played at *Frame rate*.\n\nA face from the front with a closed mouth works "
    "best.",
    [
        *_sd15(_FACE),
        Node("voice", "LoadAudio", (800, 430), (300, 140), _VOICE),
        Node(
            "hero", "LipSyncVideo", (1160, 0), _HERO, {"filename_prefix": "lipsync/portrait"},
            {"source": ("decode", 0), "audio": ("voice", 0)},
        ),
    ],
)  # fmt: skip

PORTRAIT = Chain(
    "3 Move the head, then sharpen the lips",
    "**Head motion first, then the lips.**\n\nAnimate Portrait makes the head move and speak. Lip Sync Video then "
    "works on that video: choose a Wav2Lip checkpoint there for lips that are generated instead of moved.\n\n*Save* is "
    "off on the first of the two, so only the last one lands in `output`.",
    [
        *_sd15(_FACE),
        Node("voice", "LoadAudio", (800, 430), (300, 140), _VOICE),
        Node(
            "portrait", "LipSyncPortrait", (1160, 0), (400, 700), {"save_output": False},
            {"image": ("decode", 0), "audio": ("voice", 0)},
        ),
        Node(
            "hero", "LipSyncVideo", (1620, 0), _HERO, {"filename_prefix": "lipsync/animated"},
            {"source": ("portrait", 0), "audio": ("voice", 0)},
        ),
    ],
)  # fmt: skip

MODULAR = Chain(
    "4 Step by step, for long videos",
    "**Every step a node.** Full frames stay in the file; only the cut-out faces are in memory.\n\nClick a face on "
    "Detect Faces, or drag a box, when the wrong one is taken.\n\nThe two purple nodes are bypassed. For "
    "sharper faces put `GFPGANv1.4.pth` into `models/upscale_models`, select both and press Ctrl+B.",
    [
        Node("video", "LoadVideo", (0, 0), (320, 380), {"file": "clip.mp4"}),
        Node("voice", "LoadAudio", (0, 440), (320, 140), _VOICE),
        Node("model", "LipSyncLoadModel", (0, 640), (320, 130)),
        Node(
            "detect", "LipSyncDetectFaces", (380, 0), (380, 480), {"max_faces": 1},
            {"source": ("video", 0)},
        ),
        Node("adjust", "LipSyncAdjustFaces", (820, 0), (320, 230), wires={"faces": ("detect", 0)}),
        Node("mel", "LipSyncMel", (380, 540), (380, 130), wires={"audio": ("voice", 0)}),
        Node(
            "run", "LipSyncGenerate", (820, 290), (320, 150),
            wires={"lipsync_model": ("model", 0), "source": ("video", 0), "faces": ("adjust", 0), "mel": ("mel", 0)},
        ),
        Node("mask", "LipSyncMouthMask", (820, 500), (320, 130), wires={"faces": ("run", 1)}),
        Node(
            "gfpgan", "UpscaleModelLoader", (1200, -290), (340, 60), {"model_name": _GFPGAN[0]},
            models=(_GFPGAN,), mode=4,
        ),
        Node(
            "enhance", "LipSyncEnhance", (1200, -160), (340, 110),
            wires={"crops": ("run", 0), "enhancer": ("gfpgan", 0)}, mode=4,
        ),
        Node(
            "blend", "LipSyncBlendVideo", (1200, 0), (400, 560), {"save_output": False},
            {
                "source": ("video", 0), "audio": ("voice", 0), "crops": ("enhance", 0), "faces": ("run", 1),
                "mask": ("mask", 0),
            },
        ),
        Node(
            "save", "SaveVideo", (1660, 0), (360, 420), {"filename_prefix": "lipsync/steps"}, {"video": ("blend", 0)}
        ),
    ],
)  # fmt: skip

SPEAKERS = Chain(
    "5 Two people talk",
    "**Two faces, two voices, one after the other.**\n\nEach voice is followed (or led) by as much silence as the "
    "other one lasts, made by turning its volume down. In silence a mouth stays shut.\n\nSelect Face: `left` and "
    "`right`. For a third person add another row of Select, Run and Blend.",
    [
        Node("video", "LoadVideo", (0, 0), (320, 300), {"file": "two.mp4"}),
        Node("voice_left", "LoadAudio", (0, 360), (320, 140), _VOICE, title="Voice of the left one"),
        Node("voice_right", "LoadAudio", (0, 560), (320, 140), {"audio": "voice2.wav"}, title="Voice of the right one"),
        Node("hush_right", "AudioAdjustVolume", (380, 560), (300, 60), {"volume": -100}, {"audio": ("voice_right", 0)}),
        Node("hush_left", "AudioAdjustVolume", (380, 680), (300, 60), {"volume": -100}, {"audio": ("voice_left", 0)}),
        Node(
            "left_sound", "AudioConcat", (740, 560), (260, 80), {},
            {"audio1": ("voice_left", 0), "audio2": ("hush_right", 0)},
        ),
        Node(
            "right_sound", "AudioConcat", (740, 700), (260, 80), {},
            {"audio1": ("hush_left", 0), "audio2": ("voice_right", 0)},
        ),
        Node(
            "both", "AudioMerge", (1060, 620), (260, 80), {"merge_method": "add"},
            {"audio1": ("left_sound", 0), "audio2": ("right_sound", 0)},
        ),
        Node("model", "LipSyncLoadModel", (380, 360), (300, 130)),
        Node(
            "detect", "LipSyncDetectFaces", (380, -180), (380, 480), {"max_faces": 2}, {"source": ("video", 0)}
        ),
        Node(
            "left", "LipSyncSelectFace", (820, -180), (280, 110), {"which_face": "left"}, {"faces": ("detect", 0)},
            "Left face",
        ),
        Node(
            "right", "LipSyncSelectFace", (820, 60), (280, 110), {"which_face": "right"}, {"faces": ("detect", 0)},
            "Right face",
        ),
        Node("mel_left", "LipSyncMel", (820, 240), (280, 110), wires={"audio": ("left_sound", 0)}),
        Node("mel_right", "LipSyncMel", (820, 400), (280, 110), wires={"audio": ("right_sound", 0)}),
        Node(
            "run_left", "LipSyncGenerate", (1160, -180), (300, 150),
            wires={
                "lipsync_model": ("model", 0), "source": ("video", 0), "faces": ("left", 0), "mel": ("mel_left", 0)
            },
        ),
        Node(
            "run_right", "LipSyncGenerate", (1160, 60), (300, 150),
            wires={
                "lipsync_model": ("model", 0), "source": ("video", 0), "faces": ("right", 0), "mel": ("mel_right", 0)
            },
        ),
        Node(
            "blend_left", "LipSyncBlendVideo", (1520, -180), (360, 520), {"save_output": False, "label": "off"},
            {"source": ("video", 0), "audio": ("both", 0), "crops": ("run_left", 0), "faces": ("run_left", 1)},
        ),
        Node(
            "blend_right", "LipSyncBlendVideo", (1940, -180), (420, 520), {"filename_prefix": "lipsync/two"},
            {"source": ("blend_left", 0), "audio": ("both", 0), "crops": ("run_right", 0), "faces": ("run_right", 1)},
        ),
    ],
)  # fmt: skip

GENERATED = Chain(
    "6 Make a generated video speak",
    "**A video model's clip, speaking.**\n\nWAN makes the clip (LTX or any other video model does as well: what counts "
    "is the IMAGE batch that leaves VAE Decode). Create Video gives it its frame rate; the clip is looped until the "
    "voice ends.\n\nAny node that gives AUDIO can take Load Audio's place: a text-to-speech pack, for example.",
    [
        Node(
            "wan", "UNETLoader", (0, 0), (360, 90), {"unet_name": _WAN_MODEL[0]},
            models=((*_WAN_MODEL, "diffusion_models"),),
        ),
        Node(
            "text", "CLIPLoader", (0, 140), (360, 110), {"clip_name": _WAN_TEXT[0], "type": "wan"},
            models=((*_WAN_TEXT, "text_encoders"),),
        ),
        Node("vae", "VAELoader", (0, 300), (360, 60), {"vae_name": _WAN_VAE[0]}, models=((*_WAN_VAE, "vae"),)),
        Node("shift", "ModelSamplingSD3", (420, 0), (300, 60), {"shift": 8.0}, {"model": ("wan", 0)}),
        Node(
            "yes", "CLIPTextEncode", (420, 110), (400, 140),
            {"text": "a woman looks at the camera and speaks, head and shoulders, soft light, static camera"},
            {"clip": ("text", 0)}, "Prompt",
        ),
        Node("no", "CLIPTextEncode", (420, 300), (400, 100), {"text": _BAD}, {"clip": ("text", 0)}, "Not this"),
        Node(
            "latent", "EmptyHunyuanLatentVideo", (0, 410), (360, 130), {"width": 480, "height": 480, "length": 49}
        ),
        Node(
            "sampler", "KSampler", (880, 0), (300, 270),
            {"seed": 7, "steps": 30, "cfg": 6.0, "sampler_name": "uni_pc", "scheduler": "simple"},
            {"model": ("shift", 0), "positive": ("yes", 0), "negative": ("no", 0), "latent_image": ("latent", 0)},
        ),
        Node("decode", "VAEDecode", (880, 320), (300, 50), wires={"samples": ("sampler", 0), "vae": ("vae", 0)}),
        Node("create", "CreateVideo", (880, 420), (300, 100), {"fps": 16.0}, {"images": ("decode", 0)}),
        Node("voice", "LoadAudio", (880, 580), (300, 140), _VOICE),
        Node(
            "hero", "LipSyncVideo", (1240, 0), _HERO,
            {"filename_prefix": "lipsync/generated"},
            {"source": ("create", 0), "audio": ("voice", 0)},
        ),
    ],
)  # fmt: skip

CHAINS = [VIDEO, IMAGE, PORTRAIT, MODULAR, SPEAKERS, GENERATED]
