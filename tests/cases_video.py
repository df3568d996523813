"""What each video file of ../shared/cases must give when it is read.

file -> (frames, frames a second, width, height, words of a note or None) or the words of the error. Where damage
decides, how many frames come out differs between versions of FFmpeg; then it is (least, most).
"""

from fractions import Fraction

NTSC = Fraction(30000, 1001)

CASES: dict[str, tuple[int | tuple[int, int], Fraction | int | None, int, int, str | None] | str] = {
    "V01_empty.mp4": "is empty (0 bytes)",
    "V02_text.mp4": "is not a video or picture (it looks like text)",
    "V03_random.mp4": "not a media file we know",
    "V04_trunc_nomoov.mp4": "is incomplete (it has no index)",
    "V05_trunc_faststart.mp4": ((32, 37), 25, 64, 48, "ends early, at 1."),
    "V06_trunc_fragmented.mp4": (27, 25, 64, 48, "ends early, at 1.1 s of 1.6 s"),
    "V07_bitflips.mp4": ((40, 50), 25, 64, 48, "parts are damaged; the picture before each is held"),
    "V08_mdat_zeroed.mp4": "no frame could be decoded",
    "V09_no_frames.mp4": "has no video frames",
    "V10_audio_only.mp4": "has sound but no picture. Give a video or a picture",
    "V11_one_frame.mp4": (1, 25, 64, 48, None),
    "V13_mkv_named.mp4": (50, 25, 64, 48, None),
    "V14_png_named.mp4": (1, None, 64, 48, None),
    "V15_m4a_with_cover.m4a": "is sound with a cover picture",
    "V16_two_video_streams.mkv": (50, 25, 64, 48, None),
    "V17_subs_and_attachment.mkv": (50, 25, 64, 48, None),
    "V18_raw_es_no_pts.h264": (50, 25, 64, 48, "has no time stamps; 25 frames a second are assumed"),
    "V19_start_offset_5s.mkv": (50, 25, 64, 48, None),
    "V20_bframes_negdts.mp4": (50, 25, 64, 48, None),
    "V21_huge_duration_header.mp4": (50, 25, 64, 48, None),
    "V22_fps_1000.mkv": (10, 200, 64, 48, "runs at 1000 fps"),
    "V22b_fps_1.mp4": (72, 24, 64, 48, "runs at 1 fps"),
    "V23_ntsc_29.97.mp4": (60, NTSC, 64, 48, None),
    "V24_vfr.mkv": (91, 25, 64, 48, None),
    "V24b_dup_pts.mkv": (28, 25, 64, 48, None),
    "V26_resolution_change.ts": (50, 25, 64, 48, "changes its size on the way; 64x48, the first, is kept"),
    "V28_encrypted_cenc.mp4": "is encrypted (DRM)",
    "V29_unknown_fourcc.mp4": "codec 'zzzz' is not supported. Convert it to H.264",
    "V30_starts_mid_gop.ts": ((30, 35), 25, 64, 48, None),
    "V32_unfinished_mkv_killed.mkv": (30, 25, 64, 48, "ends early, at 1.2 s of 2.0 s"),
    "V33_avi_no_index.avi": (41, 25, 64, 48, "ends early, at 1.6 s of 2.0 s"),
    "V34_trailing_garbage.mp4": (50, 25, 64, 48, None),
    "G01_odd_101x77.mkv": (10, 25, 101, 77, None),
    "G01b_odd_h264_444.mp4": (10, 25, 101, 77, None),
    "G02_rot90.mp4": (50, 25, 48, 64, None),
    "G02_rot180.mp4": (50, 25, 64, 48, None),
    "G02_rot270.mp4": (50, 25, 48, 64, None),
    "G04_sar_4_3.mp4": (50, 25, 93, 48, None),
    "G05_alpha_vp9.webm": (25, 25, 64, 48, "has transparency and is put on black"),
    "G05b_alpha_qtrle.mov": (25, 25, 64, 48, None),  # every pixel of it is opaque
    "G06_10bit.mkv": (50, 25, 64, 48, None),
    "G07_hdr_pq.mp4": (50, 25, 64, 48, "is HDR (PQ)"),
    "G08_full_range.mp4": (50, 25, 64, 48, None),
    "G09_interlaced.mpg": (25, 12, 64, 48, "is interlaced and is deinterlaced"),
    "G10_gray.mkv": (10, 25, 64, 48, None),
    "G10b_pal8.gif": (30, 30, 64, 48, "runs at 10 fps"),
    "G11_tiny_2x2.mkv": "2x2 is too small, a face needs at least 32 pixels",
    "G12_huge_8192.mp4": "8192x8192 is larger than 4096x4096. Scale it down",
    "G13_aspect_4096x16.mp4": "4096x16 is too small",
    "G14_rgb24.mkv": (50, 25, 64, 48, None),
    "G15_black.mp4": (25, 25, 64, 48, None),
}
