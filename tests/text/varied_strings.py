"""Two thousand texts of every kind that people type, paste or attack with; the same ones each time."""

import random
import unicodedata
from functools import cache

WHOLE = [
    "",
    " ",
    "a red fox under a full moon",
    "A RED  FOX\tunder\n\na full   MOON ",
    "the fox's den; we've, they'll, I'd, I'M, isn't, ''s 'sup 'LL 'Re don’t",
    "café cafe\u0301 naïve Zürich STRASSE straße İstanbul ısı ﬁne ½ x² Ⅷ ΟΔΟΣ Å \u212b",
    "日本の狐、赤い月 한국어 \u1112\u1161\u11ab 中文字幕 𠮷野家",
    "العربية مَرْحَبًا עברית שָׁלוֹם हिन्दी ไทย \u202eright to left\u202c \u200f",
    "🦊 🌕 👩‍🚀👨‍👩‍👧 🏳️‍🌈 ❤️ 🇯🇵 👍🏽 \U0001fae0",
    "\x00\x01 bell\x07 del\x7f nbsp\u00a0zero\u200bwidth\ufeffbom\u2028line\u2029end\x1f\x85",
    "\u3000wide\u3000space \u0085next \u2003em\u2009thin\u202fnarrow\u1680ogham\u180emongol\u2060join",
    "3.14159 100,000 1/2 v1-5 2024-01-02 ١٢٣ ٣٫١٤ 一二三",
    "for (int i = 0; i < n; ++i) { a[i] <<= 2; } // $x_1 -> \\n",
    "def f(x: int) -> str:\n\treturn f'{x!r}' if x else \"\"  # ok",
    "http://example.org/a?b=c&d=%20#e",
    "!!! ??? ... --- *** ((red)) [fox:moon:0.5] <tag> | & ~ ^ `",
    "&amp; &lt;b&gt; <br/> &#39; &amp;amp; &eacute;",
    "__init__ snake_case camelCase",
    "\ud7ff\ue000 private \U000e0001tag \ufffe\uffff \U0010ffff \ufffd",
    "a <|endoftext|> b",
    "<|startoftext|><|startoftext|>a<|endoftext|>",
    "<|ENDOFTEXT|> <|endoftext <|endof text|> <|endoftext|>b</w>",
    "[CLS] a [SEP][PAD] [MASK]x [UNK] [cls] [ SEP ] ##ing",
    "Z̸̢̛͉͓a̷l̵g̸o̴ n" + "\u0301" * 200,
    "fox " * 300,
    "x" * 2000,
]
LONG = [
    "x" * 100_000,
    "a red fox, " * 9_091,
    "🦊" * 25_000,
    "日本の狐" * 25_000,
    "!" * 100_000,
    " " * 100_000,
    "e\u0301" * 50_000,
    "".join(chr(33 + place % 94) for place in range(100_000)),
]

ALPHABETS = {
    "English": "abcdefghijklmnopqrstuvwxyz      ETAOIN'.,!",
    "contractions": "'''sStTmMdDrReEvVlL  ",
    "accents": "àéîõüçñşğıİßœÆøÅ\u0301\u0308\u0327\u030aaeiounc  ",
    "CJK": "日本中国語漢字かなカナ한국어「」、。々ー ",
    "Hebrew and Arabic": "אבגדהוזחט\u05b8\u05bcابتثجحخ\u064e\u0651\u200f، ",
    "Greek and Cyrillic": "αβγδΣσςΩάЖщёЙъЯ ",
    "emoji": "🦊🌕❤\ufe0f\u200d👩🚀🏽🇯🇵😀 ",
    "code": "(){}[]<>=+-*/\\|&^%$#@!~`_;:\"',.?0123456789abxyz \n\t",
    "controls": "\x00\x01\x07\x08\t\n\r\x0b\x0c\x1b\x1f\x7f\x80\x85\x9fab",
    "spaces": " \u00a0\u1680\u2000\u2003\u2009\u200a\u202f\u205f\u3000\u2028\u2029\u200b\u200c\u200d\u2060\ufeffab",
    "digits": "0123456789٠١٢३४²½Ⅷ①.,/ ",
    "markup": "&amp;<b>quot#39;/|endoftxsr[CLSEP]",
}
MARKS = ["<|startoftext|>", "<|endoftext|>", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]", "</w>", "##", "'s", "&amp;"]


@cache
def varied_strings() -> tuple[str, ...]:
    """2,000 texts, eight of them of about a hundred thousand characters."""
    draw = random.Random(42)
    texts = [*WHOLE, *LONG]
    while len(texts) < 2_000:
        texts.append(_text(draw))
    return tuple(texts)


def _text(draw: random.Random) -> str:
    """Runs from one to four alphabets, some of them marks or code points drawn from all there are."""
    runs = []
    for alphabet in draw.choices(list(ALPHABETS.values()), k=draw.randint(1, 4)):
        runs.append("".join(draw.choices(alphabet, k=draw.randint(0, 30))))
        if draw.random() < 0.3:
            runs.append(draw.choice(MARKS))
        if draw.random() < 0.3:
            runs.append("".join(_any(draw) for _ in range(draw.randint(1, 6))))
    text = "".join(runs)
    return draw.choice([str, str, str.upper, str.title, lambda it: unicodedata.normalize("NFD", it)])(text)


def _any(draw: random.Random) -> str:
    number = draw.randrange(0x110000 - 0x800)
    return chr(number if number < 0xD800 else number + 0x800)
