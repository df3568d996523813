"""For the tests on real hosts: txt2img without a checkpoint. Generate gives the picture that LIPSYNC_TEST_IMAGE names,
through the host's own gallery, buttons and scripts."""

import os

from modules import processing
from PIL import Image


def process_images(p):
    """As the host's: an image for each of the batch, then the scripts' turn."""
    image = Image.open(os.environ["LIPSYNC_TEST_IMAGE"]).convert("RGB")
    p.sd_model_name = p.sd_model_hash = p.sd_vae_name = p.sd_vae_hash = ""
    processed = processing.Processed(p, [image], seed=7, info="a test", all_seeds=[7], infotexts=["a test"])
    processed.extra_images = []
    p.scripts.postprocess(p, processed)
    return processed


processing.process_images = process_images
