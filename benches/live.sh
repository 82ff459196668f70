#!/usr/bin/env bash
# Live against offline on one recording, in turn: user CPU, wall time, peak memory and a checksum of the text.
# benches/live.sh QASR MODEL RECORDING ROUNDS [official] prints one CSV line per run. Weights that never end a text
# are held to what speech gives, 4 tokens per second; both sides alike. "official" adds the official recipe without
# caches once: the whole recording at every step.
set -euo pipefail
qasr=$1 model=$2 recording=$3 rounds=$4
common=(-m "$model" -t 2 --tokens-per-second 4 -np)

measure() { # NAME COMMAND...
    local name=$1 text stats
    shift
    stats=$(mktemp)
    text=$(/usr/bin/time -f '%U,%e,%M' -o "$stats" "$@" 2>/dev/null | tr -d '[:space:]' | sha1sum | cut -c1-8) || true
    # A text cut at the limit ends with exit code 5, of which time makes a line of its own.
    echo "$name,$(tail -1 "$stats"),$text,$(cut -d' ' -f1 /proc/loadavg)"
    rm "$stats"
}

echo "run,user_s,wall_s,peak_kib,text,load"
for longest in 30 8; do
    for ((round = 0; round < rounds; round++)); do
        measure "offline-$longest" "$qasr" transcribe "${common[@]}" --max-utterance "$longest" "$recording"
        measure "live-$longest" "$qasr" listen "${common[@]}" --max-utterance "$longest" --input "$recording" --step 2000
    done
done
if [ "${5:-}" = official ]; then
    measure official "$qasr" listen "${common[@]}" --input "$recording" --step 2000 --vad off --max-utterance 1200 --policy official --commit utterance --no-reuse all
fi
