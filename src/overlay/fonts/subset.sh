#!/bin/sh
# Makes the embedded fonts from Debian's fonts-noto-core (regular and bold) and fonts-noto-extra (condensed black). Latin: every
# Vietnamese letter, punctuation, currency signs. Thai, Hebrew and Arabic: their letters, marks and digits (Arabic for Arabic,
# Persian and Urdu). Needs fonttools (pip install fonttools).
set -eu
from=$(realpath "${1:-/usr/share/fonts/truetype/noto}")
cd "$(dirname "$0")"

subset() { # FONT UNICODES FEATURES
    pyftsubset "$from/$1.ttf" --unicodes="$2" --layout-features="$3" --output-file="$1.ttf" \
        --no-hinting --name-IDs='*' --notdef-outline
}

# Basic Latin, Latin-1, Extended-A and -B, IPA's schwa, combining accents, Latin Extended Additional (Vietnamese),
# punctuation, superscripts, currency, letterlike, number forms, replacement. (These faces have no arrows, no minus sign and no
# shapes: a template draws them, or writes a hyphen.)
latin="U+0020-007E,U+00A0-024F,U+0259,U+02BB-02BC,U+02C6-02C7,U+02D8-02DD,U+0300-0304,U+0306-030C,U+0323,U+0328,\
U+1E00-1EFF,U+2000-200F,U+2010-2027,U+202A-202F,U+2030-203A,U+2044,U+2060,U+2066-2069,U+2070-208E,U+20A0-20C0,\
U+2113,U+2116,U+2122,U+2150-215E,U+FFFD"
for font in NotoSans-Regular NotoSans-Bold NotoSans-CondensedBlack NotoSerif-Regular NotoSerif-Bold; do
    subset $font "$latin" ccmp,locl,mark,mkmk,kern,liga,tnum,lnum,pnum,case
done
for weight in Regular Bold; do
    subset NotoSansThai-$weight "U+0020,U+00A0,U+0E01-0E5B,U+200B-200D,U+25CC" '*'
    subset NotoSansHebrew-$weight "U+0020,U+00A0,U+0591-05F4,U+200C-200F,U+20AA,U+25CC,U+FB1D-FB4F" '*'
    subset NotoSansArabic-$weight "U+0020,U+00A0,U+060C,U+061B,U+061C,U+061F,U+0621-065F,U+0660-0671,U+0679,U+067E,U+0686,\
U+0688,U+0691,U+0698,U+06A9,U+06AF,U+06BA,U+06BE,U+06C1-06C3,U+06CC,U+06D2-06D5,U+06F0-06F9,U+200C-200F,U+25CC,U+FDFC" '*'
done
ls -l Noto*.ttf
