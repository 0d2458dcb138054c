#!/usr/bin/env bash
# Compute the vectors of this folder with coreutils and openssl only, none of Linewitness's own code.
# Run it in an empty folder: it writes there what is kept here, byte for byte (Ed25519 is deterministic).
set -euo pipefail
export LC_ALL=C
cd "${1:?usage: make.sh FOLDER}"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

# --- bytes -----------------------------------------------------------------------------------------
unhex() { tr 'a-f' 'A-F' | tr -d '\n' | basenc --base16 -d; }
hex() { basenc --base16 -w0 | tr 'A-F' 'a-f'; }
digest() { sha256sum | cut -d' ' -f1; }
b64() { base64 -w0; }

# --- Ed25519: a seed (64 hex digits) becomes a PKCS#8 key by RFC 8410's fixed prefix -------------------
key() { printf '302e020100300506032b657004220420%s' "$2" | unhex | openssl pkey -inform DER -out "$work/$1.pem"; }
public() { openssl pkey -in "$work/$1.pem" -pubout -outform DER | tail -c 32; }
sign() { cat >"$work/m"; openssl pkeyutl -sign -rawin -inkey "$work/$1.pem" -in "$work/m"; }

# --- C2SP vkeys: key id = first 4 bytes of SHA-256(name LF type public) -----------------------------------
key_id() { { printf '%s\n' "$2"; printf '%s' "$3" | unhex; public "$1"; } | digest | cut -c1-8; }
vkey() { printf '%s+%s+%s' "$2" "$(key_id "$1" "$2" "$3")" "$({ printf '%s' "$3" | unhex; public "$1"; } | b64)"; }
# note_line KEY NAME TYPE <raw signature
note_line() { printf '— %s %s\n' "$2" "$({ key_id "$1" "$2" "$3" | unhex; cat; } | b64)"; }

# --- DSSE's pre-authentication encoding of the file $2 under the type $1 -----------------------------------
pae() { printf 'DSSEv1 %d %s %d ' "${#1}" "$1" "$(wc -c <"$2")"; cat "$2"; }

RECORD=application/vnd.linewitness.record.v1+json
POSSESSION=application/vnd.linewitness.key-pop.v1+json
ORIGIN=acme.example/ber-01/line-02/1
STORE=store.audit.example
WITNESS=witness.example

# The secret keys of RFC 8032, 7.1: test 1 (log key), test 2 and test 3 (event keys), SHA(abc) (store), 1024 (witness).
key log 9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60
key event1 4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb
key event2 c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7
key store 833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42
key witness f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5
LOG=$(vkey log $ORIGIN 01)
EVENT1=$(vkey event1 $ORIGIN/event 01)
EVENT2=$(vkey event2 $ORIGIN/event 01)
{
  echo "log $LOG"; echo "event1 $EVENT1"; echo "event2 $EVENT2"
  echo "store $(vkey store $STORE 04)"; echo "witness $(vkey witness $WITNESS 04)"
} >vkeys.txt

# --- the chain: seven records, the event key rotated by record 4 --------------------------------------
mkdir -p chain tree checkpoint record proof
: >chain/records.ndjson; : >chain/hashes.txt
previous=sha256:$(printf '0%.0s' {1..64})
signer=event1; number=0

# record KIND ACTION CHANGES REASON RESOURCE: append the next record to the chain in the folder $into, which
# bears a signature unless $bears is no, and has $more in its context. Its clock shows the date $day, states the
# bound $bound, and counts $behind seconds too few since the boot. Its event_id is that of the record $named, if set.
# Its actor is $actor, and its context begins with $place.
into=chain; bears=yes; more=; place='"device_id":"press-4","line_id":"line-02","plant_id":"ber-01"'; day=2026-03-01; bound=',"bound_us":850'; behind=0; named=; actor='{"id":"press-4","type":"device"}'
record() {
  local time clock before link rest proof=
  time=${day}T06:$(printf '%02d:%02d' $((number / 60)) $((number % 60))).000Z
  clock="{\"boot_id\":\"3f0c5a52-7f6b-4b3e-9a55-0d4f6f1c2b11\",\"boottime_us\":$((86400000000 + (number - behind) * 1000000))$bound,\"occurred_from\":\"gateway\",\"step\":0,\"sync\":\"locked\"}"
  before="{\"action\":\"$2\",\"actor\":$actor,\"changes\":$3,\"clock\":$clock,\"context\":{$place$more},\"event_id\":\"01KJJ5Z3400000000000000$(printf '%03d' ${named:-$number})\",\"ingested_at\":\"$time\",\"integrity\":{"
  link="\"key_id\":\"$(key_id $signer $ORIGIN/event 01)\",\"prev_hash\":\"$previous\""
  rest=",\"stream\":\"$ORIGIN\",\"v\":1},\"kind\":\"$1\",\"occurred_at\":\"$time\",\"reason\":\"$4\",\"resource\":$5,\"sequence_no\":$number,\"tenant_id\":\"acme\"}"
  printf '%s%s%s' "$before" "$link" "$rest" >"$work/body"
  pae $RECORD "$work/body" >"$work/message"
  previous=sha256:$(digest <"$work/message")
  if [ $bears = yes ]; then proof=",\"signature\":\"ed25519:$(sign $signer <"$work/message" | b64)\""; fi
  printf '%s%s,"record_hash":"%s"%s%s\n' "$before" "$link" "$previous" "$proof" "$rest" >>$into/records.ndjson
  echo "$previous" >>$into/hashes.txt
  if [ $into = chain ] && [ $number = 2 ]; then cp "$work/body" record/body.json; cp "$work/message" record/message.bin; fi
  number=$((number + 1))
}

record stream.created create "[{\"after\":\"$LOG\",\"before\":null,\"field\":\"log_key\"},{\"after\":\"$EVENT1\",\"before\":null,\"field\":\"event_key\"}]" \
  'the stream begins' "{\"id\":\"$ORIGIN\",\"type\":\"stream\"}"
record unit.entered execute '[]' 'scanned' '{"id":"SN-0815","type":"unit"}'
# Text with every class of escape, with and without need: quote, backslash, controls, DEL, U+2028, accents, an astral sign.
record tightening.result create '[{"after":"12.30","before":null,"field":"torque","high":"13.00","low":"11.00","status":"ok","unit":"Nm"},{"after":true,"before":null,"field":"ok"},{"after":-9007199254740991,"before":9007199254740991,"field":"counter"}]' \
  $'q\\" b\\\\ n\\n t\\t r\\r f\\f b\\b e\\u001b d\x7f \xe2\x80\xa8 \xc3\xa9 e\xcc\x81 \xe2\x82\xac / \xf0\x9f\x94\xa9' '{"id":"tool-1/4711","parent":{"id":"SN-0815","type":"unit"},"type":"result"}'
record unit.left execute '[]' 'scanned' '{"id":"SN-0815","type":"unit"}'
printf '{"new_key":"%s","prev_hash":"%s","sequence_no":4,"stream":"%s"}' "$EVENT2" "$previous" $ORIGIN >record/possession.json
PROOF=$(pae $POSSESSION record/possession.json | sign event2 | b64)
record key.rotated update "[{\"after\":\"$EVENT2\",\"before\":\"$EVENT1\",\"field\":\"event_key\"},{\"after\":\"ed25519:$PROOF\",\"before\":null,\"field\":\"proof_of_possession\"}]" \
  'the key was a day old' "{\"id\":\"$ORIGIN\",\"type\":\"stream\"}"
signer=event2
record gateway.heartbeat read '[]' 'nothing happened' "{\"id\":\"$ORIGIN\",\"type\":\"stream\"}"
record gateway.stopped execute '[]' 'asked to stop' "{\"id\":\"$ORIGIN\",\"type\":\"stream\"}"
sed -n 3p chain/records.ndjson | tr -d '\n' >record/record.json
printf '%s\n' "$LOG" >chain/log.vkey

# --- RFC 6962 trees, over hex leaf hashes in the array LEAVES ---------------------------------------------
node() { printf '01%s%s' "$1" "$2" | unhex | digest; }
split() { local k=1; while [ $((k * 2)) -lt "$1" ]; do k=$((k * 2)); done; echo $k; }
# mth FIRST LAST: the hash of leaves [FIRST, LAST)
mth() {
  local width=$(($2 - $1)) k
  if [ $width = 0 ]; then printf '' | digest; return; fi
  if [ $width = 1 ]; then echo "${LEAVES[$1]}"; return; fi
  k=$(split $width); node "$(mth "$1" $(($1 + k)))" "$(mth $(($1 + k)) "$2")"
}
# path M FIRST LAST: the audit path of leaf FIRST + M (RFC 6962, 2.1.1)
path() {
  local width=$(($3 - $2)) k
  if [ $width = 1 ]; then return; fi
  k=$(split $width)
  if [ "$1" -lt "$k" ]; then path "$1" "$2" $(($2 + k)); mth $(($2 + k)) "$3"
  else path $(($1 - k)) $(($2 + k)) "$3"; mth "$2" $(($2 + k)); fi
}
# subproof M FIRST LAST KNOWN: the consistency proof (RFC 6962, 2.1.2)
subproof() {
  local width=$(($3 - $2)) k
  if [ "$1" = $width ]; then if [ "$4" = 0 ]; then mth "$2" "$3"; fi; return; fi
  k=$(split $width)
  if [ "$1" -le "$k" ]; then subproof "$1" "$2" $(($2 + k)) "$4"; mth $(($2 + k)) "$3"
  else subproof $(($1 - k)) $(($2 + k)) "$3" 0; mth "$2" $(($2 + k)); fi
}
leaf() { { printf '00' | unhex; cat; } | digest; }
joined() { tr '\n' ' ' | sed 's/ $//'; }

# The eight inputs that certificate transparency implementations test with.
LEAVES=(); : >tree/leaves.txt
for input in '' 00 10 2021 3031 40414243 5051525354555657 606162636465666768696a6b6c6d6e6f; do
  LEAVES+=("$(printf '%s' "$input" | unhex | leaf)"); echo "${input:--} ${LEAVES[-1]}" >>tree/leaves.txt
done
for size in {0..8}; do echo "$size $(mth 0 $size)"; done >tree/roots.txt
for size in {1..8}; do for ((m = 0; m < size; m++)); do echo "$m $size $(path $m 0 $size | joined)"; done; done >tree/inclusion.txt
for new in {1..8}; do for ((old = 1; old <= new; old++)); do echo "$old $new $(subproof $old 0 "$new" 1 | joined)"; done; done >tree/consistency.txt

# --- checkpoints and receipts over the chain -------------------------------------------------------------
LEAVES=(); while IFS= read -r line; do LEAVES+=("$(printf '%s' "$line" | leaf)"); done <chain/records.ndjson
for size in 1 4 7; do echo "$size $(mth 0 $size)"; done >chain/roots.txt
cosign() { { printf 'cosignature/v1\ntime %s\n' "$4"; cat "$work/text"; } | sign "$1" >"$work/s"; { printf '%016x' "$4" | unhex; cat "$work/s"; } | note_line "$1" "$2" 04; }
for size in 4 7; do
  printf '%s\n%s\n%s\n' $ORIGIN $size "$(mth 0 $size | unhex | b64)" >"$work/text"
  { cat "$work/text"; echo; sign log <"$work/text" | note_line log $ORIGIN 01; } >checkpoint/$size.checkpoint
  { cat checkpoint/$size.checkpoint; cosign store $STORE 04 $((1772344800 + size)); } >checkpoint/$size.receipt
  { cat checkpoint/$size.receipt; cosign witness $WITNESS 04 $((1772344900 + size)); } >checkpoint/$size.witnessed
done

# --- the notice of record 2, which may be sent before the records ahead of it ------------------------------
mkdir -p notice
{ printf '%s\n' linewitness/notice/v1 $ORIGIN 2 "$(sed -n 3p chain/hashes.txt)"; sed -n 3p chain/records.ndjson; } >"$work/text"
{ cat "$work/text"; echo; sign log <"$work/text" | note_line log $ORIGIN 01; } >notice/2.notice

# --- a tlog-proof of record 2 in the stream of 7 -------------------------------------------------------------
{
  echo c2sp.org/tlog-proof@v1; echo 'index 2'
  path 2 0 7 | while read -r hash; do printf '%s' "$hash" | unhex | b64; echo; done
  echo; cat checkpoint/7.receipt
} >proof/2.tlog-proof
subproof 4 0 7 1 >proof/4-7.consistency

# --- the policy of somebody who believes this stream ----------------------------------------------------------
cat >policy.json <<EOF
{
  "v": 1,
  "origin": "$ORIGIN",
  "record_0": "$(head -1 chain/hashes.txt)",
  "log_key": "$LOG",
  "gateway_party": "acme production",
  "attesters": [
    {"party": "audit house", "role": "store", "key": "$(vkey store $STORE 04)"},
    {"party": "institute", "role": "witness", "key": "$(vkey witness $WITNESS 04)"}
  ],
  "quorum": 1
}
EOF

# --- a customer who signs: the policy with a customer key, and three revocations under it -------------------------
CUSTOMER=customer.example/quality
key customer $(printf '%02x' {0..31})
mkdir -p revocation
sed "s|  \"quorum\"|  \"customer_key\": \"$(vkey customer $CUSTOMER 01)\",\n  \"quorum\"|" policy.json >revocation/policy.json
# signed FILE: the text in $work/text as a note of the customer
signed() { { cat "$work/text"; echo; sign customer <"$work/text" | note_line customer $CUSTOMER 01; } >"revocation/$1"; }
printf '%s\n' linewitness/policy/v1 "{\"attesters\":[{\"key\":\"$(vkey store $STORE 04)\",\"party\":\"audit house\",\"role\":\"store\"},{\"key\":\"$(vkey witness $WITNESS 04)\",\"party\":\"institute\",\"role\":\"witness\"}],\"customer_key\":\"$(vkey customer $CUSTOMER 01)\",\"gateway_party\":\"acme production\",\"log_key\":\"$LOG\",\"origin\":\"$ORIGIN\",\"quorum\":1,\"record_0\":\"$(head -1 chain/hashes.txt)\",\"v\":1}" >"$work/text"
signed policy.note
# revoke FILE VKEY FIRST REASON
revoke() { printf '%s\n' linewitness/revocation/v1 $ORIGIN "$2" "$3" "$4" >"$work/text"; signed "$1"; }
revoke event2-6.note "$EVENT2" 6 'the gateway was found open'
revoke event1-5.note "$EVENT1" 5 'a copy was found'
revoke store-4.note "$(vkey store $STORE 04)" 4 'the house was sold'

# --- how old the newest attestation may be: receipt, policy, time and number asked for, and the verdict on the chain ---
mkdir -p age
sed 's/"quorum": 1/"quorum": 1,\n  "max_age_s": 3600/' policy.json >age/policy.json
cat >age/ages.txt <<'EOF'
7.receipt policy.json - - COMPLETE
7.receipt policy.json 1772344807 - COMPLETE
7.receipt policy.json 1772344808 - OUTDATED
7.witnessed policy.json 1772344907 - COMPLETE
7.witnessed policy.json 1772344908 - OUTDATED
7.receipt age/policy.json 1772348407 - COMPLETE
7.receipt age/policy.json 1772348408 - OUTDATED
7.receipt policy.json - 7 COMPLETE
7.receipt policy.json - 8 OUTDATED
4.receipt policy.json - 4 INTACT
4.receipt policy.json - 5 OUTDATED
7.checkpoint policy.json 1 - OUTDATED
EOF

# --- texts that two readers could read differently: with the chain, each has the verdict that texts.txt states ----------
mkdir -p text
: >text/texts.txt
# text NAME VERDICT: standard input becomes a file.
text() { cat >"text/$1"; echo "$1 $2" >>text/texts.txt; }
{ printf '\xef\xbb\xbf'; cat policy.json; } | text bom.policy REFUSED
{ printf '\xff\xfe'; iconv -f utf-8 -t utf-16le policy.json; } | text utf-16.policy REFUSED
sed 's/"quorum": 1/"quorum": 1.0/' policy.json | text float.policy REFUSED
sed 's/"quorum": 1/"quorum": 1e0/' policy.json | text exponent.policy REFUSED
sed 's/"quorum": 1/"quorum": true/' policy.json | text true.policy REFUSED
sed "s|\"quorum\": 1|\"quorum\": 1, \"revocations\": [{\"key\": \"$EVENT2\", \"first\": -1, \"reason\": \"\"}]|" policy.json | text negative.policy REFUSED
sed 's/"quorum": 1/"quorum": 1, "quorum": 1/' policy.json | text twice.policy REFUSED
for age in 0 -1 true 3155760001; do sed "s/\"quorum\": 1/\"quorum\": 1, \"max_age_s\": $age/" policy.json | text "age-$age.policy" REFUSED; done
sed 's/"quorum": 1/"quorum": 1, "max_age_s": 3155760000/' policy.json | text age-3155760000.policy COMPLETE
# The bytes of each character that some reader takes for a space, in a key's name.
for space in 0b 0c 1c 1f c285 c2a0 e19a80 e28080 e2808a e280a8 e280a9 e280af e2819f e38080 efbbbf; do
  { cat checkpoint/7.receipt; printf '— a'; printf '%s' $space | unhex; printf 'b AAAAAAA=\n'; } | text "space-$space.receipt" INTACT
done
{ cat checkpoint/7.receipt; printf '— a\xe2\x80\x8bb AAAAAAA=\n'; } | text zero-width.receipt COMPLETE
{ cat checkpoint/7.receipt; for number in {1..98}; do echo "— witness-$number.example AAAAAAA="; done; } | text lines-100.receipt COMPLETE
{ cat checkpoint/7.receipt; for number in {1..99}; do echo "— witness-$number.example AAAAAAA="; done; } | text lines-101.receipt INTACT

# --- a chain in commits: one signature each for records 0, 1 to 3, 4 (which rotates the key) and 5 to 6 ------------
ORIGIN=acme.example/ber-01/line-03/1
LOG=$(vkey log $ORIGIN 01); EVENT1=$(vkey event1 $ORIGIN/event 01); EVENT2=$(vkey event2 $ORIGIN/event 01)
mkdir -p commit
into=commit; previous=sha256:$(printf '0%.0s' {1..64}); signer=event1; number=0
: >commit/records.ndjson; : >commit/hashes.txt
THERE="{\"id\":\"$ORIGIN\",\"type\":\"stream\"}"
UNIT='{"id":"SN-0816","type":"unit"}'
record stream.created create "[{\"after\":\"$LOG\",\"before\":null,\"field\":\"log_key\"},{\"after\":\"$EVENT1\",\"before\":null,\"field\":\"event_key\"}]" \
  'the stream begins' "$THERE"
bears=no
record unit.entered execute '[]' 'scanned' "$UNIT"
record tightening.result create '[{"after":"12.31","before":null,"field":"torque","unit":"Nm"}]' 'tightened' '{"id":"tool-1/4712","parent":{"id":"SN-0816","type":"unit"},"type":"result"}'
bears=yes
record unit.left execute '[]' 'scanned' "$UNIT"
printf '{"new_key":"%s","prev_hash":"%s","sequence_no":4,"stream":"%s"}' "$EVENT2" "$previous" $ORIGIN >"$work/possession"
PROOF=$(pae $POSSESSION "$work/possession" | sign event2 | b64)
record key.rotated update "[{\"after\":\"$EVENT2\",\"before\":\"$EVENT1\",\"field\":\"event_key\"},{\"after\":\"ed25519:$PROOF\",\"before\":null,\"field\":\"proof_of_possession\"}]" \
  'the key was a day old' "$THERE"
signer=event2; bears=no
record gateway.heartbeat read '[]' 'nothing happened' "$THERE"
bears=yes
record gateway.stopped execute '[]' 'asked to stop' "$THERE"
LEAVES=(); while IFS= read -r line; do LEAVES+=("$(printf '%s' "$line" | leaf)"); done <commit/records.ndjson
printf '%s\n%s\n%s\n' $ORIGIN 7 "$(mth 0 7 | unhex | b64)" >"$work/text"
{ cat "$work/text"; echo; sign log <"$work/text" | note_line log $ORIGIN 01; } >commit/7.checkpoint
{ cat commit/7.checkpoint; cosign store $STORE 04 1772344807; } >commit/7.receipt
sed "s|\"origin\": .*|\"origin\": \"$ORIGIN\",|; s|\"record_0\": .*|\"record_0\": \"$(head -1 commit/hashes.txt)\",|; s|\"log_key\": .*|\"log_key\": \"$LOG\",|" \
  policy.json >commit/policy.json
for index in 0 2 4; do
  {
    echo c2sp.org/tlog-proof@v1; echo "index $index"
    path $index 0 7 | while read -r hash; do printf '%s' "$hash" | unhex | b64; echo; done
    echo; cat commit/7.receipt
  } >commit/$index.tlog-proof
done
# What breaks the rules of the signatures, with the record at which a verifier says BROKEN.
unsigned() { sed "$1s/,\"signature\":\"[^\"]*\"//" commit/records.ndjson; }
head -3 commit/records.ndjson >commit/bad-end.ndjson
unsigned 1 >commit/bad-created.ndjson
unsigned 5 >commit/bad-rotated.ndjson
unsigned 4 >commit/bad-removed.ndjson
# begin NAME: another stream with the same record 0, whose records bear no signature from then on.
begin() {
  into=$work/$1; previous=sha256:$(printf '0%.0s' {1..64}); signer=event1; number=0; bears=yes
  mkdir "$into"; : >"$into/records.ndjson"; : >"$into/hashes.txt"
  record stream.created create "[{\"after\":\"$LOG\",\"before\":null,\"field\":\"log_key\"},{\"after\":\"$EVENT1\",\"before\":null,\"field\":\"event_key\"}]" \
    'the stream begins' "$THERE"
  bears=no
}
heartbeat() { record gateway.heartbeat read '[]' 'nothing happened' "$THERE"; }
# ended: the last record bears the signature; keep the stream.
ended() { bears=yes; heartbeat; cp "$into/records.ndjson" "commit/${into##*/}.ndjson"; }
begin bad-long; for _ in {1..256}; do heartbeat; done; ended
begin bad-clock; heartbeat; heartbeat; behind=5; heartbeat; ended; behind=0
begin bad-id; heartbeat; heartbeat; heartbeat; named=1; heartbeat; named=; ended
# The record, and the first one of those before it that bear no signature and are named with it (- for none).
printf '%s\n' 'bad-end 2 1' 'bad-created 0 -' 'bad-rotated 4 -' 'bad-removed 0 -' 'bad-long 256 1' 'bad-clock 3 1' 'bad-id 4 1' >commit/bad.txt
# A key that is revoked within a commit vouches for none of its records.
sed "s|\"quorum\": 1|\"quorum\": 1, \"revocations\": [{\"key\": \"$EVENT1\", \"first\": 2, \"reason\": \"stolen\"}]|" commit/policy.json >commit/revoked.json

# --- a line that is not always on watch: the same record 0, and what a verifier says of the times between ------------
mkdir -p capture
into=capture; previous=sha256:$(printf '0%.0s' {1..64}); signer=event1; number=0
: >capture/records.ndjson; : >capture/hashes.txt
PRESS='{"id":"press-4","type":"device"}'
record stream.created create "[{\"after\":\"$LOG\",\"before\":null,\"field\":\"log_key\"},{\"after\":\"$EVENT1\",\"before\":null,\"field\":\"event_key\"}]" \
  'the stream begins' "$THERE"
record gateway.started execute '[]' 'started' "$THERE"
record device.back update '[]' 'the device answers' "$PRESS"
record device.lost update '[]' 'no answer' "$PRESS"
record unit.entered execute '[]' 'scanned' "$UNIT"
record gateway.stopped execute '[]' 'asked to stop' "$THERE"
record gateway.started execute '[]' 'started' "$THERE"
record device.back update '[]' 'the device answers' "$PRESS"
record source.gap create '[{"after":"4711","before":null,"field":"first"},{"after":"4713","before":null,"field":"last"},{"after":3,"before":null,"field":"count"}]' \
  'overwritten' '{"id":"results","type":"source"}'
record config.applied update '[{"after":"telemetry","before":"change","field":"devices.press-4.points.force.record"}]' 'settings were changed' "$THERE"
# Section 12.7, by hand: since, until, first record, last record (- for none), subject, why.
{
  echo '2026-03-01T06:00:00.000Z 2026-03-01T06:00:01.000Z 0 1 gateway the stream was created, and the gateway had not been started; a restored copy is not excluded'
  echo '2026-03-01T06:00:05.000Z 2026-03-01T06:00:06.000Z 5 6 gateway the gateway was off: asked to stop; a restored copy is not excluded'
  echo '2026-03-01T06:00:03.000Z 2026-03-01T06:00:07.000Z 3 7 press-4 not connected: no answer'
  echo '- 2026-03-01T06:00:08.000Z 8 8 press-4/results source.gap: overwritten (4711 to 4713) (3 of them)'
  echo '2026-03-01T06:00:09.000Z - 9 - press-4.points.force the configuration does not record it'
} >capture/stretches.txt

# --- starts that a TPM has counted: ECDSA signatures are random, so these are of one run (openssl dgst -sha256 -sign) ---
mkdir -p start
into=start; previous=sha256:$(printf '0%.0s' {1..64}); signer=event1; number=0
: >start/records.ndjson; : >start/hashes.txt
TPM_KEY=3059301306072a8648ce3d020106082a8648ce3d03010703420004d341f00eead09f50b2e06cf9d7f5e33fb2272f6efc12403ca46228a2d97ff8450fb6864ca02bafde5f2b232aeaccec9939af8b82b4d40785e991fc95e7b9a7bf
# TPMS_NV_PUBLIC: index, SHA-256, the attributes of a counter, no policy, 8 bytes.
COUNTER=01801234000b2006001600000008
# attested NUMBER: the TPMS_ATTEST of TPM2_NV_Certify for a start that is the next record, in hex.
attested() {
  printf 'ff5443478014''0022000b%064d''0020%s''%050d''0022000b%s''0000''0008%016x' 0 \
    "$(printf 'linewitness/start/v1\n%s\n%s\n' $ORIGIN "$previous" | digest)" 0 "$(printf '%s' $COUNTER | unhex | digest)" "$1"
}
text_of() { printf '{"after":"%s","before":null,"field":"%s"}' "$(printf '%s' "$2" | unhex | b64)" "$1"; }
# quote NUMBER SIGNATURE: the changes of a start.
quote() {
  printf '[{"after":%d,"before":null,"field":"tpm_counter"},%s,%s,%s,%s]' "$1" "$(text_of tpm_quote "$(attested "$1")")" \
    "$(text_of tpm_signature "$2")" "$(text_of tpm_key $TPM_KEY)" "$(text_of tpm_index $COUNTER)"
}
record stream.created create "[{\"after\":\"$LOG\",\"before\":null,\"field\":\"log_key\"},{\"after\":\"$EVENT1\",\"before\":null,\"field\":\"event_key\"}]" \
  'the stream begins' "$THERE"
record gateway.started execute "$(quote 7 30440220299e037633c499539abc2d13a198935f1e0490e49ca7385db5e561940b864333022022bea71e341b93b3109c3205229693b039f56a37c8739ba453604565daee2b2a)" 'started' "$THERE"
record gateway.stopped execute '[]' 'asked to stop' "$THERE"
eighth=$(quote 8 30440220256dd7633c911233092cd8192e67ead9fdff3b7c129396baecff0fb093f7c2df02204857d6863b53387a61c2bdaafb39dd3c75efdaab8ff69ad1e7a52a69dfafd0bb)
record gateway.started execute "$eighth" 'started' "$THERE"
record gateway.started execute "$(quote 11 30450221008aa5b029c00949fdaf9dae679c39666c431819f5a92dffbac10caa83d0ac328502206e90ed89e3c2248aa6ca7d068ba08edecfabf5be4950bc1a47f830632a3d5989)" 'started' "$THERE"
record gateway.started execute "$eighth" 'started' "$THERE"
# Section 12.9, by hand.
{
  echo '2026-03-01T06:00:00.000Z 2026-03-01T06:00:01.000Z 0 1 gateway the stream was created, and the gateway had not been started; a restored copy is not excluded'
  echo '2026-03-01T06:00:02.000Z 2026-03-01T06:00:03.000Z 2 3 gateway the gateway was off: asked to stop; the TPM counted no other start'
  echo '2026-03-01T06:00:03.000Z 2026-03-01T06:00:04.000Z 3 4 gateway no stop is on record: the gateway crashed, was killed, or lost its power; the TPM counted 2 other starts'
  echo '2026-03-01T06:00:04.000Z 2026-03-01T06:00:05.000Z 4 5 gateway no stop is on record: the gateway crashed, was killed, or lost its power; a restored copy is not excluded'
} >start/stretches.txt
{
  echo '4 the TPM counted 2 other starts after record 3, and nothing is on record of that: this journal was restored from a copy, or a start ended before its record was durable'
  echo '5 its TPM quote is about another place'
  echo "5 the TPM's counter stands at 8, and stood at 11 at record 4"
} >start/remarks.txt

# --- the devices' own bytes: a record names them by an HMAC, the package brings them with the salt of that record ------
ORIGIN=acme.example/ber-01/line-04/1
LOG=$(vkey log $ORIGIN 01); EVENT1=$(vkey event1 $ORIGIN/event 01)
mkdir -p raw
into=raw; previous=sha256:$(printf '0%.0s' {1..64}); signer=event1; number=0; bears=yes
: >raw/records.ndjson; : >raw/hashes.txt
THERE="{\"id\":\"$ORIGIN\",\"type\":\"stream\"}"
UNIT='{"id":"SN-0817","type":"unit"}'
printf '\x02SN-0817\r' >raw/scan.bin
printf '00850061001         010001020103airbag7                   04SN-0817                  \x00' >raw/telegram.bin
printf '{"a":"\xe2\x82\xac\x1b"}' >raw/plain.bin
SCAN_SALT=000102030405060708090a0b0c0d0e0f
TELEGRAM_SALT=f0e1d2c3b4a5968778695a4b3c2d1e0f
# keyed SALT FILE: HMAC-SHA-256 under the 16 bytes of the salt
keyed() { openssl dgst -sha256 -mac HMAC -macopt "hexkey:$1" <"$2" | sed 's/.*= //'; }
record stream.created create "[{\"after\":\"$LOG\",\"before\":null,\"field\":\"log_key\"},{\"after\":\"$EVENT1\",\"before\":null,\"field\":\"event_key\"}]" \
  'the stream begins' "$THERE"
more=",\"raw_hmac_sha256\":\"$(keyed $SCAN_SALT raw/scan.bin)\""
record unit.entered execute '[]' 'scanned' "$UNIT"
more=",\"raw_hmac_sha256\":\"$(keyed $TELEGRAM_SALT raw/telegram.bin)\""
record tightening.result create '[{"after":"12.31","before":null,"field":"torque","unit":"Nm"}]' 'tightened' '{"id":"tool-1/4713","parent":{"id":"SN-0817","type":"unit"},"type":"result"}'
# As records had it before: the plain hash.
more=",\"raw_sha256\":\"$(digest <raw/plain.bin)\""
record measurement.result create '[{"after":"1","before":null,"field":"mass","unit":"kg"}]' 'weighed' '{"id":"scale-1/1","parent":{"id":"SN-0817","type":"unit"},"type":"result"}'
more=
record gateway.stopped execute '[]' 'asked to stop' "$THERE"
LEAVES=(); while IFS= read -r line; do LEAVES+=("$(printf '%s' "$line" | leaf)"); done <raw/records.ndjson
printf '%s\n%s\n%s\n' $ORIGIN 5 "$(mth 0 5 | unhex | b64)" >"$work/text"
{ cat "$work/text"; echo; sign log <"$work/text" | note_line log $ORIGIN 01; } >raw/5.checkpoint
{ cat raw/5.checkpoint; cosign store $STORE 04 1772344805; } >raw/5.receipt
sed "s|\"origin\": .*|\"origin\": \"$ORIGIN\",|; s|\"record_0\": .*|\"record_0\": \"$(head -1 raw/hashes.txt)\",|; s|\"log_key\": .*|\"log_key\": \"$LOG\",|" \
  policy.json >raw/policy.json
# raw_line NUMBER SALT FILE: a line of raw.ndjson; without a salt where the record has a plain hash
raw_line() { printf '{"bytes":"%s"' "$(b64 <"$3")"; if [ "$2" ]; then printf ',"salt":"%s"' "$2"; fi; printf ',"sequence_no":%s}\n' "$1"; }
scan() { raw_line 1 $SCAN_SALT raw/scan.bin; }
telegram() { raw_line 2 $TELEGRAM_SALT raw/telegram.bin; }
plain() { raw_line 3 '' raw/plain.bin; }
: >raw/raws.txt
# raws NAME VERDICT: standard input becomes a raw.ndjson, with which the stream has this verdict.
raws() { cat >"raw/$1.ndjson"; echo "$1 $2" >>raw/raws.txt; }
{ scan; telegram; plain; } | raws all COMPLETE
telegram | raws one COMPLETE
: | raws none COMPLETE
printf '\x02SN-0818\r' >"$work/other"
{ raw_line 1 $SCAN_SALT "$work/other"; telegram; } | raws bytes 'BROKEN 1'
{ scan; raw_line 2 $SCAN_SALT raw/telegram.bin; } | raws salt 'BROKEN 2'
{ scan; raw_line 2 '' raw/telegram.bin; } | raws no-salt 'BROKEN 2'
{ scan; raw_line 3 $SCAN_SALT raw/plain.bin; } | raws salt-too-many 'BROKEN 3'
raw_line 3 '' "$work/other" | raws plain-bytes 'BROKEN 3'
raw_line 4 $SCAN_SALT raw/scan.bin | raws not-named 'BROKEN 4'
raw_line 5 $SCAN_SALT raw/scan.bin | raws not-there 'BROKEN 5'
{ telegram; scan; } | raws order REFUSED
{ scan; scan; } | raws twice REFUSED
raw_line 1 "${SCAN_SALT}00" raw/scan.bin | raws long-salt REFUSED
raw_line 1 "${SCAN_SALT^^}" raw/scan.bin | raws capital-salt REFUSED
scan | tr -d '\n' | raws no-line-feed REFUSED
{ scan; echo; telegram; } | raws empty-line REFUSED
scan | sed 's/:/: /' | raws spaces REFUSED
scan | sed 's/}/,"unit":"SN-0817"}/' | raws member REFUSED
telegram | sed 's/="/"/' | raws padding REFUSED
telegram | sed 's/A="/B="/' | raws last-bits REFUSED
echo 'not JSON' | raws text REFUSED

# --- a stream whose clock is a year behind and states no bound; it cites a receipt of the right time ----------------
ORIGIN=acme.example/ber-01/line-04/1
LOG=$(vkey log $ORIGIN 01); EVENT1=$(vkey event1 $ORIGIN/event 01)
mkdir -p backdated
into=backdated; previous=sha256:$(printf '0%.0s' {1..64}); signer=event1; number=0; day=2025-03-01; bound=
: >backdated/records.ndjson; : >backdated/hashes.txt
# received SIZE: the receipt over so many records
received() {
  LEAVES=(); while IFS= read -r line; do LEAVES+=("$(printf '%s' "$line" | leaf)"); done <backdated/records.ndjson
  printf '%s\n%s\n%s\n' $ORIGIN "$1" "$(mth 0 "$1" | unhex | b64)" >"$work/text"
  { cat "$work/text"; echo; sign log <"$work/text" | note_line log $ORIGIN 01; } >"$work/note"
  { cat "$work/note"; cosign store $STORE 04 $((1772344800 + $1)); } >"backdated/$1.receipt"
}
record stream.created create "[{\"after\":\"$LOG\",\"before\":null,\"field\":\"log_key\"},{\"after\":\"$EVENT1\",\"before\":null,\"field\":\"event_key\"}]" \
  'the stream begins' "{\"id\":\"$ORIGIN\",\"type\":\"stream\"}"
record unit.entered execute '[]' 'scanned' '{"id":"SN-0817","type":"unit"}'
record unit.left execute '[]' 'scanned' '{"id":"SN-0817","type":"unit"}'
received 3
record custody.received create "[{\"after\":\"sha256:$(digest <backdated/3.receipt)\",\"before\":null,\"field\":\"receipt\"},{\"after\":\"2026-03-01T06:00:03.000Z\",\"before\":null,\"field\":\"cosigned_at\"}]" \
  'the audit store holds all records up to this size' "{\"id\":\"$ORIGIN\",\"type\":\"stream\"}"
record gateway.stopped execute '[]' 'asked to stop' "{\"id\":\"$ORIGIN\",\"type\":\"stream\"}"
received 5
sed "s|\"origin\": .*|\"origin\": \"$ORIGIN\",|; s|\"record_0\": .*|\"record_0\": \"$(head -1 backdated/hashes.txt)\",|; s|\"log_key\": .*|\"log_key\": \"$LOG\",|" \
  policy.json >backdated/policy.json
# The remarks of the verdict with both receipts: records FIRST to LAST are too early; record N was attested long after its claim.
printf '%s\n' 'earlier 0 4' 'long-after 4' >backdated/remarks.txt
# What it lists as seen late: the first and the last record, and the longest time in seconds.
seconds() { date -u -d "$(sed -n "$(($1 + 1))s/.*\"ingested_at\":\"\([^\"]*\)\".*/\1/p" backdated/records.ndjson)" +%s; }
waited=0
for at in 0 1 2 3 4; do
  first=$((at < 3 ? 1772344803 : 1772344805)) after=$((first - $(seconds $at)))
  if [ "$after" -gt "$waited" ]; then waited=$after; fi
done
echo "0 4 $waited" >backdated/late.txt

# --- a unit with a checklist, in two attempts: what it left with, and by which records each requirement was met -------
ORIGIN=acme.example/ber-01/line-04/1
LOG=$(vkey log $ORIGIN 01); EVENT1=$(vkey event1 $ORIGIN/event 01)
mkdir -p checklist
DEVICE=$actor; PERSON='{"auth_method":"badge","id":"B-17","type":"user"}'
STATION='{"id":"bolting","parent":{"id":"SN-0818","type":"unit"},"type":"station"}'
# about TYPE ID: a resource whose parent is the unit
about() { printf '{"id":"%s","parent":{"id":"SN-0818","type":"unit"},"type":"%s"}' "$2" "$1"; }
# change FIELD AFTER [BEFORE [LIMITS [STATUS [UNIT]]]]: a change; AFTER and BEFORE are JSON
change() {
  printf '{"after":%s,"before":%s,"field":"%s"%s' "$2" "${3:-null}" "$1" "${4:-}"
  if [ "${5:-}" ]; then printf ',"status":"%s"' "$5"; fi
  if [ "${6:-}" ]; then printf ',"unit":"%s"' "$6"; fi
  printf '}'
}
# list CHANGE...: an array of changes
list() { local IFS=,; printf '[%s]' "$*"; }
# ids NUMBER...: the event ids of these records
ids() { local found; found=$(printf '01KJJ5Z3400000000000000%03d ' "$@"); printf '%s' "${found% }"; }
# requirement ID OUTCOME STATUS KIND TITLE DONE RECORD...: what unit.left says of a requirement, and what met it
requirement() {
  change "$1" "\"$2\"" null '' "$3"; printf ,; change "$1.kind" "\"$4\""; printf ,; change "$1.title" "\"$5\""; printf ,
  change "$1.done" "$6" null ',"low":"1"' "$3"
  if [ $# -gt 6 ]; then printf ,; change "$1.met_by" "\"$(ids "${@:7}")\""; fi
}
# part PART SERIAL LOT: the changes of a component
part() {
  list "$(change part "\"$1\"")" "$(change serial "$2")" "$(change lot "$3")" "$(change quantity '"1"')" "$(change position '"A1"')" \
    "$(change supplier '"Seals Ltd"')" "$(change expiry '"2027-01-31"')" "$(change requirement '"seal"')"
}
# tightened TORQUE STATUS RESULT: the changes of a result
tightened() { list "$(change torque "\"$1\"" null ',"high":"13.00","low":"11.00"' "$2" Nm)" "$(change result "\"$3\"" null '' "$3")"; }
# build OK NOT_OK ATTEMPT: the beginning of a unit.left
build() {
  change results_ok "$1"; printf ,; change results_not_ok "$2"; printf ,; change attempt "$3"; printf ,; change product '"pump-a"'; printf ,
  change order '"PO-2"'; printf ,; change batch '"B-9"'; printf ,; change complete false
}
checklist() {
  into=$1; previous=sha256:$(printf '0%.0s' {1..64}); signer=event1; number=0; day=2026-03-01; bound=',"bound_us":850'; bears=yes; more=
  mkdir -p "$into"; : >"$into/records.ndjson"; : >"$into/hashes.txt"; actor=$DEVICE
  record stream.created create "[{\"after\":\"$LOG\",\"before\":null,\"field\":\"log_key\"},{\"after\":\"$EVENT1\",\"before\":null,\"field\":\"event_key\"}]" \
    'the stream begins' "{\"id\":\"$ORIGIN\",\"type\":\"stream\"}"
  more=',"station_id":"bolting"'
}
checklist "$work/bad-kind"
record component.swapped update "$(part seal '"S-100"' null)" 'no kind of this format' "$(about component seal/S-100)"
cp "$work/bad-kind/records.ndjson" checklist/bad-kind.ndjson
checklist checklist
record order.changed update "$(list "$(change product '"pump-a"' '"pump-b"')" "$(change order '"PO-2"' '"PO-1"')" "$(change batch '"B-9"')")" 'scanned' '{"id":"bolting","type":"station"}'
record material.loaded update "$(list "$(change part '"glue"')" "$(change lot '"G-7"' '"G-6"')" "$(change quantity '"250"')")" 'scanned' '{"id":"glue/G-7","type":"material"}'
record unit.entered execute '[]' 'scanned' "$STATION"
record component.refused read "$(part seal null '"L-13"')" 'the lot L-13 is blocked: cracks' "$(about component seal/L-13)"
record component.installed create "$(part seal '"S-100"' '"L-12"')" 'scanned' "$(about component seal/S-100)"
record tightening.result create "$(tightened 9.10 low nok)" 'tightened' "$(about tightening tool-1/4714)"
record requirement.changed update "$(list "$(change state '"not_met"' '"missing"')" "$(change done 0)" "$(change met_by '""')")" 'a result is not good' "$(about requirement bolting/screws)"
record unit.left execute "$(list "$(build 0 1 1)" "$(requirement seal done ok component 'the seal' 1 5)" "$(requirement glue done ok component 'glue' 1 2)" \
  "$(requirement screws not_met nok tightening 'a screw' 0)" "$(change screws.not_ok 1 null '' nok)")" 'taken out for rework' "$STATION"
record unit.entered execute '[]' 'scanned' "$STATION"
record component.removed delete "$(list "$(change part null '"seal"')" "$(change serial null '"S-100"')" "$(change lot null '"L-12"')" "$(change position null '"A1"')")" 'damaged' "$(about component seal/S-100)"
actor=$PERSON
record component.installed create "$(part seal '"S-101"' '"L-12"')" 'scanned' "$(about component seal/S-101)"
actor=$DEVICE
record tightening.result create "$(tightened 12.10 ok ok)" 'tightened' "$(about tightening tool-1/4715)"
record requirement.changed update "$(list "$(change state '"done"' '"missing"')" "$(change done 1 0)" "$(change met_by "\"$(ids 12)\"" '""')")" 'done' "$(about requirement bolting/screws)"
record requirement.refused read "$(list "$(change requirement '"checked"')")" 'B-18 is not qualified for this station' "$(about requirement bolting/checked)"
actor=$PERSON
record requirement.signed execute "$(list "$(change meaning '"inspected"')" "$(change requirement '"checked"')" "$(change people '"B-17"')")" 'badge' "$(about requirement bolting/checked)"
actor=$DEVICE
record exception.raised create "$(list "$(change code '"shared_badge"')")" 'B-17 is signed on at two stations' '{"id":"B-17","type":"operator"}'
actor=$PERSON
record gate.overridden execute "$(list "$(change reason_code '"concession"')" "$(change reason '"concession 2026-17 of quality"')" "$(change unmet '"cure"')")" 'concession 2026-17 of quality' "$(about gate bolting)"
actor=$DEVICE
record unit.left execute "$(list "$(build 1 0 2)" "$(change overridden_by '"B-17"')" "$(change override_reason '"concession 2026-17 of quality"')" "$(change removed 1)" \
  "$(requirement seal done ok component 'the seal' 1 11)" "$(requirement glue done ok component 'glue' 1 2)" "$(requirement screws done ok tightening 'a screw' 1 12)" \
  "$(requirement checked done ok sign_off 'inspected' 1 15)" "$(change checked.out_of_order true)" "$(requirement cure overridden nok wait 'curing for an hour' 0)")" 'scanned' "$STATION"
record unit.scrapped execute "$(list "$(change reason_code '"dropped"')" "$(change reason '"fell from the table"')")" 'fell from the table' '{"id":"bolting","parent":{"id":"SN-0819","type":"unit"},"type":"station"}'
LEAVES=(); while IFS= read -r line; do LEAVES+=("$(printf '%s' "$line" | leaf)"); done <checklist/records.ndjson
printf '%s\n%s\n%s\n' $ORIGIN 20 "$(mth 0 20 | unhex | b64)" >"$work/text"
{ cat "$work/text"; echo; sign log <"$work/text" | note_line log $ORIGIN 01; } >"$work/note"
{ cat "$work/note"; cosign store $STORE 04 1772344825; } >checklist/20.receipt
sed "s|\"origin\": .*|\"origin\": \"$ORIGIN\",|; s|\"record_0\": .*|\"record_0\": \"$(head -1 checklist/hashes.txt)\",|; s|\"log_key\": .*|\"log_key\": \"$LOG\",|" \
  policy.json >checklist/policy.json
for index in {0..19}; do
  {
    echo c2sp.org/tlog-proof@v1; echo "index $index"
    path $index 0 20 | while read -r hash; do printf '%s' "$hash" | unhex | b64; echo; done
    echo; cat checklist/20.receipt
  } >checklist/$index.tlog-proof
done
# Section 12.3, by hand: the remarks on records 2 to 18 without one of them (- for none left out, none): which, at which record, what.
{
  echo '- - -'
  echo "12 13 the requirement bolting/screws of the unit SN-0818 was met by record $(ids 12), which is missing here"
  echo '12 18 the unit SN-0818 left with 1 good results and 0 others, and here are 0 and 0 of them: some are missing'
  echo "12 18 the unit SN-0818 left with the requirement screws met by record $(ids 12), which is missing here"
  echo "2 8 the unit SN-0818 left with the requirement glue met by record $(ids 2), which is missing here"
  echo "2 18 the unit SN-0818 left with the requirement glue met by record $(ids 2), which is missing here"
} >checklist/remarks.txt

# --- a unit whose device is lost in the middle, and refused a point before it came --------------------------------------------
mkdir -p disturbed
into=disturbed; previous=sha256:$(printf '0%.0s' {1..64}); signer=event1; number=0; more=',"station_id":"pressing"'
: >disturbed/records.ndjson; : >disturbed/hashes.txt
STATION='{"id":"pressing","parent":{"id":"SN-0820","type":"unit"},"type":"station"}'
record stream.created create "[{\"after\":\"$LOG\",\"before\":null,\"field\":\"log_key\"},{\"after\":\"$EVENT1\",\"before\":null,\"field\":\"event_key\"}]" \
  'the stream begins' "$THERE"
record gateway.started execute '[]' 'started' "$THERE"
record device.back update '[]' 'the device answers' "$PRESS"
record source.gap create "$(list "$(change first '"2026-03-01T06:00:03.000Z"')" "$(change last null)")" 'the device refuses the point' '{"id":"force","type":"source"}'
record unit.entered execute '[]' 'scanned' "$STATION"
record device.lost update '[]' 'no answer' "$PRESS"
record device.back update "$(list "$(change away_ms 1000)")" 'the device answers' "$PRESS"
record measurement.result create "$(list "$(change result '"ok"')")" 'measured' '{"id":"press-4/1","parent":{"id":"SN-0820","type":"unit"},"type":"result"}'
record unit.left execute "$(list "$(change results_ok 1)" "$(change results_not_ok 0)")" 'scanned' "$STATION"
record device.lost update '[]' 'no answer' "$PRESS"
LEAVES=(); while IFS= read -r line; do LEAVES+=("$(printf '%s' "$line" | leaf)"); done <disturbed/records.ndjson
printf '%s\n%s\n%s\n' $ORIGIN 10 "$(mth 0 10 | unhex | b64)" >"$work/text"
{ cat "$work/text"; echo; sign log <"$work/text" | note_line log $ORIGIN 01; } >"$work/note"
{ cat "$work/note"; cosign store $STORE 04 1772344825; } >disturbed/10.receipt
sed "s|\"origin\": .*|\"origin\": \"$ORIGIN\",|; s|\"record_0\": .*|\"record_0\": \"$(head -1 disturbed/hashes.txt)\",|; s|\"log_key\": .*|\"log_key\": \"$LOG\",|" \
  policy.json >disturbed/policy.json
for index in 0 {3..8}; do
  {
    echo c2sp.org/tlog-proof@v1; echo "index $index"
    path $index 0 10 | while read -r hash; do printf '%s' "$hash" | unhex | b64; echo; done
    echo; cat disturbed/10.receipt
  } >disturbed/$index.tlog-proof
done
# By hand: which of the records 3 to 8 is left out (- for none), and then as in capture/stretches.txt (12.7) and checklist/remarks.txt (12.3).
LOST='2026-03-01T06:00:05.000Z 2026-03-01T06:00:06.000Z'
REFUSED='2026-03-01T06:00:03.000Z - 3 - press-4/force source.gap: the device refuses the point'
{
  echo "- $LOST 5 6 press-4 not connected: no answer"; echo "- $REFUSED"
  echo "3 $LOST 5 6 press-4 not connected: no answer"
  echo "5 $LOST - 6 press-4 not connected"; echo "5 $REFUSED"
} >disturbed/stretches.txt
{
  echo '- - -'
  echo '3 - -'
  echo '5 6 press-4 was away before it, and the device.lost that says so is missing here'
} >disturbed/remarks.txt

# --- a package of two streams, the chain and the one in commits, and what becomes of it -----------------------------------------
mkdir -p several
echo acme.example/ber-01/line-02/1 >several/first.origin
echo acme.example/ber-01/line-03/1 >several/second.origin
# Its files, and which file of this folder each of them is.
cat >several/files.txt <<'EOF'
streams/1/origin several/first.origin
streams/1/records.ndjson chain/records.ndjson
streams/1/receipts/7.receipt checkpoint/7.receipt
streams/2/origin several/second.origin
streams/2/records.ndjson commit/records.ndjson
streams/2/receipts/7.receipt commit/7.receipt
EOF
# By hand: policies; which file is another one (- for none; another one is - where it is left out); the verdict on the whole and
# on each stream (- where nothing is judged).
cat >several/cases.txt <<'EOF'
policy.json,commit/policy.json - - COMPLETE COMPLETE COMPLETE
commit/policy.json,policy.json - - COMPLETE COMPLETE COMPLETE
policy.json,commit/policy.json,checklist/policy.json - - COMPLETE COMPLETE COMPLETE
policy.json,commit/policy.json,policy.json - - REFUSED - -
policy.json - - REFUSED COMPLETE REFUSED
commit/policy.json - - REFUSED REFUSED COMPLETE
policy.json,commit/revoked.json - - BROKEN COMPLETE BROKEN
policy.json,commit/policy.json streams/1/receipts/7.receipt checkpoint/4.receipt INTACT INTACT COMPLETE
policy.json,commit/policy.json streams/1/receipts/7.receipt commit/7.receipt INTACT INTACT COMPLETE
policy.json,commit/policy.json streams/2/records.ndjson commit/bad-end.ndjson BROKEN COMPLETE BROKEN
policy.json,commit/policy.json streams/1/records.ndjson commit/records.ndjson BROKEN BROKEN COMPLETE
policy.json streams/2/records.ndjson commit/bad-end.ndjson REFUSED COMPLETE REFUSED
commit/policy.json streams/2/records.ndjson commit/bad-end.ndjson BROKEN REFUSED BROKEN
policy.json,commit/policy.json streams/2/origin several/first.origin REFUSED - -
policy.json,commit/policy.json streams/2/origin commit/hashes.txt REFUSED - -
policy.json,commit/policy.json streams/2/origin - REFUSED - -
policy.json,commit/policy.json streams/1/records.ndjson - REFUSED - -
policy.json,commit/policy.json records.ndjson chain/records.ndjson REFUSED - -
policy.json,commit/policy.json streams/4/origin several/first.origin REFUSED - -
policy.json,commit/policy.json streams/1/ended.note checkpoint/7.receipt REFUSED - -
policy.json,commit/policy.json streams/1/report.html policy.json REFUSED - -
policy.json,commit/policy.json report.html policy.json COMPLETE COMPLETE COMPLETE
EOF
# --- a tenant stream, which a store writes: every kind of section 3.3 once, then records that break its rules ----------
ORIGIN=store.audit.example/acme/1
LOG=$(vkey log $ORIGIN 01); EVENT1=$(vkey event1 $ORIGIN/event 01); EVENT2=$(vkey event2 $ORIGIN/event 01)
GATEWAY=acme.example/ber-01/line-02/1; OTHER=acme.example/ber-01/line-07/1
A=sha256:$(printf 'aa%.0s' {1..32}); B=sha256:$(printf 'bb%.0s' {1..32}); C=sha256:$(printf 'cc%.0s' {1..32})
PERSON='{"auth_method":"login","id":"ines","type":"user"}'; OWN='{"id":"linewitness","type":"system"}'
# thing TYPE ID: a resource
thing() { printf '{"id":"%s","type":"%s"}' "$2" "$1"; }
# grown ORIGIN BEFORE SIZE ROOT: what custody.taken says of a stream
grown() { change "$1.size" "$3" "$2"; printf ,; change "$1.root" "\"$4\""; }
# begin FOLDER: start a tenant stream there
begin() {
  into=$1; previous=sha256:$(printf '0%.0s' {1..64}); signer=event1; number=0; bears=yes; more=; place=; behind=0; actor=$OWN
  mkdir -p "$into"; : >"$into/records.ndjson"; : >"$into/hashes.txt"
  record stream.created create "$(list "$(change log_key "\"$LOG\"")" "$(change event_key "\"$EVENT1\"")")" 'the stream begins' "$(thing stream $ORIGIN)"
}
# Step by step, every kind once; record 3 rotates the event key, and an hour passes in silence before record 4.
begin tenant
actor=$PERSON
record stream.enrolled create "$(list "$(change gateway '"ber-01"')" "$(change log_key "\"$LOG\"")" "$(change record_0 "\"$A\"")")" 'enrolled' "$(thing stream $GATEWAY)"
record retention.changed update "$(list "$(change days 3650 null)")" 'the contract of 2026' "$(thing tenant acme)"
actor=$OWN
printf '{"new_key":"%s","prev_hash":"%s","sequence_no":3,"stream":"%s"}' "$EVENT2" "$previous" $ORIGIN >"$work/possession"
PROOF=$(pae $POSSESSION "$work/possession" | sign event2 | b64)
record key.rotated update "$(list "$(change event_key "\"$EVENT2\"" "\"$EVENT1\"")" "$(change proof_of_possession "\"ed25519:$PROOF\"")")" 'a start' "$(thing key event_key)"
signer=event2; day=2026-03-02; behind=-86400
record custody.taken create "$(list "$(grown $GATEWAY 0 40 "$A")" "$(change more true)")" 'custody' "$(thing tenant acme)"
bears=no
record custody.taken create "$(list "$(grown $OTHER 0 7 "$B")")" 'custody' "$(thing tenant acme)"
bears=yes
record custody.taken create "$(list "$(grown $GATEWAY 40 41 "$B")")" 'custody' "$(thing tenant acme)"
record pack.sealed create "$(list "$(change first 0)" "$(change count 41)" "$(change node "\"$A\"")" "$(change digest "\"$B\"")")" 'the month ended' "$(thing pack p-1)"
record pack.locked update "$(list "$(change target '"worm"')" "$(change until '"2036-03-01T00:00:00.000Z"')")" 'locked' "$(thing pack p-1)"
record pack.expired delete "$(list "$(change target '"worm"')")" 'its time is over' "$(thing pack p-0)"
record worm.probed execute "$(list "$(change held true)")" 'the canary was kept' "$(thing target worm)"
record integrity.checked read "$(list "$(change first 0)" "$(change size 41)" "$(change root "\"$B\"")" "$(change verdict '"sound"')")" 'daily' "$(thing stream $GATEWAY)"
record finding.raised create "$(list "$(change code '"gap"')")" 'a gap of 3 results' "$(thing station bolting)"
actor=$PERSON
record finding.disposed update "$(list "$(change disposition '"accepted"')")" 'found on paper' "$(thing finding 01KJJ5Z3400000000000000012)"
record rule.changed update "$(list "$(change rules "\"$B\"" "\"$A\"")")" 'a new rule' "$(thing rule gaps)"
record review.signed execute "$(list "$(change stream "\"$GATEWAY\"")" "$(change size 41)" "$(change root "\"$B\"")" "$(change rules "\"$B\"")" "$(change meaning '"reviewed"')")" 'week 9' "$(thing review week-9)"
record annotation.added create "$(list "$(change stream "\"$GATEWAY\"")" "$(change sequence_no 12)" "$(change record_hash "\"$A\"")" "$(change purpose '"reason"')" "$(change text '"trial run"')")" 'asked by quality' "$(thing record 12)"
record evidence.read read "$(list "$(change question '"unit SN-0815"')")" 'complaint 7' "$(thing unit SN-0815)"
record evidence.exported read "$(list "$(change form '"package"')" "$(change records 41)" "$(change digest "\"$C\"")")" 'complaint 7' "$(thing stream $GATEWAY)"
record account.changed update "$(list "$(change role '"auditor"' '"reader"')")" 'audit in March' "$(thing account karl)"
record role.used execute '[]' 'pg_repack' "$(thing role linewitness_owner)"
record session.opened execute "$(list "$(change account '"ines"')")" 'signed in' "$(thing session s-1)"
actor='{"id":"10.0.0.7","type":"service"}'
record session.refused read "$(list "$(change account '"root"')")" 'no such account' "$(thing session s-2)"
actor=$PERSON
record stream.retired update "$(list "$(change size 41)")" 'the line was sold' "$(thing stream $GATEWAY)"
LEAVES=(); while IFS= read -r line; do LEAVES+=("$(printf '%s' "$line" | leaf)"); done <tenant/records.ndjson
printf '%s\n%s\n%s\n' $ORIGIN 24 "$(mth 0 24 | unhex | b64)" >"$work/text"
{ cat "$work/text"; echo; sign log <"$work/text" | note_line log $ORIGIN 01; } >tenant/24.checkpoint
{ cat tenant/24.checkpoint; cosign witness $WITNESS 04 1772431230; } >tenant/24.witnessed
sed "s|\"origin\": .*|\"origin\": \"$ORIGIN\",|; s|\"record_0\": .*|\"record_0\": \"$(head -1 tenant/hashes.txt)\",|; s|\"log_key\": .*|\"log_key\": \"$LOG\",|" \
  policy.json >tenant/policy.json
# The rules that are broken, one record each; the last but one is of a gateway.
day=2026-03-01; begin "$work/tenant"
record custody.taken create "$(list "$(grown $GATEWAY 5 9 "$A")")" 'custody' "$(thing tenant acme)"
record custody.taken create "$(list "$(grown $GATEWAY 8 10 "$A")")" 'custody' "$(thing tenant acme)"
record custody.taken create "$(list "$(change $GATEWAY.size 12 10)")" 'custody' "$(thing tenant acme)"
record custody.taken create '[]' 'custody' "$(thing tenant acme)"
record custody.taken create "$(list "$(grown $GATEWAY 10 11 "$A")")" 'custody' "$(thing stream $GATEWAY)"
record integrity.checked read "$(list "$(change first 0)" "$(change size -1)" "$(change root "\"$B\"")" "$(change verdict '"sound"')")" 'daily' "$(thing stream $GATEWAY)"
record retention.changed update "$(list "$(change days 1)")" 'nobody asked' "$(thing tenant acme)"
record unit.entered execute '[]' 'scanned' '{"id":"SN-0815","type":"unit"}'
actor=$PERSON
record stream.enrolled create "$(list "$(change gateway '"ber-01"')" "$(change log_key "\"$LOG\"")")" 'enrolled' "$(thing stream $GATEWAY)"
cp "$work/tenant/records.ndjson" tenant/bad.ndjson
{
  echo '- custody.taken is a record of a store and unit.entered one of a gateway: no stream has both'
  echo "1 the custody of $GATEWAY goes on from 5 records, and 0 were held"
  echo "2 the custody of $GATEWAY goes on from 8 records, and 9 were held"
  echo '3 custody.taken does not say of each stream from how many records it grew to which root'
  echo '4 custody.taken does not say of each stream from how many records it grew to which root'
  echo '5 custody.taken is about a stream, not about a tenant'
  echo '6 integrity.checked says no good size'
  echo '7 the actor of retention.changed is a system'
  echo '9 stream.enrolled does not say record_0'
} >tenant/bad.txt
