#!/bin/sh
# Makes the two embedded fonts from Debian's fonts-noto-core: Latin with every Vietnamese letter, punctuation, currency
# signs, and the few symbols that the templates draw. Needs fonttools (pip install fonttools).
set -eu
cd "$(dirname "$0")"
from=${1:-/usr/share/fonts/truetype/noto}
# Basic Latin, Latin-1, Extended-A and -B, IPA's schwa, combining accents, Latin Extended Additional (Vietnamese),
# punctuation, superscripts, currency, letterlike, number forms, arrows, minus and math signs, shapes, replacement.
unicodes="U+0020-007E,U+00A0-024F,U+0259,U+02BB-02BC,U+02C6-02C7,U+02D8-02DD,U+0300-0304,U+0306-030C,U+0323,U+0328,\
U+1E00-1EFF,U+2000-200F,U+2010-2027,U+202A-202F,U+2030-203A,U+2044,U+2060,U+2066-2069,U+2070-208E,U+20A0-20C0,\
U+2113,U+2116,U+2122,U+2150-215E,U+2190-2193,U+2212,U+2215,U+2248,U+2260,U+2264-2265,U+25CA,U+FFFD"
for weight in Regular Bold; do
    pyftsubset "$from/NotoSans-$weight.ttf" --unicodes="$unicodes" --output-file="NotoSans-$weight.ttf" \
        --layout-features=ccmp,locl,mark,mkmk,kern,liga,tnum,lnum,pnum,case --no-hinting --name-IDs='*' --notdef-outline
done
ls -l NotoSans-*.ttf
