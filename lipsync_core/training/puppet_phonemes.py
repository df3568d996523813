"""What lips and jaw do for each speech sound: the published target table of the puppet's ear.

Reasoned from articulatory phonetics, not measured on anybody: the opening follows vowel height (close /i u/ to open
/a/), width and rounding follow the lips' posture, consonants hold what their place of articulation needs and leave
the rest to their neighbours. `pull` says how much a sound insists on its opening (the dominance of Cohen and Massaro,
"Modeling coarticulation in synthetic visual speech", 1993): 1 for a full vowel, small for sounds made behind the lips.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Posture:
    """jaw, opening, rounding, closure in [0, 1]; width in [-1, 1]; pull on jaw and opening, lip_pull on the rest."""

    jaw: float
    opening: float
    width: float
    rounding: float
    closure: float
    pull: float
    lip_pull: float
    kind: str


def _vowel(jaw: float, opening: float, width: float, rounding: float, pull: float = 1.0) -> Posture:
    kind = "open" if opening >= 0.75 else "mid" if opening >= 0.4 else "round" if rounding >= 0.4 else "close"
    return Posture(jaw, opening, width, rounding, 0.0, pull, 0.9, kind)


def _consonant(kind: str, opening: float, pull: float, width: float = 0.0, rounding: float = 0.0) -> Posture:
    lip_pull = 0.8 if rounding > 0.3 else 0.15
    return Posture(0.8 * opening, opening, width, rounding, 0.0, pull, lip_pull, kind)


_LIPS_TOGETHER = Posture(0.12, 0.0, -0.05, 0.05, 1.0, 1.2, 0.3, "lips")
_LIP_TO_TEETH = Posture(0.15, 0.07, 0.05, 0.0, 0.3, 1.6, 0.3, "teeth")
_DENTAL = _consonant("tongue", 0.3, 0.45)
_TONGUE_TIP = _consonant("tongue", 0.27, 0.4, 0.1)
_HISS = _consonant("hiss", 0.2, 0.6, 0.2)
_HUSH = _consonant("hush", 0.3, 0.55, -0.35, 0.55)
_BACK = _consonant("back", 0.38, 0.22)
_THROAT = _consonant("throat", 0.45, 0.12)
_LIQUID = _consonant("liquid", 0.4, 0.35)
_RHOTIC = _consonant("liquid", 0.3, 0.4, -0.2, 0.35)
_GLIDE_I = _consonant("glide", 0.3, 0.5, 0.5)
_GLIDE_W = Posture(0.2, 0.12, -0.6, 1.0, 0.1, 1.1, 1.2, "round")

REST = Posture(0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.4, "pause")
UNKNOWN = _consonant("throat", 0.35, 0.15)

POSTURES: dict[str, Posture] = {
    "i": _vowel(0.2, 0.3, 0.8, 0.0),
    "ɪ": _vowel(0.32, 0.4, 0.5, 0.0, 0.8),
    "e": _vowel(0.38, 0.45, 0.6, 0.0),
    "ɛ": _vowel(0.55, 0.62, 0.45, 0.0),
    "æ": _vowel(0.8, 0.88, 0.45, 0.0, 1.1),
    "a": _vowel(0.9, 0.95, 0.2, 0.0, 1.2),
    "ɑ": _vowel(0.95, 0.98, 0.0, 0.0, 1.2),
    "ɐ": _vowel(0.6, 0.65, 0.1, 0.0, 0.8),
    "ʌ": _vowel(0.62, 0.68, 0.05, 0.0, 0.9),
    "ə": _vowel(0.36, 0.4, 0.05, 0.0, 0.4),
    "ɜ": _vowel(0.45, 0.48, 0.0, 0.2),
    "ɨ": _vowel(0.28, 0.32, 0.35, 0.0, 0.6),
    "ɯ": _vowel(0.25, 0.3, 0.3, 0.0),
    "ɤ": _vowel(0.42, 0.45, 0.15, 0.0),
    "y": _vowel(0.2, 0.2, -0.5, 0.85),
    "ʏ": _vowel(0.28, 0.28, -0.4, 0.65),
    "ø": _vowel(0.36, 0.36, -0.3, 0.65),
    "œ": _vowel(0.5, 0.5, -0.2, 0.5),
    "ɒ": _vowel(0.8, 0.78, -0.2, 0.4, 1.1),
    "ɔ": _vowel(0.65, 0.62, -0.4, 0.6),
    "o": _vowel(0.42, 0.4, -0.5, 0.8),
    "ʊ": _vowel(0.3, 0.3, -0.4, 0.6, 0.8),
    "u": _vowel(0.22, 0.2, -0.6, 0.95),
    "ʉ": _vowel(0.24, 0.24, -0.4, 0.75),
    "ɵ": _vowel(0.38, 0.36, -0.3, 0.55),
    **dict.fromkeys("pbmɓʙ", _LIPS_TOGETHER),
    **dict.fromkeys("fvɱ", _LIP_TO_TEETH),
    **dict.fromkeys("βɸʋ", Posture(0.18, 0.1, -0.1, 0.2, 0.25, 1.1, 0.4, "teeth")),
    **dict.fromkeys("θð", _DENTAL),
    **dict.fromkeys("tdnʈɖɳɗɲ", _TONGUE_TIP),
    **dict.fromkeys("sz", _HISS),
    **dict.fromkeys("ʃʒʂʐɕʑç", _HUSH),
    **dict.fromkeys("kɡgŋxɣcɟʝɠ", _BACK),
    **dict.fromkeys("hɦħʕʔqɢχʁɴ", _THROAT),
    **dict.fromkeys("lɫɭʎɬɮrɾɽʀɺ", _LIQUID),
    **dict.fromkeys("ɹɻɚɝ", _RHOTIC),
    "j": _GLIDE_I,
    "ɥ": _GLIDE_W,
    "w": _GLIDE_W,
    "ʍ": _GLIDE_W,
    "ɰ": _BACK,
}
POSTURES["ɕ"] = POSTURES["ʑ"] = POSTURES["ç"] = _consonant("hush", 0.25, 0.5, 0.3)
POSTURES["ɚ"] = _vowel(0.36, 0.4, -0.05, 0.25, 0.5)
POSTURES["ɝ"] = _vowel(0.42, 0.45, -0.1, 0.3)

KINDS: tuple[str, ...] = ("pause", "open", "mid", "close", "round", "lips", "teeth", "tongue", "hiss", "hush")
KINDS += ("back", "throat", "liquid", "glide")

BILABIALS = frozenset("pbmɓ")
VOICELESS_STOPS = frozenset("ptkcqʈ")
OPEN_VOWELS = frozenset("aɑæ")

# The 41 phones of flite's US English.
ARPABET: dict[str, str] = {
    "aa": "ɑ",
    "ae": "æ",
    "ah": "ʌ",
    "ao": "ɔ",
    "aw": "aʊ",
    "ax": "ə",
    "axr": "ɚ",
    "ay": "aɪ",
    "b": "b",
    "ch": "tʃ",
    "d": "d",
    "dh": "ð",
    "eh": "ɛ",
    "er": "ɝ",
    "ey": "eɪ",
    "f": "f",
    "g": "ɡ",
    "hh": "h",
    "ih": "ɪ",
    "iy": "i",
    "jh": "dʒ",
    "k": "k",
    "l": "l",
    "m": "m",
    "n": "n",
    "ng": "ŋ",
    "ow": "oʊ",
    "oy": "ɔɪ",
    "p": "p",
    "r": "ɹ",
    "s": "s",
    "sh": "ʃ",
    "t": "t",
    "th": "θ",
    "uh": "ʊ",
    "uw": "u",
    "v": "v",
    "w": "w",
    "y": "j",
    "z": "z",
    "zh": "ʒ",
    "pau": "",
}


def split_phoneme(ipa: str) -> list[tuple[str, float]]:
    """'aʊ' -> [('a', 0.59), ('ʊ', 0.41)]: the sounds of one phoneme and their shares of its time.

    Marks of length stretch their sound; other diacritics say nothing about the lips and are dropped.
    """
    sounds: list[str] = []
    weights: list[float] = []
    for mark in ipa:
        if mark in "ːˑ" and weights:
            weights[-1] += 0.6
        elif mark in POSTURES:
            sounds.append(mark)
            weights.append(1.0 if not weights else 0.7)
    total = sum(weights)
    return [(sound, weight / total) for sound, weight in zip(sounds, weights, strict=True)]
