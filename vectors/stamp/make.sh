#!/usr/bin/env bash
# Make the time stamps of this folder with openssl and faketime, none of Linewitness's own code.
# Keys and signatures are random, so each run gives other bytes; those kept here are from one run.
set -euo pipefail
export LC_ALL=C
vectors=$(cd "$(dirname "$0")/.." && pwd)
cd "${1:?usage: make.sh FOLDER}"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

NOW='2026-03-01 07:00:00'
at() { TZ=UTC faketime -f "$1" "${@:2}"; }
unhex() { tr 'a-f' 'A-F' | tr -d '\n' | basenc --base16 -d; }
b64() { base64 -w0; }

# --- authorities ------------------------------------------------------------------------------------
rsa() { openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$work/$1.key"; }
ec() { openssl genpkey -quiet -algorithm EC -pkeyopt "ec_paramgen_curve:$2" -out "$work/$1.key"; }
CA='basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign'
TSA='basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=critical,timeStamping'
# root NAME COMMON-NAME DIGEST: a certificate that signs itself
root() {
  printf '[req]\ndistinguished_name=dn\nx509_extensions=x\n[dn]\n[x]\n%s\nsubjectKeyIdentifier=hash\n' "$CA" >"$work/cnf"
  at "$NOW" openssl req -x509 -config "$work/cnf" -new -key "$work/$1.key" -subj "/O=Vectors/CN=$2" -days 7300 "-$3" -out "$work/$1.pem"
}
# issue NAME COMMON-NAME ISSUER EXTENSIONS WHEN DAYS
issue() {
  printf '%s\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n' "$4" >"$work/ext"
  openssl req -new -config "$work/cnf" -key "$work/$1.key" -subj "/O=Vectors/CN=$2" -out "$work/csr"
  at "$5" openssl x509 -req -in "$work/csr" -CA "$work/$3.pem" -CAkey "$work/$3.key" -set_serial "0x$(openssl rand -hex 8 | sed 's/^./1/')" \
    -days "$6" -sha256 -extfile "$work/ext" -out "$work/$1.pem" 2>"$work/log"
}
rsa root; root root 'Vectors Root RSA' sha256
ec root-ec P-384; root root-ec 'Vectors Root EC' sha384
rsa other-root; root other-root 'Somebody Else' sha256
rsa middle; issue middle 'Vectors Middle' root "$CA" "$NOW" 5000
rsa tsa; issue tsa 'tsa.vectors.example' middle "$TSA" "$NOW" 4000
ec tsa-ec P-256; issue tsa-ec 'tsa-ec.vectors.example' root-ec "$TSA" "$NOW" 4000
rsa stranger; issue stranger 'tsa.stranger.example' other-root "$TSA" "$NOW" 4000
rsa expired; issue expired 'tsa-old.vectors.example' root "$TSA" '2024-03-01 07:00:00' 365
rsa no-eku; issue no-eku 'www.vectors.example' root "${TSA%$'\n'*}" "$NOW" 4000
rsa web; issue web 'web.vectors.example' root "${TSA%$'\n'*}"$'\nextendedKeyUsage=critical,timeStamping,serverAuth' "$NOW" 4000
rsa loose; issue loose 'loose.vectors.example' root "${TSA/extendedKeyUsage=critical,/extendedKeyUsage=}" "$NOW" 4000
rsa no-ca; issue no-ca 'no-ca.vectors.example' tsa "$TSA" "$NOW" 4000

# --- tokens, as an authority gives them ------------------------------------------------------------------
# stamp AUTHORITY DIGEST FILE [CHAIN]: a TimeStampResp on stdout
stamp() {
  : >"$work/chain"; [ $# -lt 4 ] || cat "${@:4}" >"$work/chain"
  cat >"$work/ts.cnf" <<CNF
[tsa]
serial=$work/serial
crypto_device=builtin
signer_cert=$work/$1.pem
signer_key=$work/$1.key
certs=$work/chain
default_policy=1.2.3.4.1
digests=sha256,sha384,sha512
signer_digest=$2
accuracy=secs:1
ess_cert_id_chain=no
ess_cert_id_alg=sha256
CNF
  [ -s "$work/chain" ] || sed -i '/^certs=/d' "$work/ts.cnf"
  echo "01$(openssl rand -hex 7)" >"$work/serial"
  openssl ts -query -data "$3" "-$2" -cert -out "$work/query" 2>"$work/log"
  at "$NOW" openssl ts -reply -config "$work/ts.cnf" -section tsa -queryfile "$work/query" -out "$work/reply" 2>"$work/log"
  cat "$work/reply"
}
# length COUNT: a DER length of two bytes
length() { printf '82%04x' "$1"; }
# resign AUTHORITY FILE OPTION...: sign what the token in FILE says once more, as openssl ts would not
resign() {
  openssl ts -reply -in "$2" -token_out -out "$work/token" 2>"$work/log"
  openssl cms -verify -noverify -inform DER -in "$work/token" -binary -out "$work/info" 2>"$work/log"
  at "$NOW" openssl cms -sign -binary -nodetach -cades -in "$work/info" -econtent_type 1.2.840.113549.1.9.16.1.4 \
    -signer "$work/$1.pem" -inkey "$work/$1.key" -md sha256 -outform DER -out "$work/signed" "${@:3}"
  { printf '30%s3003020100' "$(length $(($(wc -c <"$work/signed") + 5)))" | unhex; cat "$work/signed"; }
}
# altered FILE HEX HEX: the same file with one piece of it replaced by one of the same length
altered() { basenc --base16 -w0 <"$1" | sed "s/$2/$3/" | basenc --base16 -d; }

seven=$vectors/checkpoint/7.checkpoint
stamp tsa sha256 "$seven" "$work/middle.pem" >rsa.tsr
stamp tsa-ec sha384 "$seven" >ecdsa.tsr
resign tsa rsa.tsr -certfile "$work/middle.pem" -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:32 >pss.tsr
stamp tsa sha512 "$vectors/checkpoint/4.checkpoint" "$work/middle.pem" >four.tsr
cp four.tsr wrong-imprint.tsr
stamp stranger sha256 "$seven" >wrong-root.tsr
stamp tsa sha256 "$seven" >no-chain.tsr
stamp no-ca sha256 "$seven" "$work/tsa.pem" "$work/middle.pem" >no-ca.tsr
resign no-eku rsa.tsr >no-purpose.tsr
resign web rsa.tsr >two-purposes.tsr
resign loose rsa.tsr >purpose-not-critical.tsr
stamp expired sha256 "$seven" >expired.tsr
time=$(printf '20260301070000Z' | basenc --base16 -w0)
altered rsa.tsr "$time" "$(printf '20250301070000Z' | basenc --base16 -w0)" >altered-time.tsr
last=$(tail -c 4 rsa.tsr | basenc --base16 -w0)
altered rsa.tsr "$last\$" "$(printf '%08X' $((0x$last ^ 1)))" >altered-signature.tsr
# A file that an authority sends if it does not want to stamp.
printf '30053003020102' | unhex >refused.tsr

# --- checkpoints of another history, signed by the log key of this stream ---------------------------------------
printf '302e020100300506032b657004220420%s' 9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60 |
  unhex | openssl pkey -inform DER -out "$work/log.pem"
# checkpoint SIZE: with a root that is not that of the vectors' chain
checkpoint() {
  printf '%s\n%s\n%s\n' acme.example/ber-01/line-02/1 "$1" "$(printf 'another history' | sha256sum | cut -c1-64 | unhex | b64)" >"$work/text"
  openssl pkeyutl -sign -rawin -inkey "$work/log.pem" -in "$work/text" -out "$work/signature"
  id=$(tail -1 "$seven" | cut -d' ' -f3 | base64 -d | head -c 4 | b64)
  { cat "$work/text"; printf '\n— %s %s\n' acme.example/ber-01/line-02/1 "$({ base64 -d <<<"$id"; cat "$work/signature"; } | b64)"; }
}
checkpoint 7 >other-7.checkpoint
checkpoint 9 >other-9.checkpoint
stamp tsa sha256 other-7.checkpoint "$work/middle.pem" >other-7.tsr
stamp tsa-ec sha256 other-9.checkpoint >other-9.tsr

# --- whom the auditor trusts ------------------------------------------------------------------------------------
for name in root root-ec other-root middle; do cp "$work/$name.pem" .; done
der() { openssl x509 -in "$work/$1.pem" -outform DER | b64; }
sed "s|^  \"quorum\": 1\$|  \"quorum\": 1,\n  \"tsa_roots\": [\n    \"$(der root)\",\n    \"$(der root-ec)\"\n  ]|" "$vectors/policy.json" >policy.json
