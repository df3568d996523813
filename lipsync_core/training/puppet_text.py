"""Things to say: sentences from small word lists and grammars, and made-up words in many scripts. All written here."""

from __future__ import annotations

from random import Random


def _words(text: str) -> list[str]:
    return text.split()


_ENGLISH = _words("""
    the a this that every some my your our people man woman child mother father brother baby number map book
    paper table bottle window morning evening summer winter mountain river market bread butter apple lamp
    problem moment important simple happy beautiful big small possible maybe probably before above about under
    between because remember imagine promise believe begin become bring build buy climb come compare complete
    dream drive eat explain fall feel find follow forget give go happen have hear help hope improve jump keep
    know laugh learn leave listen live look love make mean meet move need open pay play prepare push put read
    run say see sell send sleep speak spend start stop study swim take talk teach think travel try turn
    understand use wait walk want warm wash watch wear wish work write always never often today tomorrow
    yesterday together again almost already away back down here there now soon then very well quite really of
    in on with for from to at by and but or if when while not no yes one two three four five six seven eight
    nine ten hundred thousand million company family government business money music movie computer camera
    picture voice mouth lips face hand arm foot heart mind body water fire air earth world home room house
    school office city street country question answer story word name place point part side area group system
    program power price member member example experience information opportunity development relationship
    university technology environment community possibly absolutely everybody something anything perhaps
    however although amazing available powerful wonderful different difficult popular common public private
    beyond below upon object subject job robot album problem platform thumb club tube web blue blow black
    blood brown bright broke breath pipe pump puppy pop map mop mob mum me am him them time aim far car hard
    star heart large start father palm calm garden happy family back black plan bad map chance dance fast last
    past ask class grass path bath father drama
    """)

_LISTS = {
    "de": _words("""
    ich du wir sie das der die ein mein haben sein werden kommen gehen machen sagen wollen immer aber auch und
    oder mit von bei nach über unter Morgen Abend Baum Bahn Arbeit Apfel Leben Liebe Problem Moment Mann Frau
    Mutter Vater Bruder Straße Wasser Himmel bitte möglich schön groß klein warm kalt offen lange Tag Nacht
    Wagen Sprache Buch Papier Blume Bühne grün über Öl
    """),
    "fr": _words("""
    je tu nous vous il elle le la un une mon avec pour par dans sur bonjour maman papa pomme peuple parler
    venir aller faire dire vouloir pouvoir beaucoup peut-être toujours jamais bien beau bleu rouge grand petit
    femme homme enfant maison bateau château lumière problème moment matin soir aimer imaginer comprendre
    apprendre quelque chose aujourd'hui demain
    """),
    "es": _words("""
    yo tú nosotros el la un una mi con para por en sobre buenos días mamá papá pueblo hablar venir hacer decir
    querer poder mucho también siempre nunca bien bonito blanco rojo grande pequeño mujer hombre niño casa
    barco playa problema momento mañana tarde amar imaginar comprender palabra agua fuego tiempo vida amigo
    """),
    "it": _words("""
    io tu noi il la un una mio con per su buongiorno mamma papà popolo parlare venire fare dire volere potere
    molto sempre mai bene bello bianco rosso grande piccolo donna uomo bambino casa barca spiaggia problema
    momento mattina sera amare immaginare capire parola acqua fuoco tempo vita amico
    """),
    "pt": _words("""
    eu tu nós o a um uma meu com para por bom dia mamãe papai povo falar vir fazer dizer querer poder muito
    sempre nunca bem bonito branco vermelho grande pequeno mulher homem criança casa barco praia problema
    momento manhã noite amar imaginar compreender palavra água fogo tempo vida amigo
    """),
    "cmn-latn-pinyin": _words("""
    wo3 ni3 ta1 men2 de5 shi4 bu4 ma1 ba4 ma5 hao3 peng2 you3 ming2 bai2 ban4 fa3 mei3 li4 pao3 bu4 fang2 fei1
    ji1 da4 xiao3 tian1 kong1 shui3 huo3 shan1 ren2 guo2 jia1 xue2 sheng1 lao3 shi1 shuo1 hua4 ting1 kan4 chi1
    fan4 he1 cha2 mai3 dong1 xi1 zhong1 wen2 yu3 yan2 ai4 xin1 yue4 liang4 lü4 hong2 bai2 hei1
    """),
}

_LATIN = ("bcdfghjklmnprstvzmbpm", "aeiouaeioua", ("", "", "n", "m", "r", "s", "l", "t"))
_ALPHABETS = {
    "ru": ("бвгдзклмнпрстфхчшмбп", "аеиоуыэяюаоа", ("", "", "н", "м", "р", "л", "т")),
    "el": ("βγδζθκλμνπρστφχμπ", "αεηιουωαοα", ("", "", "ν", "ς", "")),
    "hi": ("कगचजतदनपबमरलवसहमप", ("", "ा", "ि", "ी", "ु", "ू", "े", "ो", "ा"), ("",)),
    "ja": (
        "",
        tuple("アカサタナハマヤラワイキシミビウクムプエケメベオコモポバパン"),
        ("",),
    ),
}
_ALPHABETS["uk"] = _ALPHABETS["bg"] = _ALPHABETS["ru"]

LATIN_LANGUAGES: tuple[str, ...] = (
    "nl",
    "sv",
    "da",
    "nb",
    "fi",
    "pl",
    "cs",
    "ro",
    "hu",
    "tr",
    "id",
    "ms",
    "sw",
    "vi",
    "ca",
    "eo",
    "hr",
)
LATIN_LANGUAGES += ("et", "lv", "sk", "sl", "sq", "af", "cy", "eu")
OTHER_LANGUAGES = ("ru", "uk", "bg", "el", "hi", "ja", "ko")
ENGLISH_VOICES = ("en-us", "en", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-us-nyc", "en-gb-x-gbclan")
LISTED_LANGUAGES = tuple(_LISTS)


def sentences(random: Random, language: str, words: int) -> str:
    """About `words` words of running text with pauses, as one string, for an espeak language or "en"."""
    out = []
    left = words
    while left > 0:
        length = random.randint(2, 9)
        out.append(_sentence(random, language, length))
        left -= length
    return " ".join(out)


def _sentence(random: Random, language: str, length: int) -> str:
    words = [_word(random, language) for _ in range(length)]
    if length > 5 and random.random() < 0.6:
        words[random.randint(1, length - 3)] += ","
    text = " ".join(words)
    return text[:1].upper() + text[1:] + random.choice(".....?!")


def _word(random: Random, language: str) -> str:
    base = language.split("-")[0]
    if base == "en" and random.random() < 0.9:
        return random.choice(_ENGLISH)
    known = _LISTS.get(language) or _LISTS.get(base)
    if known and (base == "cmn" or random.random() < 0.75):
        return random.choice(known)
    return _made_up(random, base)


def _made_up(random: Random, base: str) -> str:
    if base == "ko":  # Hangul syllables are numbered: initial x vowel x final
        return "".join(chr(0xAC00 + random.randrange(19 * 21) * 28) for _ in range(random.randint(1, 4)))
    onsets, vowels, codas = _ALPHABETS.get(base, _LATIN)
    syllables = (
        (random.choice(onsets) if onsets and random.random() < 0.9 else "")
        + random.choice(vowels)
        + random.choice(codas)
        for _ in range(random.choice((1, 2, 2, 3, 4)))
    )
    return "".join(syllables)
