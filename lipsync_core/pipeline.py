"""The order of things: hear, analyse, render. With its two halves below, the only file that knows more than one stage:
`assembly.py` opens, hears and writes, `casting.py` gives each face that speaks what it needs, `heads.py` moves heads.

Two passes, both plain loops: `analyse` decodes a small copy and finds the faces, `render` decodes again and makes the
result. Memory holds one batch, however long the video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from . import assembly, casting, heads
from .assembly import Job, Take
from .casting import Actor
from .face.crop import crop_faces
from .face.track import ClipFaces, track_faces
from .measure import Stopwatch
from .media import check_output_path, sweep_parts
from .options import LipSyncOptions
from .runtime import Runtime, run_in_batches
from .timing import fitted_length, frames_for
from .types import Pixels, Report
from .video.source import Source
from .video.writer import open_writer


def lipsync(
    face: Path, speech: Path, output: Path, options: LipSyncOptions, runtime: Runtime, *, overwrite: bool = False
) -> Report:
    """Make `face` (a picture or video) speak `speech` (any file with sound) and write the video `output`.

    Returns what was done. Raises LipSyncError with what the user can do; `output` is then as it was before.
    """
    check_output_path(output, assembly.inputs(face, speech, options), overwrite)
    return run(Job(assembly.open_face(face, options), speech, output, overwrite), options, runtime)


def run(job: Job, options: LipSyncOptions, runtime: Runtime) -> Report:
    """`lipsync` for a host that has opened the face, and perhaps found the faces or loaded the engine, before."""
    watch, source = Stopwatch(), heads.as_portrait(job, options, runtime)
    sweep_parts(job.output.absolute().parent)
    with watch.stage("listen"):
        heard = assembly.hear(job.speech, options, runtime)
        wanted = frames_for(heard.seconds, source.fps)
    with watch.stage("analyse"):
        faces = job.faces or analyse(source, wanted, options, runtime)
        total = fitted_length(options.fit, None if source.still else faces.frame_count, wanted)
    with watch.stage("load"):
        chosen = job.chosen or assembly.choose(options, runtime)
        voice = assembly.voice(heard, source.fps, total, options)
        source, cast = heads.cast(faces, source, chosen, voice, options, runtime)
        enhancer = job.enhancer or assembly.choose_an_enhancer(options, chosen, runtime)
        cast = heads.with_enhancer(source, cast, enhancer, chosen, voice, options)
        casting.prepare(cast, runtime)
    assembly.refuse_repairs(source, heard, options)
    with watch.stage("render"):
        notes = render(source, cast, assembly.take(replace(job, source=source), total, chosen, options), runtime)
    done = assembly.Done(job.output, source, faces, cast, voice, heard, chosen, watch, enhancer)
    return assembly.report(done, notes, runtime)


def render(source: Source, cast: Sequence[Actor], take: Take, runtime: Runtime) -> tuple[str, ...]:
    """Write a video: every frame decoded, given its new mouths, labelled where it has to be, encoded.

    cast: who speaks; nobody re-encodes the source to the take's length. Returns what the user should know.
    """
    total = take.frame_count
    with open_writer(
        take.output, take.clip, take.sound, take.marks, take.encoding, overwrite=take.overwrite
    ) as writer:  # fmt: skip
        for batch in source.batches(total, take.fit, take.batch_size):
            runtime.step("render", batch.first, total)
            pixels = batch.pixels
            for actor in cast:
                pixels = perform(actor, pixels, batch.first, runtime)
            finished = take.label(batch.first, pixels)
            writer.write(finished)
            runtime.preview(finished.pixels[-1])
        runtime.step("render", total, total)
    return writer.notes


def analyse(source: Source, wanted: int, options: LipSyncOptions, runtime: Runtime) -> ClipFaces:
    """Find and follow every face of the first `wanted` frames, or take what is remembered of this very file."""
    memory = assembly.face_memory(source, wanted, options, runtime)
    known = memory.recall()
    if known is not None:
        return known
    detector, finder, settings = assembly.searching(source, options, runtime)
    batches = source.small_batches(wanted, settings.max_side, assembly.SEARCH_BATCH)
    faces = track_faces(batches, detector, finder, settings, runtime, min(wanted, source.frame_count))
    memory.keep(faces, detector.name)
    return faces


def perform(actor: Actor, pixels: Pixels, first: int, runtime: Runtime) -> Pixels:
    """Give one face its mouth on neighbouring frames: crop, generate, enhance, blend; in pieces when memory runs out.

    pixels: (N, H, W, 3) uint8 RGB, changed in place where they can be; first: frame of row 0. Returns them.
    """
    pixels = pixels if pixels.flags.writeable else pixels.copy()

    def work(start: int, end: int) -> None:
        runtime.check()
        share = actor.share[first + start : first + end]
        if not share.any():
            return
        faces = crop_faces(pixels[start:end], actor.plan, first + start, runtime.device, actor.dtype, still=actor.still)
        rendered = actor.performance.render(faces)
        mask = actor.mask(pixels[start:end], faces, rendered, runtime)
        part = actor.blender.blend(actor.sheet(pixels[start:end]), faces, rendered, mask, share)
        if actor.restoring:
            pixels[start:end] = actor.enhance(part, faces, rendered, mask)

    run_in_batches(actor.size, len(pixels), work, "The generator")
    return pixels
