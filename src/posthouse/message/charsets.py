"""Character sets of mail: from the label that a message carries to text, safely.

A label only ever chooses from a fixed list: Python knows codecs that are no character sets (`unicode_escape`,
`punycode`, `idna`), which a message must not reach. Labels mean what senders mean by them and not what the
registry says: `iso-8859-1` is windows-1252, `gb2312` is gb18030, as in every browser (WHATWG Encoding). What has no
known label, or breaks the one it has (RFC 2045 §5.2 makes us-ascii of no label), is read as UTF-8 when it is valid
UTF-8 and as windows-1252 otherwise. Never raises.
"""

from __future__ import annotations

from functools import lru_cache

_FALLBACK = "cp1252"
_GUESS = ""  # no codec: what the octets look like

# Codec: the labels seen in mail, without case, "-", "_", " " and ".".
_LABELS = {
    "utf-8": "utf8 unicode11utf8 unicode20utf8 xunicode20utf8 utf8mb4 cp65001",
    "cp1252": "iso88591 latin1 l1 isoir100 ibm819 cp819 88591 windows1252 cp1252 xcp1252 xansi ansi iso885911987",
    "cp1250": "windows1250 cp1250 xcp1250",
    "cp1251": "windows1251 cp1251 xcp1251 win1251",
    "cp1253": "windows1253 cp1253 xcp1253",
    "cp1254": "windows1254 cp1254 xcp1254 iso88599 latin5 l5 isoir148 iso885991989",
    "cp1255": "windows1255 cp1255 xcp1255",
    "cp1256": "windows1256 cp1256 xcp1256",
    "cp1257": "windows1257 cp1257 xcp1257",
    "cp1258": "windows1258 cp1258 xcp1258",
    "cp874": "windows874 cp874 tis620 iso885911 dos874",
    "iso8859-2": "iso88592 latin2 l2 isoir101 iso885921987",
    "iso8859-3": "iso88593 latin3 l3 isoir109",
    "iso8859-4": "iso88594 latin4 l4 isoir110",
    "iso8859-5": "iso88595 cyrillic isoir144",
    "iso8859-6": "iso88596 arabic isoir127 iso88596e iso88596i",
    "iso8859-7": "iso88597 greek greek8 isoir126 ecma118",
    "iso8859-8": "iso88598 hebrew isoir138 iso88598i iso88598e logical visual",
    "iso8859-10": "iso885910 latin6 l6 isoir157",
    "iso8859-13": "iso885913 latin7 l7",
    "iso8859-14": "iso885914 latin8 l8 isoceltic",
    "iso8859-15": "iso885915 latin9 l9 latin0",
    "iso8859-16": "iso885916 latin10 l10",
    "koi8-r": "koi8r koi8 koi xkoi8r cskoi8r",
    "koi8-u": "koi8u koi8ru",
    "koi8-t": "koi8t",
    "kz1048": "kz1048 strk10482002",
    "ptcp154": "ptcp154 pt154 cyrillicasian",
    "gb18030": "gb18030 gb2312 gbk cp936 ms936 windows936 xgbk euccn csgb2312 gb231280 chinese xeuccn",
    "hz": "hz hzgb hzgb2312",
    "big5hkscs": "big5 big5hkscs big5hk cp950 ms950 csbig5 xxbig5 cnbig5",
    "cp932": "shiftjis sjis xsjis mskanji cp932 windows31j csshiftjis ms932 windows932",
    "euc_jp": "eucjp xeucjp cseucpkdfmtjapanese ujis",
    "iso2022_jp_ext": "iso2022jp csiso2022jp iso2022jpms iso2022jp1 iso2022jp3 iso2022jpext cp50220 cp50221",
    "iso2022_jp_2": "iso2022jp2",
    "cp949": "euckr cp949 ksc56011987 ksc5601 ksc56011989 ks5601 ksx1001 windows949 uhc cseuckr korean ms949",
    "iso2022_kr": "iso2022kr csiso2022kr",
    "johab": "johab cp1361",
    "cp437": "ibm437 cp437 437",
    "cp775": "ibm775 cp775",
    "cp850": "ibm850 cp850 850",
    "cp852": "ibm852 cp852 852",
    "cp855": "ibm855 cp855",
    "cp858": "ibm858 cp858 ibm00858",
    "cp862": "ibm862 cp862",
    "cp866": "ibm866 cp866 866",
    "mac_roman": "macintosh mac macroman xmacroman",
    "mac_cyrillic": "maccyrillic xmaccyrillic xmacukrainian",
    "mac_latin2": "xmacce maccentraleurope",
    "hp_roman8": "hproman8 roman8",
    "utf-7": "utf7 unicode11utf7 unicode20utf7 xunicode20utf7",
    "utf-16": "utf16 unicode ucs2 iso10646ucs2",
    "utf-16-le": "utf16le unicodelittle",
    "utf-16-be": "utf16be unicodebig",
    "utf-32": "utf32 ucs4 iso10646ucs4",
    "utf-32-le": "utf32le",
    "utf-32-be": "utf32be",
    _GUESS: "usascii ascii ansix341968 iso646us us cp367 ibm367 iso646irv1991 unknown8bit xunknown default none"
    " binary 8bit 7bit xuserdefined",
}
_CODECS = {label: codec for codec, labels in _LABELS.items() for label in labels.split()}
_SEPARATORS = str.maketrans("", "", "-_ .:\t\"'()")
_MAX_LABEL = 64


@lru_cache(maxsize=256)
def _find_codec(label: str) -> str:
    if len(label) > _MAX_LABEL:
        return _GUESS
    return _CODECS.get(label.lower().translate(_SEPARATORS), _GUESS)


def is_known_charset(label: str) -> bool:
    """Whether the label names a character set that is decoded as such (us-ascii included)."""
    return len(label) <= _MAX_LABEL and label.lower().translate(_SEPARATORS) in _CODECS


def decode_text(octets: bytes, label: str = "") -> str:
    """Text of octets in the character set of that label; what cannot be read becomes U+FFFD."""
    codec = _find_codec(label)
    if codec == _GUESS:
        return guess_text(octets)
    text = octets.decode(codec, "replace")
    if codec == "utf-7":  # the one codec that lets half a character through
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def guess_text(octets: bytes) -> str:
    """Text of octets without a label."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode(_FALLBACK, "replace")
