#!/usr/bin/env bash
# Makes samples/seller.mp4: 60 s of a sample seller, to be looped into the RTMP port. samples/README.md describes its strip.
# Needs chromium (draws art/studio.svg), espeak-ng (speaks), ffmpeg (moves, mixes and encodes). Takes about two minutes.
set -euo pipefail
cd "$(dirname "$0")"
. ./packages.sh
need "${CLIP_PACKAGES[@]}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
SECONDS_LONG=60
FPS=30

# --- the drawing, a picture a layer ---
layers=(room bokeh-layer lamp body head eyes-open eyes-closed smile talk arm sparkle desk flame)
# Where each layer has something, width:height:x:y; only that is moved.
declare -A box=([room]=1280:720:0:0 [bokeh-layer]=1200:560:0:70 [lamp]=350:460:930:0 [body]=420:540:440:180 [head]=260:290:510:166
  [eyes-open]=130:40:576:310 [eyes-closed]=130:40:576:310 [smile]=90:50:596:370 [talk]=90:60:596:366 [arm]=200:330:730:260
  [sparkle]=140:140:800:230 [desk]=1280:220:0:500 [flame]=140:140:490:500)
for layer in "${layers[@]}"; do
  sed "s|/\*LAYER\*/|#$layer { display: inline }|" art/studio.svg > "$work/$layer.svg"
  chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --default-background-color=00000000 \
    --user-data-dir="$work/chromium" --window-size=1280,720 --screenshot="$work/$layer.png" "$work/$layer.svg" 2> /dev/null
done

# --- what she says: start in seconds, then the words ---
lines=(
  "0.6|Hello everybody, and welcome to evening finds."
  "5.4|This is our velvet matte lipstick, in rosewood. It stays on through dinner, and it never dries."
  "13.0|Look at the clock in the picture. While it runs, you get the live price."
  "19.2|When it reaches zero, the regular price is back. The same moment, for everyone."
  "26.4|Next to it, the linen weekender. One bag, two days, no worries."
  "32.6|And my favourite: amber and fig. Light it, and the whole room is autumn."
  "39.4|Tap the card to see more. Ask me anything. I am here all evening."
  "46.2|You can be the seller too. Point your own encoder at the address on the screen."
  "53.0|I make room for you, and I come back when you leave. See you in a moment!"
)
audio_inputs=() audio_mix="" speaking="0"
for index in "${!lines[@]}"; do
  start=${lines[$index]%%|*} words=${lines[$index]#*|} wav="$work/line-$index.wav"
  espeak-ng -v en-us+f3 -s 158 -p 52 -a 130 -w "$wav" "$words"
  seconds=$(ffprobe -v error -show_entries format=duration -of csv=p=0 "$wav")
  audio_inputs+=(-i "$wav")
  delay=$(awk "BEGIN { printf \"%d\", $start * 1000 }")
  audio_mix+="[$((${#layers[@]} + index)):a]aresample=48000,adelay=$delay:all=1[line$index];"
  speaking+="+between(t,$start,$(awk "BEGIN { print $start + $seconds - 0.35 }"))"
done

# --- the strip: 23 cells of 32x16 px along the top edge, counted from the left; white is Y' 235, black 16 ---
bits="" parity=""
for bit in $(seq 15 -1 0); do
  bits+="if(eq(X,$((19 - bit))),mod(floor(N/$((1 << bit))),2),"
  parity+="mod(floor(N/$((1 << bit))),2)+"
done
cell="if(lt(X,4),eq(mod(X,2),0),${bits}if(eq(X,20),mod(${parity}0,2),eq(X,22))$(printf ')%.0s' $(seq 17))"
strip="nullsrc=s=23x1:r=$FPS:d=$SECONDS_LONG,format=yuv444p,geq=lum='16+219*($cell)':cb=128:cr=128,scale=736:16:flags=neighbor,setsar=1"

# --- movement: whole periods in 60 s, so that the end meets the beginning ---
turn() { echo "2*PI*t/$1"; }
sway_x="5*sin($(turn 6))" sway_y="3*sin($(turn 4))"
head_x="$sway_x+5*sin($(turn 5))+2*sin($(turn 2))" head_y="$sway_y+3*sin($(turn 1.5))"
arm_x="$sway_x+10*sin($(turn 4))" arm_y="9*sin($(turn 3))+4*sin($(turn 2))"
mouth="($speaking)*(lt(mod(t*4.6,1),0.45)+lt(mod(t*2.9,1),0.25))"
blink="lt(mod(t,3.75),0.13)"

graph="" base=""
for index in "${!layers[@]}"; do
  graph+="[$index:v]format=gbrap,crop=${box[${layers[$index]}]},loop=loop=-1:size=1,setpts=N/$FPS/TB,fps=$FPS,trim=duration=$SECONDS_LONG[${layers[$index]}];"
done
put() { # layer x y enable
  local from_left from_top
  IFS=: read -r _ _ from_left from_top <<< "${box[$1]}"
  graph+="[$base][$1]overlay=x='$from_left+$2':y='$from_top+$3':enable='$4':format=gbrp:eof_action=repeat[on-$1];"
  base="on-$1"
}
base=room
put lamp 0 0 1
put bokeh-layer "40*sin($(turn 20))" "24*sin($(turn 15))" 1
put body "$sway_x" "6+$sway_y" 1
put head "$head_x" "$head_y" 1
put eyes-open "$head_x" "$head_y" "not($blink)"
put eyes-closed "$head_x" "$head_y" "$blink"
put smile "$head_x" "$head_y" "not($mouth)"
put talk "$head_x" "$head_y" "$mouth"
put arm "$arm_x" "$arm_y" 1
put sparkle "$arm_x+6*sin($(turn 2))" "$arm_y-8*mod(t,2)" "lt(mod(t,2),1.2)"
put desk 0 0 1
put flame "1.6*sin($(turn 0.5))" "2*sin($(turn 0.75))" 1
graph+="[$base]format=yuv444p,drawbox=x=1152:y=0:w=128:h=16:color=white:t=fill:enable='lt(mod(n,60),3)'[scene];"
graph+="$strip[strip];[scene][strip]overlay=0:0:format=yuv444[numbered];"
graph+="[numbered]scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv[v];"

# --- sound: the words and a soft chord below 3 kHz; above it only the beep, 60 ms of 4 kHz at each even second ---
chord() { echo "0.022*sin(2*PI*$1*t)*(0.6+0.4*sin(2*PI*t/$2))"; }
pad="$(chord 220 4)+$(chord 277.2 5)+$(chord 329.6 6)+$(chord 415.3 10)+$(chord 110 12)"
graph+="${audio_mix}aevalsrc=exprs='$pad|$pad':s=48000:d=$SECONDS_LONG[pad];"
graph+="$(for index in "${!lines[@]}"; do printf '[line%d]' "$index"; done)amix=inputs=${#lines[@]}:duration=longest:normalize=0,volume=0.8,aformat=channel_layouts=stereo[speech];"
graph+="[speech][pad]amix=inputs=2:duration=longest:normalize=0,lowpass=f=3000,lowpass=f=3000,lowpass=f=3000[voice];"
beep="0.16*sin(2*PI*4000*t)*lt(mod(t,2),0.06)"
graph+="aevalsrc=exprs='$beep|$beep':s=48000:d=$SECONDS_LONG[beep];"
graph+="[voice][beep]amix=inputs=2:duration=longest:normalize=0,atrim=duration=$SECONDS_LONG,alimiter=limit=0.9:level=0[a]"

picture_inputs=()
for layer in "${layers[@]}"; do picture_inputs+=(-i "$work/$layer.png"); done

# As OBS sends by default: High profile, three B-frames, a keyframe every 250 frames, AAC 160 kbit/s.
ffmpeg -v error -stats -y "${picture_inputs[@]}" "${audio_inputs[@]}" -filter_complex "$graph" -map '[v]' -map '[a]' \
  -r $FPS -frames:v $((SECONDS_LONG * FPS)) -c:v libx264 -preset medium -profile:v high -crf 23 -maxrate 2500k -bufsize 5000k \
  -bf 3 -g 250 -pix_fmt yuv420p -c:a aac -b:a 160k -ar 48000 -ac 2 -t $SECONDS_LONG \
  -map_metadata -1 -metadata comment="made by hawker's samples/make-clip.sh; speech by espeak-ng" -movflags +faststart seller.mp4
ls -l seller.mp4
